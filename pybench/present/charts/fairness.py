# SPDX-License-Identifier: Apache-2.0
"""Fairness: Jain's index over threads, and the share of each CPU."""

from collections.abc import Sequence

import altair as alt
import numpy as np

from pybench.present.charts import Chart, chart
from pybench.present.charts.cells import bounds, measured_cells, scaling_lines, threads_select
from pybench.present.charts.parts import (
    MOST_SHOWN,
    data,
    finish,
    layered,
    rounded,
    series_colour,
    series_shape,
    thread_axis,
    tooltips,
)
from pybench.present.loaded import Loaded


@chart("fairness", title="Fairness over threads", section="fairness", note="dotted: one thread takes all")
def fairness(files: Sequence[Loaded]) -> Chart:
    """Return Jain's index over threads with intervals; the dotted line is one thread taking all."""
    rows: list[dict[str, object]] = []
    for line in scaling_lines(files):
        for cell in line.series.cells:
            if cell.valid and cell.cell.threads > 1:
                rows.append(
                    {"series": line.label, "threads": cell.cell.threads, **bounds(cell.jain)}
                    | {"Jain": f"{cell.jain.value:.2f}"}
                )
    if not rows:
        raise ValueError("no valid trial with more than one thread")
    names = list(dict.fromkeys(str(row["series"]) for row in rows))
    counts = [int(str(row["threads"])) for row in rows]
    x = alt.X("threads:Q", title="threads", scale=alt.Scale(type="log", nice=False), axis=thread_axis(counts))
    y = alt.Y("y:Q", title="Jain's index (1: fair)", scale=alt.Scale(domain=[0, 1]))
    measured = alt.Chart(data(rows)).encode(x=x, color=series_colour(names))
    limit = alt.Chart(data([{"series": "", "threads": n, "y": 1 / n} for n in sorted(set(counts))]))
    layers = [
        limit.mark_line(strokeDash=[2, 3], color="#888").encode(x=x, y=y),
        measured.mark_line(strokeWidth=1.2, opacity=0.7).encode(y=y),
        measured.transform_filter("isValid(datum.low)").mark_rule().encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q")),
        measured.mark_point(filled=True, size=60, opacity=1).encode(
            y=y, shape=series_shape(names), tooltip=tooltips("series:N", "threads:Q", "Jain:N")
        ),
    ]
    return finish(
        layered(layers),
        "Jain's fairness index over threads.",
        series=names,
        hidden=names[MOST_SHOWN:],
        axes={"x": "log"},
        height=240,
    )


@chart("shares", title="Share of each CPU", section="fairness", note="medians over valid trials")
def shares(files: Sequence[Loaded]) -> Chart:
    """Return each CPU's operations over an even share: medians over the valid trials."""
    rows: list[dict[str, object]] = []
    for line, place, one in measured_cells(files, launches=False):
        cell = line.series.cells[place].cell
        every = [t.outcome.members for t in one.valid[line.series.cells[place].index]]
        told = [m for m in every if m and len(m.cpu) > 1]
        told = [m for m in told if not m.role and len(m.cpu) == len(told[0].cpu)]
        if not told or len(rows) > 6000:
            continue
        operations = np.array([m.operations for m in told])
        shares = operations / np.maximum(operations.mean(axis=1, keepdims=True), 1e-9)
        for turn, (cpu, share) in enumerate(zip(told[0].cpu, np.median(shares, axis=0).tolist(), strict=True), 1):
            rows.append(
                {"series": line.label, "at": str(cell.threads), "turn": turn, "CPU": cpu, "y": rounded(share)}
                | {"share": f"{share:.2f} of an even share"}
            )
    if not rows:
        raise ValueError("no valid trial with more than one thread")
    names = list(dict.fromkeys(str(row["series"]) for row in rows))
    x = alt.X("turn:Q", title="thread, in the order of the placement", axis=alt.Axis(tickMinStep=1, grid=False))
    y = alt.Y("y:Q", title="operations over an even share", scale=alt.Scale(zero=True))
    base = alt.Chart(data(rows)).encode(x=x, y=y, color=series_colour(names))
    dots = base.mark_point(filled=True, size=45, opacity=0.9).encode(
        shape=series_shape(names), tooltip=tooltips("series:N", "CPU:Q", "share:N")
    )
    return finish(
        dots,
        "Operations of each thread over an even share.",
        series=names,
        hidden=names[MOST_SHOWN:],
        axes={"y": "linear"},
        selects=threads_select(rows),
        height=240,
    )
