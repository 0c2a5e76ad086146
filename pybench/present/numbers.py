# SPDX-License-Identifier: Apache-2.0
"""Numbers as people read them: three significant digits, a unit, and an interval. One place for every format."""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from pybench.stats.estimate import Interval

UNKNOWN = "-"
_TIMES = ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns"))
_COUNTS = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def _three_digits(value: float) -> str:
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{min(max(digits, 0), 2)}f}"


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    if math.isnan(value):
        return UNKNOWN
    for scale, unit in units:
        # 999.7 would round to 1000 of the smaller unit.
        if abs(value) >= scale * 0.9995 or scale == 1.0:
            return f"{_three_digits(value / scale)}{unit}"
    raise AssertionError("the last unit always fits")


def count(value: float) -> str:
    """Return a count or rate: `153k`, `1.28M`."""
    return _scaled(value, _COUNTS)


def time_ns(value: float, least_ns: float = 0.0) -> str:
    """Return a time in ns as `42.0ns`, `5.06us`, `1.90ms`; `<10ns` below the resolution `least_ns`."""
    if value < least_ns:
        return f"<{math.ceil(least_ns)}ns"
    return _scaled(value, _TIMES)


def spread(interval: Interval) -> str:
    """Return half the width of an interval in per cent: `±1.9%`; `±?` without an interval."""
    if not interval.known or not interval.value:
        return "±?"
    percent = interval.relative_half_width * 100
    if percent >= 999.5:
        return "±>9x"
    return f"±{percent:.1f}%" if percent < 9.95 else f"±{percent:.0f}%"


def counted(interval: Interval) -> str:
    """Return a count or rate with its interval: `161k ±1.6%`."""
    return UNKNOWN if math.isnan(interval.value) else f"{count(interval.value)} {spread(interval)}"


def timed(interval: Interval, least_ns: float = 0.0) -> str:
    """Return a time in ns with its interval: `5.34us ±12%`."""
    if math.isnan(interval.value):
        return UNKNOWN
    text = time_ns(interval.value, least_ns)
    return text if interval.value < least_ns else f"{text} {spread(interval)}"


def ratio(interval: Interval) -> str:
    """Return a ratio with its interval: `1.44 ±2.5%`; of something with itself `1.00`."""
    if math.isnan(interval.value):
        return UNKNOWN
    itself = interval.low == interval.high == 1
    return f"{interval.value:.2f}" if itself else f"{interval.value:.2f} {spread(interval)}"


def between(interval: Interval) -> str:
    """Return an estimate with its bounds: `34 [30, 41]`."""
    if not interval.known:
        return f"{interval.value:.3g}"
    return f"{interval.value:.3g} [{interval.low:.3g}, {interval.high:.3g}]"


def ratio_between(interval: Interval) -> str:
    """Return a ratio with its bounds: `1.05 [1.02, 1.09]`, with a third digit where the interval is narrow."""
    if math.isnan(interval.value):
        return UNKNOWN
    if not interval.known:
        return f"{_ratio_digits(interval.value, 2)} [?]"
    digits = 3 if interval.high - interval.low < 0.1 and interval.high < 10 else 2
    value, low, high = (_ratio_digits(x, digits) for x in (interval.value, interval.low, interval.high))
    return f"{value} [{low}, {high}]"


def _ratio_digits(value: float, digits: int) -> str:
    if value >= 1e4:
        return ">9999"
    return f"{value:.{digits}f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def share(value: float) -> str:
    """Return a share in per cent: `6.6%`, `100%`."""
    if math.isnan(value):
        return UNKNOWN
    return f"{value:.0%}" if value in (0, 1) else f"{value:.1%}" if value < 9.995 else ">999%"


def four_digits(value: float) -> str:
    """Return an input of a model: `0.25`, `1.5k`."""
    return f"{value / 1000:.4g}k" if value >= 1000 else f"{value:.4g}"


class Kind(NamedTuple):
    """A kind of value in a table: its unit in JSON, and its text. `text` takes the value and its resolution."""

    unit: str
    text: Callable[[Any, float], str]


def _either(
    single: Callable[[float], str], interval: Callable[[Interval], str]
) -> Callable[[float | Interval, float], str]:
    return lambda value, _: interval(value) if isinstance(value, Interval) else single(value)


def _fixed(form: str) -> Callable[[float | Interval, float], str]:
    def text(value: float | Interval, _: float) -> str:
        number = value.value if isinstance(value, Interval) else value
        return UNKNOWN if math.isnan(number) else format(number, form)

    return text


def _fraction(value: tuple[int, int], _: float) -> str:
    return str(value[0]) if value[0] == value[1] else f"{value[0]}/{value[1]}"


KINDS: dict[str, Kind] = {
    "text": Kind("", lambda value, _: str(value)),
    "number": Kind("", lambda value, _: str(value)),
    "count": Kind("", _either(count, counted)),
    "rate": Kind("1/s", _either(count, counted)),
    "time": Kind(
        "ns", lambda value, least: timed(value, least) if isinstance(value, Interval) else time_ns(value, least)
    ),
    "ratio": Kind("1", _either(lambda value: f"{value:.2f}", ratio)),
    "bounds": Kind("1", _either(lambda value: f"{value:.2f}", ratio_between)),
    "share": Kind("1", _either(share, lambda value: share(value.value))),
    "share2": Kind("1", _fixed(".2%")),
    "percent": Kind("1", _fixed(".0%")),
    "change": Kind("1", _fixed("+.1%")),
    "index": Kind("1", _fixed(".2f")),
    "signed": Kind("1", _fixed("+.2f")),
    "one digit": Kind("1", _fixed(".1f")),
    "added": Kind("", _fixed("+.0f")),
    "fraction": Kind("", _fraction),
    "weight": Kind("1", lambda value, _: f"{value:.2f}" if value >= 0.005 else "<0.01"),
    "peak": Kind("", lambda value, _: f"{value.value:.0f} [{value.low:.0f}, {value.high:.0f}]"),
    "factor": Kind("1", lambda value, _: UNKNOWN if math.isnan(value) else f"{value:.2f}x"),
    "nanoseconds": Kind("ns", _fixed(".0f")),
    "digits": Kind("", lambda value, _: four_digits(value)),
}


def drawable(text: str) -> str:
    """Return text without characters that no chart can hold.

    XML has no control characters: the library that draws an SVG with one aborts the process. Vega sorts by
    comparing with string literals, which JavaScript's line separators break.
    """
    return _UNDRAWABLE.sub("\N{REPLACEMENT CHARACTER}", text)


_UNDRAWABLE = re.compile("[^\t\n\r\x20-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
