# SPDX-License-Identifier: Apache-2.0
"""Launch storms: time per container, phases, and the mount table."""

from collections.abc import Sequence

import altair as alt

from pybench.present.charts import Chart, chart
from pybench.present.charts.cells import bounds, threads_select
from pybench.present.charts.parts import (
    HEIGHT,
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
from pybench.present.charts.phases import phase_bars
from pybench.present.loaded import Loaded, launch_summaries
from pybench.present.numbers import drawable, time_ns, timed

TIMELINE_POINTS = 240
# Shorter phases only measure their own timing.
LEAST_PHASE_NS = 1e4


@chart("launch", title="Time for each container", section="launches", note="95 % intervals")
def launch(files: Sequence[Loaded]) -> Chart:
    """Return the time of one more container over the number launched at once, by strategy, with intervals."""
    rows: list[dict[str, object]] = []
    for label, summary, _ in launch_summaries(files):
        rows.append(
            {
                "series": label,
                "containers": int(summary.cell.params["containers"]),
                **bounds(summary.container_ns),
                "each": timed(summary.container_ns),
                "p99": timed(summary.p99_ns),
                "launched in time": f"{summary.success:.1%}",
                "valid trials": f"{summary.valid} of {summary.trials}",
            }
        )
    if not rows:
        raise ValueError("nothing was launched")
    names = list(dict.fromkeys(str(row["series"]) for row in rows))
    counts = sorted({int(str(row["containers"])) for row in rows})
    x = alt.X(
        "containers:Q",
        title="containers launched at once",
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(values=counts, format="d", grid=False),
    )
    y = alt.Y("y:Q", title="time for each container", scale=alt.Scale(type="log"), axis=time_axis())
    base = alt.Chart().encode(x=x, color=series_colour(names))
    tips = tooltips("series:N", "containers:Q", "each:N", "p99:N", "launched in time:N", "valid trials:N")
    layers = [
        base.mark_line(strokeWidth=1.2, opacity=0.7).encode(y=y),
        base.transform_filter("isValid(datum.low)")
        .mark_rule()
        .encode(y=alt.Y("low:Q", scale=alt.Scale(type="log")), y2=alt.Y2("high:Q")),
        base.mark_point(filled=True, size=70, opacity=1).encode(y=y, shape=series_shape(names), tooltip=tips),
    ]
    return finish(
        layered(layers, data(rows)),
        "Time for each container over the number launched at once, by strategy, with 95 % intervals.",
        series=names,
        hidden=names[MOST_SHOWN:],
        axes={"x": "log", "y": "log"},
        height=HEIGHT,
    )


@chart("launch-phases", title="Time of one container by phase", section="launches")
def launch_phases(files: Sequence[Loaded]) -> Chart:
    """Return the time of one container by phase: wall time, and time on a CPU."""
    rows: list[dict[str, object]] = []
    phases: dict[str, None] = {}
    for label, summary, _ in launch_summaries(files):
        for phase, (wall, cpu) in ((drawable(name), both) for name, both in summary.phases.items()):
            if wall.value < LEAST_PHASE_NS:
                continue
            phases[phase] = None
            row: dict[str, object] = {
                "series": label,
                "at": str(summary.cell.params["containers"]),
                "phase": phase,
            }
            row |= {"wall": rounded(wall.value), "cpu": rounded(cpu.value)}
            rows.append(row | {"wall time": time_ns(wall.value), "on a CPU": time_ns(cpu.value)})
    if not rows:
        raise ValueError("nothing was launched")
    return phase_bars(rows, list(phases), threads_select(rows, "containers"))


@chart("timeline", title="Mount table over one storm", section="launches", note="most containers")
def timeline(files: Sequence[Loaded]) -> Chart:
    """Return the mount table over one storm of each strategy, at the largest number of containers, minus earlier "
    "mounts."""
    found = launch_summaries(files)
    most = max((int(s.cell.params["containers"]) for _, s, _ in found), default=0)
    rows: list[dict[str, object]] = []
    for label, summary, trials in found:
        valid = [trial for trial in trials if trial.valid and trial.outcome.timeline]
        if int(summary.cell.params["containers"]) != most or not valid:
            continue
        timeline = valid[len(valid) // 2].outcome.timeline
        end = max(timeline[-1][0], 1)
        highest: dict[int, tuple[int, int]] = {}
        for ns, value in timeline:
            slot = min(ns * TIMELINE_POINTS // end, TIMELINE_POINTS - 1)
            if slot not in highest or value > highest[slot][1]:
                highest[slot] = (ns, value)
        for ns, value in highest.values():
            rows.append(
                {"series": label, "x": ns, "y": value - summary.base, "since": time_ns(ns)}
                | {"mounts": f"+{value - summary.base}"}
            )
    if not rows:
        raise ValueError("no launch with a timeline")
    names = list(dict.fromkeys(str(row["series"]) for row in rows))
    lines = (
        alt.Chart(data(rows))
        .mark_line(interpolate="step-after", strokeWidth=1.4)
        .encode(
            x=alt.X("x:Q", title="since the storm began", axis=time_axis(grid=False)),
            y=alt.Y("y:Q", title="mounts beyond what was there"),
            color=series_colour(names),
            tooltip=tooltips("series:N", "since:N", "mounts:N"),
        )
    )
    return finish(
        lines,
        "Length of the mount table over one storm.",
        series=names,
        hidden=names[MOST_SHOWN:],
        axes={"x": "linear"},
        height=240,
    )
