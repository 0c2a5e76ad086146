# SPDX-License-Identifier: Apache-2.0
"""Line transfers between CPUs."""

import altair as alt
import numpy as np

from pybench.analysis.summary.transfer_matrix import axis, finest, matrix
from pybench.present.charts import Chart
from pybench.present.charts.parts import data, finish, heat_colour, rounded, tooltips
from pybench.present.numbers import time_ns
from pybench.results.latency_file import TransferFile
from pybench.results.latency_summary import pair_latencies

MOST_GROUPS = 64
# Cells large enough for their number.
CELL_TEXT = 12


def transfers_chart(file: TransferFile) -> Chart:
    """Return the core-to-core matrix: one-way transfer of a line in ns, by method."""
    plan = file.header.plan
    most = min(MOST_GROUPS, finest(len(plan.pairs))) if plan.sampled else MOST_GROUPS
    groups = axis(file.topology, plan.cpus, most)
    rows: list[dict[str, object]] = []
    for method in plan.methods:
        values = matrix(groups, pair_latencies(file.trials, method))
        for i, j in np.argwhere(np.isfinite(values)).tolist():
            rows.append(
                {"method": method, "a": groups.names[i], "b": groups.names[j], "ns": rounded(values[i, j])}
                | {"transfer": time_ns(float(values[i, j]))}
            )
    if not rows:
        raise ValueError("no valid transfer")
    methods = list(dict.fromkeys(str(row["method"]) for row in rows))
    word = "CPU" if groups.of == "CPU" else f"{groups.of}, by its first CPU"
    base = alt.Chart(data(rows)).encode(
        x=alt.X("b:O", title=word, sort=groups.names, axis=alt.Axis(labelAngle=0, labelOverlap=True)),
        y=alt.Y("a:O", title=word, sort=groups.names, axis=alt.Axis(labelOverlap=True)),
    )
    chart: Chart = base.mark_rect().encode(
        color=heat_colour("ns:Q", "ns, one way", "log"), tooltip=tooltips("a:N", "b:N", "transfer:N", "method:N")
    )
    if len(groups.names) <= CELL_TEXT:
        words = base.mark_text(stroke="#000", strokeWidth=2.5, strokeOpacity=0.55, fill="#fff", fontWeight="bold")
        shade = words.encode(text=alt.Text("transfer:N"))
        chart = alt.LayerChart(
            layer=[
                chart,
                shade,
                base.mark_text(fill="#fff", fontWeight="bold").encode(text=alt.Text("transfer:N")),
            ]
        )
    return finish(
        chart,
        f"Transfer time of a cache line between CPUs; rows and columns: {word}.",
        selects={"method": ("method", methods, methods[0])},
        height=min(max(30 * len(groups.names), 120), 520),
    )
