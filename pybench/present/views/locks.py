# SPDX-License-Identifier: Apache-2.0
"""The table of locks, in 80 columns."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table

from pybench.native.outcome import LockInfo

# Name and width of each column: with the blanks between them they fill 80.
COLUMNS = (
    ("lock", 19),
    ("family", 8),
    ("space", 12),
    ("fairness", 8),
    ("waits by", 9),
    ("NUMA", 4),
    ("source", 14),
)


def lock_table(locks: Sequence[LockInfo]) -> RenderableType:
    """One row a lock; what does not fit goes on below."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for column, width in COLUMNS:
        table.add_column(column, width=width, overflow="fold")
    for lock in locks:
        numa = "yes" if lock.numa else "-"
        words = (lock.family.replace("-", "- "), lock.space, lock.fairness, lock.waiting)
        table.add_row(lock.name, *("-" if word == "none" else word for word in words), numa, lock.source)
    return table
