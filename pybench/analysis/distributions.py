"""Latency distributions of two sides compared whole: where they shift, and how much of them is elsewhere."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from pybench.analysis.estimate import Floats, Interval
from pybench.analysis.matching import Part
from pybench.analysis.metrics import least_step_ns
from pybench.analysis.ratios import LEAST_TRIALS, LEVEL, paired_ratio, sweep_ratio
from pybench.results.columns import CellColumns, absolute, edges_ns

SHARES = (0.5, 0.9, 0.99, 0.999)
LEAST_CALLS_BEYOND = 10
"""Calls beyond a percentile that it takes to speak of it."""
# More units than these say no more, and cost.
MOST_UNITS = 100
DRAWS = 400
PERMUTATIONS = 1999


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
    """How often trials shared out at random to the two sides would be as far apart; NaN if too few could tell."""
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
    anew (for p). Very many trials are put together to `MOST_UNITS` first.
    """
    sides = [[part.columns for part in side if _has_calls(part)] for side in (a, b)]
    if not (sides[0] and sides[1]):
        return None
    rng = np.random.default_rng(seed)
    sweeps = max(map(len, sides)) > 1
    grid = np.unique(np.concatenate([absolute(cell)[0] for side in sides for cell in side if cell]))
    one, other = (
        np.concatenate([_cumulated(cell, grid, 1 if sweeps else MOST_UNITS, rng) for cell in side if cell])
        for side in sides
    )
    low, width = edges_ns(grid)
    # What the clock cannot tell is no shift.
    step = max(least_step_ns(cell) for side in sides for cell in side if cell)
    gap = np.abs(one.mean(axis=0) - other.mean(axis=0))
    calls = min(sum(int(cell.pairs[1::2].sum()) for cell in side if cell) for side in sides)
    shares = [share for share in SHARES if (1 - share) * calls >= LEAST_CALLS_BEYOND]
    paired = [part.file for part in a] == [part.file for part in b]
    return Distribution(
        shifts=[
            Shift(
                share,
                _shift(
                    _Draws(one, share, low, width), _Draws(other, share, low, width), rng, sweeps, paired, step
                ),
            )
            for share in shares
        ],
        unit="sweeps" if sweeps else "trials",
        moved=float(gap.max()),
        p=math.nan if sweeps and paired else _permuted(one, other, rng),
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
    at = unit[trial] * grid.size + np.searchsorted(grid, buckets)
    weights = counts / np.maximum(calls, 1)[trial]
    table = np.bincount(at, weights=weights, minlength=units * grid.size).reshape(units, grid.size)
    cumulated: Floats = np.cumsum(table, axis=1) / np.bincount(unit[filled], minlength=units)[:, None]
    return cumulated


class _Draws:
    """Percentiles of one side's units, mixed with given weights."""

    def __init__(self, cumulated: Floats, share: float, low: Floats, width: Floats) -> None:
        self.cumulated, self.share, self.low, self.width = cumulated, share, low, width

    def percentile(self, weights: Floats) -> Floats:
        """ns, an entry a row of `weights` (draws, units), each of which adds up to 1."""
        mixed = weights @ self.cumulated
        # The last bucket holds all, whatever rounding makes of 1.
        at = np.minimum((mixed < self.share - 1e-12).sum(axis=1), mixed.shape[1] - 1)
        rows = np.arange(at.size)
        below = np.where(at > 0, mixed[rows, at - 1], 0.0)
        part = (self.share - below) / np.maximum(mixed[rows, at] - below, 1e-300)
        found: Floats = np.maximum(self.low[at] + np.clip(part, 0, 1) * self.width[at], 0.5)
        return found

    @property
    def units(self) -> int:
        return int(self.cumulated.shape[0])

    def all(self) -> float:
        """Of all units together."""
        return float(self.percentile(np.full((1, self.units), 1 / self.units))[0])

    def drawn(self, rng: np.random.Generator) -> Floats:
        """Of as many units, drawn again with replacement, DRAWS times."""
        return self.percentile(
            rng.multinomial(self.units, np.full(self.units, 1 / self.units), DRAWS) / self.units
        )

    def each(self) -> Floats:
        """Of each unit."""
        return self.percentile(np.eye(self.units))


def _shift(a: _Draws, b: _Draws, rng: np.random.Generator, sweeps: bool, paired: bool, step_ns: float) -> Interval:
    whole = a.all(), b.all()
    ratio, n = whole[0] / whole[1], min(a.units, b.units)
    if sweeps:
        interval = (paired_ratio if paired else sweep_ratio)(a.each(), b.each()).interval()
        ratio, reach = (
            interval.value,
            [math.log(interval.value / interval.low), math.log(interval.high / interval.value)],
        )
    elif n < LEAST_TRIALS:
        return Interval(ratio, math.nan, math.nan, n)
    else:
        drawn = np.log(a.drawn(rng) / b.drawn(rng)) - math.log(ratio)
        # Drawing n units again shows (n - 1) / n of their variance, and knows it no better than they do.
        stretch = math.sqrt(n / (n - 1)) * student.isf((1 - LEVEL) / 2, 2 * n - 2) / 1.96
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) * stretch
        reach = [max(-float(low), 0.0), max(float(high), 0.0)]
    blur = math.hypot(*(math.log1p(step_ns / 2 / value) for value in whole))
    down, up = (math.hypot(one, blur) for one in reach)
    return Interval(ratio, ratio * math.exp(-down), ratio * math.exp(up), n)


def _permuted(one: Floats, other: Floats, rng: np.random.Generator) -> float:
    """Share of the ways to share out the units that leave the sides as far apart, the one seen among them."""
    n, m = one.shape[0], other.shape[0]
    ways = math.comb(n + m, n)
    if 2 / ways > 1 - LEVEL:
        return math.nan
    together = np.concatenate([one, other])
    first = np.zeros((min(ways, PERMUTATIONS + 1), n + m))
    if ways <= PERMUTATIONS:
        for row, chosen in enumerate(combinations(range(n + m), n)):
            first[row, list(chosen)] = 1
    else:
        first[0, :n] = 1
        first[1:] = rng.permuted(np.tile(first[0], (PERMUTATIONS, 1)), axis=1)
    # The mean of the others follows from that of all.
    weights = first / n - (1 - first) / m
    gaps = np.concatenate([np.abs(part @ together).max(axis=1) for part in np.array_split(weights, 8)])
    seen = np.abs(one.mean(axis=0) - other.mean(axis=0)).max()
    return float((gaps >= seen - 1e-12).mean())
