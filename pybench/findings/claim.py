# SPDX-License-Identifier: Apache-2.0
"""What a published finding is, what evidence for or against it looks like, and how evidence becomes a verdict.

A finding is taken apart into checks. Each is one figure with an interval that must lie at or above `least`, at or
below `most`, or both. A check holds if the whole interval does, fails if the whole interval does not, and is open
otherwise: a verdict never hangs on where in its interval the truth is.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec
from numpy.typing import ArrayLike

from pybench.stats.estimate import Interval, finite_samples, range_interval

if TYPE_CHECKING:
    from pybench.findings.lab import Lab

# Fewer draws of the uncertain inputs leave too much of their ranges out to tell how far they move a figure.
LEAST_DRAWS = 10

How = Literal["measured", "simulated"]
Verdict = Literal["reproduced", "not reproduced", "cannot tell here"]
Unit = Literal["x", "ns", "share", "count", "rate"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must hold for the finding to be reproduced."""

    key: str
    """By which a claim's sentence names its figure."""
    says: str
    """What must hold, in words that a platform engineer would use."""
    value: Interval | None = None
    """The figure; None if it could not be had, and `unknown` says why."""
    least: float | None = None
    most: float | None = None
    unit: Unit = "x"
    """`x`: a ratio; `share`: 0 to 1; `ns`; `count`; `rate`: a second."""
    how: How = "measured"
    decides: bool = True
    """False for what only stands beside: a trend on too small a host, a control."""
    unknown: str = ""

    @property
    def holds(self) -> bool | None:
        """True, False, or None if the evidence does not tell."""
        value = self.value
        if self.unknown or value is None or not value.known:
            return None
        least = -math.inf if self.least is None else self.least
        most = math.inf if self.most is None else self.most
        if least <= value.low and value.high <= most:
            return True
        return False if value.high < least or value.low > most else None


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A point of a finding's chart; `low` and `high` are NaN where there is no interval."""

    series: str
    x: float
    value: float
    low: float = math.nan
    high: float = math.nan
    how: How = "measured"


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one kind over one thing that was varied."""

    title: str
    x: str
    y: str
    unit: Unit
    points: list[Point]
    log: bool = True
    """Both axes."""
    limit: float | None = None
    """A line across: the deadline, or the ratio that the finding asks for."""
    limit_says: str = ""


class Assumption(msgspec.Struct, frozen=True, kw_only=True):
    """One assumed number varied over its range and beyond: what it would take for the finding to come out."""

    name: str
    says: str
    """What the number is, in words."""
    low: float
    high: float
    """The range that its source, or the assumption, allows."""
    tried: list[tuple[float, Interval]]
    """(value, the finding's figure)."""
    least: float | None = None
    most: float | None = None
    unit: str = ""

    @property
    def gives(self) -> list[float]:
        """The values tried at which the finding's figure (its median) comes out, ascending."""
        least = -math.inf if self.least is None else self.least
        most = math.inf if self.most is None else self.most
        return sorted(value for value, figure in self.tried if least <= figure.value <= most)

    @property
    def words(self) -> str:
        """One sentence: whether some value gives the finding, and whether that is within the range."""
        shown = f"{self.says}: taken as {_number(self.low)} to {_number(self.high)}{self.unit}"
        if not self.gives:
            ends = [value for value, _ in self.tried]
            tried = f"{_number(min(ends))} to {_number(max(ends))}{self.unit}"
            return f"{shown}; no value from {tried} gives the finding."
        inside = [value for value in self.gives if self.low <= value <= self.high]
        first, last = min(inside or self.gives), max(inside or self.gives)
        values = _number(first) if first == last else f"{_number(first)} to {_number(last)}"
        where = "within the range" if inside else "outside of it"
        return f"{shown}; it gives the finding at {values}{self.unit}, {where}."


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What one look at a finding gave."""

    checks: list[Check] = []
    charts: list[Chart] = []
    notes: list[str] = []
    """What a reader must know to read the figures, and what the evidence does not say."""
    assumptions: list[Assumption] = []


Look = Callable[["Lab"], Evidence]


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A published finding and how it is looked at."""

    number: int
    title: str
    said: str
    """What was published."""
    refuted_by: str
    """What would refute it."""
    looks: tuple[tuple[How, Look], ...]
    sentences: dict[Verdict, str]
    """What the verdict means, in plain words; {key} stands for the figure of that check."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A claim after it was looked at."""

    number: int
    title: str
    said: str
    refuted_by: str
    verdict: Verdict
    how: str
    """`measured`, `simulated`, `both` or `-`: where the deciding evidence is from."""
    words: str
    checks: list[Check]
    charts: list[Chart] = []
    notes: list[str] = []
    assumptions: list[Assumption] = []
    seconds: float = 0.0


def judge(checks: Iterable[Check]) -> Verdict:
    """One failed check refutes; all must hold to reproduce; an open one, or none at all, leaves it open."""
    held = [check.holds for check in checks if check.decides]
    if False in held:
        return "not reproduced"
    return "reproduced" if held and all(held) else "cannot tell here"


def fill(sentence: str, checks: Iterable[Check]) -> str:
    """The sentence with the figures in it."""
    known = {check.key: told(check.value, check.unit) for check in checks}
    return re.sub(r"\{([^{}]+)\}", lambda found: known.get(found[1], "an unknown figure"), sentence)


_TIMES = ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns"))


def told(value: Interval | None, unit: Unit) -> str:
    """A figure with its interval, in words: `3.4 times [3.1, 3.8]`, `31 % [28, 35]`, `1.2 ms [1.1, 1.4]`."""
    if value is None or math.isnan(value.value):
        return "an unknown figure"
    scale, name = {"x": (1.0, " times"), "share": (0.01, " %"), "count": (1.0, ""), "rate": (1.0, "/s")}.get(
        unit, (1.0, "")
    )
    if unit == "ns":
        scale, name = next(((s, f" {n}") for s, n in _TIMES if abs(value.value) >= s * 0.9995), (1.0, " ns"))
    digits = _number
    shown = f"{digits(value.value / scale)}{name}"
    if not value.known or value.low == value.high:
        return shown
    return f"{shown} [{digits(value.low / scale)}, {digits(value.high / scale)}]"


def where_from(checks: Iterable[Check]) -> str:
    """Where the evidence that decided is from."""
    kinds = {check.how for check in checks if check.decides and check.holds is not None}
    return "both" if len(kinds) > 1 else next(iter(kinds), "-")


def exactly(number: float, n: int = 1) -> Interval:
    """A count, which has no uncertainty."""
    return Interval(number, number, number, n)


def over_draws(samples: ArrayLike) -> Interval:
    """The median of simulated figures and the range that holds 95 % of them (all, of fewer than 40; unknown, of
    fewer than LEAST_DRAWS). ValueError: no samples, or samples that are not finite.

    Each sample is of one draw of the uncertain inputs. The interval of the median, which sweeps print, would
    shrink with the number of draws, and says nothing of how far the inputs can move the answer.
    """
    found = range_interval(samples)
    if found.n >= 40:
        return found
    if found.n < LEAST_DRAWS:
        return Interval(found.value, math.nan, math.nan, found.n)
    values = finite_samples(samples)
    return Interval(found.value, float(values.min()), float(values.max()), found.n)


def paired_ratio(upper: Sequence[float], lower: Sequence[float]) -> Interval:
    """Ratios of simulated figures draw by draw. ValueError if they differ in length or are not positive."""
    a, b = finite_samples(upper, "upper"), finite_samples(lower, "lower")
    if a.shape != b.shape or min(a.min(), b.min()) <= 0:
        raise ValueError("ratios need as many positive figures on both sides")
    return over_draws(a / b)
