# SPDX-License-Identifier: Apache-2.0
"""Latency distributions of two sides compared whole: where they shift, and how much of them is elsewhere."""

import math
from collections.abc import Callable, Sequence
from itertools import combinations, product
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from pybench.analysis.comparison.cell_pairs import Part
from pybench.results.columns import BUCKETS, CellColumns, absolute, edges_ns
from pybench.results.metrics import clock_step_ns
from pybench.stats.estimate import Floats, Interval
from pybench.stats.ratios import LEAST_TRIALS, LEVEL, clock_blur, paired_ratio, quantile, sweep_ratio

SHARES = (0.5, 0.9, 0.99, 0.999)
LEAST_CALLS_BEYOND = 10
"""Calls beyond a percentile that it takes to speak of it."""
# More units than these say no more, and cost.
MOST_UNITS = 50
DRAWS = 300
# Ways to share out units that are tried: the more only where the fewer leave few as far apart.
PERMUTATIONS = (999, 9999)
MOST_POINTS = 64
"""Latencies at which shared out units are held against each other."""


class Shift(msgspec.Struct, frozen=True):
    """A percentile of all calls of one side over that of the other; `share` is of 0 to 1."""

    share: float
    ratio: Interval

    @property
    def shown(self) -> bool:
        """Whether its own 95 % interval leaves 1 out."""
        return self.ratio.known and not self.ratio.low <= 1 <= self.ratio.high


class Distribution(msgspec.Struct, kw_only=True):
    """All latencies of one cell against its partner's; every trial counts alike."""

    shifts: list[Shift]
    unit: Literal["trials", "sweeps"]
    """What was drawn again and shared out anew."""
    moved: float
    """Largest difference of the two distributions' shares below any latency (the Kolmogorov-Smirnov distance): at
    least this share of the calls takes another time."""
    p: float
    """How often trials shared out at random to the two sides (of pairs of sweeps, sides swapped at random within
    each) would be as far apart; NaN if too few could tell."""
    corrected_p: float = math.nan
    """The same, corrected for all cells compared."""
    transport_ns: float
    """Mean distance that calls must move to make one distribution the other (first Wasserstein distance), ns."""

    @property
    def differs(self) -> bool:
        """Whether it is shown that they differ, after correction."""
        return self.corrected_p <= 1 - LEVEL

    @property
    def shape(self) -> str:
        """In words what moved: `all slower`, `tail grew` and the like; `` if nothing is shown to."""
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
    """The distribution of `a` (the shifts' numerator) against that of `b`; None without histograms on both sides.

    A unit is a trial; or a sweep, where a side has several. Within a unit calls are not independent, so units are
    what is drawn again (for the shifts' intervals, or Student's t on the sweeps' own percentiles) and shared out
    anew (for p), or swapped in pairs where both sides are of the same sweeps. Very many trials are put together to
    `MOST_UNITS` first.
    """
    told = [[part for part in side if _has_calls(part)] for side in (a, b)]
    sides = [[part.columns for part in side] for side in told]
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
    # What the clock cannot tell is no shift.
    step = max(clock_step_ns(cell.timer_step_ns) for side in sides for cell in side if cell)
    gap = np.abs(one.mean(axis=0) - other.mean(axis=0))
    calls = min(sum(cell.calls for cell in side if cell) for side in sides)
    shares = [share for share in SHARES if (1 - share) * calls >= LEAST_CALLS_BEYOND]
    paired = [part.file for part in told[0]] == [part.file for part in told[1]]
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
    """Share of a unit's calls up to each bucket of the grid: (units, grid). A trial counts 1 in its unit."""
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
    """A percentile of each of several distributions (rows: shares up to each bucket), ns."""
    # The last bucket holds all, whatever rounding makes of 1.
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
        """Draw each side's units again, with replacement."""
        for side in self.sides:
            n = side.shape[0]
            self.drawn.append(rng.multinomial(n, np.full(n, 1 / n), DRAWS) / n @ side)

    def shift(self, share: float) -> Shift:
        """One percentile's shift with its 95 % interval."""
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
        # Drawing n units again shows (n - 1) / n of their variance, and knows it no better than they do.
        stretch = math.sqrt(self.n / (self.n - 1)) * float(quantile((1 - LEVEL) / 2, 2 * self.n - 2)) / 1.96
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) * stretch
        return max(-float(low), 0.0), max(float(high), 0.0)


def _shared_out(one: Floats, other: Floats, rng: np.random.Generator) -> float:
    """Share of the ways to share out the units that leave the sides as far apart, the one seen among them."""
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
    """The same of the ways to swap the sides within pairs: a sweep's own level cancels in its difference."""
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
    """p by random ways, the one seen first: few, and more where those leave little."""
    p = 1.0
    for permutations in PERMUTATIONS:
        p = _as_far(some(permutations), units)
        if p > 4 / permutations:
            break
    return p


def _thinned(cumulated: Floats) -> NDArray[np.float32]:
    """At MOST_POINTS buckets, alike far apart in shares of all calls."""
    wanted = np.linspace(0, 1, MOST_POINTS + 1)[1:-1]
    points = np.unique(np.searchsorted(cumulated.mean(axis=0), wanted))
    return cumulated[:, np.minimum(points, cumulated.shape[1] - 1)].astype(np.float32)


def _as_far(weights: Floats, units: NDArray[np.float32]) -> float:
    """Share of the rows of weights that leave the sides as far apart as the first does."""
    gaps = np.abs(weights.astype(np.float32) @ units).max(axis=1)
    return float((gaps >= gaps[0] * (1 - 1e-5) - 1e-6).mean())
