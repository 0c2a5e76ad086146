# SPDX-License-Identifier: Apache-2.0
"""The ratio of a metric of a pair of cells, over the unit that was repeated: trials or sweeps."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from pybench.analysis.comparison.cell_pairs import Part
from pybench.analysis.comparison.verdicts import Basis
from pybench.results.columns import Metric, clock_step_ns, values
from pybench.results.records import with_defaults
from pybench.stats.estimate import Floats, middle
from pybench.stats.ratios import (
    UNKNOWN,
    LogRatio,
    clock_blur,
    draws_ratio,
    draws_side,
    median_side,
    paired_ratio,
    share_side,
    side_ratio,
    sweep_ratio,
    widened,
)

LEAST_IN_SWEEP = 3
"""Valid trials that a sweep's median needs, where sweeps are the repeated unit."""


class MetricRatio(msgspec.Struct, kw_only=True):
    """The ratio of one metric of a pair of cells, before correction."""

    metric: Metric
    ratio: LogRatio
    a: float = math.nan
    b: float = math.nan
    basis: Basis = "trials"
    n: tuple[int, int] = (0, 0)
    note: str = ""
    blurred: bool = False
    """Whether a side lies below the clock's step, so that more trials do not help."""
    drawn: Floats | None = None
    """Where a side is simulated: the logarithm of the ratio in each draw. A measured side counts as its median."""

    @property
    def freedom(self) -> float:
        """Return the degrees of freedom of the interval."""
        return max(1, self.n[0] - 1 if self.basis == "pairs of sweeps" else sum(self.n) - 2)


def common_sweeps(a: list[Part], b: list[Part]) -> tuple[list[Part], list[Part], list[str]]:
    """Reduce sides that share sweeps to the sweeps that both have with trials, in one order."""
    known = [
        {part.file for part in side if part.columns and part.columns.valid >= LEAST_IN_SWEEP} for side in (a, b)
    ]
    shared, every = known[0] & known[1], known[0] | known[1]
    if not shared or not len(every) > 1:
        return a, b, []
    left = len(every) - len(shared)
    notes = [f"{left} sweep{'s' if left > 1 else ''} left out, with trials of one side only"] if left else []
    return [p for p in a if p.file in shared], [p for p in b if p.file in shared], notes


def metric_ratio(
    one: Metric, a: list[Part], b: list[Part], simulated: tuple[bool, bool] = (False, False)
) -> MetricRatio:
    """Return the ratio B over A. `simulated` marks the sides whose trials are draws of a model's inputs."""
    if one.name == "success":
        return _success(one, a, b)
    if any(simulated):
        return _of_draws(one, a, b, simulated)
    sides = [[(part, values(one, part.columns)) for part in side if part.columns] for side in (a, b)]
    found = [[x for _, x in side if x.size] for side in sides]
    if not all(found):
        valid = [sum(part.columns.valid for part, _ in side if part.columns) for side in sides]
        return MetricRatio(metric=one, ratio=UNKNOWN, n=(valid[0], valid[1]), note="no trial on one side has it")
    sweeps = [{part.file: x for part, x in side if x.size >= LEAST_IN_SWEEP} for side in sides]
    basis: Basis = "trials"
    note = ""
    if min(map(len, sweeps)) and sum(map(len, sweeps)) > 2:
        paired = list(sweeps[0]) == list(sweeps[1])
        basis = "pairs of sweeps" if paired else "sweeps"
        medians = [_medians(list(side.values())) for side in sweeps]
        ratio = (paired_ratio if paired else sweep_ratio)(medians[1], medians[0])
        n = len(sweeps[0]), len(sweeps[1])
    else:
        pooled = [np.concatenate(side) for side in found]
        medians = [_medians([x]) for x in pooled]
        ratio = side_ratio(median_side(pooled[1]), median_side(pooled[0]))
        n = pooled[0].size, pooled[1].size
        if max(map(len, found)) > 1:
            note = f"sweeps of fewer than {LEAST_IN_SWEEP} trials do not stand for themselves: all taken as one"
    value_a, value_b = (float(np.exp(np.log(x).mean())) for x in medians)
    estimated = MetricRatio(metric=one, ratio=ratio, a=value_a, b=value_b, basis=basis, n=n, note=note)
    return _resolved(estimated, sides) if one.is_latency else estimated


def _of_draws(one: Metric, a: list[Part], b: list[Part], simulated: tuple[bool, bool]) -> MetricRatio:
    """Return a ratio with a simulated side: its range is over the draws, which are not evidence."""
    sides = [[values(one, part.columns) for part in side if part.columns] for side in (a, b)]
    pooled = [np.concatenate([x for x in side if x.size] or [np.empty(0)]) for side in sides]
    n = pooled[0].size, pooled[1].size
    if not min(n):
        return MetricRatio(metric=one, ratio=UNKNOWN, n=n, note="no trial on one side has it")
    if all(simulated) and n[0] == n[1]:
        ratio, drawn = draws_ratio(pooled[1], pooled[0]), np.log(pooled[1]) - np.log(pooled[0])
    else:
        made = [draws_side(x) if model else median_side(x) for x, model in zip(pooled, simulated, strict=True)]
        ratio = side_ratio(made[1], made[0])
        # A measured side counts as its median: its trials scatter, the median hardly does.
        known = [x if model else np.array([np.median(x)]) for x, model in zip(pooled, simulated, strict=True)]
        drawn = np.subtract.outer(np.log(known[1]), np.log(known[0])).ravel()
    value_a, value_b = (float(np.median(x)) for x in pooled)
    return MetricRatio(metric=one, ratio=ratio, a=value_a, b=value_b, n=n, drawn=drawn)


def _medians(sweeps: Sequence[Floats]) -> Floats:
    return np.array([math.exp(middle(np.sort(np.log(x)))) for x in sweeps])


def _resolved(found: MetricRatio, sides: Sequence[Sequence[tuple[Part, Floats]]]) -> MetricRatio:
    """Return a latency's ratio with the clock's step added to its interval."""
    steps = [max(clock_step_ns(part.columns.timer_step_ns) for part, _ in side if part.columns) for side in sides]
    figures = found.a, found.b
    found.ratio = widened(found.ratio, clock_blur(*figures, *steps))
    if any(value <= step for step, value in zip(steps, figures, strict=True)):
        found.blurred = True
        found.note = f"not above the clock's step of {max(steps):.0f} ns"
    return found


def _success(one: Metric, a: list[Part], b: list[Part]) -> MetricRatio:
    shares, sides, n = [], [], []
    sweeps = max(len(a), len(b)) > 1
    for parts in (a, b):
        known = [part for part in parts if part.columns and part.columns.launched.size]
        if not known:
            return MetricRatio(metric=one, ratio=UNKNOWN, note="no trial on one side has it")
        counts = [part.columns.launched for part in known if part.columns]
        wanted = [
            np.full(x.size, float(with_defaults(part.cell)["containers"]))
            for x, part in zip(counts, known, strict=True)
        ]
        if sweeps:
            counts, wanted = ([np.array([x.sum()]) for x in each] for each in (counts, wanted))
        launched, asked = np.concatenate(counts), np.concatenate(wanted)
        sides.append(share_side(launched, asked))
        shares.append(float(launched.sum() / asked.sum()))
        n.append(launched.size)
    return MetricRatio(
        metric=one,
        ratio=side_ratio(sides[1], sides[0]),
        a=shares[0],
        b=shares[1],
        basis="sweeps" if sweeps else "trials",
        n=(n[0], n[1]),
    )
