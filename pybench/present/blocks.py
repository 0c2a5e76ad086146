# SPDX-License-Identifier: Apache-2.0
"""What is printed on a terminal, taken apart for a page: one source for every table, so that figures agree."""

from collections.abc import Iterable

import msgspec
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A paragraph, a heading, drawn lines, or a table. All of it is plain text: a template escapes it."""

    kind: str
    """`text`, `heading`, `note`, `drawing` or `table`."""
    lines: list[str] = []
    columns: list[str] = []
    """Headings of a table; `` for one without."""
    right: list[bool] = []
    """Which columns are numbers."""
    rows: list[list[str]] = []


def blocks(parts: Iterable[RenderableType]) -> list[Block]:
    """The blocks of renderables made of groups, texts, paddings and tables. TypeError for any other."""
    found: list[Block] = []
    for part in parts:
        found += _block(part)
    return found


def _block(part: RenderableType) -> list[Block]:
    if isinstance(part, Group):
        return blocks(part.renderables)
    if isinstance(part, Padding):
        return _block(part.renderable)
    if isinstance(part, Table):
        return [_table(part)]
    if isinstance(part, str):
        part = Text(part)
    if isinstance(part, Text):
        return _text(part)
    raise TypeError(f"a page cannot show {type(part).__name__}")


def _text(text: Text) -> list[Block]:
    lines = [line.strip() for line in text.plain.split("\n") if line.strip()]
    if not lines:
        return []
    style = str(text.style)
    if any(mark in text.plain for mark in "┤└") or any(f"|{block}" in text.plain for block in " ▁▂▃▄▅▆▇█"):
        return [Block(kind="drawing", lines=text.plain.split("\n"))]
    if "bold" in style.split() and "not" not in style.split():
        # A title's other lines are about it.
        about = [Block(kind="note", lines=lines[1:])] if lines[1:] else []
        return [Block(kind="heading", lines=[" ".join(lines[0].split())]), *about]
    return [Block(kind="note" if style == "dim" else "text", lines=lines)]


def _table(table: Table) -> Block:
    columns = list(table.columns)
    cells = [[_plain(cell) for cell in column.cells] for column in columns]
    titled = [Text.from_markup(str(table.title)).plain] if table.title else []
    return Block(
        kind="table",
        lines=titled,
        columns=[_plain(column.header) for column in columns],
        right=[column.justify == "right" for column in columns],
        rows=[list(row) for row in zip(*cells, strict=True)],
    )


def _plain(cell: RenderableType) -> str:
    return cell.plain if isinstance(cell, Text) else str(cell)
