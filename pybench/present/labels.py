# SPDX-License-Identifier: Apache-2.0
"""Labels of cells: the settings that tell one cell from another."""

from collections.abc import Sequence

from pybench.results.records import Cell


def threads_word(threads: int) -> str:
    """`1 thread`, `2 threads`."""
    return f"{threads} thread{'' if threads == 1 else 's'}"


def settings(cell: Cell) -> dict[str, str]:
    """What tells a series from others: parameters, placement, SMT and crew, by the names they are asked for."""
    named = {name: str(value) for name, value in cell.params.items()}
    return named | {"place": cell.place, "smt": cell.smt, "crew": cell.crew}


def varying(cells: Sequence[Cell]) -> list[str]:
    """Names of the settings that are not the same in all these cells."""
    every = [settings(cell) for cell in cells]
    names = {name: None for one in every for name in one}
    return [name for name in names if len({one.get(name) for one in every if name in one}) > 1]
