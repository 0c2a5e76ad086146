# SPDX-License-Identifier: Apache-2.0
"""Latency by percentile."""

from collections.abc import Sequence

import altair as alt
import numpy as np

from pybench import native
from pybench.present.charts import Chart, chart
from pybench.present.charts.cells import measured_cells, threads_select
from pybench.present.charts.parts import (
    MOST_SHOWN,
    data,
    finish,
    layered,
    rounded,
    series_colour,
    series_shape,
    time_axis,
    tooltips,
)
from pybench.present.loaded import Loaded
from pybench.present.numbers import time_ns
from pybench.results.columns import CellColumns, absolute
from pybench.stats.estimate import Floats, weighted_percentile_from_histogram
from pybench.workloads import workload

PERCENTILES = np.array(
    [0, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.75, 99.9, 99.95, 99.99, 99.995, 99.999, 99.9995, 99.9999]
)


def merged_histogram(cell: CellColumns) -> tuple[Floats, Floats]:
    """Return the middles of the buckets that were hit, in ns, and their counts, over a cell's valid trials."""
    buckets, times, _ = absolute(cell)
    counts = np.bincount(buckets, weights=times).astype(np.float64)
    hit = np.flatnonzero(counts)
    return np.asarray(native.histogram_values()[hit], dtype=np.float64), counts[hit]


@chart("latency", title="Latency by percentile", section="latency")
def latency(files: Sequence[Loaded]) -> Chart:
    """Return latency by percentile, both logarithmic, from the valid trials' histograms merged by cell."""
    rows: list[dict[str, object]] = []
    names: dict[str, None] = {}
    for line, place, one in measured_cells(files):
        index, name = line.series.cells[place].index, workload(line.workload).latency
        phases = [t.outcome.phases[name] for t in one.valid[index] if name in t.outcome.phases]
        values, counts = merged_histogram(one.columns.cells[index])
        if not values.size:
            continue
        calls, most = one.columns.cells[index].calls, float(max(phase.max_ns for phase in phases))
        told = [float(p) for p in PERCENTILES if (1 - p / 100) * calls >= 1]
        found = weighted_percentile_from_histogram(values, counts, told)
        names[line.label] = None
        step = line.series.cells[place].timer_step_ns
        points = [*zip(told, found.tolist(), strict=True), (100 * (1 - 1 / max(calls, 2)), most)]
        for percentile, ns in points:
            last = ns == most and percentile == points[-1][0]
            rows.append(
                {
                    "series": line.label,
                    "at": str(line.series.cells[place].cell.threads),
                    "x": rounded(1 / (1 - percentile / 100)),
                    "y": rounded(max(min(ns, most), step, 0.5)),
                    "percentile": "longest" if last else f"p{percentile:g}",
                    "latency": time_ns(min(ns, most), step),
                }
            )
    if not rows:
        raise ValueError("no valid trial with a latency")
    every = list(names)
    x = alt.X(
        "x:Q",
        title="percentile (each step right: ten times rarer)",
        scale=alt.Scale(type="log"),
        axis=alt.Axis(
            values=[1, 2, 10, 100, 1000, 10_000, 100_000, 1_000_000],
            labelExpr="datum.value <= 1 ? 'p0' : datum.value <= 2 ? 'p50' : "
            "'p' + format(100 * (1 - 1 / datum.value), '~r')",
        ),
    )
    y = alt.Y("y:Q", title="latency of one operation", scale=alt.Scale(type="log"), axis=time_axis())
    base = alt.Chart().encode(x=x, y=y, color=series_colour(every))
    layers = [
        base.mark_line(strokeWidth=1.8, interpolate="monotone"),
        base.mark_point(filled=True, size=32, opacity=1).encode(
            shape=series_shape(every), tooltip=tooltips("series:N", "percentile:N", "latency:N", "at:N")
        ),
    ]
    return finish(
        layered(layers, data(rows)),
        "Latency of one operation by percentile, a line per series.",
        series=every,
        hidden=every[MOST_SHOWN:],
        axes={"y": "log"},
        selects=threads_select(rows),
    )
