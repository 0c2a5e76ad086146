# SPDX-License-Identifier: Apache-2.0
"""The experiments on this host that test the claims: each runs once, when the first claim asks for it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from pybench import PybenchError, Run, UnsupportedError, measure
from pybench.api.toolkit.hosts import Topology, read_topology
from pybench.api.toolkit.trials import Value
from pybench.findings.experiments.kernel_events import Operations, Storm, Waits, ask, count_by_core

# The published storm: containers of 50 layers, each assembled twice, once to resolve the image's user.
CONTAINERS, LAYERS, PASSES = 100, 50, 2
FEW = 20
DEADLINE_NS = 30e9
# Lines of a mount table; the last is the length on the hosts of the incident.
TABLES = (0, 1_000, 10_000, 30_000)
# Seconds that each experiment may take of the default budget; another budget is shared in these proportions.
SHARES = {"launches": 28.0, "reading": 18.0, "starving": 10.0, "places": 16.0, "simulated": 40.0}
BUDGET_S = sum(SHARES.values())

Answer = TypeVar("Answer")


class Count(msgspec.Struct, frozen=True):
    """The mount operations of the published storm, and the reason if the kernel did not count them too."""

    operations: Operations
    without_kernel: str


class Experiments:
    """This host, and the results of the experiments that ran on it."""

    def __init__(
        self,
        *,
        budget_s: float = BUDGET_S,
        seed: int = 1,
        keep: Path | None = None,
        tell: Callable[[str], None] = lambda _: None,
        quick: bool = False,
    ) -> None:
        """Keep the records of every trial in the folder `keep`; call `tell` with a line before each experiment.

        `quick` launches a fifth of the containers, for tests of the program itself.
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
        """Return the number of usable CPUs of the first socket: the largest thread count of single-socket."""
        return len(self.cpus)

    @property
    def cpus(self) -> tuple[int, ...]:
        """Return the usable CPUs of the first socket."""
        first = self.topology.usable[0].socket or 0
        return tuple(cpu.number for cpu in self.topology.usable if (cpu.socket or 0) == first)

    @property
    def two_sockets(self) -> bool:
        """Return whether CPUs of two sockets are usable."""
        return len({cpu.socket or 0 for cpu in self.topology.usable}) > 1

    @property
    def siblings(self) -> bool:
        """Return whether two threads of a core are usable."""
        return any(cpu.smt for cpu in self.topology.usable)

    @property
    def containers(self) -> int:
        """Return the containers of a storm."""
        return CONTAINERS // 5 if self.quick else CONTAINERS

    def once(self, name: str, make: Callable[[], Answer]) -> Answer:
        """Return the result of `make`, which is called once; a failure is raised again each time."""
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
        """Return the seconds of the budget for one of SHARES."""
        return SHARES[what] * self.budget_s / BUDGET_S

    # ------------------------------------------------------------------------------------------------ measurements

    def launches(self) -> Run:
        """Launch few and many containers at once by three strategies, on one thread and on all of a socket."""
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
        """Read mount tables of several lengths by health checks, on a quiet host."""
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
        """Launch on a table of 10,000 lines, with and without a reader that reads it at each change."""
        if len(self.cpus) < 2:
            raise UnsupportedError("a launch with a reader needs two CPUs")
        return self._measure(
            "starving",
            "launching during reads of a long mount table",
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
        """Measure on one socket and two, with and without SMT siblings, at the same thread counts.

        A setting that the host lacks is left out. Raises UnsupportedError on a host with one setting only.
        """
        if not (self.two_sockets or self.siblings):
            raise UnsupportedError("this host has one socket and no SMT siblings")
        most = self.threads
        counts = sorted({1, max(most // 4, 1), max(most // 2, 1), most})
        settings: dict[str, dict[str, Any]] = {
            "spin": {"lock": ["ttas", "ticket", "qspinlock"], "duration": "20ms", "warmup": "5ms"},
            # One thread per core launches as many at once as all threads.
            "launch": {
                "strategy": "binds",
                "containers": self.containers,
                "layers": LAYERS,
                "passes": PASSES,
                "oversubscribe": True,
            },
        }
        more = settings[workload]
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
        """Count the mount operations of the published storm, by pybench's core and, as root, by the kernel."""
        return self.once("count", self._count)

    def waits(self) -> Waits:
        """Time the lock waits of the workers of that storm. Raises UnsupportedError without root."""
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
        """Return the place of a bystander of a thread on the first CPU."""
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
