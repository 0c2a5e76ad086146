# SPDX-License-Identifier: Apache-2.0
"""The matrix of transfers as a picture: Vega-Altair describes it, vl-convert draws it as SVG or PNG."""

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np

from pybench.analysis.summary.transfer_matrix import axis, finest, matrix
from pybench.errors import UnsupportedError, UsageError
from pybench.present.provenance import bounded
from pybench.present.views.transfers import host_of
from pybench.results.latency_file import TransferFile
from pybench.results.latency_summary import pair_latencies

# Beyond this, cells are too small to be told apart, and an SVG grows to megabytes.
MOST_GROUPS = 96
SIDE = 480
# Cells large enough for their number.
MOST_NUMBERS = 16


def check_chart(path: Path) -> None:
    """Raise UsageError for a kind of picture that cannot be drawn, UnsupportedError without the libraries."""
    if path.suffix.lower() not in (".svg", ".png"):
        raise UsageError(f"--chart {path}: name a .svg or .png file")
    if not all(importlib.util.find_spec(name) for name in ("altair", "vl_convert")):
        raise UnsupportedError("charts need altair and vl-convert-python: pip install 'pybench-locks[report]'")


def chart_spec(file: TransferFile) -> dict[str, Any]:
    """The heat maps of all methods, side by side to one scale, as a Vega-Lite specification."""
    import altair

    plan = file.header.plan
    most = min(MOST_GROUPS, finest(len(plan.pairs))) if plan.sampled else MOST_GROUPS
    rows = axis(file.topology, plan.cpus, most)
    side = min(SIDE, 60 * len(rows.groups) + 60)
    names = rows.names
    panels = []
    matrices = {method: matrix(rows, pair_latencies(file.trials, method)) for method in plan.methods}
    known = np.concatenate([values[np.isfinite(values)] for values in matrices.values()])
    if not known.size:
        raise UsageError("there is nothing to draw: no pair has a valid measurement")
    middle = math.sqrt(float(known.min()) * float(known.max()))
    for method, values in matrices.items():
        points = [
            {"a": names[i], "b": names[j], "ns": round(float(values[i, j]), 2)}
            for i, j in zip(*np.nonzero(np.isfinite(values)), strict=True)
        ]
        panels.append(_panel(altair, method, points, names, side, rows.of, middle))
    subtitle = "One-way transfer of a cache line, half a round trip; blank: itself, or not measured"
    chart = (
        altair.hconcat(*panels)
        .resolve_scale(color="shared")
        .properties(title=altair.TitleParams(host_of(file.header), subtitle=subtitle, anchor="start"))
        .configure_view(stroke=None)
        .configure_axis(grid=False, domain=False)
    )
    spec: dict[str, Any] = chart.to_dict()
    return spec


def _panel(
    altair: Any,
    method: str,
    points: list[dict[str, Any]],
    names: list[str],
    side: int,
    of: str,
    middle: float,
) -> Any:
    title = "CPU" if of == "CPU" else f"{of}, by first CPU"
    axis_of = altair.Axis(title=title, labelOverlap="greedy", labelAngle=0, ticks=False)
    scale = altair.Scale(type="log", scheme="cividis", nice=False)
    base = altair.Chart(altair.InlineData(values=points)).encode(
        x=altair.X("b:O", sort=names, scale=altair.Scale(domain=names), axis=axis_of),
        y=altair.Y("a:O", sort=names, scale=altair.Scale(domain=names), axis=axis_of),
    )
    squares = base.mark_rect().encode(
        color=altair.Color("ns:Q", scale=scale, legend=altair.Legend(title="ns", format="~g")),
        tooltip=["a:O", "b:O", "ns:Q"],
    )
    layers = [squares]
    if len(names) <= MOST_NUMBERS:
        shade = altair.condition(altair.datum.ns > middle, altair.value("black"), altair.value("white"))
        text = altair.Text("ns:Q", format=".3~r")
        layers.append(base.mark_text(fontSize=11).encode(text=text, color=shade))
    heading = altair.TitleParams(bounded(method), anchor="start")
    return altair.layer(*layers).properties(width=side, height=side, title=heading)


def write_chart(file: TransferFile, path: Path) -> None:
    """Draw the matrix into a .svg or .png file. Raises UsageError if it cannot be written; see check_chart()."""
    check_chart(path)
    import vl_convert

    spec = chart_spec(file)
    if path.suffix.lower() == ".svg":
        data = vl_convert.vegalite_to_svg(spec).encode()
    else:
        data = vl_convert.vegalite_to_png(spec, scale=2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; name another --chart") from None
