# SPDX-License-Identifier: Apache-2.0
"""Building blocks of all charts: colours that colour-blind eyes can distinguish, axes with units, page controls.

The `usermeta` of a chart lists what a page may offer with it: series to choose, axes that may be linear or
logarithmic, and selections. Without a page (PNG, SVG, a notebook) the chart shows its first state.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

import altair as alt

from pybench.present.numbers import drawable

# Okabe and Ito's colours without black and yellow, which vanish on a dark or a white page.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c8c8c")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross")
DASHED = [5, 4]
HEIGHT = 320
# More series at first are too dense to read; the others are a click away.
MOST_SHOWN = 8

Rows = Sequence[Mapping[str, object]]

TIME_LABEL = (
    "datum.value >= 1e9 ? format(datum.value / 1e9, '~g') + ' s' : "
    "datum.value >= 1e6 ? format(datum.value / 1e6, '~g') + ' ms' : "
    "datum.value >= 1e3 ? format(datum.value / 1e3, '~g') + ' us' : format(datum.value, '~g') + ' ns'"
)


def data(rows: Rows) -> alt.InlineData:
    """Return rows as a CSV table inside the chart: a third of the size of objects, and quickly checked.

    Values that are not numbers are left empty, and read as null.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns: list[list[object]] = []
    parse: dict[str, str] = {}
    for name in names:
        column = [row.get(name) for row in rows]
        if all(isinstance(value, (int, float, NoneType)) for value in column):
            parse[name] = "number"
            columns.append([None if isinstance(value, float) and math.isnan(value) else value for value in column])
        else:
            parse[name] = "string"
            # Few distinct words, each many times.
            drawn = {value: drawable(value) if isinstance(value, str) else value for value in set(column)}
            columns.append([drawn[value] for value in column])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(zip(*columns, strict=True))
    return alt.InlineData(values=text.getvalue(), format=alt.CsvDataFormat(type="csv", parse=parse))


def layered(layers: Sequence[alt.Chart], table: alt.InlineData | None = None) -> alt.LayerChart:
    """Return the layers of one chart; `table`: the data that all layers draw, if they have none of their own.

    Unlike `alt.LayerChart(layer=layers)`, it does not copy each layer twice.
    """
    chart = alt.LayerChart() if table is None else alt.LayerChart(data=table)
    chart.layer = list(layers)
    return chart


def rounded(value: float) -> float:
    """Return a value with six digits: more cannot be seen."""
    return float(f"{value:.6g}")


def colour_of(index: int) -> str:
    """Return the colour of the series at this index."""
    return COLOURS[index % len(COLOURS)]


def shape_of(index: int) -> str:
    """Return the shape of the series at this index; with the colour it is unique among 35 series."""
    return SHAPES[index % len(SHAPES)]


def series_colour(names: Sequence[str], title: str = "series") -> alt.Color:
    """Return the colour channel of named series."""
    return alt.Color(
        "series:N",
        title=title,
        scale=alt.Scale(domain=list(names), range=[colour_of(i) for i in range(len(names))]),
        legend=alt.Legend(orient="bottom", columns=2, labelLimit=400, symbolLimit=40, symbolOpacity=1),
    )


def series_shape(names: Sequence[str], title: str = "series") -> alt.Shape:
    """Return the shape channel of named series, which shares the legend of the colours."""
    return alt.Shape(
        "series:N",
        title=title,
        scale=alt.Scale(domain=list(names), range=[shape_of(i) for i in range(len(names))]),
        legend=alt.Legend(orient="bottom", columns=2, labelLimit=400, symbolLimit=40, symbolOpacity=1),
    )


def tooltips(*fields: str) -> list[alt.Tooltip]:
    """Return what a mark shows when pointed at. Text alone would do, but takes Altair 50 ms each."""
    return [alt.Tooltip(field) for field in fields]


def time_axis(**more: Any) -> alt.Axis:
    """Return an axis in ns whose labels have the unit that fits."""
    return alt.Axis(labelExpr=TIME_LABEL, labelOverlap="greedy", **more)


def count_axis(**more: Any) -> alt.Axis:
    """Return an axis of counts: 150k, 1.2M."""
    # Vega gives zero the prefix of the other labels.
    return alt.Axis(format="~s", labelExpr="datum.value ? datum.label : '0'", **more)


def thread_axis(counts: Sequence[int]) -> alt.Axis:
    """Return an axis with ticks at the measured counts, or at about every doubling where they are dense."""
    ticks: list[int] = []
    for count in sorted(set(counts)):
        if not ticks or count >= ticks[-1] * 1.45 or (len(counts) <= 8 and count > ticks[-1]):
            ticks.append(count)
    if counts and ticks[-1] != max(counts):
        ticks = [*(ticks[:-1] if max(counts) < ticks[-1] * 1.25 else ticks), max(counts)]
    return alt.Axis(values=ticks, format="d", grid=False)


def finish(
    chart: alt.LayerChart | alt.Chart,
    description: str,
    *,
    series: Sequence[str] = (),
    hidden: Sequence[str] = (),
    axes: Mapping[str, str] | None = None,
    selects: Mapping[str, tuple[str, Sequence[str], str]] | None = None,
    free: Sequence[str] = (),
    height: int | None = None,
) -> alt.LayerChart | alt.Chart:
    """Give a chart its description, its size, and what a page may offer with it.

    `series` are chosen through the parameter `hidden`; `axes` maps a channel to the scale it begins with;
    `selects` maps a parameter to its label, its values, and the value shown first. Each keeps the rows whose field
    of that name has the value, except for parameters in `free`, which the chart uses itself.
    """
    offers: dict[str, object] = {"axes": dict(axes or {})}
    offers["series"] = [
        {"name": name, "colour": colour_of(i), "shape": shape_of(i), "on": name not in hidden}
        for i, name in enumerate(series)
    ]
    offers["selects"] = [
        {"param": name, "label": label, "values": list(values), "value": value}
        for name, (label, values, value) in (selects or {}).items()
    ]
    # In place: each of Altair's own methods would copy the whole chart.
    params: dict[str, object] = {"hidden": list(hidden)} if series else {}
    params |= {name: value for name, (_, _, value) in (selects or {}).items()}
    if params:
        chart.params = [alt.VariableParameter(name=name, value=value) for name, value in params.items()]
    filters = ["indexof(hidden, datum.series) < 0"] if series else []
    filters += [f"datum.{name} == {name}" for name in selects or {} if name not in free]
    # A layer with data of its own ignores its parent's transforms.
    apart = isinstance(chart, alt.LayerChart) and chart.data is alt.Undefined
    for part in chart.layer if apart else [chart]:
        before = [] if part.transform is alt.Undefined else part.transform
        if filters:
            part.transform = [*before, *(alt.FilterTransform(filter=words) for words in filters)]
    chart.width = 640
    chart.height = HEIGHT if height is None else height
    chart.description = description
    chart.usermeta = {"pybench": offers}
    chart.config = alt.Config(view=alt.ViewConfig(stroke=None))
    return chart


def heat_colour(field: str, title: str, scale: str = "linear") -> alt.Color:
    """Return the colour channel of a heat map."""
    return alt.Color(
        field,
        title=title,
        scale=alt.Scale(scheme="cividis", type=scale),  # type: ignore[arg-type]
        legend=alt.Legend(orient="bottom", gradientLength=220, format="~s"),
    )
