# SPDX-License-Identifier: Apache-2.0
"""Throughput, or speedup, over threads, with the best model of each curve."""

from collections.abc import Sequence

import altair as alt

from pybench.present.charts import Chart, chart
from pybench.present.charts.cells import bounds, scaling_lines
from pybench.present.charts.parts import (
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
    tooltips,
)
from pybench.present.loaded import Line, Loaded
from pybench.present.numbers import counted, ratio, timed
from pybench.workloads import workload

# A larger span needs a logarithmic axis: on a linear one small values vanish.
LOG_SPAN = 50.0


@chart(
    "scaling",
    title="Throughput over threads",
    section="",
    note="points: medians, 95 % intervals; lines: best model, dashed where extrapolated",
)
def scaling(files: Sequence[Loaded]) -> Chart:
    """Return the curves of all workloads."""
    return scaling_of(files)


def scaling_of(files: Sequence[Loaded], only: str = "") -> Chart:
    """Return throughput over threads with 95 % intervals and the best model; extrapolation is dashed.

    Several workloads have no common unit: then speedup over the fewest threads. `only`: one workload's curves.
    """
    lines = scaling_lines(files, only)
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
                    **bounds(shown),
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
    # A speedup of 0.02 must not read 20m.
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


def _fit_rows(line: Line, base: float) -> list[dict[str, object]]:
    """Return the curve of a line's model: the measured range, then what is beyond its last point."""
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
