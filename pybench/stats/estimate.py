# SPDX-License-Identifier: Apache-2.0
"""Numbers with their uncertainty: medians, ranges, fairness, percentiles of a histogram.

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
