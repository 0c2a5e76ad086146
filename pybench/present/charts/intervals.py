# SPDX-License-Identifier: Apache-2.0
"""Estimates with intervals over a quantity, as lines; not a chart of result files."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import altair as alt

from pybench.present.charts.parts import (
    COLOURS,
    DASHED,
    Rows,
    count_axis,
    data,
    finish,
    layered,
    rounded,
    series_colour,
    series_shape,
    time_axis,
    tooltips,
)

HEIGHT = 250


class IntervalPoint(NamedTuple):
    """An estimate at `x`; `low` and `high` are NaN without an interval, `text` is for the tooltip."""

    series: str
    x: float
    value: float
    low: float
    high: float
    text: str
    dashed: bool = False


def interval_chart(
    points: Sequence[IntervalPoint],
    *,
    x: str,
    y: str,
    description: str,
    time: bool,
    log: bool,
    limit: float | None = None,
    limit_says: str = "",
) -> alt.LayerChart:
    """Return a line with intervals for each series over the values of `x`, dashed if its points are.

    `time` says that values are in ns, `log` that both axes are logarithmic. `limit` is a horizontal line.
    """
    names = list(dict.fromkeys(point.series for point in points))
    xs = sorted({point.x for point in points})
    scale = alt.Scale(type="log" if log else "linear")
    rows: Rows = [
        {
            "series": point.series,
            "dashed": "yes" if point.dashed else "no",
            "x": rounded(point.x),
            "y": rounded(point.value),
            "low": None if math.isnan(point.low) else rounded(point.low),
            "high": None if math.isnan(point.high) else rounded(point.high),
            "result": point.text,
        }
        for point in points
    ]
    ticks = alt.Axis(values=xs, format=".2~s", grid=False, labelOverlap="greedy")
    base = alt.Chart(data(rows)).encode(
        x=alt.X("x:Q", title=x, scale=alt.Scale(type="log" if log else "linear", nice=False), axis=ticks),
        color=series_colour(names),
    )
    height = alt.Y("y:Q", title=y, scale=scale, axis=time_axis() if time else count_axis())
    layers: list[alt.Chart] = []
    for dashed, dash in ((False, [1, 0]), (True, DASHED)):
        if any(point.dashed == dashed for point in points):
            kept = base.transform_filter(f"datum.dashed == '{'yes' if dashed else 'no'}'")
            layers.append(kept.mark_line(strokeWidth=1.8, strokeDash=dash).encode(y=height, detail="series:N"))
    bars = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.6, opacity=0.8)
    layers.append(bars.encode(y=alt.Y("low:Q", title=y), y2="high:Q"))
    dots = base.mark_point(filled=True, size=55, opacity=1)
    layers.append(
        dots.encode(y=height, shape=series_shape(names), tooltip=tooltips("series:N", "x:Q", "result:N"))
    )
    if limit is not None:
        line = alt.Chart(data([{"y": limit, "says": limit_says, "x": xs[0], "series": names[0]}]))
        layers.append(line.mark_rule(strokeDash=[2, 3], color=COLOURS[1]).encode(y="y:Q"))
        words = line.mark_text(align="left", dy=-6, dx=4, color=COLOURS[1], fontSize=12)
        layers.append(words.encode(y="y:Q", x="x:Q", text="says:N"))
    made = finish(
        layered(layers), description, series=names, axes={"y": "log" if log else "linear"}, height=HEIGHT
    )
    assert isinstance(made, alt.LayerChart)
    return made
