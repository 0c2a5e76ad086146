# SPDX-License-Identifier: Apache-2.0
"""Patterns over the valid trials of a cell: two modes, drift, and handoffs that take two times."""

import statistics
from collections import defaultdict
from collections.abc import Iterable

import msgspec

from pybench.results.records import Trial
from pybench.stats.estimate import Drift, drift, two_modes

# Medians of two modes, and first and last of a drifting cell, must differ by this share.
LEAST_APART = 0.03
# If a handoff takes this many times as long in one trial as in another, its line transfers are between other CPUs.
MODES_APART = 1.5
# Chance of reporting a drift in a sweep that has none, over all its cells together.
DRIFT_ALPHA = 0.01


class Pattern(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the valid trials of a cell show together. It says how to read the median."""

    name: str
    """`bimodal`, `drift` or `handoff`."""
    cell: int | None
    """Index into the plan; None: of the sweep as a whole."""
    values: list[float]
    """bimodal: throughput and trials of the slow mode, then of the fast one; drift: the change, as a share;
    handoff: least and greatest mean time of a handoff in a trial, ns."""
    next_step: str


def cell_patterns(trials: Iterable[Trial]) -> list[Pattern]:
    """Return the cells whose valid trials have two modes or drift, and whether the whole sweep drifts."""
    cells: dict[int, list[tuple[int, float]]] = defaultdict(list)
    handed: dict[int, list[float]] = defaultdict(list)
    for trial in trials:
        # Draws of inputs have no order in time, and modes only if the inputs do.
        if trial.valid and trial.figures and not trial.simulated:
            cells[trial.cell].append((trial.sequence, trial.figures.throughput))
            timed = sum(h.timed for h in trial.handoffs)
            if timed:
                handed[trial.cell].append(sum(h.mean_ns * h.timed for h in trial.handoffs) / timed)
    return _bimodal(cells) + _drifting(cells) + _handed(cells, handed)


def _bimodal(cells: dict[int, list[tuple[int, float]]]) -> list[Pattern]:
    found = []
    for index, points in cells.items():
        modes = two_modes([x for _, x in points], LEAST_APART)
        if modes:
            values = [modes.low, modes.low_count, modes.high, modes.high_count]
            step = "the median is of one of them by chance: see what differs, or take a longer --duration"
            found.append(Pattern(name="bimodal", cell=index, values=values, next_step=step))
    return found


def _drifting(cells: dict[int, list[tuple[int, float]]]) -> list[Pattern]:
    tested: list[tuple[int | None, Drift]] = []
    for index, points in cells.items():
        seen = drift([x for _, x in points], [at for at, _ in points])
        if seen:
            tested.append((index, seen))
    if len(cells) > 1:
        # Each cell as shares of its own median, so that all show the host together.
        shares = [(at, x / m - 1) for points in cells.values() if (m := _median(points)) for at, x in points]
        seen = drift([1 + share for _, share in shares], [at for at, _ in shares]) if shares else None
        if seen:
            tested.append((None, seen))
    if not tested:
        return []
    from pybench.stats.ratios import holm

    corrected = holm([seen.p for _, seen in tested])
    step = "the host changed under way (heat, load, memory): let it settle, or measure again"
    return [
        Pattern(name="drift", cell=index, values=[seen.size], next_step=step)
        for (index, seen), p in zip(tested, corrected, strict=True)
        if p <= DRIFT_ALPHA and abs(seen.size) > LEAST_APART
    ]


def _handed(cells: dict[int, list[tuple[int, float]]], handed: dict[int, list[float]]) -> list[Pattern]:
    """Return the cells whose throughput follows the time of a handoff: the distance of the CPUs changed."""
    found = []
    for index, means in handed.items():
        rates = [x for _, x in cells[index]]
        if len(means) == len(rates) and max(means) > MODES_APART * min(means):
            seen = drift(rates, means)
            if seen and seen.p < DRIFT_ALPHA and seen.size < -LEAST_APART:
                step = (
                    "line transfers take two times here, as when a hypervisor moves CPUs nearer or farther: "
                    "compare trials of one time, or pin the guest's CPUs"
                )
                found.append(Pattern(name="handoff", cell=index, values=[min(means), max(means)], next_step=step))
    return found


def _median(points: list[tuple[int, float]]) -> float:
    return statistics.median(x for _, x in points)
