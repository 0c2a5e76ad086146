# SPDX-License-Identifier: Apache-2.0
"""Compare whole latency distributions of two sides: shifts of percentiles, and the share of calls that moved."""

import math
from collections.abc import Callable, Sequence
from itertools import combinations, product
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from pybench.analysis.comparison.cell_pairs import Part
from pybench.results.columns import BUCKETS, CellColumns, absolute, clock_step_ns, edges_ns
from pybench.stats.estimate import Floats, Interval
from pybench.stats.ratios import LEAST_TRIALS, LEVEL, clock_blur, paired_ratio, quantile, sweep_ratio

SHARES = (0.5, 0.9, 0.99, 0.999)
LEAST_CALLS_BEYOND = 10
"""Calls beyond a percentile that its shift needs."""
# More units than these add cost and no precision.
MOST_UNITS = 50
DRAWS = 300
# Numbers of random assignments of units to sides: the larger one only where the smaller finds few as far apart.
PERMUTATIONS = (999, 9999)
MOST_POINTS = 64
"""Latencies at which assignments of units to sides are compared."""


class Shift(msgspec.Struct, frozen=True):
    """A percentile of all calls of one side over that of the other; `share` lies in 0 to 1."""

    share: float
    ratio: Interval

    @property
    def shown(self) -> bool:
        """Return whether the shift's own 95 % interval excludes 1."""
        return self.ratio.known and not self.ratio.low <= 1 <= self.ratio.high


class Distribution(msgspec.Struct, kw_only=True):
    """All latencies of one cell against those of its partner; every trial has the same weight."""

    shifts: list[Shift]
    unit: Literal["trials", "sweeps"]
    """The unit of resampling and of permutation."""
    moved: float
    """The largest difference of the two cumulative distributions (Kolmogorov-Smirnov distance): at least this
    share of the calls takes another time."""
    p: float
    """The probability that units assigned to sides at random (sides swapped at random within pairs of sweeps) are
    as far apart; NaN for too few units."""
    corrected_p: float = math.nan
    """The same, corrected for the number of cells compared."""
    transport_ns: float
    """Mean distance that calls must move to turn one distribution into the other (first Wasserstein distance), ns.
    """

    @property
    def differs(self) -> bool:
        """Return whether the distributions are shown to differ, after correction."""
        return self.corrected_p <= 1 - LEVEL

    @property
    def shape(self) -> str:
        """Return what moved in words: `all slower`, `tail grew` and the like; `` if no shift is shown."""
        shown = {shift.share: shift.ratio.value for shift in self.shifts if shift.shown}
        if not shown:
            return ""
        body = [v for share, v in shown.items() if share <= 0.9]
        tail = [v for share, v in shown.items() if share > 0.9]
        if body and tail and (min(body + tail) > 1 or max(body + tail) < 1):
            whole = "slower" if min(body) > 1 else "faster"
            stretched = max(tail, key=lambda v: abs(math.log(v))) / body[0]
            more = (
                ""
                if 0.8 < stretched < 1.25
                else ", the tail more"
                if (stretched > 1) == (whole == "slower")
                else ""
            )
            return f"all {whole}{more}"
        if body and tail:
            return f"body {'slower' if body[0] > 1 else 'faster'}, tail {'grew' if tail[-1] > 1 else 'shrank'}"
        if tail:
            return f"tail {'grew' if tail[-1] > 1 else 'shrank'}"
        return f"body {'slower' if body[0] > 1 else 'faster'}"


def compare_distributions(a: Sequence[Part], b: Sequence[Part], seed: int = 1) -> Distribution | None:
    """Return the distribution of `a` (the shifts' numerator) against that of `b`; None without histograms on both
    sides.

    A unit is a trial, or a sweep where a side has several: calls within a unit are not independent. Units are
    resampled for the intervals of shifts (with several sweeps, Student's t on each sweep's percentiles is used
    instead) and reassigned to sides for p, or swapped in pairs where both sides are of the same sweeps. Very many
    trials are joined to `MOST_UNITS` units first.
    """
    known = [[part for part in side if _has_calls(part)] for side in (a, b)]
    sides = [[part.columns for part in side] for side in known]
    if not (sides[0] and sides[1]):
        return None
    rng = np.random.default_rng(seed)
    sweeps = max(map(len, sides)) > 1
    seen = np.zeros(BUCKETS, dtype=bool)
    for cell in (*sides[0], *sides[1]):
        if cell:
            seen[absolute(cell)[0]] = True
    grid = np.flatnonzero(seen)
    one, other = (
        np.concatenate([_cumulated(cell, grid, 1 if sweeps else MOST_UNITS, rng) for cell in side if cell])
        for side in sides
    )
    low, width = edges_ns(grid)
    # A difference below the clock's step is not a shift.
    step = max(clock_step_ns(cell.timer_step_ns) for side in sides for cell in side if cell)
    gap = np.abs(one.mean(axis=0) - other.mean(axis=0))
    calls = min(sum(cell.calls for cell in side if cell) for side in sides)
    shares = [share for share in SHARES if (1 - share) * calls >= LEAST_CALLS_BEYOND]
    paired = [part.file for part in known[0]] == [part.file for part in known[1]]
    shifts = _Shifts(one, other, grid, step, paired if sweeps else None)
    if not sweeps:
        shifts.draw(rng)
    return Distribution(
        shifts=[shifts.shift(share) for share in shares],
        unit="sweeps" if sweeps else "trials",
        moved=float(gap.max()),
        p=(_swapped if sweeps and paired else _shared_out)(one, other, rng),
        transport_ns=float((gap[:-1] * np.diff(low + width / 2)).sum()),
    )


def _has_calls(part: Part) -> bool:
    return part.columns is not None and bool(part.columns.pairs[1::2].sum())


def _cumulated(cell: CellColumns, grid: NDArray[np.int64], most: int, rng: np.random.Generator) -> Floats:
    """Return the share of a unit's calls up to each bucket of the grid, (units, grid). Each trial has weight 1."""
    buckets, counts, trial = absolute(cell)
    calls = np.bincount(trial, weights=counts)
    filled = np.flatnonzero(calls)
    units = min(filled.size, most)
    unit = np.zeros(calls.size, dtype=np.int64)
    unit[filled] = rng.permutation(filled.size) % units
    at = unit[trial] * grid.size + np.searchsorted(grid, np.arange(BUCKETS))[buckets]
    weights = counts / np.maximum(calls, 1)[trial]
    table = np.bincount(at, weights=weights, minlength=units * grid.size).reshape(units, grid.size)
    cumulated: Floats = np.cumsum(table, axis=1) / np.bincount(unit[filled], minlength=units)[:, None]
    return cumulated


def _percentile(mixed: Floats, share: float, low: Floats, width: Floats) -> Floats:
    """Return a percentile of each of several distributions (rows: shares up to each bucket), ns."""
    # The last bucket holds all calls, even if rounding makes their sum less than 1.
    at = np.minimum((mixed < share - 1e-12).sum(axis=1), mixed.shape[1] - 1)
    rows = np.arange(at.size)
    below = np.where(at > 0, mixed[rows, at - 1], 0.0)
    part = (share - below) / np.maximum(mixed[rows, at] - below, 1e-300)
    found: Floats = np.maximum(low[at] + np.clip(part, 0, 1) * width[at], 0.5)
    return found


class _Shifts:
    """Shifts of percentiles of `a` against `b` (units, buckets), from one set of draws."""

    def __init__(self, a: Floats, b: Floats, grid: NDArray[np.int64], step_ns: float, paired: bool | None) -> None:
        """`paired` is None where units are trials, and else whether the sweeps of both sides are the same."""
        self.sides, self.step_ns, self.paired = (a, b), step_ns, paired
        self.low, self.width = edges_ns(grid)
        self.whole = [side.mean(axis=0)[None, :] for side in self.sides]
        self.n = min(a.shape[0], b.shape[0])
        self.drawn: list[Floats] = []

    def draw(self, rng: np.random.Generator) -> None:
        """Resample each side's units with replacement."""
        for side in self.sides:
            n = side.shape[0]
            self.drawn.append(rng.multinomial(n, np.full(n, 1 / n), DRAWS) / n @ side)

    def shift(self, share: float) -> Shift:
        """Return one percentile's shift with its 95 % interval."""
        one, other = (float(_percentile(whole, share, self.low, self.width)[0]) for whole in self.whole)
        if self.paired is not None:
            figures = [_percentile(side, share, self.low, self.width) for side in self.sides]
            found = (paired_ratio if self.paired else sweep_ratio)(*figures).interval()
            ratio, reach = found.value, (math.log(found.value / found.low), math.log(found.high / found.value))
        elif self.n < LEAST_TRIALS:
            return Shift(share, Interval(one / other, math.nan, math.nan, self.n))
        else:
            ratio = one / other
            drawn = [_percentile(mixed, share, self.low, self.width) for mixed in self.drawn]
            reach = self._reach(np.log(drawn[0] / drawn[1] / ratio))
        blur = clock_blur(one, other, self.step_ns, self.step_ns)
        down, up = (math.hypot(side, blur) for side in reach)
        return Shift(share, Interval(ratio, ratio * math.exp(-down), ratio * math.exp(up), self.n))

    def _reach(self, drawn: Floats) -> tuple[float, float]:
        # Resampling n units gives (n - 1) / n of their variance, with as many degrees of freedom.
        stretch = math.sqrt(self.n / (self.n - 1)) * float(quantile((1 - LEVEL) / 2, 2 * self.n - 2)) / 1.96
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) * stretch
        return max(-float(low), 0.0), max(float(high), 0.0)


def _shared_out(one: Floats, other: Floats, rng: np.random.Generator) -> float:
    """Return the share of random assignments of units to sides that are as far apart, with the observed one."""
    n, m = one.shape[0], other.shape[0]
    ways = math.comb(n + m, n)
    if 2 / ways > 1 - LEVEL:
        return math.nan
    together = _thinned(np.concatenate([one, other]))
    if ways <= PERMUTATIONS[0]:
        first = np.zeros((ways, n + m))
        for row, chosen in enumerate(combinations(range(n + m), n)):
            first[row, list(chosen)] = 1
        return _as_far(first / n - (1 - first) / m, together)

    def some(permutations: int) -> Floats:
        first = np.tile(np.repeat([1.0, 0.0], [n, m]), (permutations + 1, 1))
        first[1:] = rng.permuted(first[1:], axis=1)
        return np.asarray(first / n - (1 - first) / m, dtype=np.float64)

    return _by_some(some, together)


def _swapped(one: Floats, other: Floats, rng: np.random.Generator) -> float:
    """Return the share of random swaps within pairs that are as far apart: a sweep's own level cancels in each
    pair."""
    n = one.shape[0]
    if 2 / 2**n > 1 - LEVEL:
        return math.nan
    together = _thinned(np.concatenate([one, other]))
    differences = together[:n] - together[n:]
    if 2**n <= PERMUTATIONS[0]:
        return _as_far(np.array(list(product((1.0, -1.0), repeat=n))) / n, differences)

    def some(permutations: int) -> Floats:
        signs = rng.choice((1.0, -1.0), (permutations + 1, n))
        signs[0] = 1
        return np.asarray(signs / n, dtype=np.float64)

    return _by_some(some, differences)


def _by_some(some: Callable[[int], Floats], units: NDArray[np.float32]) -> float:
    """Return p by random assignments, the observed one first: few, and more where those give a small p."""
    p = 1.0
    for permutations in PERMUTATIONS:
        p = _as_far(some(permutations), units)
        if p > 4 / permutations:
            break
    return p


def _thinned(cumulated: Floats) -> NDArray[np.float32]:
    """Return at most MOST_POINTS buckets at equal steps of the share of all calls."""
    wanted = np.linspace(0, 1, MOST_POINTS + 1)[1:-1]
    points = np.unique(np.searchsorted(cumulated.mean(axis=0), wanted))
    return cumulated[:, np.minimum(points, cumulated.shape[1] - 1)].astype(np.float32)


def _as_far(weights: Floats, units: NDArray[np.float32]) -> float:
    """Return the share of the rows of weights that leave the sides as far apart as the first row does."""
    gaps = np.abs(weights.astype(np.float32) @ units).max(axis=1)
    return float((gaps >= gaps[0] * (1 - 1e-5) - 1e-6).mean())
