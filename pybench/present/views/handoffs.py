# SPDX-License-Identifier: Apache-2.0
"""The table of handoffs: who gets the lock next, how far away, and how long that takes."""

import math
from collections.abc import Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pybench.analysis.summary.series import Series
from pybench.host.topology import Distance
from pybench.present.numbers import UNKNOWN, count, ratio, time_ns, timed

COLUMNS = (
    ("threads", 7),
    ("to a CPU of", 12),
    ("share", 6),
    ("handoff", 12),
    ("transfers", 10),
    ("kept", 6),
    ("run", 6),
    ("wait", 7),
)
WORDS: Mapping[Distance, str] = {
    "same-cpu": "the same CPU",
    "smt": "the core",
    "l3": "the L3",
    "socket": "the socket",
    "cross-socket": "another one",
}


def handoff_table(
    series: Sequence[Series], shown: Sequence[str], *, simulated: bool = False
) -> list[RenderableType]:
    """Rows by thread count and distance; nothing if no cell tells of handoffs."""
    cells = [summary for one in series for summary in one.cells if summary.handoffs]
    if not cells:
        return []
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for name, width in COLUMNS:
        table.add_column(name, justify="left" if name == "to a CPU of" else "right", width=width, no_wrap=True)
    if shown:
        table.add_column("")
    for cell in cells:
        told = cell.handoffs
        if told is None:
            continue
        for place, distance in enumerate(told.distances):
            first = [
                _share(told.kept.value),
                count(told.longest_streak.value),
                time_ns(told.longest_wait_ns.value, cell.timer_step_ns),
            ]
            own = {name: str(value) for name, value in cell.cell.params.items()}
            own |= {"place": cell.cell.place, "smt": cell.cell.smt, "crew": cell.cell.crew}
            table.add_row(
                "" if place else str(cell.cell.threads),
                WORDS[distance.distance],
                _share(distance.share.value),
                timed(distance.mean_ns, cell.timer_step_ns / 10),
                ratio(distance.transfers),
                *(("", "", "") if place else first),
                *([" ".join(f"{key}={own[key]}" for key in shown if key in own)] if shown and not place else []),
            )
    worst = max((cell.handoffs.longest_gap_ns.value for cell in cells if cell.handoffs), default=0.0)
    note = (
        "handoff: from leaving to the next one having the guarded line; transfers: that in moves of one line, "
        f"as {'the model has them' if simulated else 'measured between rounds'}. kept: operations whose thread "
        "had the lock before too. run, wait: the longest "
        f"of any thread, waits of timed operations; no wait at all was longer than {time_ns(worst)}."
    )
    return [Text("Who gets the lock next, and what handing it over takes:"), table, Text(note, style="dim")]


def _share(value: float) -> str:
    return UNKNOWN if math.isnan(value) else f"{value:.1%}" if value < 0.9995 else "100%"
