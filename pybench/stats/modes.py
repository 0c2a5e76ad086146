# SPDX-License-Identifier: Apache-2.0
"""Detect two modes among the trials of a cell, and drift over time: both make a median mean less."""

import math
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pybench.stats.estimate import Floats, finite_samples

# Each group must have a quarter of the values, and at least three: fewer are outliers, which a median tolerates.
LEAST_GROUP, LEAST_SHARE = 3, 0.25
# Samples -> the gap between the groups, in pooled standard deviations within them, that 0.5 % of samples of one
# group exceed: the largest over normal, uniform, exponential (both ways) and log-normal (sigma 0.5 and 1) noise,
# from 40,000 simulated samples each.
CRITICAL_GAPS = {
    6: 9.7, 7: 8.9, 8: 7.6, 10: 6.0, 12: 5.7, 15: 3.9, 20: 2.9, 25: 2.3, 30: 1.9, 40: 1.45, 60: 1.0,
}  # fmt: skip

MOST_RANKED = 500
"""Maximum number of values of which all pairs are evaluated."""
EXACT = 33
"""Up to this number of values the exact distribution of the rank correlation is used; beyond, the normal one
agrees."""


class Modes(msgspec.Struct, frozen=True):
    """Two groups of values: their medians, ascending, and their sizes."""

    low: float
    high: float
    low_count: int
    high_count: int


class Drift(msgspec.Struct, frozen=True):
    """A trend of values over time."""

    p: float
    """Probability of a rank correlation this strong without any trend (Kendall's tau, two-sided)."""
    size: float
    """Change from the first to the last as a share of the median, by the Theil-Sen slope."""


def two_modes(values: ArrayLike, least_apart: float = 0.03) -> Modes | None:
    """Return the two groups that the values fall into, or None if they are not shown to be two.

    The sorted values are split where the gap is largest against the pooled standard deviation within both sides.
    The split counts if one group would show such a gap in less than 0.5 % of samples, and the medians differ by at
    least `least_apart` of the larger. Fewer than 6 values are always one group. ValueError: not finite.
    """
    x = np.sort(finite_samples(values, "values"))
    n = x.size
    least = max(LEAST_GROUP, math.ceil(n * LEAST_SHARE))
    if n < 2 * LEAST_GROUP:
        return None
    below = np.arange(least, n - least + 1)  # sizes of the lower group
    centred = x - x.mean()
    sums, squares = np.cumsum(centred), np.cumsum(np.square(centred))
    within = squares[-1] - np.square(sums[below - 1]) / below - np.square(sums[below - 1]) / (n - below)
    spread = np.sqrt(np.maximum(within, 0.0) / (n - 2))
    ratios = (x[below] - x[below - 1]) / np.maximum(spread, np.spacing(np.abs(x).max()))
    best, split = float(ratios.max()), int(below[ratios.argmax()])
    critical = np.interp(n, list(CRITICAL_GAPS), list(CRITICAL_GAPS.values()))
    low, high = float(np.median(x[:split])), float(np.median(x[split:]))
    if best <= critical or high - low <= least_apart * abs(high):
        return None
    return Modes(low, high, split, n - split)


def drift(values: ArrayLike, times: ArrayLike) -> Drift | None:
    """Return the trend of values over their times; None for fewer than 6 values. ValueError: not finite.

    More than MOST_RANKED values are replaced by medians of neighbours in time: the number of pairs grows with the
    square.
    """
    x, t = finite_samples(values, "values"), finite_samples(times, "times")
    if x.size < 6 or np.ptp(x) == 0 or np.ptp(t) == 0:
        return None
    middle = float(np.median(x))
    order = np.argsort(t, kind="stable")
    x, t = (_thinned(one[order]) for one in (x, t))
    first, second = _pairs(x.size)
    rise, run = x[second] - x[first], t[second] - t[first]
    if not (rise.any() and run.any()):
        return None
    slope = float(np.median(rise[run > 0] / run[run > 0]))
    return Drift(_kendall_p(x, t, int((np.sign(rise) * np.sign(run)).sum())), slope * float(np.ptp(t)) / middle)


@lru_cache(maxsize=8)
def _pairs(n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.triu_indices(n, 1)


def _thinned(values: Floats) -> Floats:
    """Return medians of equal numbers of neighbours, at most MOST_RANKED; a remainder at the end is left out."""
    each = math.ceil(values.size / MOST_RANKED)
    return np.asarray(np.median(values[: values.size // each * each].reshape(-1, each), axis=1), dtype=np.float64)


def _kendall_p(x: Floats, t: Floats, score: int) -> float:
    """Return the two-sided probability of a score at least as far from 0, without any trend.

    The score is concordant less discordant pairs. Exact for up to EXACT values without ties, else normal with the
    variance that ties leave: M. G. Kendall, "Rank Correlation Methods" (1970), chapters 4 and 5. SciPy has it too,
    in a part that takes a second to import.
    """
    n = x.size
    tied_x, tied_t = (np.unique(one, return_counts=True)[1].astype(float) for one in (x, t))
    if n <= EXACT and tied_x.max() == tied_t.max() == 1:
        ways = _orders(n)
        fewer = (n * (n - 1) // 2 - abs(score)) // 2
        return min(1.0, 2 * float(ways[: fewer + 1].sum()))

    def sums(ties: Floats) -> tuple[float, float, float]:
        pairs = ties * (ties - 1)
        return float((pairs * (2 * ties + 5)).sum()), float(pairs.sum()), float((pairs * (ties - 2)).sum())

    (a, b, c), (d, e, f) = sums(tied_x), sums(tied_t)
    variance = (
        (n * (n - 1) * (2 * n + 5) - a - d) / 18 + b * e / (2 * n * (n - 1)) + c * f / (9 * n * (n - 1) * (n - 2))
    )
    return math.erfc(abs(score) / math.sqrt(2 * variance))


@lru_cache(maxsize=EXACT)
def _orders(n: int) -> Floats:
    """Return the share of the orders of n values that have 0, 1, 2, ... pairs in the wrong order."""
    ways = np.ones(1)
    for size in range(2, n + 1):
        ways = np.convolve(ways, np.full(size, 1 / size))
    return ways
