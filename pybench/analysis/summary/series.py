# SPDX-License-Identifier: Apache-2.0
"""Summarise the trials of a file by cell and by scaling curve: results, and handoffs by distance."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from pybench.analysis.diagnosis.patterns import Pattern, cell_patterns
from pybench.analysis.scaling.thread_counts import LEAST_LEVELS, Border, borders_of
from pybench.host.topology import DISTANCES, Distance
from pybench.native.outcome import Outcome
from pybench.results.columns import SUMMARIZED
from pybench.results.records import Cell, Trial
from pybench.run.checked_trial import unsupported_words
from pybench.stats.estimate import NOTHING, Interval, interval_of
from pybench.stats.ratios import ratio_interval

if TYPE_CHECKING:
    from pybench.analysis.scaling.best_fit import BestFit


class DistanceSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Handoffs of one distance: medians over the trials that had any, with 95 % intervals."""

    distance: Distance
    share: Interval
    """Share of all handoffs."""
    mean_ns: Interval
    """Time from the giver's release to the taker holding the guarded line, ns; n is 0 if none was timed."""
    transfers: Interval
    """The same in line transfers measured shortly before each trial; n is 0 if none was measured."""


class HandoffSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The handoffs of a cell."""

    kept: Interval
    """Share of operations that are reacquisitions: the member had the lock before."""
    longest_streak: Interval
    """Longest streak of any member in a trial, operations."""
    longest_wait_ns: Interval
    """Longest timed wait of any member in a trial."""
    longest_gap_ns: Interval
    """Upper bound of any member's wait, timed or not."""
    distances: list[DistanceSummary]
    """From near to far."""


def summarize_handoffs(trials: Iterable[Trial]) -> HandoffSummary | None:
    """Return the handoffs of the valid trials of one cell; None if they have none."""
    told = [t for t in trials if t.valid and t.handoffs and t.outcome.members and t.outcome.members.longest_streak]
    if not told:
        return None
    simulated = any(t.simulated for t in told)

    def estimate(samples: Sequence[float]) -> Interval:
        return interval_of(samples, drawn=simulated)

    totals = [sum(h.count for h in t.handoffs) for t in told]
    members = [t.outcome.members for t in told if t.outcome.members]
    distances = []
    for distance in DISTANCES:
        own = [
            (h, total) for t, total in zip(told, totals, strict=True) for h in t.handoffs if h.distance == distance
        ]
        if own:
            distances.append(
                DistanceSummary(
                    distance=distance,
                    share=estimate([h.count / total for h, total in own]),
                    mean_ns=estimate([h.mean_ns for h, _ in own if h.timed]),
                    transfers=estimate([h.mean_ns / h.transfer_ns for h, _ in own if h.timed and h.transfer_ns]),
                )
            )
    return HandoffSummary(
        kept=estimate([1 - n / sum(m.operations) for n, m in zip(totals, members, strict=True)]),
        longest_streak=estimate([max(m.longest_streak) for m in members]),
        longest_wait_ns=estimate([max(m.longest_wait_ns, default=0) for m in members]),
        longest_gap_ns=estimate([max(m.longest_gap_ns, default=0) for m in members]),
        distances=distances,
    )


class CellSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One cell: medians over its valid trials with 95 % intervals.

    In a simulation each trial is a draw of the uncertain inputs, and the interval is the central 95 % of draws.
    """

    index: int
    cell: Cell
    trials: int
    valid: int
    flags: dict[str, int]
    """Validity check -> number of trials that failed it."""
    failures: dict[str, int]
    """Reason -> number of trials without results, though this host supports the cell."""
    unsupported: str
    """What this host does not support, and what it needs; `` if it supports the cell."""
    throughput: Interval
    p50_ns: Interval
    p99_ns: Interval
    max_ns: Interval
    jain: Interval
    phases: dict[str, tuple[Interval, Interval]]
    """Phase -> wall time and on-CPU time (where that was read) per operation, ns."""
    handoffs: HandoffSummary | None
    """None if the workload records none, or there is only one member."""
    timer_step_ns: float
    """Latencies below this step cannot be distinguished."""
    speedup: Interval
    """Throughput over that of the fewest threads in the same series; exactly 1 for the fewest threads."""
    findings: list[Pattern]
    """Patterns over its valid trials: two modes, a drift."""


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Cells that differ only in their thread count, ascending: a scaling curve."""

    cells: list[CellSummary]
    points: list[tuple[int, float]]
    """Threads and throughput (ops/s) of each valid trial; without cells whose threads share CPUs."""
    borders: tuple[Border, ...]
    """Thread counts at which the placement crosses a border of the topology."""

    @property
    def levels(self) -> int:
        """Return the number of thread counts with a valid trial."""
        return len({threads for threads, _ in self.points})

    def best(self) -> "BestFit | None":
        """Return the scaling model that describes the curve best; None if it has too few thread counts."""
        return None if self.levels < LEAST_LEVELS else _best(tuple(self.points), self.borders)

    @property
    def cell(self) -> Cell:
        """Return the first cell, for the settings that all have in common."""
        return self.cells[0].cell


# A report needs the same curve's fit in several places.
@lru_cache(maxsize=512)
def _best(points: tuple[tuple[int, float], ...], borders: tuple[Border, ...]) -> "BestFit | None":
    from pybench.analysis.scaling.best_fit import best_fit

    return best_fit([n for n, _ in points], [x for _, x in points], borders)


def unsupported_of(trials: Iterable[Trial]) -> str:
    """Return what this host does not support, and what it needs, if all trials show only that; `` otherwise.

    A cell that an ordinary user could not measure may be measured when root resumes its sweep.
    """
    outcomes = [trial.outcome for trial in trials]
    if not outcomes or any(outcome.status != "unsupported" for outcome in outcomes):
        return ""
    return unsupported_words(outcomes[-1])


def summarize(
    cells: Sequence[Cell],
    trials: Iterable[Trial],
    topology: Mapping[str, Any] | None = None,
    findings: list[Pattern] | None = None,
) -> list[Series]:
    """Return all series of a file, in the order of its plan; cells without trials are included.

    ``topology`` is the header's; without it no borders are known, and no model has knees. ``findings`` are those
    of `cell_patterns`, which are computed if they are not given.
    """
    by_cell: dict[int, list[Trial]] = defaultdict(list)
    for trial in trials:
        by_cell[trial.cell].append(trial)
    if findings is None:
        findings = cell_patterns(trial for some in by_cell.values() for trial in some)
    series: dict[bytes, list[int]] = defaultdict(list)
    for index, cell in enumerate(cells):
        series[_series_key(cell)].append(index)
    return [
        _series(cells, sorted(indices, key=lambda i: cells[i].threads), by_cell, topology, findings)
        for indices in series.values()
    ]


def _series_key(cell: Cell) -> bytes:
    return msgspec.json.encode([cell.workload, cell.params, cell.place, cell.smt, cell.crew])


def _throughputs(trials: Iterable[Trial]) -> list[float]:
    return [trial.figures.throughput for trial in trials if trial.valid and trial.figures]


def _series(
    cells: Sequence[Cell],
    indices: list[int],
    by_cell: dict[int, list[Trial]],
    topology: Mapping[str, Any] | None,
    findings: list[Pattern],
) -> Series:
    # Threads that share CPUs do not show how more CPUs scale.
    hardware = [i for i in indices if not cells[i].oversubscribed]
    points = [(cells[i].threads, x) for i in hardware for x in _throughputs(by_cell[i]) if x > 0]
    base = next((i for i in indices if (x := _throughputs(by_cell[i])) and min(x) > 0), None)
    rates = [] if base is None else _throughputs(by_cell[base])
    summaries = [_cell_summary(i, cells[i], by_cell[i], rates, findings, is_base=i == base) for i in indices]
    borders = borders_of(cells[hardware[-1]], topology) if hardware and topology else ()
    return Series(
        cells=summaries,
        points=points,
        borders=borders,
    )


def _cell_summary(
    index: int, cell: Cell, trials: list[Trial], base: list[float], findings: list[Pattern], *, is_base: bool
) -> CellSummary:
    valid = [trial.figures for trial in trials if trial.valid and trial.figures]
    flags: dict[str, int] = defaultdict(int)
    failures: dict[str, int] = defaultdict(int)
    for trial in trials:
        for flag in trial.flags:
            flags[flag] += 1
        if trial.figures is None and trial.outcome.status != "unsupported":
            failures[trial.outcome.reason or trial.outcome.note] += 1

    simulated = any(trial.simulated for trial in trials)

    def interval(field: str) -> Interval:
        return interval_of([getattr(f, field) for f in valid], drawn=simulated)

    outcomes = [trial.outcome for trial in trials if trial.valid]
    throughputs = [f.throughput for f in valid]
    speedup = NOTHING
    if is_base:
        # Over itself: exact, not an estimate.
        speedup = Interval(1.0, 1.0, 1.0, len(base))
    elif base and valid and min(throughputs) > 0:
        speedup = ratio_interval(throughputs, base, drawn=simulated)
    return CellSummary(
        index=index,
        cell=cell,
        trials=len(trials),
        valid=len(valid),
        flags=dict(flags),
        failures=dict(failures),
        unsupported=unsupported_of(trials),
        **{metric.field: interval(metric.field) for metric in SUMMARIZED},
        phases={name: _phase(outcomes, name, simulated) for name in (outcomes[0].phases if outcomes else ())},
        handoffs=summarize_handoffs(trials),
        timer_step_ns=max((trial.outcome.timer_step_ns for trial in trials), default=0.0),
        speedup=speedup,
        findings=[finding for finding in findings if finding.cell == index],
    )


def _phase(outcomes: Sequence[Outcome], name: str, simulated: bool) -> tuple[Interval, Interval]:
    parts = [outcome.phases[name] for outcome in outcomes if name in outcome.phases]
    wall = [part.wall_ns / part.operations for part in parts if part.operations]
    cpu = [part.cpu_ns / part.cpu_operations for part in parts if part.cpu_operations]
    return interval_of(wall, drawn=simulated), interval_of(cpu, drawn=simulated)
