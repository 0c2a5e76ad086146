# SPDX-License-Identifier: Apache-2.0
"""What the claims look at on this host: each measurement is made once, when the first claim asks for it."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from pybench.analysis.summary.launches import LaunchSummary, summarize_launches
from pybench.api.measure import measure
from pybench.api.run import Run
from pybench.errors import MeasurementError, PybenchError, UnsupportedError
from pybench.findings.kernel import Operations, Storm, Waits, ask, count_by_core
from pybench.host.topology import Topology, read_topology
from pybench.results.records import Cell, Trial
from pybench.stats.estimate import Interval, median_interval, ratio_interval
from pybench.workloads import Value

# The published storm: containers of 50 layers, each assembled twice, once to resolve the image's user.
CONTAINERS, LAYERS, PASSES = 100, 50, 2
FEW = 20
DEADLINE_NS = 30e9
# Lines of a mount table; the last is what the incident's hosts had.
TABLES = (0, 1_000, 10_000, 30_000)
# Seconds of the whole budget that each measurement may take, and how they share a smaller or a larger one.
SHARES = {"launches": 28.0, "reading": 18.0, "starving": 10.0, "places": 16.0, "simulated": 40.0}
BUDGET_S = sum(SHARES.values())

Answer = TypeVar("Answer")


class Count(msgspec.Struct, frozen=True):
    """The operations of the published storm, and why the kernel did not count them too, if it did not."""

    operations: Operations
    without_kernel: str


class Lab:
    """This host, and what was measured on it so far."""

    def __init__(
        self,
        *,
        budget_s: float = BUDGET_S,
        seed: int = 1,
        keep: Path | None = None,
        tell: Callable[[str], None] = lambda _: None,
        quick: bool = False,
    ) -> None:
        """`keep` is a folder for the records of every trial; `tell` is called with what is being done.

        `quick` makes the storms a fifth as large, for trying things out; their counts are then other ones.
        """
        self.topology: Topology = read_topology()
        self.budget_s = budget_s
        self.seed = seed
        self.keep = keep
        self.tell = tell
        self.quick = quick
        self._made: dict[str, Any] = {}

    @property
    def threads(self) -> int:
        """CPUs of the first socket that may be used: the most threads of single-socket."""
        first = self.topology.usable[0].socket or 0
        return sum((cpu.socket or 0) == first for cpu in self.topology.usable)

    @property
    def cpus(self) -> tuple[int, ...]:
        """Numbers of the CPUs of the first socket that may be used."""
        first = self.topology.usable[0].socket or 0
        return tuple(cpu.number for cpu in self.topology.usable if (cpu.socket or 0) == first)

    @property
    def two_sockets(self) -> bool:
        """Whether CPUs of two sockets may be used."""
        return len({cpu.socket or 0 for cpu in self.topology.usable}) > 1

    @property
    def siblings(self) -> bool:
        """Whether two threads of a core may be used."""
        return any(cpu.smt for cpu in self.topology.usable)

    @property
    def containers(self) -> int:
        """Of the published storm."""
        return CONTAINERS // 5 if self.quick else CONTAINERS

    def once(self, name: str, make: Callable[[], Answer]) -> Answer:
        """What `make` gives, made once; a failure stays one."""
        if name not in self._made:
            try:
                self._made[name] = make()
            except PybenchError as error:
                self._made[name] = error
        made = self._made[name]
        if isinstance(made, PybenchError):
            raise made
        return cast(Answer, made)

    def seconds(self, what: str) -> float:
        """The share of the budget of one of SHARES."""
        return SHARES[what] * self.budget_s / BUDGET_S

    # ------------------------------------------------------------------------------------------------ measurements

    def launches(self) -> Run:
        """Storms of few and of many containers, by three strategies, on one thread and on all of a socket."""
        counts = dict.fromkeys((1, self.threads))
        return self._measure(
            "launches",
            "launching containers with and without id-mapped mounts",
            workload="launch",
            strategy=["plain", "binds", "parent"],
            containers=list(dict.fromkeys((FEW, self.containers))),
            layers=LAYERS,
            passes=PASSES,
            threads=list(counts),
        )

    def reading(self) -> Run:
        """Health checks that read the mount table, on a quiet host, at several lengths of it."""
        return self._measure(
            "reading",
            "reading mount tables of up to 30,000 lines",
            workload="launch",
            strategy="plain",
            containers=16,
            layers=1,
            arrival="closed",
            think_ns=5_000_000,
            probers=1,
            probe_every_ms=1,
            prober_place=self._other_cpu(),
            table=list(TABLES[:3] if self.quick else TABLES),
            threads=1,
        )

    def starving(self) -> Run:
        """A few launches on a table of 10,000 lines, with and without somebody who reads it at each change."""
        if len(self.cpus) < 2:
            raise UnsupportedError("a launch and a reader beside it need two CPUs")
        return self._measure(
            "starving",
            "launching beside a reader of a long mount table",
            workload="launch",
            strategy="binds",
            containers=2,
            layers=10,
            arrival="closed",
            readers=[0, 1],
            reader_place=self._other_cpu(),
            table=10_000,
            threads=1,
        )

    def places(self, workload: str) -> Run:
        """One socket and two, with and without SMT siblings, at the same thread counts, as far as there are any.

        Raises UnsupportedError on a host with neither.
        """
        if not (self.two_sockets or self.siblings):
            raise UnsupportedError("this host shows one socket, and no SMT siblings")
        most = self.threads
        counts = sorted({1, max(most // 4, 1), max(most // 2, 1), most})
        more: dict[str, Any] = (
            {"lock": ["ttas", "ticket", "qspinlock"], "duration": "20ms", "warmup": "5ms"}
            if workload == "spin"
            # As many launch at once on one thread a core as on all of them.
            else {
                "strategy": "binds",
                "containers": self.containers,
                "layers": LAYERS,
                "passes": PASSES,
                "oversubscribe": True,
            }
        )
        return self._measure(
            f"places-{workload}",
            f"{workload} on one socket and two, with and without SMT siblings",
            share="places",
            workload=workload,
            place=["single-socket", "dual-socket"],
            smt=["on", "off"],
            threads=counts,
            **more,
        )

    def count(self) -> Count:
        """The mount operations of the published storm, by pybench's core and, as root, by the kernel."""
        return self.once("count", self._count)

    def waits(self) -> Waits:
        """What the workers of that storm waited for, as root. Raises UnsupportedError."""
        self.tell("timing waits for kernel locks")
        return cast(Waits, self.once("waits", lambda: ask("waits", self._storm())))

    # ------------------------------------------------------------------------------------------- helpers

    def _storm(self) -> Storm:
        params: dict[str, Value] = {
            "strategy": "binds",
            "containers": self.containers,
            "layers": LAYERS,
            "passes": PASSES,
        }
        return Storm(params=params, cpus=self.cpus)

    def _count(self) -> Count:
        self.tell(f"counting the mount operations of {self.containers} containers of {LAYERS} layers")
        try:
            return Count(cast(Operations, ask("operations", self._storm())), "")
        except UnsupportedError as error:
            return Count(count_by_core(self._storm()), str(error))

    def _other_cpu(self) -> str:
        """The place of who stands beside a thread on the first CPU."""
        return str(self.cpus[1] if len(self.cpus) > 1 else self.cpus[0])

    def _measure(self, name: str, words: str, share: str = "", **axes: Any) -> Run:
        def run() -> Run:
            self.tell(words)
            seconds = self.seconds(share or name)
            output = self.keep / f"{name}.jsonl" if self.keep else None
            began = time.monotonic()
            made = measure(
                axes.pop("workload"),
                output=output,
                trials=(6, 12),
                target=0.05,
                budget=f"{max(round(seconds * 1000), 100)}ms",
                seed=self.seed,
                **axes,
            )
            self.tell(f"{words}: {len(made.results[0].trials)} trials in {time.monotonic() - began:.0f} s")
            return made

        return self.once(name, run)


# --------------------------------------------------------------------------------- reading records


def trials_of(run: Run, **settings: Any) -> tuple[Cell, list[Trial]]:
    """The one cell with these settings (`threads` and parameters), and its trials. Raises MeasurementError."""
    for one in run.results:
        for index, cell in enumerate(one.header.plan.cells):
            known = dict(cell.params) | {"threads": cell.threads, "place": cell.place, "smt": cell.smt}
            if all(known.get(name) == value for name, value in settings.items()):
                return cell, Run.trials_of(one, index)
    raise MeasurementError(f"nothing was measured with {settings}")


def clean_samples(run: Run, figure: Callable[[Trial], float], **settings: Any) -> list[float]:
    """A figure of each valid trial of a cell that has it (is not NaN). Raises MeasurementError."""
    _, trials = trials_of(run, **settings)
    valid = [trial for trial in trials if trial.valid]
    if not valid:
        raise MeasurementError(_why_none(trials))
    found = [value for trial in valid if not math.isnan(value := figure(trial))]
    if not found:
        raise MeasurementError(f"{len(valid)} trials had nothing to tell of {settings}; raise --budget")
    return found


def container_ns(trial: Trial) -> float:
    """Wall time of a storm over the containers launched. Raises MeasurementError if none was."""
    if trial.figures is None or not trial.figures.throughput > 0:
        raise MeasurementError("a storm launched nothing")
    return 1e9 / trial.figures.throughput


def summary(run: Run, **settings: Any) -> LaunchSummary:
    """The summary of one cell of launches. Raises MeasurementError saying why there is none."""
    cell, trials = trials_of(run, **settings)
    found = summarize_launches(cell, trials)
    if found is None:
        raise MeasurementError(_why_none(trials))
    return found


def _why_none(trials: Sequence[Trial]) -> str:
    flags = sorted({flag for trial in trials for flag in trial.flags})
    if not flags:
        return "there was no time for it; raise --budget"
    told = ", ".join(flags)
    return f"every trial was disturbed ({told}); run it on an idle host, which `pybench doctor` helps with"


def cost(run: Run, **settings: Any) -> Interval:
    """Median wall time a container of a cell, ns."""
    return median_interval(clean_samples(run, container_ns, **settings))


def cost_over(run: Run, upper: dict[str, Any], lower: dict[str, Any]) -> Interval:
    """Wall time a container of one cell over that of another, with its 95 % interval."""
    return ratio_interval(clean_samples(run, container_ns, **upper), clean_samples(run, container_ns, **lower))


def scaled(interval: Interval, factor: float) -> Interval:
    """The interval times a positive factor."""
    return Interval(interval.value * factor, interval.low * factor, interval.high * factor, interval.n)


def lost_share(inflation: Interval) -> Interval:
    """From how much longer something takes in company than alone, the share of its time that company cost."""
    share = [max(1 - 1 / x, 0.0) if x > 0 else x for x in (inflation.value, inflation.low, inflation.high)]
    return Interval(share[0], share[1], share[2], inflation.n)
