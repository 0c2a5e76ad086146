# SPDX-License-Identifier: Apache-2.0
"""A plan on a machine: every cell simulated once a draw of the uncertain inputs, as the same records as a sweep's.

One trial is one draw. All cells of a draw have the same inputs, so that what moves two cells alike cancels in
their ratio. The same plan, machine, seed and number of draws give the same trials to the bit, whatever the number
of workers.
"""

import datetime
import functools
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import msgspec

from pybench._version import VERSION
from pybench.errors import MeasurementError, UsageError
from pybench.host.topology import DISTANCES, Distance, Topology, distances
from pybench.native.engine import run
from pybench.native.engine_spec import ENGINE, EngineSpec, Latency, Spin
from pybench.native.outcome import Outcome, Phase
from pybench.plan.cells import Axes, make_cells
from pybench.results.records import Cell, Header, InputRange, Plan, Simulated, Trial, trial_of
from pybench.run.figures import figures, handoffs_by_distance
from pybench.run.sweep import lean
from pybench.simulator import steps
from pybench.simulator.inputs import Shares, draw, uncertain
from pybench.simulator.machine import LOOP_FIELDS, Machine, seats, with_machine
from pybench.simulator.pool import in_order
from pybench.workloads import SIMULATED, workload

DURATION_NS = 1_000_000
WARMUP_NS = 100_000
DRAWS = 10
# Threads that share a CPU tell of preemption only over many time slices.
SLICES = 20
# Of a launch, which ends by itself.
MOST_LAUNCH_NS = 600e9


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides what is simulated."""

    plan: Plan
    machine: Machine
    steps_from: Machine | None = None
    """The machine in whose file the durations of launch steps are; None if the plan has no launch."""
    draws: int = DRAWS

    @property
    def launches(self) -> bool:
        """True if some cell is a launch."""
        return any(cell.workload == "launch" for cell in self.plan.cells)

    @property
    def inputs(self) -> Machine:
        """The machine with the launch steps that are used."""
        given = self.steps_from.launch if self.steps_from else {}
        return msgspec.structs.replace(self.machine, launch=dict(given))

    def drawn(self) -> list[str]:
        """The inputs that are drawn; none for a single draw."""
        return uncertain(self.inputs, self.launches) if self.draws > 1 else []

    def shares(self) -> list[Shares]:
        """The draws, each a share of the range of each uncertain input."""
        return draw(uncertain(self.inputs, self.launches), self.draws, self.plan.seed)


def make_study(
    machine: Machine,
    axes: Axes,
    *,
    steps_from: Machine | None,
    seed: int,
    draws: int,
    duration_ns: int,
    warmup_ns: int,
) -> Study:
    """The cells of these axes on a machine, each under so many draws. Raises UsageError as `make_cells` does."""
    cells, left_out = make_cells(axes, machine.topology())
    plan = Plan(
        cells=cells,
        seed=seed,
        duration_ns=duration_ns,
        warmup_ns=warmup_ns,
        min_trials=draws,
        max_trials=draws,
        left_out=left_out,
    )
    return Study(plan=plan, machine=machine, steps_from=steps_from, draws=draws)


def check(study: Study) -> None:
    """Raise UsageError, in one line, for a plan that the model has nothing for."""
    for cell in study.plan.cells:
        kind = workload(cell.workload)
        if kind.simulation is None:
            raise UsageError(f"{cell.workload} is not modelled; there are {' and '.join(SIMULATED)}")
        for name in kind.simulation.fixed:
            if cell.params[name] != kind.parameter(name).default:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(f"{option} is not modelled; leave it at {kind.parameter(name).default!r}")
        if (reason := kind.simulation.refusal(cell.params)) is not None:
            raise UsageError(reason)
        if cell.workload == "launch":
            if cell.params["strategy"] not in steps.STRATEGIES:
                known = ", ".join(steps.STRATEGIES)
                raise UsageError(f"strategy {cell.params['strategy']} is not modelled; there are {known}")
            if not study.steps_from or not study.steps_from.launch:
                raise UsageError(
                    "a launch needs the durations of its steps: --steps FILE, as `pybench calibrate` writes"
                )


def header(study: Study, command: Sequence[str]) -> Header:
    """The first record of a file."""
    machine = study.inputs
    return Header(
        pybench=VERSION,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=list(command),
        host={
            "simulated": True,
            "name": f"simulated {machine.name}",
            "kernel": {"release": "simulated", "version": None, "cmdline": [], "machine": machine.architecture},
            "cpu": {"model": machine.cpu_model, "microcode": None},
            "frequency": {"governors": [], "driver": None, "boost": None},
            "hypervisor": {"virtual": False, "vendor": None, "product": None},
        },
        topology=machine.topology().to_dict(),
        plan=study.plan,
        simulated=Simulated(
            machine=machine.name,
            title=machine.title,
            digest=machine.digest,
            engine=ENGINE,
            seed=study.plan.seed,
            draws=study.draws,
            inputs={
                name: InputRange(number.value, number.low, number.high, number.source)
                for name, number in machine.numbers().items()
            },
            drawn=study.drawn(),
            steps=f"{study.steps_from.name} ({study.steps_from.digest})" if study.steps_from else "",
        ),
    )


class Runner:
    """Simulates a study's trials, several at once; the results do not depend on how many.

    `workers` is how many processes do; None: one a CPU, 0: this one, which Ctrl-C then ends after a trial only.
    """

    def __init__(self, study: Study, workers: int | None = None) -> None:
        check(study)
        self.study = study
        self.done = 0
        self.total = study.draws * len(study.plan.cells)
        self._workers = len(os.sched_getaffinity(0)) if workers is None else workers

    def trials(self, until: float | None = None) -> Iterator[Trial]:
        """Every cell of the first draw, then of the next, in the plan's order; those done by the time `until` (of
        time.monotonic(), s). Raises MeasurementError if a worker process is killed."""
        repeats, cells = range(self.study.draws), range(len(self.study.plan.cells))
        jobs = ((cell, repeat, index) for index, (repeat, cell) in enumerate(itertools.product(repeats, cells)))
        if not self._workers:
            simulator = _Simulator(self.study)
            for job in jobs:
                self.done += 1
                yield simulator.trial(*job)
            return
        # A process each: making an Outcome of what the engine counted takes as long as short simulations.
        with closing(in_order(min(self._workers, self.total), self._work, jobs, until=until)) as answers:
            for answer in answers:
                self.done += 1
                yield _decoder.decode(answer)

    def _work(self) -> Callable[[tuple[int, int, int]], bytes]:
        simulator = _Simulator(self.study)
        return lambda job: msgspec.json.encode(simulator.trial(*job))

    def progress(self) -> float:
        """Share of the work done, 0 to 1."""
        return self.done / self.total


_decoder = msgspec.json.Decoder(Trial)


class _Simulator:
    """Makes trials of a study, one at a time."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._machine = study.inputs
        self._topology = self._machine.topology()
        self._shares = study.shares()
        self._between: Callable[[tuple[int, ...]], list[list[Distance]]] = functools.lru_cache(64)(
            functools.partial(distances, self._topology)
        )

    def trial(self, index: int, repeat: int, sequence: int) -> Trial:
        """One cell under one draw."""
        cell = self._study.plan.cells[index]
        spec = engine_spec(self._study, self._topology, cell, self._shares[repeat], repeat)
        trial = trial_of(
            cell,
            index,
            repeat=repeat,
            sequence=sequence,
            started=0.0,
            seconds=0.0,
            outcome=Outcome(status="failed"),
            simulated=True,
        )
        try:
            ran = run(spec)
        except MeasurementError as error:
            return msgspec.structs.replace(trial, outcome=Outcome(status="failed", reason=str(error)))
        outcome = _as_measured(cell, ran.outcome)
        members = outcome.members
        assert members is not None
        trial = msgspec.structs.replace(trial, seconds=round(ran.facts.simulated_ns / 1e9, 9), outcome=outcome)
        if outcome.handoffs is not None:
            known = {name: spec.transfer[name].median for name in DISTANCES if name in spec.transfer}
            told = handoffs_by_distance(outcome.handoffs, self._between(cell.cpus), known)
            trial = msgspec.structs.replace(trial, handoffs=told, outcome=lean(outcome))
        latency = workload(cell.workload).latency
        if not any(members.operations) or latency not in outcome.phases:
            reason = "no operation was timed in the simulated time; use a longer --duration"
            return msgspec.structs.replace(trial, outcome=Outcome(status="failed", reason=reason))
        return msgspec.structs.replace(trial, figures=figures(members, outcome.phases, latency))


def engine_spec(study: Study, topology: Topology, cell: Cell, shares: Shares, repeat: int) -> EngineSpec:
    """What the engine is asked for one cell under one draw."""
    plan, machine = study.plan, study.inputs
    domains = () if cell.domains is msgspec.UNSET else cell.domains
    seated = seats(topology, cell.cpus, domains)

    def number(name: str) -> float:
        at = (machine.times | machine.launch)[name]
        return at.at(shares[name]) if name in shares else at.value

    if cell.workload == "launch":
        values = {name.removeprefix("launch."): number(name) for name in machine.launch}
        own = machine.name == (study.steps_from.name if study.steps_from else "")
        work: Any = steps.launch(
            str(cell.params["strategy"]),
            values,
            containers=int(cell.params["containers"]),
            layers=int(cell.params["layers"]),
            passes=int(cell.params["passes"]),
            arrival=str(cell.params["arrival"]),
            deadline_ns=float(cell.params["deadline_ms"]) * 1e6,
            scale=1.0 if own else number("core.speed"),
        )
        duration, warmup = MOST_LAUNCH_NS, 0.0
    else:
        p = cell.params
        work = Spin(
            lock=str(p["lock"]),
            hold_ns=float(p["hold_ns"]),
            think_ns=float(p["think_ns"]),
            hold_dist=msgspec.convert(p["hold_dist"], type=Any),
            think_dist=msgspec.convert(p["think_dist"], type=Any),
            guard=msgspec.convert(p["guard"], type=Any),
            writers=int(p["writers"]),
            write_think_ns=float(p["write_think_ns"]),
            **{field: number(name) for name, field in LOOP_FIELDS.items()},
        )
        duration, warmup = float(plan.duration_ns), float(plan.warmup_ns)
        if cell.oversubscribed:
            duration = max(duration, SLICES * number("scheduler.timeslice_ns"))
    spec = EngineSpec(
        seats=seated,
        workload=work,
        duration_ns=duration,
        warmup_ns=warmup,
        # The same for all cells of a draw, as the inputs are.
        seed=plan.seed * 1_000_003 + repeat,
    )
    spec = with_machine(spec, machine, shares)
    return msgspec.structs.replace(spec, transfer=_all_distances(spec.transfer))


def _all_distances(transfer: dict[str, Latency]) -> dict[str, Latency]:
    """Cores of one L3 are told as cores of one socket where a socket has one L3."""
    if "l3" in transfer or "socket" not in transfer:
        return transfer
    return {**transfer, "l3": transfer["socket"]}


def _as_measured(cell: Cell, outcome: Outcome) -> Outcome:
    """A launch with the phases and counts that a measured one has."""
    if cell.workload != "launch":
        return outcome
    launched = outcome.counters.get("launched", 0)
    empty = Phase(calls=0, operations=0, wall_ns=0, max_ns=0, histogram=[])
    names = ("launch", "userns", "build", "overlay", "release", "clean")
    each = steps.mount_operations(
        str(cell.params["strategy"]), int(cell.params["layers"]), int(cell.params["passes"])
    )
    return msgspec.structs.replace(
        outcome,
        phases={name: outcome.phases.get(name, empty) for name in names},
        counters=outcome.counters | {"mount_operations": launched * each},
    )
