# SPDX-License-Identifier: Apache-2.0
"""What charts draw: lines and cells of loaded files, and rows of intervals."""

from collections.abc import Sequence

from pybench.present.charts.parts import rounded
from pybench.present.loaded import Line, Loaded
from pybench.stats.estimate import Interval

# Curves of latency and bars of phases: enough for any sweep that a person reads, and a bound for all others.
MOST_CELLS = 240


def scaling_lines(files: Sequence[Loaded], only: str = "") -> list[Line]:
    """The lines with a figure, without launches, which are counted by containers and not by threads."""
    return [
        line
        for one in files
        for line in one.lines
        if line.workload != "launch"
        and only in ("", line.workload)
        and any(cell.valid and cell.throughput.value > 0 for cell in line.series.cells)
    ]


def bounds(shown: Interval) -> dict[str, object]:
    found: dict[str, object] = {"y": rounded(shown.value)}
    return found | ({"low": rounded(shown.low), "high": rounded(shown.high)} if shown.known else {})


def measured_cells(files: Sequence[Loaded], launches: bool | None = None) -> list[tuple[Line, int, Loaded]]:
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


def threads_select(
    rows: Sequence[dict[str, object]], word: str = "threads"
) -> dict[str, tuple[str, list[str], str]]:
    values = sorted({int(str(row["at"])) for row in rows})
    return {"at": (word, [str(value) for value in values], str(values[-1]))}
