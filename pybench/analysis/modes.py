"""Whether the trials of a cell fall into two groups, or drift over time: both make a median mean less."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from pybench.analysis.estimate import Floats, finite_samples

# Each group must have a quarter of the values, and three at least: less are outliers, which a median bears.
LEAST_GROUP, LEAST_SHARE = 3, 0.25
# Samples -> the gap between the groups, in pooled standard deviations within them, that 0.5 % of samples of one
# group exceed: the largest over normal, uniform, exponential (both ways) and log-normal (sigma 0.5 and 1) noise,
# from 40,000 simulated samples each.
CRITICAL_GAPS = {
    6: 9.7, 7: 8.9, 8: 7.6, 10: 6.0, 12: 5.7, 15: 3.9, 20: 2.9, 25: 2.3, 30: 1.9, 40: 1.45, 60: 1.0,
}  # fmt: skip

MOST_EXACT = 33
"""Values up to which Kendall's S is judged exactly."""


class Modes(msgspec.Struct, frozen=True):
    """Two groups of values: their medians, ascending, and how many are in each."""

    low: float
    high: float
    low_count: int
    high_count: int


class Drift(msgspec.Struct, frozen=True):
    """A trend over the order of the values."""

    p: float
    """Chance of a rank correlation as strong without any trend (Kendall's tau, two-sided)."""
    size: float
    """Change from the first to the last as a share of the median, by the Theil-Sen slope."""


def two_modes(values: ArrayLike, least_apart: float = 0.03) -> Modes | None:
    """Return the two groups that the values fall into, or None if they are one as far as can be told.

    Splits the sorted values where the gap is largest against the pooled standard deviation within both sides, and
    takes the split if one group would show such a gap in less than 0.5 % of samples, and the medians are
    `least_apart` of the larger apart. Fewer than 6 values are always one group. ValueError: not finite.
    """
    x = np.sort(finite_samples(values, "values"))
    n = x.size
    least = max(LEAST_GROUP, math.ceil(n * LEAST_SHARE))
    if n < 2 * LEAST_GROUP:
        return None
    below = np.arange(least, n - least + 1)  # how many are in the lower group
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
    """Return the trend of values over their times; None for fewer than 6 values. ValueError: not finite."""
    x, t = finite_samples(values, "values"), finite_samples(times, "times")
    if x.size < 6 or np.ptp(x) == 0 or np.ptp(t) == 0:
        return None
    earlier, later = np.triu_indices(x.size, 1)
    rise, wait = x[later] - x[earlier], t[later] - t[earlier]
    p = _kendall(int((np.sign(rise) * np.sign(wait)).sum()), x, t)
    slope = float(np.median(rise[wait != 0] / wait[wait != 0]))
    return Drift(p, slope * float(np.ptp(t)) / float(np.median(x)))


def _kendall(score: int, x: Floats, t: Floats) -> float:
    """Two-sided p-value of Kendall's S, the pairs that rise together less those that do not.

    Exact for few values without ties, from the number of orders with so many inversions; else by the normal with
    the variance for ties: M. G. Kendall, "Rank Correlation Methods" (1970), chapters 4 and 5. scipy.stats has the
    same, and takes longer to load than any command that asks.
    """
    n = x.size
    ties = [counts[counts > 1] for counts in (np.unique(v, return_counts=True)[1] for v in (x, t))]
    if n <= MOST_EXACT and not any(counts.size for counts in ties):
        chances = np.ones(1)
        for i in range(2, n + 1):
            chances = np.convolve(chances, np.full(i, 1 / i))
        inversions = (n * (n - 1) // 2 - abs(score)) // 2
        return min(1.0, 2 * float(chances[: inversions + 1].sum()))
    pairs = [float((c * (c - 1)).sum()) for c in ties]
    triples = [float((c * (c - 1) * (c - 2)).sum()) for c in ties]
    less = sum(float((c * (c - 1) * (2 * c + 5)).sum()) for c in ties)
    m = n * (n - 1)
    variance = (m * (2 * n + 5) - less) / 18 + pairs[0] * pairs[1] / (2 * m)
    variance += triples[0] * triples[1] / (9 * m * (n - 2))
    return math.erfc(abs(score) / math.sqrt(2 * variance))


def sure_of(ps: Sequence[float], alpha: float = 0.01) -> list[bool]:
    """Which of several p-values stand at `alpha` together, by Holm's step-down procedure."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    stands = [False] * len(ps)
    for rank, index in enumerate(order):
        if ps[index] > alpha / (len(ps) - rank):
            break
        stands[index] = True
    return stands
