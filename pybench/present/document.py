# SPDX-License-Identifier: Apache-2.0
"""The document: what a view builds from data, once, and what a terminal, a page and JSON render.

A view is a function from data to blocks::

    def locks(every: Sequence[LockInfo]) -> Document:
        columns = [Column("lock"), Column("memory"), Column("speed", "rate")]
        rows = [[one.name, one.space, one.rate] for one in every]
        return Document([Heading("Locks"), Table("locks", columns, rows)])

Blocks are plain data. `Table` cells are values, not text: a number, an `Interval`, a `Figure` where a cell's kind
or resolution differs from its column's, a `Span` where a word has a tone, text, or None for an empty cell. The
kind of a column (`numbers.KINDS`) says its unit and how every renderer writes it. Text may come from files:
renderers escape it, views never do.

    terminal:  pybench.present.terminal.output.show(document)
    page:      pybench.present.html.page (Jinja macros over the same blocks)
    JSON:      to_json(document)
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from pybench.host.topology import Topology
from pybench.placement import Placement
from pybench.present.numbers import KINDS
from pybench.stats.estimate import Interval

Tone = Literal["", "strong", "dim", "good", "bad", "warn"]


class Span(msgspec.Struct, frozen=True):
    """Text with a tone, or with a background from a heat map's scale: 0 is the lowest value, 1 the highest."""

    text: str
    tone: Tone = ""
    heat: float | None = None


Words = str | Span | tuple[str | Span, ...]


class Figure(msgspec.Struct, frozen=True):
    """A number unlike the others of its column: of another kind, with a resolution (smaller values print as
    `<least`), or with a mark after it that a note explains."""

    value: float | Interval
    least: float = 0.0
    kind: str = ""
    mark: str = ""


Content = str | int | float | Interval | Figure | Span | tuple[int, int] | None


class Heading(msgspec.Struct, frozen=True, tag="heading"):
    """A title, with an explanation after it on the same line. Level 2 begins a part, level 3 a detail."""

    text: str
    detail: str = ""
    level: int = 2


class Paragraph(msgspec.Struct, frozen=True, tag="paragraph"):
    """One paragraph, `indent` steps to the right. Tone `dim` makes it a note: a legend or an explanation."""

    words: Words
    tone: Tone = ""
    indent: int = 0


class Column(msgspec.Struct, frozen=True):
    """A table column.

    `group`: the column's value stands on a line of its own above its rows, not in every row. `once`: a value equal
    to the one above it is not repeated. `optional`: left out where no row has a value.
    """

    name: str
    kind: str = "text"
    unit: str = ""
    group: bool = False
    once: bool = False
    optional: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no kind of column {self.kind!r}; there are {', '.join(KINDS)}")
        if not self.unit:
            msgspec.structs.force_setattr(self, "unit", KINDS[self.kind].unit)

    @property
    def right(self) -> bool:
        """Return whether the column is aligned on the right, as numbers are."""
        return self.kind != "text"


class Table(msgspec.Struct, frozen=True, tag="table"):
    """Rows of cells. `id` names the table in JSON; `notes` maps a row's index to the lines below that row."""

    id: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Content]]
    title: str = ""
    notes: Mapping[int, Sequence[Words]] = {}
    header: bool = True

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"table {self.id}: a row has another number of cells than there are columns")

    @property
    def shown(self) -> list[int]:
        """Indices of the columns that stand in rows: without group columns and empty optional ones."""
        return [
            i
            for i, column in enumerate(self.columns)
            if not column.group
            and not (column.optional and all(row[i] is None or row[i] == "" for row in self.rows))
        ]

    def lines(self) -> Iterator[tuple[str, list[Content], Sequence[Words]]]:
        """Yield for each row its group's label where that changes (else ``), its visible cells, and its notes."""
        shown, last, label_before = self.shown, None, ""
        for index, row in enumerate(self.rows):
            label = " ".join(
                f"{column.name}={row[i]}"
                for i, column in enumerate(self.columns)
                if column.group and row[i] not in (None, "")
            )
            fresh = label if label != label_before else ""
            cells: list[Content] = []
            same = last is not None and not fresh
            for i in shown:
                same = same and last is not None and (not self.columns[i].once or row[i] == last[i])
                cells.append(None if self.columns[i].once and same else row[i])
            yield fresh, cells, self.notes.get(index, ())
            last, label_before = row, label


class Drawing(msgspec.Struct, frozen=True, tag="drawing"):
    """A picture made of characters, whose lines are not wrapped, with a title above and a legend below."""

    lines: Sequence[Words]
    title: str = ""
    legend: str = ""


class ChartReference(msgspec.Struct, frozen=True, tag="chart"):
    """A chart by reference: `id` is its short name in `pybench.present.charts`. A terminal leaves it out."""

    id: str
    title: str
    note: str = ""


class HostPicture(msgspec.Struct, frozen=True, tag="host"):
    """A picture of a host, with the CPUs of a placement marked."""

    topology: Topology
    placement: Placement | None = None


class Section(msgspec.Struct, frozen=True, tag="section"):
    """A part with a title. `folded`: a page shows only the title until a click; None: it cannot be folded.

    `id` is the anchor on a page.
    """

    title: str
    blocks: "Sequence[Block]"
    id: str = ""
    lead: str = ""
    folded: bool | None = None


Block = Heading | Paragraph | Table | Drawing | ChartReference | HostPicture | Section


class Document(msgspec.Struct, frozen=True):
    """Blocks in reading order."""

    blocks: Sequence[Block]
    title: str = ""


def note(words: Words) -> Paragraph:
    """Return a paragraph that explains: a legend, or how to read a table."""
    return Paragraph(words, tone="dim")


def spans(words: Words) -> tuple[Span, ...]:
    """Return words as spans."""
    parts = words if isinstance(words, tuple) else (words,)
    return tuple(Span(part) if isinstance(part, str) else part for part in parts)


def plain(words: Words) -> str:
    """Return words without their tones."""
    return "".join(span.text for span in spans(words))


def cell_text(cell: Content, column: Column) -> str:
    """Return a cell as every renderer writes it."""
    if cell is None:
        return ""
    if isinstance(cell, Span):
        return cell.text
    if isinstance(cell, str):
        return cell
    if isinstance(cell, Figure):
        return KINDS[cell.kind or column.kind].text(cell.value, cell.least) + cell.mark
    return KINDS[column.kind].text(cell, 0.0)


def to_json(document: Document) -> bytes:
    """Return a document as indented JSON: numbers as numbers, unknown ones as null."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1)
