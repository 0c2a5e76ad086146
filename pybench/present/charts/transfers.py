# SPDX-License-Identifier: Apache-2.0
"""Line transfers between CPUs: the core-to-core matrix, for a page and as a picture."""

import altair as alt
import numpy as np

from pybench.analysis.summary.transfer_matrix import Axis, axis, finest, matrix
from pybench.errors import UsageError
from pybench.present.charts import Chart
from pybench.present.charts.parts import data, finish, heat_colour, rounded, tooltips
from pybench.present.labels import bounded
from pybench.present.numbers import drawable, time_ns
from pybench.present.views.transfers import host_of
from pybench.results.latency_file import TransferFile
from pybench.results.latency_summary import pair_latencies

# More groups make squares too small to read, and an SVG of megabytes.
MOST_ON_PAGE, MOST_IN_PICTURE = 64, 96
# A square of a picture, and the largest picture, in pixels.
SQUARE, SIDE = 60, 480
# Squares large enough for their number.
MOST_NUMBERED = 16


def transfers_chart(file: TransferFile) -> Chart:
    """Return the matrix of a page: one-way line transfer in ns, with a choice of the method."""
    groups, rows = _matrices(file, MOST_ON_PAGE)
    if not rows:
        raise ValueError("no valid transfer")
    methods = list(dict.fromkeys(str(row["method"]) for row in rows))
    return finish(
        _squares(groups, rows),
        f"One-way transfer time of a cache line between CPUs; rows and columns: {_names_of(groups)}.",
        selects={"method": ("method", methods, methods[0])},
        height=min(max(30 * len(groups.names), 120), 520),
    )


def transfers_picture(file: TransferFile) -> alt.HConcatChart:
    """Return the matrices of all methods side by side, to one scale. UsageError without a valid measurement."""
    groups, rows = _matrices(file, MOST_IN_PICTURE)
    if not rows:
        raise UsageError("there is nothing to draw", reason="no pair has a valid measurement")
    side = min(SIDE, SQUARE * len(groups.names) + SQUARE)
    panels = [
        _squares(groups, [row for row in rows if row["method"] == drawable(method)]).properties(
            width=side, height=side, title=alt.TitleParams(bounded(method), anchor="start")
        )
        for method in file.header.plan.methods
    ]
    subtitle = "One-way transfer of a cache line, half a round trip; blank: itself, or not measured"
    made: alt.HConcatChart = (
        alt.hconcat(*panels)
        .resolve_scale(color="shared")
        .properties(title=alt.TitleParams(host_of(file.header), subtitle=subtitle, anchor="start"))
        .configure_view(stroke=None)
        .configure_axis(grid=False, domain=False)
    )
    return made


def _matrices(file: TransferFile, most: int) -> tuple[Axis, list[dict[str, object]]]:
    """Return the groups of CPUs, and a row for each square of each method."""
    plan = file.header.plan
    groups = axis(file.topology, plan.cpus, min(most, finest(len(plan.pairs))) if plan.sampled else most)
    rows: list[dict[str, object]] = []
    for method in plan.methods:
        values = matrix(groups, pair_latencies(file.trials, method))
        for i, j in np.argwhere(np.isfinite(values)).tolist():
            square = {"method": drawable(method), "a": groups.names[i], "b": groups.names[j]}
            rows.append(square | {"ns": rounded(values[i, j]), "transfer": time_ns(float(values[i, j]))})
    return groups, rows


def _names_of(groups: Axis) -> str:
    return "CPU" if groups.of == "CPU" else f"{groups.of}, by its first CPU"


def _squares(groups: Axis, rows: list[dict[str, object]]) -> Chart:
    """Return the heat map of the rows, with numbers where there is room."""
    names = _names_of(groups)
    base = alt.Chart(data(rows)).encode(
        x=alt.X("b:O", title=names, sort=groups.names, axis=alt.Axis(labelAngle=0, labelOverlap=True)),
        y=alt.Y("a:O", title=names, sort=groups.names, axis=alt.Axis(labelOverlap=True)),
    )
    squares: alt.Chart = base.mark_rect().encode(
        color=heat_colour("ns:Q", "ns, one way", "log"), tooltip=tooltips("a:N", "b:N", "transfer:N", "method:N")
    )
    if len(groups.names) > MOST_NUMBERED:
        return squares
    # White on a dark outline is legible on every colour.
    outline = base.mark_text(stroke="#000", strokeWidth=2.5, strokeOpacity=0.55, fill="#fff", fontWeight="bold")
    number = base.mark_text(fill="#fff", fontWeight="bold")
    text = alt.Text("transfer:N")
    return alt.LayerChart(layer=[squares, outline.encode(text=text), number.encode(text=text)])
