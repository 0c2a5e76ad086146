# SPDX-License-Identifier: Apache-2.0
"""Charts of sweeps, made with Vega-Altair: `scaling_chart(results)` and its like return an Altair chart.

Each takes `read()` results, or what `loaded.load()` made of them. ValueError if the files hold nothing to draw.
"""

import functools
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, cast

import altair as alt
import numpy as np

from pybench import native
from pybench.present.chart_parts import (
    DASHED,
    MOST_SHOWN,
    count_axis,
    data,
    finish,
    layered,
    rounded,
    series_colour,
    series_shape,
    thread_axis,
    time_axis,
    tooltips,
)
from pybench.present.loaded import Line, Loaded, load
from pybench.present.numbers import count, counted, ratio, time_ns, timed
from pybench.present.provenance import chart_title
from pybench.results.columns import CellColumns, absolute
from pybench.results.records import Trial
from pybench.results.store import Results
from pybench.stats.estimate import Floats, Interval, weighted_percentile_from_histogram
from pybench.workloads import workload

Chart = alt.LayerChart | alt.Chart
Source = Sequence[Results] | Sequence[Loaded]

LOG_SPAN = 50.0  # a linear axis hides what is so many times smaller than the largest
PERCENTILES = np.array(
    [0, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.75, 99.9, 99.95, 99.99, 99.995, 99.999, 99.9995, 99.9999]
)
# Curves of latency and bars of phases: enough for any sweep that a person reads, and a bound for all others.
MOST_CELLS = 240
MOST_POINTS = 1500
# Of the words that say simulated: legible on both pages.
MARK = "#c2410c"


def loaded(source: Source) -> list[Loaded]:
    """Files that were read, loaded; files that were loaded, as they are."""
    return (
        [one if isinstance(one, Loaded) else load([one])[0] for one in source]
        if _ready(source)
        else load(cast(Sequence[Results], source))
    )


def _ready(source: Source) -> bool:
    return all(isinstance(one, Loaded) for one in source)


def scaling_lines(source: Source, only: str = "") -> list[Line]:
    """The lines with a figure, without launches, which are counted by containers and not by threads."""
    return [
        line
        for one in loaded(source)
        for line in one.lines
        if line.workload != "launch"
        and only in ("", line.workload)
        and any(cell.valid and cell.throughput.value > 0 for cell in line.series.cells)
    ]


def marked(make: Callable[..., Chart]) -> Callable[..., Chart]:
    """A chart of files of which some are simulated says so in its title."""

    @functools.wraps(make)
    def made(results: Source, *args: Any, **named: Any) -> Chart:
        files = loaded(results)
        chart = make(files, *args, **named)
        words = chart_title([one.results.header for one in files])
        if not words:
            return chart
        chart.title = alt.TitleParams(text=words, anchor="start", color=MARK)
        chart.description = f"{words}. {chart.description}"
        return chart

    return made


@marked
def scaling_chart(results: Source, only: str = "") -> Chart:
    """Throughput over threads with 95 % intervals and the best model, extrapolated dashed.

    Several workloads have no common unit: then speedup over the fewest threads. `only` takes one workload.
    """
    lines = scaling_lines(results, only)
    if not lines:
        raise ValueError("no valid trial of a workload that scales over threads")
    workloads = list(dict.fromkeys(line.workload for line in lines))
    speedup = len(workloads) > 1
    points: list[dict[str, object]] = []
    fits: list[dict[str, object]] = []
    for line in lines:
        base = next(cell.throughput.value for cell in line.series.cells if cell.throughput.value > 0)
        for cell in line.series.cells:
            if not cell.valid or not cell.throughput.value > 0:
                continue
            shown = cell.speedup if speedup else cell.throughput
            points.append(
                {
                    "series": line.label,
                    "threads": cell.cell.threads,
                    **_bounds(shown),
                    "ops/s": counted(cell.throughput),
                    "speedup": ratio(cell.speedup),
                    "p99": timed(cell.p99_ns, cell.timer_step_ns),
                    "valid trials": f"{cell.valid} of {cell.trials}",
                }
            )
        fits += _fit_rows(line, base if speedup else 1.0)
    names = [line.label for line in lines]
    values = [float(str(point["y"])) for point in points]
    scale = "log" if max(values) > LOG_SPAN * min(values) else "linear"
    unit = f"{workload(workloads[0]).operation} a second"
    title = "speedup over the fewest threads" if speedup else unit
    counts = [cell.cell.threads for line in lines for cell in line.series.cells if cell.valid]
    x = alt.X("threads:Q", title="threads", scale=alt.Scale(type="log", nice=False), axis=thread_axis(counts))
    kind = alt.Scale(type=scale)  # type: ignore[arg-type]
    # A speedup of 0.02 is no 20m.
    y = alt.Y("y:Q", title=title, scale=kind, axis=alt.Axis(format="~g") if speedup else count_axis())
    colour, shape = series_colour(names), series_shape(names)
    tips = tooltips("series:N", "threads:Q", "ops/s:N", "speedup:N", "p99:N", "valid trials:N")
    layers: list[alt.Chart] = []
    if fits:
        fitted = alt.Chart(data(fits)).encode(x=x, color=colour)
        band = fitted.transform_filter("datum.part == 'fit'").mark_area(opacity=0.13)
        layers.append(band.encode(y=alt.Y("low:Q", scale=kind, title=title), y2=alt.Y2("high:Q")))
        for part, dash in (("fit", [1, 0]), ("beyond", DASHED)):
            drawn = fitted.transform_filter(f"datum.part == '{part}'").mark_line(strokeWidth=1.8, strokeDash=dash)
            layers.append(drawn.encode(y=y, tooltip=tooltips("series:N", "model:N", "threads:Q")))
    measured = alt.Chart(data(points)).encode(x=x, color=colour)
    if len(fits) < len(names):
        have = {str(row["series"]) for row in fits}
        bare = [point for point in points if point["series"] not in have]
        if bare:
            joined = alt.Chart(data(bare)).mark_line(strokeWidth=1, opacity=0.6).encode(x=x, y=y, color=colour)
            layers.append(joined)
    layers.append(
        measured.transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=1.5)
        .encode(y=alt.Y("low:Q", scale=kind, title=title), y2=alt.Y2("high:Q"))
    )
    layers.append(measured.mark_point(filled=True, size=70, opacity=1).encode(y=y, shape=shape, tooltip=tips))
    return finish(
        layered(layers),
        f"{title} over threads: points are medians with 95 % intervals, lines the best model of each curve, "
        "dashed where it is extrapolated.",
        series=names,
        hidden=names[MOST_SHOWN:],
        axes={"x": "log", "y": scale},
    )


def _bounds(shown: Interval) -> dict[str, object]:
    found: dict[str, object] = {"y": rounded(shown.value)}
    return found | ({"low": rounded(shown.low), "high": rounded(shown.high)} if shown.known else {})


def _fit_rows(line: Line, base: float) -> list[dict[str, object]]:
    """The curve of a line's model: measured range, then what is beyond, from the last point measured."""
    if line.fits is None or not line.fits.models:
        return []
    fit = line.fits.models[0]
    curve = fit.curve
    rows: list[dict[str, object]] = []
    inside = [i for i, beyond in enumerate(curve.extrapolated) if not beyond]
    for i, threads in enumerate(curve.threads):
        if i > inside[-1] and threads > curve.threads[inside[-1]] * 1.6:
            break
        parts = ["beyond" if i > inside[-1] else "fit"] + (["beyond"] if i == inside[-1] else [])
        for part in parts if i >= inside[0] else []:
            rows.append(
                {
                    "series": line.label,
                    "part": part,
                    "model": fit.title + (" (extrapolated)" if part == "beyond" else ""),
                    "threads": threads,
                    "y": rounded(curve.rate[i] / base),
                    "low": rounded(curve.low[i] / base),
                    "high": rounded(curve.high[i] / base),
                }
            )
    return rows


# ------------------------------------------------------------------------------------------------------ latency


def _cells(files: Sequence[Loaded], launches: bool | None = None) -> list[tuple[Line, int, Loaded]]:
    """Line, place of the cell in it, and its file; of all cells that have valid trials, at most MOST_CELLS."""
    found = [
        (line, place, one)
        for one in files
        for line in one.lines
        if launches is None or (line.workload == "launch") is launches
        for place, cell in enumerate(line.series.cells)
        if cell.index in one.valid
    ]
    return found[:MOST_CELLS]


def merged_histogram(cell: CellColumns) -> tuple[Floats, Floats]:
    """Middles of the buckets that were hit, ns, and their counts, over all valid trials of a cell."""
    buckets, times, _ = absolute(cell)
    counts = np.bincount(buckets, weights=times).astype(np.float64)
    hit = np.flatnonzero(counts)
    return np.asarray(native.histogram_values()[hit], dtype=np.float64), counts[hit]


def _threads_select(
    rows: Sequence[dict[str, object]], word: str = "threads"
) -> dict[str, tuple[str, list[str], str]]:
    values = sorted({int(str(row["at"])) for row in rows})
    return {"at": (word, [str(value) for value in values], str(values[-1]))}


@marked
def latency_chart(results: Source) -> Chart:
    """Latency by percentile, both logarithmic, from the valid trials' histograms merged by cell."""
    rows: list[dict[str, object]] = []
    names: dict[str, None] = {}
    for line, place, one in _cells(loaded(results)):
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
        "Latency of one operation by percentile, a line a series.",
        series=every,
        hidden=every[MOST_SHOWN:],
        axes={"y": "log"},
        selects=_threads_select(rows),
    )


# ----------------------------------------------------------------------------------------------------- fairness


@marked
def fairness_chart(results: Source) -> Chart:
    """Jain's index over threads with intervals; the dotted line is one thread taking all."""
    rows: list[dict[str, object]] = []
    for line in scaling_lines(results):
        for cell in line.series.cells:
            if cell.valid and cell.cell.threads > 1:
                rows.append(
                    {"series": line.label, "threads": cell.cell.threads, **_bounds(cell.jain)}
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


@marked
def shares_chart(results: Source) -> Chart:
    """Each CPU's operations over the even share: who wins and who starves. Medians over the valid trials."""
    rows: list[dict[str, object]] = []
    for line, place, one in _cells(loaded(results), launches=False):
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
        selects=_threads_select(rows),
        height=240,
    )


# ------------------------------------------------------------------------------------------------------- trials


@marked
def trials_chart(results: Source) -> Chart:
    """Every trial in the order they ran, over its cell's median: drift, modes, and what was flagged.

    Of more than MOST_POINTS trials every so many-th is drawn, flagged ones first.
    """
    rows: list[dict[str, object]] = []
    for one in loaded(results):
        medians = {
            cell.index: (line.label, cell.throughput.value) for line in one.lines for cell in line.series.cells
        }
        told = [t for t in one.results.trials if t.figures and t.cell in medians]
        # Where no trial of a cell is valid, its flagged ones are all there is to show.
        invalid: dict[int, list[float]] = defaultdict(list)
        for trial in told:
            if trial.figures and not medians[trial.cell][1] > 0:
                invalid[trial.cell].append(trial.figures.throughput)
        for index, rates in invalid.items():
            medians[index] = (medians[index][0], float(np.median(rates)))
        flagged, valid = _sampled([t for t in told if t.flags], 500), [t for t in told if not t.flags]
        for trial in [*flagged, *_sampled(valid, MOST_POINTS - len(flagged))]:
            label, median = medians[trial.cell]
            if trial.figures is None or not median > 0:
                continue
            rows.append(
                {
                    "state": "flagged" if trial.flags else "valid",
                    "trial": trial.sequence,
                    "y": rounded(trial.figures.throughput / median),
                    "series": label,
                    "threads": trial.threads,
                    "figure": f"{count(trial.figures.throughput)}/s",
                    "flags": ", ".join(trial.flags) or "none",
                }
            )
    if not rows:
        raise ValueError("no trial with a figure")
    states = ["valid", "flagged"]
    dots = (
        alt.Chart(data(rows))
        .mark_point(filled=True, opacity=0.75, size=34)
        .encode(
            x=alt.X("trial:Q", title="trial, in the order they ran", axis=alt.Axis(grid=False)),
            y=alt.Y("y:Q", title="throughput over its cell's median", scale=alt.Scale(zero=False)),
            color=alt.Color(
                "state:N",
                title=None,
                scale=alt.Scale(domain=states, range=["#0072b2", "#d55e00"]),
                legend=alt.Legend(orient="bottom"),
            ),
            shape=alt.Shape("state:N", title=None, scale=alt.Scale(domain=states, range=["circle", "cross"])),
            tooltip=tooltips("series:N", "threads:Q", "figure:N", "flags:N", "trial:Q"),
        )
    )
    return finish(dots, "Throughput of each trial over its cell's median.", axes={"y": "linear"}, height=220)


def _sampled(trials: Sequence[Trial], most: int) -> list[Trial]:
    return list(trials[:: max(1, math.ceil(len(trials) / max(most, 1)))])
