# SPDX-License-Identifier: Apache-2.0
"""The simulating backend of the run loop: each cell simulated once per draw, as the records of a sweep.

One trial is one draw. All cells of a draw have the same inputs, so that what moves two cells alike cancels in
their ratio. The same plan, machine, seed and number of draws give the same trials to the bit, whatever the number
of workers.
"""

import functools
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from pybench.errors import MeasurementError
from pybench.host.topology import DISTANCES, Distance, Topology, distances
from pybench.native import engine
from pybench.native.engine_spec import EngineSpec, Latency, Spin
from pybench.native.outcome import Outcome, Phase
from pybench.results.records import Cell, End, Trial, trial_of
from pybench.results.store import Results
from pybench.run.checked_trial import figures, handoffs_by_distance, lean
from pybench.run.loop import Interrupted, Observer, Ran, run
from pybench.simulator import launch_steps
from pybench.simulator.draws import Shares
from pybench.simulator.machine import LOOP_FIELDS, sim_threads, with_machine
from pybench.simulator.pool import in_order
from pybench.simulator.study import Study, check, header, is_launch
from pybench.workloads import workload

# Threads that share a CPU show preemption only over many time slices.
SLICES = 20
# Bound of a launch, which ends by itself.
MOST_LAUNCH_NS = 600e9


def simulate_study(
    study: Study,
    *,
    path: Path | None = None,
    workers: int | None = None,
    observer: Observer | None = None,
) -> Results:
    """Simulate a study, into a new file if `path` names one; `workers` as `Simulation` has them.

    Raises UsageError if the file cannot be made, MeasurementError if every simulation failed, and Interrupted,
    with the results so far, on Ctrl-C.
    """
    first = header(study)
    where = path or Path(f"simulated {study.machine.name} {first.created}")

    def made(of: Ran[Trial]) -> Results:
        return Results(where, first, of.trials, [of.end], truncated=False, good_bytes=0)

    try:
        return made(run(Simulation(study, workers), first, path=path, observer=observer))
    except Interrupted as stop:
        raise Interrupted(made(stop.results)) from None


class Simulation:
    """Simulates a study's trials, several at once; the results do not depend on how many.

    `workers` is the number of processes. None means one per CPU; 0 means this one, where Ctrl-C takes effect only
    after a trial.
    """

    def __init__(self, study: Study, workers: int | None = None) -> None:
        check(study)
        self.study = study
        self.done = 0
        self.total = study.draws * len(study.plan.cells)
        self._started = time.monotonic()
        self._workers = len(os.sched_getaffinity(0)) if workers is None else workers

    def trials(self, until: float | None = None) -> Iterator[Trial]:
        """Simulate every cell under the first draw, then under the next, in the plan's order.

        Stops at the time `until` (of time.monotonic(), in s). Raises MeasurementError if a worker is killed.
        """
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
        """Return the share of the work done, 0 to 1."""
        return self.done / self.total

    def end(self, interrupted: bool = False) -> End:
        """Return the record of why the run stopped."""
        seconds = round(time.monotonic() - self._started, 3)
        return End(reason="interrupted" if interrupted else "limit", seconds=seconds)

    def raise_if_nothing(self, trials: Sequence[Trial]) -> None:
        """Raise MeasurementError if there are trials, and every simulation failed."""
        if trials and not any(trial.figures for trial in trials):
            reasons = sorted({trial.outcome.reason for trial in trials})
            raise MeasurementError(f"every simulation failed: {'; '.join(reasons)}")


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
        """Simulate one cell under one draw."""
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
            ran = engine.run(spec)
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
    """Return what the engine simulates for one cell under one draw."""
    plan, machine = study.plan, study.inputs
    domains = () if cell.domains is msgspec.UNSET else cell.domains
    threads = sim_threads(topology, cell.cpus, domains)

    def number(name: str) -> float:
        at = (machine.times | machine.launch)[name]
        return at.at(shares[name]) if name in shares else at.value

    if is_launch(cell):
        values = {name.removeprefix("launch."): number(name) for name in machine.launch}
        own = machine.name == (study.steps_from.name if study.steps_from else "")
        work: Any = launch_steps.launch(
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
        threads=threads,
        workload=work,
        duration_ns=duration,
        warmup_ns=warmup,
        # The same for all cells of a draw, as the inputs are.
        seed=plan.seed * 1_000_003 + repeat,
    )
    spec = with_machine(spec, machine, shares)
    return msgspec.structs.replace(spec, transfer=_all_distances(spec.transfer))


def _all_distances(transfer: dict[str, Latency]) -> dict[str, Latency]:
    """Return the latencies with that of an L3; where a socket has one L3, it is that of the socket."""
    if "l3" in transfer or "socket" not in transfer:
        return transfer
    return {**transfer, "l3": transfer["socket"]}


def _as_measured(cell: Cell, outcome: Outcome) -> Outcome:
    """Return a launch with the phases and counts that a measured one has."""
    if not is_launch(cell):
        return outcome
    launched = outcome.counters.get("launched", 0)
    empty = Phase(calls=0, operations=0, wall_ns=0, max_ns=0, histogram=[])
    names = ("launch", "userns", "build", "overlay", "release", "clean")
    each = launch_steps.mount_operations(
        str(cell.params["strategy"]), int(cell.params["layers"]), int(cell.params["passes"])
    )
    return msgspec.structs.replace(
        outcome,
        phases={name: outcome.phases.get(name, empty) for name in names},
        counters=outcome.counters | {"mount_operations": launched * each},
    )
