# SPDX-License-Identifier: Apache-2.0
"""Ratios of two sides at every level of confidence at once, so that an interval and a test never disagree.

Everything works on logarithms. A side, and a ratio of two, is an estimate and how far its interval reaches down
and up at each risk in `RISKS`; the interval at 95 % is one entry, and a p-value is the risk at which the interval
just reaches a given ratio.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pybench.stats.estimate import Floats, Interval, middle

LEVEL = 0.95
_GRID = np.geomspace(0.99, 1e-9, 90)
# Chances that an interval misses, descending. 5 % stands among them exactly.
RISKS: Floats = np.sort(np.append(_GRID, 1 - LEVEL))[::-1]
AT_LEVEL = int(np.argmin(np.abs(RISKS - (1 - LEVEL))))
LEAST_TRIALS = 6
"""Fewer say nothing of a median at 95 %."""
MOST_FURTHER = 1000


def quantile(risk: Any, freedom: Any) -> Any:
    """Student's t that is exceeded with a chance of `risk`; of infinite degrees of freedom, the normal's."""
    from scipy.special import ndtri, stdtrit

    return -np.where(np.isinf(freedom), ndtri(risk), stdtrit(freedom, risk))


@lru_cache(maxsize=1024)
def _quantiles(freedom: int) -> Floats:
    """Student's t of both tails at each of `RISKS`."""
    return np.asarray(quantile(RISKS / 2, freedom))


class Side(msgspec.Struct, frozen=True):
    """The logarithm of one side's figure, and how far its interval reaches at each of `RISKS`."""

    log: float
    down: Floats
    up: Floats
    freedom: float
    """Degrees of freedom behind the reach, as of Student's t; infinite if it is as good as known."""
    n: int


class LogRatio(msgspec.Struct, frozen=True):
    """The logarithm of a ratio, and how far its interval reaches at each of `RISKS`."""

    log: float
    down: Floats
    up: Floats
    n: int

    def interval(self) -> Interval:
        """The ratio with its 95 % interval."""
        low, high = self.log - self.down[AT_LEVEL], self.log + self.up[AT_LEVEL]
        return Interval(_exp(self.log), _exp(low), _exp(high), self.n)

    def risk_beyond(self, log_bound: float) -> float:
        """Two-sided p-value of the hypothesis that the ratio is exp(`log_bound`): the smallest risk at which the
        interval leaves it out. 1 if nothing is known; never below the last of `RISKS`."""
        distance = self.log - log_bound
        reach = self.down if distance > 0 else self.up
        if math.isnan(self.log) or not np.isfinite(reach[AT_LEVEL]) or distance == 0:
            return 1.0
        # The reach grows as the risk falls; the first that is as long as the distance holds the bound.
        return float(np.exp(np.interp(abs(distance), reach, np.log(RISKS))))


UNKNOWN = LogRatio(math.nan, np.full(RISKS.size, np.nan), np.full(RISKS.size, np.nan), 0)


def _exp(x: float) -> float:
    return math.exp(min(x, 700.0)) if not math.isnan(x) else math.nan


@lru_cache(maxsize=1024)
def _order_statistics(n: int) -> tuple[NDArray[np.int64], Floats, Floats]:
    """For each risk: the outer order statistic's index (from 0), the weight of the next inner, a stretch."""
    from scipy.special import bdtr

    depths = np.arange(1, n // 2 + 1)
    risks = 2 * bdtr(depths - 1, n, 0.5)
    inner = np.append(risks[1:], 1.0)
    at = np.clip(np.searchsorted(risks, RISKS, side="right"), 1, depths.size).astype(np.int64)
    share = np.clip((RISKS - risks[at - 1]) / (inner[at - 1] - risks[at - 1]), 0, 1)
    weight = (n - at) * share / (at + (n - 2 * at) * share)
    beyond = risks[0] > RISKS
    quantiles = _quantiles(n - 1) / quantile(min(risks[0], 1) / 2, n - 1)
    return (
        at - 1,
        np.where(beyond, 0.0, weight).astype(np.float64),
        np.where(beyond, quantiles, 1.0).astype(np.float64),
    )


def median_side(samples: Floats) -> Side:
    """The median of positive samples, with the distribution-free reach of its logarithm.

    Order statistics, interpolated as in `estimate.median_interval`. Risks smaller than the least and the largest
    sample can give are reached by stretching those by Student's quantiles with n - 1 degrees of freedom: six
    trials a side could else never show anything among 50 comparisons. NaN reach for fewer than `LEAST_TRIALS`.
    """
    x = np.sort(np.log(samples))
    n, median = x.size, middle(x)
    if n < LEAST_TRIALS:
        unknown = np.full(RISKS.size, np.nan)
        return Side(median, unknown, unknown, math.nan, n)
    outer, weight, stretch = _order_statistics(n)
    low = (1 - weight) * x[outer] + weight * x[outer + 1]
    high = (1 - weight) * x[n - 1 - outer] + weight * x[n - 2 - outer]
    reach = [np.maximum.accumulate(np.maximum(d, 0) * stretch) for d in (median - low, high - median)]
    # A reach is a sum of about 0.8 sqrt(n) spacings, each with two degrees of freedom.
    return Side(median, reach[0], reach[1], 1.6 * math.sqrt(n), n)


def side_ratio(a: Side, b: Side) -> LogRatio:
    """a / b of two independent sides.

    The method of variance estimates recovery (A. Donner and G. Y. Zou, Statistical Methods in Medical Research 21
    (2012) 347-359) adds the reaches as the sides of a right angle. That is too wide where each reach is itself
    uncertain, as of few trials; so, as B. L. Welch did for two means (Biometrika 34 (1947) 28-35), the result is
    shortened by the ratio of Student's quantiles with their joint and their own degrees of freedom. The shortening
    is that for 95 % at every risk, which errs to the safe side further out.
    """
    down = np.hypot(a.down, b.up) * _shortening(a.down, b.up, a.freedom, b.freedom)
    up = np.hypot(a.up, b.down) * _shortening(a.up, b.down, a.freedom, b.freedom)
    return LogRatio(a.log - b.log, down, up, min(a.n, b.n))


def _shortening(a: Floats, b: Floats, freedom_a: float, freedom_b: float) -> float:
    x, y = float(a[AT_LEVEL]), float(b[AT_LEVEL])
    if not (0 < x < math.inf and 0 < y < math.inf) or math.isinf(freedom_a + freedom_b):
        return 1.0
    risk = (1 - LEVEL) / 2
    x_error, y_error = x / quantile(risk, freedom_a), y / quantile(risk, freedom_b)
    joint = (x_error**2 + y_error**2) ** 2 / (x_error**4 / freedom_a + y_error**4 / freedom_b)
    return float(quantile(risk, joint)) * math.hypot(x_error, y_error) / math.hypot(x, y)


def sweep_ratio(a: Floats, b: Floats) -> LogRatio:
    """Ratio of the geometric means of two independent sets of sweeps' figures (positive), at least three in all.

    Student's t on logarithms with one variance for both sides, n_a + n_b - 2 degrees of freedom: it keeps its
    level from two sweeps a side on, where resampling sweeps does not, and lets one sweep stand against several.
    Not the t of Welch, which covers 97.7 % of the time for two sweeps a side, and 93 % for two against five.
    """
    x, y = np.log(a), np.log(b)
    freedom = x.size + y.size - 2
    if freedom < 1:
        raise ValueError("needs three sweeps in all")
    squares = float(((x - x.mean()) ** 2).sum() + ((y - y.mean()) ** 2).sum())
    reach = _quantiles(freedom) * math.sqrt(squares / freedom * (1 / x.size + 1 / y.size))
    return LogRatio(float(x.mean() - y.mean()), reach, reach, min(x.size, y.size))


def paired_ratio(a: Floats, b: Floats) -> LogRatio:
    """Ratio of the geometric means of figures that the same sweeps gave of both sides, at least two.

    Student's t on each sweep's log ratio: what a sweep does to both sides alike cancels.
    """
    ratios = np.log(a) - np.log(b)
    if ratios.size < 2:
        raise ValueError("needs two sweeps")
    reach = _quantiles(ratios.size - 1) * float(ratios.std(ddof=1)) / math.sqrt(ratios.size)
    return LogRatio(float(ratios.mean()), reach, reach, ratios.size)


def draws_side(samples: Floats) -> Side:
    """The median of draws of uncertain inputs (positive figures), and how far they spread.

    A draw is a possible answer, not a repeat of one: the reach at a risk is where the outermost share of that size
    of draws begins, and more draws do not shorten it. Risks below what so many draws can tell reach without end.
    NaN reach for a single draw.
    """
    return _spread(np.log(samples))


def _spread(logs: Floats) -> Side:
    n, middle = logs.size, float(np.median(logs))
    if n < 2:
        unknown = np.full(RISKS.size, np.nan)
        return Side(middle, unknown, unknown, math.nan, n)
    low, high = np.quantile(logs, RISKS / 2), np.quantile(logs, 1 - RISKS / 2)
    told = min(2 / (n + 1), 1 - LEVEL) <= RISKS
    down, up = (
        np.where(told, np.maximum.accumulate(np.maximum(reach, 0)), np.inf)
        for reach in (middle - low, high - middle)
    )
    return Side(middle, down, up, math.inf, n)


def draws_ratio(a: Floats, b: Floats) -> LogRatio:
    """a / b of figures that the same draws gave of both sides, draw by draw: what moves both alike cancels."""
    side = _spread(np.log(a) - np.log(b))
    return LogRatio(side.log, side.down, side.up, side.n)


def share_side(successes: Floats, attempts: Floats) -> Side:
    """The share of attempts that succeed, from the counts of each trial (or sweep), n of them.

    E. B. Wilson's interval (JASA 22 (1927) 209-212) for as many attempts as would vary as much if all were
    independent: those of one trial succeed or fail together. How much they do cannot be told where all succeed, or
    none; then each trial counts as one attempt. With Student's quantiles of n - 1 degrees of freedom. A share of
    0 counts as half an attempt, to have a logarithm. NaN reach for fewer than two trials.
    """
    n, total = attempts.size, float(attempts.sum())
    share = float(successes.sum()) / total
    log = math.log(share or 0.5 / (total + 1))
    if n < 2:
        unknown = np.full(RISKS.size, np.nan)
        return Side(log, unknown, unknown, math.nan, n)
    seen = float(((successes - share * attempts) ** 2).sum()) * n / (n - 1) / total**2
    alone = share * (1 - share) / total
    effective = total / max(1.0, seen / alone) if alone else n
    z2 = _quantiles(n - 1) ** 2
    middle = (share + z2 / (2 * effective)) / (1 + z2 / effective)
    half = np.sqrt(z2 * (share * (1 - share) / effective + z2 / (4 * effective**2))) / (1 + z2 / effective)
    with np.errstate(divide="ignore"):
        low, high = np.log(np.maximum(middle - half, 0)), np.log(np.minimum(middle + half, 1))
    return Side(log, np.maximum(log - low, 0), np.maximum(high - log, 0), math.inf, n)


def widened(ratio: LogRatio, resolution: float) -> LogRatio:
    """The same with what the clock cannot tell added, `resolution` on the log scale."""
    if not resolution:
        return ratio
    return msgspec.structs.replace(ratio, down=np.hypot(ratio.down, resolution), up=np.hypot(ratio.up, resolution))


def holm(risks: Sequence[float]) -> list[float]:
    """p-values corrected so that one or more of them is wrongly small no more often than each alone was.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statistics 6 (1979) 65-70.
    """
    order = sorted(range(len(risks)), key=lambda i: risks[i])
    corrected, worst = [1.0] * len(risks), 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, risks[i] * (len(risks) - rank)))
        corrected[i] = worst
    return corrected


def further_needed(ratio: LogRatio, have: int, freedom: float, target: float, risk: float) -> int:
    """About how many more trials (or sweeps) a side show a `target` on the log scale four times in five.

    `have` are there a side, with `freedom` degrees of freedom behind the interval; `risk` is the corrected one.
    MOST_FURTHER + 1 if more than MOST_FURTHER.
    """
    reach = (ratio.down[AT_LEVEL] + ratio.up[AT_LEVEL]) / 2
    error = reach / quantile((1 - LEVEL) / 2, freedom)

    def shows(more: int) -> bool:
        n = have + more
        quantiles = quantile(risk / 2, 2 * n - 2) + quantile(0.2, 2 * n - 2)
        return bool(quantiles * error * math.sqrt(have / n) <= target)

    # The more trials, the smaller both factors.
    return 1 + bisect_left(range(1, MOST_FURTHER + 1), True, key=shows)
