# SPDX-License-Identifier: Apache-2.0
"""The evidence for and against a published finding, and the verdict that follows from it.

A claim is taken apart into checks. Each check is one number with an interval, and bounds that it must keep. A
check holds if its whole interval is within the bounds, fails if its whole interval is outside, and is open
otherwise: no verdict depends on where in its interval the true value lies.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from numpy.typing import ArrayLike

from pybench.api.toolkit.statistics import Interval, finite_samples, range_interval

# Fewer draws cover too little of the ranges of the uncertain inputs.
LEAST_DRAWS = 10

How = Literal["measured", "simulated"]
Verdict = Literal["reproduced", "not reproduced", "cannot tell here"]
Unit = Literal["x", "ns", "share", "count", "rate"]


class ClaimCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One condition for a claim to be reproduced: a number and the bounds that it must keep."""

    key: str
    """Name of the number in the claim's sentences."""
    says: str
    """The condition, in words that a platform engineer would use."""
    value: Interval | None = None
    """The number; None if there is none, for the reason in `unknown`."""
    least: float | None = None
    most: float | None = None
    unit: Unit = "x"
    """`x`: a ratio; `share`: 0 to 1; `ns`; `count`; `rate`: per second."""
    how: How = "measured"
    decides: bool = True
    """False for a check that is only shown: a control, or a trend on too small a host."""
    unknown: str = ""

    @property
    def holds(self) -> bool | None:
        """Return True or False, None if the evidence leaves the check open."""
        value = self.value
        if self.unknown or value is None or not value.known:
            return None
        least = -math.inf if self.least is None else self.least
        most = math.inf if self.most is None else self.most
        if least <= value.low and value.high <= most:
            return True
        return False if value.high < least or value.low > most else None


class ChartPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A point of a claim's chart; `low` and `high` are NaN without an interval."""

    series: str
    x: float
    value: float
    low: float = math.nan
    high: float = math.nan
    how: How = "measured"


def point(series: str, x: float, interval: Interval, how: How = "measured") -> ChartPoint:
    """Return a point of a chart at an estimate and its interval."""
    return ChartPoint(series=series, x=x, value=interval.value, low=interval.low, high=interval.high, how=how)


class ClaimChart(msgspec.Struct, frozen=True, kw_only=True):
    """A quantity over the one that was varied."""

    title: str
    x: str
    y: str
    unit: Unit
    points: list[ChartPoint]
    log: bool = True
    """Both axes are logarithmic."""
    limit: float | None = None
    """A horizontal line: the deadline, or the ratio that the claim asks for."""
    limit_says: str = ""


class Assumption(msgspec.Struct, frozen=True, kw_only=True):
    """An assumed number, varied over its range and far beyond, to see which values reproduce the claim."""

    name: str
    says: str
    """The meaning of the number, in words."""
    low: float
    high: float
    """The range of its source, or of the assumption."""
    tried: list[tuple[float, Interval]]
    """(value of the number, resulting value of the claim's check)."""
    least: float | None = None
    most: float | None = None
    unit: str = ""

    @property
    def gives(self) -> list[float]:
        """Return the tried values for which the median of the check is within its bounds, ascending."""
        least = -math.inf if self.least is None else self.least
        most = math.inf if self.most is None else self.most
        return sorted(value for value, result in self.tried if least <= result.value <= most)

    @property
    def words(self) -> str:
        """Return a sentence: which values reproduce the claim, and whether they are within the range."""
        shown = f"{self.says}: assumed {_number(self.low)} to {_number(self.high)}{self.unit}"
        if not self.gives:
            ends = [value for value, _ in self.tried]
            tried = f"{_number(min(ends))} to {_number(max(ends))}{self.unit}"
            return f"{shown}; no value from {tried} reproduces the finding."
        inside = [value for value in self.gives if self.low <= value <= self.high]
        first, last = min(inside or self.gives), max(inside or self.gives)
        values = _number(first) if first == last else f"{_number(first)} to {_number(last)}"
        where = "within the range" if inside else "outside the range"
        return f"{shown}; {values}{self.unit} reproduces the finding, {where}."


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


class ClaimEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one experiment on a claim."""

    checks: list[ClaimCheck] = []
    charts: list[ClaimChart] = []
    notes: list[str] = []
    """What a reader must know to read the numbers, and what the evidence leaves out."""
    assumptions: list[Assumption] = []


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A claim with its verdict."""

    number: int
    title: str
    said: str
    refuted_by: str
    verdict: Verdict
    how: str
    """Source of the deciding evidence: `measured`, `simulated`, `both` or `-`."""
    words: str
    checks: list[ClaimCheck]
    charts: list[ClaimChart] = []
    notes: list[str] = []
    assumptions: list[Assumption] = []
    seconds: float = 0.0


def judge(checks: Iterable[ClaimCheck]) -> Verdict:
    """Return the verdict: one failed check refutes, all must hold to reproduce, anything else leaves it open."""
    held = [check.holds for check in checks if check.decides]
    if False in held:
        return "not reproduced"
    return "reproduced" if held and all(held) else "cannot tell here"


def fill(sentence: str, checks: Iterable[ClaimCheck]) -> str:
    """Return the sentence with the numbers of the checks in place of their keys."""
    known = {check.key: quantity(check.value, check.unit) for check in checks}
    return re.sub(r"\{([^{}]+)\}", lambda found: known.get(found[1], UNKNOWN), sentence)


UNKNOWN = "an unknown amount"
_TIMES = ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns"))


def quantity(value: Interval | None, unit: Unit) -> str:
    """Return a number with unit and interval: `3.4 times [3.1, 3.8]`, `31 % [28, 35]`, `1.2 ms [1.1, 1.4]`."""
    if value is None or math.isnan(value.value):
        return UNKNOWN
    scale, name = {"x": (1.0, " times"), "share": (0.01, " %"), "count": (1.0, ""), "rate": (1.0, "/s")}.get(
        unit, (1.0, "")
    )
    if unit == "ns":
        scale, name = next(((s, f" {n}") for s, n in _TIMES if abs(value.value) >= s * 0.9995), (1.0, " ns"))
    shown = f"{_number(value.value / scale)}{name}"
    if not value.known or value.low == value.high:
        return shown
    return f"{shown} [{_number(value.low / scale)}, {_number(value.high / scale)}]"


def where_from(checks: Iterable[ClaimCheck]) -> str:
    """Return the source of the evidence that decides: `measured`, `simulated`, `both` or `-`."""
    kinds = {check.how for check in checks if check.decides and check.holds is not None}
    return "both" if len(kinds) > 1 else next(iter(kinds), "-")


def exactly(number: float, n: int = 1) -> Interval:
    """Return the interval of a count, which has no uncertainty."""
    return Interval(number, number, number, n)


def over_draws(samples: ArrayLike) -> Interval:
    """Return the median over draws and the range of 95 % of them (all of < 40, unknown for < 10).

    Each sample comes from one draw of the uncertain inputs. The interval of the median would shrink with the
    number of draws, and would not show how far the inputs move the result. Raises ValueError without samples, or
    for samples that are not finite.
    """
    found = range_interval(samples)
    if found.n >= 40:
        return found
    if found.n < LEAST_DRAWS:
        return Interval(found.value, math.nan, math.nan, found.n)
    values = finite_samples(samples)
    return Interval(found.value, float(values.min()), float(values.max()), found.n)


def paired_ratio(upper: Sequence[float], lower: Sequence[float]) -> Interval:
    """Return the ratio of simulated values draw by draw. Raises ValueError unless all are positive and pair up."""
    a, b = finite_samples(upper, "upper"), finite_samples(lower, "lower")
    if a.shape != b.shape or min(a.min(), b.min()) <= 0:
        raise ValueError("ratios need as many positive values on both sides")
    return over_draws(a / b)
