# SPDX-License-Identifier: Apache-2.0
"""The measuring backend of the run loop: rounds of trials in seeded order, until each cell is sure."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from pybench import native
from pybench.errors import MeasurementError, UnsupportedError, UsageError
from pybench.host.meters import HostCounts, forget_topology
from pybench.host.switches.files import HostState
from pybench.host.topology import Distance, Topology, distances
from pybench.native.outcome import Members, Outcome, TrialSpec
from pybench.plan.order import block_order, host_state, round_order, rounds_in_block, states_of, trial_ns
from pybench.results.records import Cell, End, Plan, Trial, trial_of
from pybench.run.checked_trial import (
    Baseline,
    RunTrial,
    StartMeters,
    figures,
    handoffs_by_distance,
    measure,
    start_meters,
    unsupported_words,
)
from pybench.run.line_transfers import quick_look
from pybench.stats.estimate import median_interval
from pybench.workloads import workload

if TYPE_CHECKING:
    from pybench.host.switches.controls import Controls

# Bound of a trial that ends by itself; the rest of its work counts as not done.
LONGEST_OWN_NS = 60 * 10**9
# All pairs of 32 members.
MOST_HANDOFF_PAIRS = 1024

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


def lean(outcome: Outcome) -> Outcome:
    """Return the outcome without pairs of handoffs if they are too many to keep; sums by distance stay."""
    if outcome.handoffs is None or len(outcome.handoffs.count) <= MOST_HANDOFF_PAIRS:
        return outcome
    return msgspec.structs.replace(outcome, handoffs=None)


def trial_spec(plan: Plan, cell: Cell, repeat: int) -> TrialSpec:
    """Return what the core runs for one repeat of a cell."""
    own_end = workload(cell.workload).ends_by_itself
    return TrialSpec(
        workload=cell.workload,
        params=cell.params,
        cpus=cell.cpus,
        crew=cell.crew,
        memory=cell.memory,
        nodes=cell.nodes,
        domains=() if cell.domains is msgspec.UNSET else cell.domains,
        duration_ns=LONGEST_OWN_NS if own_end else plan.duration_ns,
        warmup_ns=0 if own_end else plan.warmup_ns,
        operations=plan.operations,
        seed=plan.seed * 1_000_003 + repeat,
    )


def _work(members: Members) -> list[float]:
    """Return each member's mean time for the fixed chain of work, before and after the trial, in ns."""
    return [statistics.fmean(pair) for pair in members.work_ns]


def _progress(state: CellState, plan: Plan) -> float:
    """Return the share of a cell's trials that are done: of the minimum, then of a few more each time that it was
    not enough; or of the invalid ones that it may have."""
    done = state.counted
    expected = plan.min_trials if done < plan.min_trials else min(plan.max_trials, done + 4)
    return max(done / expected, state.invalid / max(plan.max_invalid, 1))
