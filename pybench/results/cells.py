# SPDX-License-Identifier: Apache-2.0
"""The settings of a cell by name, the settings that vary among cells, and a cell's label in words."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from pybench.results.records import Cell
from pybench.workloads import WORKLOADS, Value

# Columns of the tables that a parameter of the same name must not replace.
_RESERVED = ("file", "cell", "workload", "threads", "place", "smt", "crew", "cpus", "trials", "valid", "repeat")
# Settings that follow from others, so that they distinguish no cells.
_DERIVED = ("operation", "cpus", "oversubscribed")


def cell_settings(cell: Cell) -> dict[str, Value | bool | None]:
    """Return everything that a cell is, flat, by column name; each parameter stands under its own name."""
    known = WORKLOADS.get(cell.workload)
    fixed: dict[str, Value | bool | None] = {
        "workload": cell.workload,
        "operation": known.operation if known else None,
        "threads": cell.threads,
        "place": cell.place,
        "smt": cell.smt,
        "crew": cell.crew,
        "cpus": ",".join(map(str, cell.cpus)),
        "memory": f"{cell.memory} {','.join(map(str, cell.nodes))}".strip(),
        "oversubscribed": cell.oversubscribed,
    }
    params = {(f"param_{n}" if n in fixed or n in _RESERVED else n): v for n, v in cell.params.items()}
    return fixed | params


def axis_values(cell: Cell) -> dict[str, Value | bool | None]:
    """Return the settings that a caller chooses cells by: all but those that follow from others."""
    return {name: value for name, value in cell_settings(cell).items() if name not in _DERIVED}


def settings(cell: Cell) -> dict[str, str]:
    """Return as text what tells a series from others: parameters, place, smt and crew."""
    named = {name: str(value) for name, value in cell.params.items()}
    return named | {"place": cell.place, "smt": cell.smt, "crew": cell.crew}


def varying(cells: Iterable[Cell], of: Callable[[Cell], Mapping[str, Any]] = settings) -> list[str]:
    """Return the names of the settings that have more than one value among the cells that have them."""
    every = [of(cell) for cell in cells]
    names = dict.fromkeys(name for one in every for name in one)
    return [name for name in names if len({one[name] for one in every if name in one}) > 1]


def label_settings(cells: Sequence[Cell]) -> list[str]:
    """Return the names of the settings that vary inside at least one workload: those that a label needs."""
    names: dict[str, None] = {}
    for workload in dict.fromkeys(cell.workload for cell in cells):
        names |= dict.fromkeys(varying(cell for cell in cells if cell.workload == workload))
    return list(names)


def label(
    cell: Cell,
    shown: Iterable[str],
    *,
    of: Callable[[Cell], Mapping[str, Any]] = settings,
    bare: Collection[str] = (),
) -> str:
    """Return the settings `shown` of a cell in words: `lock=mcs smt=off`; those in `bare` without their name."""
    own = of(cell)
    return " ".join(str(own[n]) if n in bare else f"{n}={own[n]}" for n in shown if n in own)


def with_defaults(cell: Cell) -> dict[str, Value]:
    """Return a cell's parameters, with today's defaults for those that an older version did not have."""
    kind = WORKLOADS.get(cell.workload)
    defaults = {p.name: p.default for p in kind.parameters} if kind else {}
    return defaults | cell.params
