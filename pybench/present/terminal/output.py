# SPDX-License-Identifier: Apache-2.0
"""Documents on a terminal: 80 columns are enough, and colour is never needed to read them."""

import io
import os
import re
import sys
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from pybench.present.document import (
    Block,
    ChartReference,
    Column,
    Content,
    Document,
    Drawing,
    Heading,
    HostPicture,
    Paragraph,
    Section,
    Span,
    Table,
    Tone,
    Words,
    cell_text,
    spans,
)
from pybench.text import printable

WIDTH = 80
# A pipe has no width: wide enough that rows are rarely folded.
PIPE_WIDTH = 100
# Longer lines are hard to read.
MAX_WIDTH = 100
# Cividis, which colour-blind eyes read as others do, from low to high; the text over it is white, then black.
HEAT = (
    "#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#fee838",
)  # fmt: skip
FIRST_BRIGHT = 5
# Longer words are folded; where room is very short, all words are.
MOST_WORD, LEAST_COLUMN = 20, 6
STYLES: dict[Tone, str] = {
    "": "",
    "strong": "bold",
    "dim": "dim",
    "good": "green",
    "bad": "red",
    "warn": "yellow",
}


def make_console(*, stderr: bool = False) -> Console:
    """Return a console for standard output or standard error."""
    console = Console(stderr=stderr, highlight=False)
    if console.is_terminal or "COLUMNS" in os.environ:
        return console
    return Console(stderr=stderr, highlight=False, width=PIPE_WIDTH)


def show(document: Document) -> None:
    """Print a document to standard output."""
    console = make_console()
    width = min(console.width, MAX_WIDTH)
    # Captured first: the console itself would end the run when a reader closes the pipe.
    with console.capture() as drawn:
        for part in render(document.blocks, width):
            console.print(part, width=width)
    sys.stdout.write(_trimmed(drawn.get()))


def to_text(document: Document, width: int = WIDTH) -> str:
    """Return a document as plain text, without colour."""
    console = Console(file=io.StringIO(), width=width, highlight=False, color_system=None)
    for part in render(document.blocks, width):
        console.print(part)
    return _trimmed(console.file.getvalue())  # type: ignore[attr-defined]


def _trimmed(text: str) -> str:
    """Return text without the blanks that Rich fills lines with."""
    return re.sub(" +$", "", text, flags=re.MULTILINE)


def render(blocks: Sequence[Block], width: int) -> Iterator[RenderableType]:
    """Yield what a console prints for these blocks, with blank lines between parts."""
    before: Block | None = None
    for block in blocks:
        if isinstance(block, ChartReference):
            continue
        if before is not None and _apart(before, block):
            yield Text()
        yield from _block(block, width)
        before = block


def _apart(before: Block, block: Block) -> bool:
    """Return whether a blank line stands between two blocks."""
    if isinstance(block, Heading):
        return block.level < 3 or not isinstance(before, Heading)
    if isinstance(block, Paragraph):
        return not isinstance(before, Paragraph | Heading) and block.tone != "dim" and not block.indent
    if isinstance(block, Table | Drawing):
        return bool(block.title) or isinstance(before, Table | Drawing)
    return True


def _block(block: Block, width: int) -> Iterator[RenderableType]:
    if isinstance(block, Heading):
        yield _heading(block)
    elif isinstance(block, Paragraph):
        yield _indented(_text(block.words, block.tone), 2 * block.indent)
    elif isinstance(block, Table):
        yield from _table(block, width)
    elif isinstance(block, Drawing):
        yield from _drawing(block)
    elif isinstance(block, HostPicture):
        from pybench.present.terminal.host_boxes import picture

        yield picture(block.topology, block.placement, width)
    elif isinstance(block, Section):
        yield Text(printable(block.title), style="bold")
        if block.lead:
            yield _text(block.lead, "dim")
        yield from render(block.blocks, width)


def _text(words: Words, tone: Tone = "") -> Text:
    return Text.assemble(*((printable(span.text), _style(span)) for span in spans(words)), style=STYLES[tone])


def _style(span: Span) -> str:
    if span.heat is None:
        return STYLES[span.tone]
    index = round(span.heat * (len(HEAT) - 1))
    return f"{'black' if index >= FIRST_BRIGHT else 'white'} on {HEAT[index]}"


def _indented(text: RenderableType, columns: int) -> RenderableType:
    return Padding(text, (0, 0, 0, columns)) if columns else text


def _heading(block: Heading) -> RenderableType:
    text = Text(printable(block.text), style="bold" if block.level < 3 else "")
    if block.detail:
        text.append(f"  {printable(block.detail)}", style="not bold")
    return text


def _drawing(block: Drawing) -> Iterator[RenderableType]:
    if block.title:
        yield _text(block.title)
    for line in block.lines:
        text = _text(line)
        text.no_wrap, text.overflow = True, "ignore"
        yield text
    if block.legend:
        yield _text(block.legend, "dim")


# ------------------------------------------------------------------------------------------------------- tables


def _table(table: Table, width: int) -> Iterator[RenderableType]:
    columns = [table.columns[i] for i in table.shown]
    lines = list(table.lines())
    gap, widths = _layout(columns, [cells for _, cells, _ in lines], width, header=table.header)
    if table.title:
        yield _text(table.title)
    grid = _grid(columns, widths, gap, header=table.header)
    for label, cells, notes in lines:
        if label:
            if grid.row_count or grid.show_header:
                yield grid
            yield _indented(Text(printable(label), style="bold"), 2)
            grid = _grid(columns, widths, gap, header=False)
        grid.add_row(*(_cell(cell, column) for cell, column in zip(cells, columns, strict=True)))
        if notes:
            yield grid
            yield from (_indented(_text(line, "dim"), 8) for line in notes)
            grid = _grid(columns, widths, gap, header=False)
    if grid.row_count or (grid.show_header and not lines):
        yield grid


def _cell(cell: Content, column: Column) -> Text:
    return Text(printable(cell_text(cell, column)), style=STYLES[cell.tone] if isinstance(cell, Span) else "")


def _layout(
    columns: Sequence[Column], rows: Sequence[Sequence[Content]], width: int, *, header: bool
) -> tuple[int, list[int]]:
    """Return the gap between columns and each column's width; text columns are folded where room is short."""
    names = [column.name if header else "" for column in columns]
    texts = [[printable(cell_text(row[i], column)) for row in rows] for i, column in enumerate(columns)]
    values = [max((cell_len(text) for text in column), default=0) for column in texts]
    widths = [max(value, cell_len(name)) for value, name in zip(values, names, strict=True)]
    words = [_longest_word([name, *column]) for name, column in zip(names, texts, strict=True)]
    least = [
        max(value, _longest_word([name])) if column.right else min(MOST_WORD, word)
        for value, word, name, column in zip(values, words, names, columns, strict=True)
    ]
    gap = 2 if sum(widths) + 2 * (len(columns) - 1) <= width else 1
    room = width - gap * (len(columns) - 1)
    for bounds in (least, [min(must, LEAST_COLUMN) for must in least]):
        _shrink(widths, bounds, room)
    return gap, widths


def _longest_word(texts: Sequence[str]) -> int:
    return max((cell_len(word) for text in texts for word in text.split()), default=0)


def _shrink(widths: list[int], least: Sequence[int], room: int) -> None:
    """Narrow columns in place until they fit, the widest first, none below its bound."""
    while sum(widths) > room:
        able = [i for i, must in enumerate(least) if widths[i] > must]
        if not able:
            return
        widths[max(able, key=lambda i: widths[i])] -= 1


def _grid(columns: Sequence[Column], widths: Sequence[int], gap: int, *, header: bool) -> Grid:
    grid = Grid(box=None, padding=(0, gap, 0, 0), pad_edge=False, show_header=header)
    for column, width in zip(columns, widths, strict=True):
        grid.add_column(
            Text(printable(column.name)),
            width=width,
            justify="right" if column.right else "left",
            overflow="fold",
        )
    return grid
