# SPDX-License-Identifier: Apache-2.0
"""Numbers with their uncertainty: medians, ranges, fairness, histogram percentiles; modes and drift of samples.

Nothing here assumes a shape of the noise: throughput under a contended lock is skewed, heavy-tailed and often
bimodal, so intervals come from order statistics and never from a standard deviation.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import msgspec
import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike, NDArray

from pybench import native
from pybench.native.outcome import Phase

Floats = NDArray[np.float64]


class Interval(msgspec.Struct, frozen=True):
    """An estimate and its interval; ``low`` and ``high`` are NaN if there are too few samples for one.

    ``n`` is the number of samples (for a ratio, of the smaller of the two sets).
    """

    value: float
    low: float
    high: float
    n: int

    @property
    def known(self) -> bool:
        """Return whether there is an interval."""
        return not (math.isnan(self.low) or math.isnan(self.high))

    @property
    def relative_half_width(self) -> float:
        """Return half the interval's width as a share of the estimate; NaN if unknown or the value is 0."""
        if not self.known or self.value == 0:
            return math.nan
        return (self.high - self.low) / 2 / abs(self.value)


NOTHING = Interval(math.nan, math.nan, math.nan, 0)
"""The estimate from no samples."""


def finite_samples(samples: ArrayLike, what: str = "samples") -> Floats:
    """Return ``samples`` as a 1-d array of floats; ValueError if it is empty, not 1-d, or not finite."""
    array = np.asarray(samples, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{what}: needs one or more numbers in one dimension, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{what}: not all finite")
    return array


def middle(ordered: Floats) -> float:
    """Return the median of ascending values; ten times faster than np.median for few."""
    return float(ordered[(ordered.size - 1) // 2] + ordered[ordered.size // 2]) / 2


def check_level(level: float) -> None:
    """Raise ValueError unless ``level`` lies between 0 and 1, both excluded."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")


@lru_cache(maxsize=256)
def _depth(n: int, level: float) -> tuple[int, float] | None:
    """Return the depth d of the outer pair of order statistics and the weight of the pair inside it.

    The pair (x_(d), x_(n-d+1)) covers the median with probability 1 - 2 P(B <= d-1), B ~ Binomial(n, 1/2); d
    is the deepest pair that still reaches ``level``. None when even (min, max) does not.
    """
    # Of 2^n patterns of above and below, the number with d - 1 above, and with d - 1 or fewer.
    d, exactly, up_to = 1, 1, 1
    outer = 1 - 2 / 2**n
    if outer < level:
        return None
    while True:
        exactly = exactly * (n - d + 1) // d
        up_to += exactly
        inner = max(0.0, 1 - 2 * up_to / 2**n)
        if d + 1 > n / 2 or inner < level:
            break
        d, outer = d + 1, inner
    share = (outer - level) / (outer - inner)
    return d, (n - d) * share / (d + (n - 2 * d) * share)


def median_interval(samples: ArrayLike, level: float = 0.95) -> Interval:
    """Return the median of ``samples`` (1-d, any unit) and its distribution-free interval.

    Two adjacent pairs of order statistics cover the median with probabilities either side of ``level``;
    the bounds are interpolated between them as in T. P. Hettmansperger and S. J. Sheather, "Confidence
    intervals based on interpolated order statistics", Statistics & Probability Letters 4 (1986) 75-79, which
    is exact for the outer and inner pair and nearly so between them, for any distribution. With too few
    samples for the level (5 or fewer at 95 %) the bounds are NaN.

    ValueError: no samples, samples that are not finite, a level outside (0, 1).
    """
    check_level(level)
    ordered = np.sort(finite_samples(samples))
    n = ordered.size
    median = middle(ordered)
    depth = _depth(n, level)
    if depth is None:
        return Interval(median, math.nan, math.nan, n)
    d, weight = depth
    # Interpolate from the outer of the pair inwards, so that rounding does not reach beyond the samples.
    low = ordered[d - 1] + weight * (ordered[d] - ordered[d - 1])
    high = ordered[n - d] + weight * (ordered[n - d - 1] - ordered[n - d])
    # At low levels the inner pair may cross the median; interpolation may also round past it.
    return Interval(median, min(float(low), median), max(float(high), median), n)


def range_interval(samples: ArrayLike, level: float = 0.95) -> Interval:
    """Return the median of ``samples`` (1-d, any unit) and the range that holds the central ``level`` of them.

    For draws of uncertain inputs: each sample is one possible answer, so more draws do not narrow the range,
    unlike the interval of a median. Below 40 samples at 95 % it is nearly all of them. The bounds of one sample
    are NaN.

    ValueError: no samples, samples that are not finite, a level outside (0, 1).
    """
    check_level(level)
    array = finite_samples(samples)
    median = float(np.median(array))
    if array.size < 2:
        return Interval(median, math.nan, math.nan, int(array.size))
    low, high = np.quantile(array, ((1 - level) / 2, (1 + level) / 2))
    return Interval(median, min(float(low), median), max(float(high), median), int(array.size))


def interval_of(samples: ArrayLike, *, drawn: bool) -> Interval:
    """Return `range_interval` of draws, `median_interval` of trials, or NOTHING without samples."""
    if not np.size(samples):
        return NOTHING
    return range_interval(samples) if drawn else median_interval(samples)


def jain(shares: ArrayLike) -> float:
    """Return Jain's fairness index of ``shares`` (1-d, not negative): 1/n if one has all, 1 if all are equal.

    (sum x)^2 / (n sum x^2), from R. Jain, D. Chiu and W. Hawe, "A quantitative measure of fairness", DEC
    Research Report TR-301 (1984). NaN if all shares are 0. ValueError: empty, not finite, or negative
    shares.
    """
    x = finite_samples(shares, "shares")
    if x.min() < 0:
        raise ValueError("shares: a share cannot be negative")
    largest = x.max()
    if largest == 0:
        return math.nan
    scaled = x / largest  # squares of huge or tiny shares would overflow or underflow
    return float(scaled.sum() ** 2 / (x.size * np.square(scaled).sum()))


def weighted_percentile_from_histogram(values: ArrayLike, counts: ArrayLike, q: ArrayLike) -> Floats:
    """Return the ``q``-th percentiles (0 to 100) of a histogram, in the unit of ``values``, shaped as ``q``.

    ``values`` are the buckets' midpoints, ascending; ``counts`` the number of observations in each. Nearest rank:
    the smallest value that at least q % of the observations do not exceed (the 0th is the smallest observed), so
    the result is always a bucket that was hit.

    ValueError: shapes that differ, values not ascending, counts negative or all zero, q outside [0, 100].
    """
    midpoints = finite_samples(values, "values")
    weights = finite_samples(counts, "counts")
    if midpoints.shape != weights.shape:
        raise ValueError(f"values and counts differ in shape: {midpoints.shape}, {weights.shape}")
    if (np.diff(midpoints) <= 0).any():
        raise ValueError("values: not ascending")
    if weights.min() < 0 or weights.sum() == 0:
        raise ValueError("counts: negative, or all zero")
    share = np.asarray(q, dtype=np.float64) / 100
    if not ((share >= 0) & (share <= 1)).all():  # also refuses NaN
        raise ValueError(f"q must lie in 0..100, got {q!r}")
    below = np.cumsum(weights)
    # 99.9 % of 1000 is 999.0000000000001 in binary floating point, and its rank is 999.
    rank = np.maximum(np.ceil(share * below[-1] * (1 - 1e-15)), 1)
    hit = np.searchsorted(below, rank, side="left")
    return np.asarray(midpoints[hit], dtype=np.float64)


def counted_ns(phase: Phase) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the middles (n,), ns ascending, of the buckets hit in a phase's histogram, and their counts."""
    pairs = np.asarray(phase.histogram, dtype=np.int64).reshape(-1, 2)
    return native.histogram_values()[np.cumsum(pairs[:, 0])], pairs[:, 1]


def percentiles_ns(phase: Phase, shares: Sequence[float]) -> list[float]:
    """Return percentiles (`shares`, 0 to 1) of a phase's latency in ns; none lies beyond the longest call seen."""
    values, counts = counted_ns(phase)
    found = weighted_percentile_from_histogram(values, counts, np.asarray(shares) * 100.0)
    return [min(float(value), float(phase.max_ns)) for value in np.atleast_1d(found)]


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
