# SPDX-License-Identifier: Apache-2.0
"""Sweeps of this host, from a plan or an interrupted file to results: rounds of trials in seeded order, until the
interval of each cell is narrow enough."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pybench import native
from pybench.errors import MeasurementError, UnsupportedError, UsageError
from pybench.host.facts import read_facts
from pybench.host.meters import HostCounts, forget_topology
from pybench.host.switches.journal import HostState, undisturbed
from pybench.host.topology import Distance, Topology, distances, read_topology
from pybench.native.outcome import Members, Outcome, TrialSpec
from pybench.plan.planner import (
    block_order,
    host_state,
    round_order,
    rounds_in_block,
    states_of,
    trial_ns,
    turns_switches,
)
from pybench.results.records import Cell, End, Header, Plan, Trial, trial_of
from pybench.results.store import Results, read
from pybench.run.checked_trial import (
    Baseline,
    RunTrial,
    StartMeters,
    figures,
    handoffs_by_distance,
    lean,
    measure,
    start_meters,
    trial_spec,
    unsupported_words,
)
from pybench.run.line_transfers import quick_look
from pybench.run.loop import Interrupted, Observer, Ran, origin, run
from pybench.stats.estimate import median_interval
from pybench.workloads import workload

if TYPE_CHECKING:
    from pybench.host.switches.controls import Controls


# Switching starts balancing and moves kernel threads and clocks; wait until they are done.
SETTLE_S = 0.2

# Valid trials of a cell that make a baseline for the next.
LEAST_FOR_BASELINE = 3


class CellState:
    """The trials of one cell so far."""

    def __init__(self) -> None:
        self.throughputs: list[float] = []
        self.repeats = 0
        self.invalid = 0
        self.unsupported = False
        """True if this host could not do its last trial in this run."""
        self._never_ran = 0
        self._work_ns: list[list[float]] = []
        self._waited: list[float] = []

    def add(self, trial: Trial) -> None:
        """Count a trial."""
        self.repeats = max(self.repeats, trial.repeat + 1)
        self.unsupported = trial.outcome.status == "unsupported"
        self._never_ran += self.unsupported
        self.invalid += bool(trial.flags)
        if trial.valid and trial.figures:
            self.throughputs.append(trial.figures.throughput)
            if trial.outcome.members and trial.outcome.members.work_ns:
                self._work_ns.append(_work(trial.outcome.members))
            if trial.evidence:
                self._waited.append(trial.evidence.waited)

    @property
    def counted(self) -> int:
        """Return how many trials count towards the maximum of a cell: invalid ones are run again."""
        return self.repeats - self.invalid - self._never_ran

    def baseline(self) -> Baseline:
        """Return medians over the cell's valid trials; an empty baseline while they are few."""
        if len(self.throughputs) < LEAST_FOR_BASELINE:
            return Baseline()
        work = [statistics.median(column) for column in zip(*self._work_ns, strict=True)]
        return Baseline(work_ns=work, waited=statistics.median(self._waited) if self._waited else None)

    def done(self, plan: Plan) -> bool:
        """Return True if no more trials are wanted: sure enough, at its limits, or not possible on this host."""
        full = self.counted >= plan.max_trials or self.invalid >= max(plan.max_invalid, 1)
        return self.unsupported or full or self.sure(plan)

    def sure(self, plan: Plan) -> bool:
        """Return True if the interval of the median is within the target."""
        if len(self.throughputs) < plan.min_trials:
            return False
        interval = median_interval(self.throughputs)
        return interval.known and interval.relative_half_width <= plan.target


class Sweep:
    """A plan that is being measured. Iterate over `trials()`; trials `before`, of a resumed file, are counted."""

    def __init__(
        self,
        plan: Plan,
        before: Iterable[Trial] = (),
        run_trial: RunTrial = native.run_trial,
        seconds_before: float = 0.0,
        topology: Topology | None = None,
        meters: StartMeters = start_meters,
        controls: "Controls | None" = None,
    ) -> None:
        self.plan = plan
        self.states = [CellState() for _ in plan.cells]
        self._run_trial = run_trial
        self._topology = topology
        self._transfer_ns: Mapping[Distance, float] = {}
        self._controls = controls
        self._read_meters = meters
        self._state_of = [host_state(cell) for cell in plan.cells]
        self._used_up = False
        self._sequence = 0
        self._started = time.monotonic() - seconds_before
        self._slowest: dict[int, float] = defaultdict(float)
        for trial in before:
            self._count(trial)
        # This host may do now what it could not do then: as root, or with a module loaded.
        for state in self.states:
            state.unsupported = False

    def trials(self) -> Iterator[Trial]:
        """Run trials until every cell is done or the budget is used up."""
        states, in_block = states_of(self.plan.cells), rounds_in_block(self.plan)
        while (open_cells := self._open()) and not self._used_up:
            turn = min(self.states[i].repeats for i in open_cells) // in_block
            for state in block_order(self.plan, turn, states):
                yield from self._block(state, (turn + 1) * in_block)

    def _open(self) -> list[int]:
        return [i for i, state in enumerate(self.states) if not state.done(self.plan)]

    def _block(self, state: HostState, until: int) -> Iterator[Trial]:
        """Run rounds of the cells that want the host in one state, until each has `until` trials."""
        while not self._used_up:
            open_cells = [i for i in self._open() if self._state_of[i] == state and self.states[i].repeats < until]
            if not open_cells:
                return
            self._enter(state)
            lowest = min(self.states[i].repeats for i in open_cells)
            this_round = [i for i in open_cells if self.states[i].repeats == lowest]
            self._look_at_transfers(this_round)
            for index in round_order(self.plan, lowest, this_round):
                if not self._fits_budget(index):
                    self._used_up = True
                    return
                trial = self._trial(index)
                self._count(trial)
                yield trial

    def _enter(self, state: HostState) -> None:
        if self._controls is None:
            if state.turned:
                raise UsageError(f"a cell wants {state.words()}; allow it with --allow-host-changes")
        elif self._controls.current != state:
            self._controls.enter(state)
            forget_topology()
            time.sleep(SETTLE_S)

    def _meters(self, cpus: Sequence[int]) -> Callable[[], HostCounts]:
        """Start the meters, which also report if the host is not in the state that was set."""
        around = self._read_meters(cpus)

        def with_state() -> HostCounts:
            counted = around()
            wrong = self._controls.wrong() if self._controls else ""
            return msgspec.structs.replace(counted, topology=[*counted.topology, wrong]) if wrong else counted

        return with_state

    def end(self, interrupted: bool = False) -> End:
        """Return the record of why the sweep stopped."""
        sure = all(state.sure(self.plan) or state.unsupported for state in self.states)
        reason = "interrupted" if interrupted else "sure" if sure else "limit"
        return End(reason=reason, seconds=round(time.monotonic() - self._started, 3))

    def progress(self) -> float:
        """Return the share of the work done, 0 to 1: by time if there is a budget, by trials otherwise."""
        plan = self.plan
        wanted = [1.0 if s.done(plan) else _progress(s, plan) for s in self.states]
        by_trials = sum(wanted) / len(wanted)
        if not plan.budget_ns:
            return by_trials
        return max(by_trials, min((time.monotonic() - self._started) * 1e9 / plan.budget_ns, 1.0))

    def raise_if_nothing(self, trials: Sequence[Trial]) -> None:
        """Raise UnsupportedError or MeasurementError if there are trials, and none gave a result."""
        if not trials or any(trial.figures for trial in trials):
            return
        if all(trial.outcome.status == "unsupported" for trial in trials):
            words = sorted({unsupported_words(trial.outcome) for trial in trials})
            raise UnsupportedError(f"this host cannot do it: {'; '.join(words)}")
        reasons = sorted({trial.outcome.reason or trial.outcome.note for trial in trials})
        raise MeasurementError(f"every trial failed: {'; '.join(reasons)}")

    def _look_at_transfers(self, indices: Sequence[int]) -> None:
        """Measure a line transfer by distance, if cells of this round will hand a lock over."""
        cells = [self.plan.cells[i] for i in indices]
        handing = (cell for cell in cells if cell.threads > 1 and workload(cell.workload).hands_over)
        cpus = sorted({cpu for cell in handing for cpu in cell.cpus})
        if self._topology is not None and len(cpus) > 1:
            self._transfer_ns = quick_look(self._topology, cpus, self._run_trial, self._meters)

    def _with_handoffs(self, trial: Trial, cell: Cell) -> Trial:
        """Return the trial with its handoffs by distance, if it has any and the host's distances are known."""
        handoffs = trial.outcome.handoffs
        if handoffs is None or self._topology is None:
            return trial
        figures = handoffs_by_distance(handoffs, distances(self._topology, cell.cpus), self._transfer_ns)
        return msgspec.structs.replace(trial, handoffs=figures, outcome=lean(trial.outcome))

    def _fits_budget(self, index: int) -> bool:
        if not self.plan.budget_ns:
            return True
        expected = self._slowest[index] or trial_ns(self.plan, self.plan.cells[index]) / 1e9
        return time.monotonic() - self._started + expected <= self.plan.budget_ns / 1e9

    def _count(self, trial: Trial) -> None:
        self.states[trial.cell].add(trial)
        self._sequence = max(self._sequence, trial.sequence + 1)
        self._slowest[trial.cell] = max(self._slowest[trial.cell], trial.seconds)

    def _trial(self, index: int) -> Trial:
        cell, state = self.plan.cells[index], self.states[index]
        spec = trial_spec(self.plan, cell, state.repeats)
        measured = measure(cell, spec, self._run_trial, self._meters, state.baseline())
        outcome = measured.outcome
        trial = trial_of(
            cell,
            index,
            repeat=state.repeats,
            sequence=self._sequence,
            started=measured.started,
            seconds=measured.seconds,
            outcome=outcome,
            evidence=measured.evidence,
            flags=measured.flags,
        )
        if outcome.members is None:
            return trial
        trial = self._with_handoffs(trial, cell)
        if not any(count for i, count in enumerate(outcome.members.operations) if outcome.members.is_main(i)):
            # Every launch failed, so there is no latency.
            return trial
        latency = workload(cell.workload).latency
        return msgspec.structs.replace(trial, figures=figures(outcome.members, outcome.phases, latency))


def _work(members: Members) -> list[float]:
    """Return each member's mean time for the fixed chain of work, before and after the trial, in ns."""
    return [statistics.fmean(pair) for pair in members.work_ns]


def _progress(state: CellState, plan: Plan) -> float:
    """Return the share of a cell's trials that are done: of the minimum, then of a few more each time that it was
    not enough; or of the invalid ones that it may have."""
    done = state.counted
    expected = plan.min_trials if done < plan.min_trials else min(plan.max_trials, done + 4)
    return max(done / expected, state.invalid / max(plan.max_invalid, 1))


def measure_plan(
    plan: Plan,
    topology: Topology,
    *,
    path: Path | None = None,
    allow_host_changes: bool = False,
    resumable: bool = True,
    run_trial: Callable[[TrialSpec], Outcome] = native.run_trial,
    observer: Observer | None = None,
) -> Results:
    """Run a plan, into a new file if `path` names one.

    Raises UsageError if the plan turns switches of the host without leave, or the file cannot be made;
    UnsupportedError if this host can do none of it; MeasurementError if every trial failed; Interrupted, with the
    results so far, on Ctrl-C.
    """
    check_allowed(plan, allow_host_changes)
    check_supported(plan.cells, native.locks())
    header = Header(**origin(topology), plan=plan)
    with ExitStack() as stack:
        controls = stack.enter_context(_host(plan))
        sweep = Sweep(plan, topology=topology, controls=controls, run_trial=run_trial)
        go_on = f"pybench sweep --resume {path}" if resumable else ""
        return _results(
            header,
            path,
            [],
            lambda: run(sweep, header, path=path, go_on=go_on, host=stack.pop_all(), observer=observer),
        )


def resume(path: Path, *, allow_host_changes: bool = False, observer: Observer | None = None) -> Results:
    """Go on with the plan of a file where it stopped. Raises as `measure_plan` does, and UsageError if the file is
    of another host."""
    there = read(path)
    header = there.header
    _check_same_host(path, header)
    # The last end counts all that was before it; a sweep that was killed has none.
    seconds = max([sum(trial.seconds for trial in there.trials), *(end.seconds for end in there.ends)])
    check_allowed(header.plan, allow_host_changes)
    with ExitStack() as stack:
        topology = read_topology()
        controls = stack.enter_context(_host(header.plan))
        sweep = Sweep(header.plan, there.trials, seconds_before=seconds, topology=topology, controls=controls)
        return _results(
            header,
            path,
            there.ends,
            lambda: run(
                sweep,
                header,
                path=path,
                before=there.trials,
                resume_at=there.good_bytes,
                go_on=f"pybench sweep --resume {path}",
                host=stack.pop_all(),
                observer=observer,
            ),
        )


def _results(header: Header, path: Path | None, ends: Sequence[End], ran: Callable[[], Ran[Trial]]) -> Results:
    """Return what a run hands over as the results that its file holds."""
    where = path or Path(f"measured {header.created}")

    def made(of: Ran[Trial]) -> Results:
        return Results(where, header, of.trials, [*ends, of.end], truncated=False, good_bytes=0)

    try:
        return made(ran())
    except Interrupted as stop:
        raise Interrupted(made(stop.results)) from None


@contextmanager
def _host(plan: Plan) -> "Iterator[Controls | None]":
    """Hold the host while a plan runs: its switches if the plan turns any, else the lock that keeps others off."""
    if turns_switches(plan):
        # Few sweeps turn switches, and all would wait for this to load.
        from pybench.host.switches.controls import Controls

        with Controls(states_of(plan.cells)) as controls:
            yield controls
        return
    with undisturbed():
        yield None


def check_allowed(plan: Plan, allowed: bool) -> None:
    """Raise UsageError if a plan turns switches of the host without leave."""
    if turns_switches(plan) and not allowed:
        what = next(state.words() for state in states_of(plan.cells) if state.turned)
        raise UsageError(
            f"this turns switches of the whole host ({what}) and puts them back at the end; allow it with "
            "--allow-host-changes, or see them with --dry-run"
        )


def check_supported(cells: Sequence[Cell], locks: Container[str]) -> None:
    """Raise UnsupportedError if the core lacks a lock that a cell asks for."""
    for cell in cells:
        lock = cell.params.get("lock")
        if lock is not None and lock not in locks:
            raise UnsupportedError(f"the native core has no lock {lock!r}; build it again: pip install -e .")


def _check_same_host(path: Path, header: Header) -> None:
    if header.simulated:
        raise UsageError(f"{path} is simulated, and measurements do not go into it; simulate it again instead")
    here = read_facts()
    for topic, key in (("cpu", "model"), ("kernel", "release")):
        there = header.host.get(topic, {}).get(key)
        if here[topic][key] != there:
            raise UsageError(
                f"{path} was measured on {there!r}, this is {here[topic][key]!r}; results of two hosts do not go "
                "into one file: start a new sweep"
            )
