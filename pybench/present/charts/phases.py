# SPDX-License-Identifier: Apache-2.0
"""Mean time of each phase of an operation."""

from collections.abc import Mapping, Sequence

import altair as alt

from pybench.present.charts import Chart, chart
from pybench.present.charts.cells import measured_cells, threads_select
from pybench.present.charts.parts import COLOURS, data, finish, layered, rounded, time_axis, tooltips
from pybench.present.loaded import Loaded
from pybench.present.numbers import drawable, timed


@chart("phases", title="Mean time of each phase", section="phases")
def phases(files: Sequence[Loaded]) -> Chart:
    """Return the mean wall time of each phase of one operation, and its time on a CPU."""
    rows: list[dict[str, object]] = []
    phases: dict[str, None] = {}
    for line, place, _ in measured_cells(files, launches=False):
        cell = line.series.cells[place]
        if len(cell.phases) < 2:
            continue
        for phase, (wall, cpu) in ((drawable(name), both) for name, both in cell.phases.items()):
            if not wall.n:
                continue
            phases[phase] = None
            rows.append(
                {"series": line.label, "at": str(cell.cell.threads), "phase": phase, "wall": rounded(wall.value)}
                | ({"cpu": rounded(cpu.value)} if cpu.n else {})
                | {"wall time": timed(wall, cell.timer_step_ns / 10), "on a CPU": timed(cpu)}
            )
    if not rows:
        raise ValueError("no valid trial with phases")
    return phase_bars(rows, list(phases), threads_select(rows))


def phase_bars(
    rows: Sequence[dict[str, object]],
    phases: Sequence[str],
    selects: Mapping[str, tuple[str, list[str], str]],
) -> Chart:
    """Return bars of wall time, pale, and of time on a CPU, dark."""
    names = list(dict.fromkeys(str(row["series"]) for row in rows))
    shown = max(len({row["series"] for row in rows if row["at"] == value}) for value in selects["at"][1])
    base = alt.Chart().encode(
        y=alt.Y("series:N", title=None, sort=names, axis=alt.Axis(labelLimit=150)),
        yOffset=alt.YOffset("phase:N", sort=list(phases)),
        color=alt.Color(
            "phase:N",
            title="phase",
            sort=list(phases),
            scale=alt.Scale(domain=list(phases), range=list(COLOURS[: len(phases)])),
            legend=alt.Legend(orient="bottom"),
        ),
        tooltip=tooltips("series:N", "phase:N", "wall time:N", "on a CPU:N"),
    )
    x = alt.X("wall:Q", title="mean time in one operation; dark: on a CPU", axis=time_axis())
    layers = [
        base.mark_bar(opacity=0.4).encode(x=x),
        base.transform_filter("isValid(datum.cpu)").mark_bar(height={"band": 0.45}).encode(x=alt.X("cpu:Q")),
    ]
    return finish(
        layered(layers, data(rows)),
        "Mean wall and on-CPU time of each phase.",
        selects=selects,
        height=max(90, shown * (12 * len(phases) + 10)),
    )
