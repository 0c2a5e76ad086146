# SPDX-License-Identifier: Apache-2.0
"""Charts of who hands to whom, of transfers between CPUs, of phases, and of launch storms."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain

import altair as alt
import numpy as np
from numpy.typing import NDArray

from pybench.analysis.summary.launches import LaunchSummary, summarize_launches
from pybench.analysis.summary.transfer_matrix import axis, finest, matrix
from pybench.native.outcome import Outcome
from pybench.present.chart_parts import (
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
from pybench.present.charts import Chart, Source, _bounds, _cells, _threads_select, loaded, marked
from pybench.present.loaded import Loaded, label_settings, settings_words
from pybench.present.numbers import drawable, time_ns, timed
from pybench.results.records import Cell, Trial
from pybench.results.transfer_figures import pair_figures
from pybench.results.transfers import TransferFile

MOST_MAPS = 4
MOST_GROUPS = 64
CELL_TEXT = 12
TIMELINE_POINTS = 240


@marked
def handoff_chart(results: Source) -> Chart:
    """A heat map of who hands the lock to whom, by CPU: share of all handoffs, or their mean time."""
    rows: list[dict[str, object]] = []
    names: dict[str, None] = {}
    cells = sorted(_cells(loaded(results)), key=lambda one: -one[0].series.cells[one[1]].cell.threads)
    most = 0
    for line, place, one in cells:
        if len(names) >= MOST_MAPS:
            break
        trials = one.valid[line.series.cells[place].index]
        told = [t.outcome for t in trials if t.outcome.handoffs and t.outcome.members]
        if not told:
            continue
        cpus = told[0].members.cpu if told[0].members else []
        sums = _handed(told, len(cpus))
        total = int(sums[0].sum())
        if not total:
            continue
        threads = line.series.cells[place].cell.threads
        name = f"{line.label}, {threads} threads"
        names[name] = None
        most = max(most, len(cpus))
        for giver, taker in np.argwhere(sums[0]).tolist():
            n, timed_n, ns = sums[:, giver, taker].tolist()
            mean = ns / timed_n if timed_n else math.nan
            rows.append(
                {
                    "cell": name,
                    "giver": giver + 1,
                    "taker": taker + 1,
                    "share": float(f"{100 * n / total:.3g}"),
                    "mean": float(f"{mean:.3g}"),
                    "from": cpus[giver],
                    "to": cpus[taker],
                }
            )
    if not rows:
        raise ValueError("no valid trial with handoffs between threads")
    selects = {
        "cell": ("cell", list(names), next(iter(names))),
        "show": ("colour", ["share of handoffs, %", "mean time, ns"], "share of handoffs, %"),
    }
    base = (
        alt.Chart(data(rows))
        .transform_calculate(value="show == 'mean time, ns' ? datum.mean : datum.share")
        .encode(
            x=alt.X("taker:O", title="to thread", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            y=alt.Y("giver:O", title="from thread", axis=alt.Axis(labelOverlap=True)),
        )
    )
    tips = [
        alt.Tooltip("from:Q", title="from CPU"),
        alt.Tooltip("to:Q", title="to CPU"),
        alt.Tooltip("share:Q", title="share of handoffs, %"),
        alt.Tooltip("mean:Q", title="mean time, ns"),
    ]
    boxes = base.mark_rect().encode(color=_heat("value:Q", "%, or ns"), tooltip=tips)
    return finish(
        boxes,
        "Heat map of lock handoffs from thread to thread, in the order of the placement.",
        selects=selects,
        free=["show"],
        height=min(max(26 * most, 120), 460),
    )


def _handed(told: Sequence[Outcome], members: int) -> NDArray[np.int64]:
    """Sums of count, timed, and ns over trials: (3, giver, taker)."""
    sums = np.zeros((3, members, members), dtype=np.int64)
    known = [pairs for outcome in told if (pairs := outcome.handoffs) and pairs.giver]
    known = [pairs for pairs in known if max(*pairs.giver, *pairs.taker) < members]
    at = (_chained(pairs.giver for pairs in known), _chained(pairs.taker for pairs in known))
    for row, name in enumerate(("count", "timed", "ns")):
        np.add.at(sums[row], at, _chained(getattr(pairs, name) for pairs in known))
    return sums


def _chained(parts: Iterable[Sequence[int]]) -> NDArray[np.int64]:
    return np.fromiter(chain.from_iterable(parts), dtype=np.int64)


def _heat(field: str, title: str, scale: str = "linear") -> alt.Color:
    return alt.Color(
        field,
        title=title,
        scale=alt.Scale(scheme="cividis", type=scale),  # type: ignore[arg-type]
        legend=alt.Legend(orient="bottom", gradientLength=220, format="~s"),
    )


def transfers_chart(file: TransferFile) -> Chart:
    """The core-to-core matrix: one-way transfer of a line, ns, by method."""
    plan = file.header.plan
    most = min(MOST_GROUPS, finest(len(plan.pairs))) if plan.sampled else MOST_GROUPS
    groups = axis(file.topology, plan.cpus, most)
    rows: list[dict[str, object]] = []
    for method in plan.methods:
        values = matrix(groups, pair_figures(file.trials, method))
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
        color=_heat("ns:Q", "ns, one way", "log"), tooltip=tooltips("a:N", "b:N", "transfer:N", "method:N")
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


# ------------------------------------------------------------------------------------------------------- phases


@marked
def phases_chart(results: Source) -> Chart:
    """Mean wall time of each phase of one operation (pale), and what of it was on a CPU (dark)."""
    rows: list[dict[str, object]] = []
    phases: dict[str, None] = {}
    for line, place, _ in _cells(loaded(results), launches=False):
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
    return _phase_bars(rows, list(phases), _threads_select(rows))


def _phase_bars(
    rows: Sequence[dict[str, object]],
    phases: Sequence[str],
    selects: dict[str, tuple[str, list[str], str]],
) -> Chart:
    names = list(dict.fromkeys(str(row["series"]) for row in rows))
    shown = max(len({row["series"] for row in rows if row["at"] == value}) for value in selects["at"][1])
    base = alt.Chart().encode(
        y=alt.Y("series:N", title=None, sort=names, axis=alt.Axis(labelLimit=150)),
        yOffset=alt.YOffset("phase:N", sort=list(phases)),
        color=alt.Color(
            "phase:N",
            title="phase",
            sort=list(phases),
            scale=alt.Scale(domain=list(phases), range=list(_PHASE_COLOURS[: len(phases)])),
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


_PHASE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c8c8c")


# ----------------------------------------------------------------------------------------------------- launches


def launch_summaries(
    files: Sequence[Loaded],
) -> list[tuple[str, LaunchSummary, list[Trial]]]:
    """Label without the number of containers, summary, and trials of each launch cell that was measured."""
    found = []
    cells: list[Cell] = [cell for one in files for cell in one.cells if cell.workload == "launch"]
    shown = [name for name in label_settings(cells) if name != "containers"] if cells else []
    if len({cell.threads for cell in cells}) > 1:
        shown.append("threads")
    for one in files:
        by_cell: dict[int, list[Trial]] = defaultdict(list)
        for trial in one.results.trials:
            by_cell[trial.cell].append(trial)
        for index, cell in enumerate(one.cells):
            if cell.workload != "launch":
                continue
            summary = summarize_launches(cell, by_cell[index])
            if summary:
                words = settings_words(cell, [name for name in shown if name != "threads"])
                words += f" threads={cell.threads}" if "threads" in shown else ""
                prefix = f"{one.name} " if len(files) > 1 else ""
                found.append((drawable(f"{prefix}{words}".strip()) or "launch", summary, by_cell[index]))
    return found


@marked
def launch_chart(results: Source) -> Chart:
    """What one more container costs, over the number launched at once, by strategy, with intervals."""
    rows: list[dict[str, object]] = []
    for label, summary, _ in launch_summaries(loaded(results)):
        rows.append(
            {
                "series": label,
                "containers": int(summary.cell.params["containers"]),
                **_bounds(summary.container_ns),
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


@marked
def launch_phases_chart(results: Source) -> Chart:
    """Where the time of one container goes: wall time of each phase (pale), and what was on a CPU (dark)."""
    rows: list[dict[str, object]] = []
    phases: dict[str, None] = {}
    for label, summary, _ in launch_summaries(loaded(results)):
        for phase, (wall, cpu) in ((drawable(name), both) for name, both in summary.phases.items()):
            # Below 10 us a phase does nothing but be timed.
            if wall.value < 1e4:
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
    return _phase_bars(rows, list(phases), _threads_select(rows, "containers"))


@marked
def timeline_chart(results: Source) -> Chart:
    """The mount table over one storm of each strategy, at the most containers: mounts beyond what was there."""
    found = launch_summaries(loaded(results))
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
