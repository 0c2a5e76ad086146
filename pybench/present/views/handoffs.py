# SPDX-License-Identifier: Apache-2.0
"""Handoffs of a lock, by the distance to the next owner: their share, their time, and what waits between them."""

from collections.abc import Sequence

from pybench.analysis.summary.series import Series
from pybench.present.document import Block, Column, Content, Figure, Table, note
from pybench.present.labels import DISTANCE_WORDS, group_cells, group_columns
from pybench.present.numbers import time_ns

COLUMNS = (
    Column("threads", "number", once=True),
    Column("next owner"),
    Column("share", "share"),
    Column("handoff", "time"),
    Column("line transfers", "ratio"),
    Column("reacquired", "share"),
    Column("longest streak", "count"),
    Column("longest wait", "time"),
)


def handoff_blocks(series: Sequence[Series], shown: Sequence[str], *, simulated: bool = False) -> list[Block]:
    """Return a table with rows by thread count and distance; nothing if no cell recorded handoffs."""
    cells = [summary for one in series for summary in one.cells if summary.handoffs]
    rows: list[list[Content]] = []
    worst = 0.0
    for cell in cells:
        seen = cell.handoffs
        if seen is None:
            continue
        worst = max(worst, seen.longest_gap_ns.value)
        of_cell: list[Content] = [
            seen.kept.value,
            seen.longest_streak.value,
            Figure(seen.longest_wait_ns.value, least=cell.timer_step_ns),
        ]
        for place, distance in enumerate(seen.distances):
            rows.append(
                [
                    *group_cells(cell.cell, shown),
                    cell.cell.threads,
                    DISTANCE_WORDS[distance.distance],
                    distance.share.value,
                    Figure(distance.mean_ns, least=cell.timer_step_ns / 10),
                    distance.transfers,
                    *([None] * 3 if place else of_cell),
                ]
            )
    if not rows:
        return []
    transfers = "in the model" if simulated else "measured between rounds"
    return [
        Table("handoffs", [*group_columns(shown), *COLUMNS], rows, title="Handoffs by distance"),
        note(
            "handoff: from the release until the next owner holds the guarded line. line transfers: the handoff "
            f"divided by the time of one line transfer {transfers}. reacquired: share of operations whose thread "
            "was the previous owner too. longest streak: most operations in a row of one thread. longest wait: of "
            f"the timed operations; no wait, timed or not, exceeded {time_ns(worst)}."
        ),
    ]
