# SPDX-License-Identifier: Apache-2.0
"""Numbers for people: three significant digits, a unit, and never without their interval."""

import math
import re

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
    """`153k`, `1.28M`."""
    return _scaled(value, _COUNTS)


def time_ns(value: float, least_ns: float = 0.0) -> str:
    """`42.0ns`, `5.06us`, `1.90ms`; `<10ns` below the least that can be told."""
    if value < least_ns:
        return f"<{math.ceil(least_ns)}ns"
    return _scaled(value, _TIMES)


def spread(interval: Interval) -> str:
    """Half width of an interval in per cent: `±1.9%`; `±?` where too few trials tell."""
    if not interval.known or not interval.value:
        return "±?"
    percent = interval.relative_half_width * 100
    if percent >= 999.5:
        return "±>9x"
    return f"±{percent:.1f}%" if percent < 9.95 else f"±{percent:.0f}%"


def counted(interval: Interval) -> str:
    """`161k ±1.6%`."""
    return UNKNOWN if math.isnan(interval.value) else f"{count(interval.value)} {spread(interval)}"


def timed(interval: Interval, least_ns: float = 0.0) -> str:
    """`5.34us ±12%`."""
    if math.isnan(interval.value):
        return UNKNOWN
    text = time_ns(interval.value, least_ns)
    return text if interval.value < least_ns else f"{text} {spread(interval)}"


def ratio(interval: Interval) -> str:
    """`1.44 ±2.5%`; of something with itself `1.00`."""
    if math.isnan(interval.value):
        return UNKNOWN
    itself = interval.low == interval.high == 1
    return f"{interval.value:.2f}" if itself else f"{interval.value:.2f} {spread(interval)}"


def between(interval: Interval) -> str:
    """`34 [30, 41]`."""
    if not interval.known:
        return f"{interval.value:.3g}"
    return f"{interval.value:.3g} [{interval.low:.3g}, {interval.high:.3g}]"


def drawable(text: str) -> str:
    """The text without what no chart can hold.

    XML has no control characters: the library that draws an SVG with one aborts the process. Vega sorts by
    comparing with string literals, which JavaScript's line separators break.
    """
    return _UNDRAWABLE.sub("\N{REPLACEMENT CHARACTER}", text)


_UNDRAWABLE = re.compile("[^\t\n\r\x20-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
