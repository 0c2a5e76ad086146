"""From the trials of a pair of cells to the ratio of a metric, at the level that was repeated."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from pybench.analysis.compared import Basis
from pybench.analysis.estimate import Floats
from pybench.analysis.matching import Part
from pybench.analysis.metrics import Metric, is_latency, least_step_ns, values
from pybench.analysis.ratios import (
    UNKNOWN,
    LogRatio,
    median_side,
    paired_ratio,
    share_side,
    side_ratio,
    sweep_ratio,
    widened,
)

LEAST_IN_SWEEP = 3
"""Clean trials without which a sweep's median does not enter, where sweeps are what is repeated."""


class Estimate(msgspec.Struct, kw_only=True):
    """A comparison in the making."""

    metric: Metric
    ratio: LogRatio
    a: float = math.nan
    b: float = math.nan
    basis: Basis = "trials"
    n: tuple[int, int] = (0, 0)
    note: str = ""

    @property
    def freedom(self) -> float:
        """Degrees of freedom behind the interval."""
        return max(1, self.n[0] - 1 if self.basis == "pairs of sweeps" else sum(self.n) - 2)


def common_sweeps(a: list[Part], b: list[Part]) -> tuple[list[Part], list[Part], list[str]]:
    """Of sides that share sweeps, those that both have with trials: their order is then the same."""
    told = [
        {part.file for part in side if part.columns and part.columns.clean >= LEAST_IN_SWEEP} for side in (a, b)
    ]
    shared, every = told[0] & told[1], told[0] | told[1]
    if not shared or not len(every) > 1:
        return a, b, []
    left = len(every) - len(shared)
    notes = [f"{left} sweep{'s' if left > 1 else ''} left out that tell of one side only"] if left else []
    return [p for p in a if p.file in shared], [p for p in b if p.file in shared], notes


def estimate(one: Metric, a: list[Part], b: list[Part]) -> Estimate:
    if one.name == "success":
        return _success(one, a, b)
    sides = [[(part, values(one, part.columns)) for part in side if part.columns] for side in (a, b)]
    found = [[x for _, x in side if x.size] for side in sides]
    if not all(found):
        return Estimate(metric=one, ratio=UNKNOWN, note="no clean trial of one side has it")
    sweeps = [[x for x in side if x.size >= LEAST_IN_SWEEP] for side in found]
    basis: Basis = "trials"
    if min(map(len, sweeps)) and sum(map(len, sweeps)) > 2:
        medians = [_medians(side) for side in sweeps]
        paired = [part.file for part, _ in sides[0]] == [part.file for part, _ in sides[1]]
        basis = "pairs of sweeps" if paired and len(sweeps[0]) == len(sweeps[1]) else "sweeps"
        ratio = (paired_ratio if paired else sweep_ratio)(medians[1], medians[0])
        n = len(sweeps[0]), len(sweeps[1])
    else:
        # One sweep a side, or none with enough trials to stand for itself.
        pooled = [np.concatenate(side) for side in found]
        medians = [_medians([x]) for x in pooled]
        ratio = side_ratio(median_side(pooled[1]), median_side(pooled[0]))
        n = pooled[0].size, pooled[1].size
    value_a, value_b = (float(np.exp(np.log(x).mean())) for x in medians)
    ratio, note = _resolved(one, ratio, (value_a, value_b), sides)
    return Estimate(metric=one, ratio=ratio, a=value_a, b=value_b, basis=basis, n=n, note=note)


def _medians(sweeps: Sequence[Floats]) -> Floats:
    return np.array([math.exp(float(np.median(np.log(x)))) for x in sweeps])


def _resolved(
    one: Metric, ratio: LogRatio, figures: tuple[float, float], sides: Sequence[Sequence[tuple[Part, Floats]]]
) -> tuple[LogRatio, str]:
    """A latency's ratio with what the clock cannot tell added."""
    if not is_latency(one):
        return ratio, ""
    steps = [max(least_step_ns(part.columns) for part, _ in side if part.columns) for side in sides]
    blur = [math.log1p(step / 2 / value) for step, value in zip(steps, figures, strict=True)]
    below = any(value <= step for step, value in zip(steps, figures, strict=True))
    note = f"not above the clock's step of {max(steps):.0f} ns" if below else ""
    return widened(ratio, math.hypot(*blur)), note


def _success(one: Metric, a: list[Part], b: list[Part]) -> Estimate:
    shares, sides, n = [], [], []
    sweeps = max(len(a), len(b)) > 1
    for parts in (a, b):
        told = [part for part in parts if part.columns and part.columns.launched.size]
        if not told:
            return Estimate(metric=one, ratio=UNKNOWN, note="no trial of one side tells")
        counts = [part.columns.launched for part in told if part.columns]
        wanted = [
            np.full(x.size, float(part.cell.params["containers"])) for x, part in zip(counts, told, strict=True)
        ]
        if sweeps:
            counts, wanted = ([np.array([x.sum()]) for x in each] for each in (counts, wanted))
        launched, asked = np.concatenate(counts), np.concatenate(wanted)
        sides.append(share_side(launched, asked))
        shares.append(float(launched.sum() / asked.sum()))
        n.append(launched.size)
    return Estimate(
        metric=one,
        ratio=side_ratio(sides[1], sides[0]),
        a=shares[0],
        b=shares[1],
        basis="sweeps" if sweeps else "trials",
        n=(n[0], n[1]),
    )
