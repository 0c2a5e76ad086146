# SPDX-License-Identifier: Apache-2.0
"""Words and table columns for cells, and words for distances between CPUs."""

from collections.abc import Mapping, Sequence

from pybench.host.topology import Distance
from pybench.present.document import Column
from pybench.results.cells import label, settings
from pybench.results.records import Cell
from pybench.text import counted

DISTANCE_WORDS: Mapping[Distance, str] = {
    "same-cpu": "same CPU",
    "smt": "SMT siblings",
    "l3": "same L3",
    "socket": "same socket",
    "cross-socket": "other socket",
}
# Values that are clear without the setting's name.
BARE = ("lock", "strategy", "place")


def threads_word(threads: int) -> str:
    """Return `1 thread`, `2 threads`."""
    return counted(threads, "thread")


def with_threads(cell: Cell) -> dict[str, str]:
    """Return a cell's settings, and its threads."""
    return settings(cell) | {"threads": str(cell.threads)}


def where(cell: Cell, names: Sequence[str]) -> str:
    """Return a cell in a sentence: `spin lock=mcs, 2 threads`."""
    words = label(cell, names)
    return f"{cell.workload}{' ' if words else ''}{words}, {threads_word(cell.threads)}"


def group_columns(names: Sequence[str]) -> list[Column]:
    """Return the table columns of settings that stand above their rows; `group_cells` has a row's values."""
    return [Column(name, group=True) for name in names]


def group_cells(cell: Cell, names: Sequence[str]) -> list[str]:
    """Return a cell's values of these settings, `` for one that its workload has not."""
    own = with_threads(cell)
    return [own.get(name, "") for name in names]
