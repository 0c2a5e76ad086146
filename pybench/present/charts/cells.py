# SPDX-License-Identifier: Apache-2.0
"""Lines and cells of loaded files for charts, and rows of intervals."""

from collections.abc import Sequence

from pybench.present.charts.parts import rounded
from pybench.present.labels import is_storm
from pybench.present.loaded import Line, Loaded
from pybench.stats.estimate import Interval

# Curves of latency and bars of phases: enough for any sweep that a person reads, and a bound for all others.
MOST_CELLS = 240


def scaling_lines(files: Sequence[Loaded], only: str = "") -> list[Line]:
    """Return the lines with a valid trial, without storms, which are counted by containers, not threads."""
    return [
        line
        for one in files
        for line in one.lines
        if not is_storm(line.series.cell)
        and only in ("", line.workload)
        and any(cell.valid and cell.throughput.value > 0 for cell in line.series.cells)
    ]


def bounds(shown: Interval) -> dict[str, object]:
    found: dict[str, object] = {"y": rounded(shown.value)}
    return found | ({"low": rounded(shown.low), "high": rounded(shown.high)} if shown.known else {})


def measured_cells(files: Sequence[Loaded], launches: bool | None = None) -> list[tuple[Line, int, Loaded]]:
    """Return line, place of the cell in it, and its file, of at most MOST_CELLS cells with valid trials."""
    found = [
        (line, place, one)
        for one in files
        for line in one.lines
        if launches is None or is_storm(line.series.cell) is launches
        for place, cell in enumerate(line.series.cells)
        if cell.index in one.valid
    ]
    return found[:MOST_CELLS]


def threads_select(
    rows: Sequence[dict[str, object]], word: str = "threads"
) -> dict[str, tuple[str, list[str], str]]:
    values = sorted({int(str(row["at"])) for row in rows})
    return {"at": (word, [str(value) for value in values], str(values[-1]))}
