# SPDX-License-Identifier: Apache-2.0
"""A scaling curve drawn with characters: threads on a log axis, throughput from 0 (or log, over 50-fold)."""

import math
from collections.abc import Callable, Sequence

from pybench.analysis.scaling.curve_fits import FittedCurve, MeasuredLevel
from pybench.present.numbers import count

WIDTH, HEIGHT = 64, 14
MEASURED, SPREAD, FIT, BEYOND = "●", "│", "·", "?"
LOG_SPAN = 50.0
LEGEND = f"{MEASURED} measured ({SPREAD} its interval)   {FIT} the model   {BEYOND} extrapolated: not measured"


def draw(measured: Sequence[MeasuredLevel], curve: FittedCurve) -> str:
    """Return the lines of the drawing, at most 78 columns."""
    tops = [one.rate.high if one.rate.known else one.rate.value for one in measured]
    bottoms = [one.rate.low if one.rate.known else one.rate.value for one in measured]
    top, least = max(*tops, *curve.rate), min(*bottoms, *curve.rate)
    log = top > LOG_SPAN * least
    most = curve.threads[-1]

    def column(threads: float) -> int:
        return round(math.log(threads) / math.log(most) * (WIDTH - 1)) if most > 1 else 0

    def row(rate: float) -> int:
        share = math.log(max(rate, least) / least) / math.log(top / least) if log else rate / top
        return HEIGHT - 1 - round(min(share, 1.0) * (HEIGHT - 1))

    cells = [[" "] * WIDTH for _ in range(HEIGHT)]
    for x in range(WIDTH):
        threads = most ** (x / (WIDTH - 1))
        rate, beyond = _between(curve, threads)
        cells[row(rate)][x] = BEYOND if beyond else FIT
    for one in measured:
        x = column(one.threads)
        if one.rate.known:
            for y in range(row(one.rate.high), row(one.rate.low) + 1):
                cells[y][x] = SPREAD
        cells[row(one.rate.value)][x] = MEASURED
    labels = {0: count(top), HEIGHT - 1: count(least) if log else "0"}
    lines = [f"{labels.get(y, ''):>8} ┤{''.join(line)}".rstrip() for y, line in enumerate(cells)]
    return "\n".join([*lines, " " * 9 + "└" + "─" * WIDTH, _axis(measured, curve, column)])


def _between(curve: FittedCurve, threads: float) -> tuple[float, bool]:
    """Return the curve's rate at a fractional thread count, and whether it is extrapolated."""
    after = next((i for i, n in enumerate(curve.threads) if n >= threads - 1e-9), len(curve.threads) - 1)
    before = max(after - 1, 0)
    low, high = curve.threads[before], curve.threads[after]
    share = (threads - low) / (high - low) if high > low else 1.0
    rate = curve.rate[before] + share * (curve.rate[after] - curve.rate[before])
    nearest = after if share > 0.5 or not curve.extrapolated[after] else before
    return rate, curve.extrapolated[after] and curve.extrapolated[nearest]


def _axis(measured: Sequence[MeasuredLevel], curve: FittedCurve, column: Callable[[float], int]) -> str:
    """Return the thread counts below their columns; those that would touch are left out, the ends last."""
    line = [" "] * (WIDTH + 8)
    wanted = [curve.threads[-1], measured[-1].threads, 1, *(one.threads for one in measured)]
    for threads in dict.fromkeys(wanted):
        text = str(threads)
        start = column(threads) - len(text) // 2 + 1
        start = max(start, 0)
        if all(cell == " " for cell in line[max(start - 1, 0) : start + len(text) + 1]):
            line[start : start + len(text)] = text
    return " " * 9 + "".join(line).rstrip()
