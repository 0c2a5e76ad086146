# SPDX-License-Identifier: Apache-2.0
"""Pair the cells of two sides of a comparison, and list the cells without a partner."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pybench.errors import UsageError
from pybench.results.columns import CellColumns, FileColumns, joined
from pybench.results.records import Cell, Header, with_defaults
from pybench.results.store import text_of

FIELDS = ("workload", "threads", "place", "smt", "crew", "memory")
"""Fields of a cell that pair it, next to its parameters."""
# Axis -> its place in the host facts of a header.
ALIASES = {
    "host.cpu_model": "host.cpu.model",
    "host.microcode": "host.cpu.microcode",
    "host.kernel": "host.kernel.release",
    "host.governor": "host.frequency.governors",
    "host.boost": "host.frequency.boost",
    "host.hypervisor": "host.hypervisor.product",
    "host.huge_pages": "host.memory.huge_pages",
    "host.pybench": "host.software.pybench",
}


class Part(msgspec.Struct, frozen=True):
    """The trials of a cell in one file."""

    file: int
    """Index of the file among all files of the comparison; each file is one sweep."""
    cell: Cell
    columns: CellColumns | None
    """None if the cell has no trials."""


class Group(msgspec.Struct, kw_only=True):
    """One side of a comparison: the parts of each cell by the key that pairs it."""

    label: str
    files: list[int]
    cells: dict[bytes, list[Part]]


class Orphan(msgspec.Struct, frozen=True, kw_only=True):
    """A cell without a partner."""

    cell: Cell
    only_in: str
    """The label of the side that has the cell."""
    missing_in: str


def expand(words: Sequence[str]) -> list[list[Path]]:
    """Return the files of each side: `a1.jsonl,a2.jsonl`, or a pattern. UsageError for a word without files."""
    sides = []
    for word in words:
        paths: list[Path] = []
        for name in [word] if Path(word).exists() else word.split(","):
            found = sorted(glob.glob(name)) if glob.has_magic(name) and not Path(name).exists() else [name]  # noqa: PTH207
            if not found:
                raise UsageError(f"no file matches {name}")
            paths += [Path(one) for one in found if one]
        if not paths:
            raise UsageError(f"{word!r} names no file")
        if len({path.resolve() for path in paths}) < len(paths):
            raise UsageError(f"{word} names a file twice: a sweep counts once")
        sides.append(paths)
    return sides


def filled_in(files: Sequence[FileColumns]) -> list[str]:
    """Return notes on parameters that older files do not record and that take their defaults."""
    seen: dict[str, set[str]] = {}
    for file in files:
        for cell in file.header.plan.cells:
            seen.setdefault(cell.workload, set()).update(cell.params)
    notes: dict[str, None] = {}
    for file in files:
        for cell in file.header.plan.cells:
            full = with_defaults(cell)
            for name in sorted(seen[cell.workload] - set(cell.params)):
                if name in full:
                    notes[
                        f"{text_of(file.path.name)}: {cell.workload} has no {name} recorded; "
                        f"taken as its default, {full[name]!s}"
                    ] = None
    return list(notes)


def _key(cell: Cell, axis: str) -> bytes:
    parts: dict[str, Any] = {name: getattr(cell, name) for name in FIELDS}
    parts["nodes"] = cell.nodes
    parts["oversubscribed"] = cell.oversubscribed
    parts["params"] = {name: value for name, value in sorted(with_defaults(cell).items()) if name != axis}
    parts.pop(axis, None)
    if axis in ("place", "memory", "smt", "threads"):
        # The memory node, and whether threads share CPUs, follow from the placement.
        for name in ("memory", "nodes", "oversubscribed") if axis in ("place", "memory") else ("oversubscribed",):
            parts.pop(name, None)
    return msgspec.json.encode(parts)


def by_file(files: Sequence[FileColumns], sides: Sequence[Sequence[int]]) -> list[Group]:
    """Return a side for each set of files, in that order."""
    labels = _labels(files, sides)
    groups = [Group(label=labels[i], files=list(side), cells={}) for i, side in enumerate(sides)]
    for group in groups:
        for index in group.files:
            for cell, columns in _cells(files[index]):
                _add(group, _key(cell, ""), Part(index, cell, columns))
    return groups


def _add(group: Group, key: bytes, part: Part) -> None:
    """Add a part; cells of one file that this comparison does not distinguish are joined."""
    parts = group.cells.setdefault(key, [])
    if parts and parts[-1].file == part.file:
        last = parts.pop()
        both = [columns for columns in (last.columns, part.columns) if columns]
        part = Part(last.file, last.cell, joined(both) if both else None)
    parts.append(part)


def _labels(files: Sequence[FileColumns], sides: Sequence[Sequence[int]]) -> list[str]:
    labels = []
    for side in sides:
        first = text_of(files[side[0]].path.stem)
        labels.append(first if len(side) == 1 else f"{first} and {len(side) - 1} more")
    if len(set(labels)) < len(labels):
        labels = [
            text_of(files[side[0]].path) + (f" and {len(side) - 1} more" if side[1:] else "") for side in sides
        ]
    if len(set(labels)) < len(labels):
        labels = [f"{label} ({number})" for number, label in enumerate(labels, 1)]
    return labels


def by_axis(files: Sequence[FileColumns], axis: str, base: str | None) -> list[Group]:
    """Return a side for each value of an axis, in the order of the plans, with `base` (or the first value) in
    front.

    Raises UsageError if there is no such axis, or it has only one value.
    """
    if not any(_has_axis(file, axis) for file in files):
        raise UsageError(f"no axis {axis!r} in these files; there are {', '.join(_axes(files))}")
    groups: dict[str, Group] = {}
    for index, file in enumerate(files):
        for cell, columns in _cells(file):
            value = _axis_value(file.header, cell, axis)
            if value is None:
                continue
            group = groups.setdefault(value, Group(label=f"{axis}={value}", files=[], cells={}))
            if index not in group.files:
                group.files.append(index)
            _add(group, _key(cell, axis), Part(index, cell, columns))
    if base is not None and base not in groups:
        raise UsageError(f"no {axis}={base} in these files; there are {', '.join(groups)}")
    if len(groups) < 2:
        raise UsageError(f"{axis} is {next(iter(groups), 'nothing')} everywhere: nothing to compare along it")
    first = base if base is not None else next(iter(groups))
    return [groups[first], *(group for value, group in groups.items() if value != first)]


def _cells(file: FileColumns) -> Iterator[tuple[Cell, CellColumns | None]]:
    for index, cell in enumerate(file.header.plan.cells):
        yield cell, file.cells.get(index)


def _has_axis(file: FileColumns, axis: str) -> bool:
    return any(_axis_value(file.header, cell, axis) is not None for cell in file.header.plan.cells)


def _axes(files: Sequence[FileColumns]) -> list[str]:
    names = dict.fromkeys(FIELDS)
    for file in files:
        for cell in file.header.plan.cells:
            names.update(dict.fromkeys(with_defaults(cell)))
    return [*names, *ALIASES, "host.TOPIC.FACT"]


def _axis_value(header: Header, cell: Cell, axis: str) -> str | None:
    if axis.startswith("host."):
        value: Any = header.host
        for word in ALIASES.get(axis, axis).split(".")[1:]:
            value = value.get(word) if isinstance(value, dict) else None
        if isinstance(value, dict):
            return None
        return ",".join(map(str, value)) if isinstance(value, list) else None if value is None else str(value)
    if axis in FIELDS:
        return str(getattr(cell, axis))
    value = with_defaults(cell).get(axis)
    return None if value is None else str(value)


def match(a: Group, b: Group) -> tuple[list[tuple[list[Part], list[Part]]], list[Orphan]]:
    """Return the pairs of cells in the order of `a`, and the cells without a partner."""
    pairs = [(parts, b.cells[key]) for key, parts in a.cells.items() if key in b.cells]
    orphans = [
        Orphan(cell=parts[0].cell, only_in=one.label, missing_in=other.label)
        for one, other in ((a, b), (b, a))
        for key, parts in one.cells.items()
        if key not in other.cells
    ]
    return pairs, orphans


def outside_axis(files: Sequence[FileColumns], axis: str) -> list[Cell]:
    """Return the cells without the axis: of other workloads, or of a host that does not record it."""
    if not axis:
        return []
    cells = [
        cell for file in files for cell in file.header.plan.cells if _axis_value(file.header, cell, axis) is None
    ]
    return list({_key(cell, ""): cell for cell in cells}.values())
