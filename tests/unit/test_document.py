# SPDX-License-Identifier: Apache-2.0
"""Documents: one set of blocks, rendered for a terminal and as JSON, with text of files as text."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybench.present.document import (
    Column,
    Content,
    Document,
    Figure,
    Heading,
    Paragraph,
    Section,
    Span,
    Table,
    cell_text,
    note,
    to_json,
)
from pybench.present.numbers import KINDS
from pybench.present.terminal.output import to_text
from pybench.present.views.sweep import sweep
from pybench.stats.estimate import Interval
from pybench.text import printable
from tests.unit.synthetic import cell, noisy

RATE = Interval(1e6, 9e5, 1.1e6, 8)
TABLE = Table(
    "cells",
    [Column("lock", group=True), Column("threads", "number", once=True), Column("ops/s", "rate"), Column("words")],
    [
        ["mcs", 1, RATE, "first"],
        ["mcs", 1, math.nan, ""],
        ["ttas", 1, Figure(2e6, mark="*"), Span("third", "bad")],
    ],
    notes={1: ["a note"]},
)


def test_a_group_stands_above_its_rows_and_a_repeated_value_once() -> None:
    lines = [line.rstrip() for line in to_text(Document([TABLE])).splitlines()]
    assert lines == [
        "threads       ops/s  words",
        "  lock=mcs",
        "      1  1.00M ±10%  first",
        "                  -",
        "        a note",
        "  lock=ttas",
        "      1      2.00M*  third",
    ]


def test_an_optional_column_without_values_is_left_out() -> None:
    columns = [Column("a"), Column("late", optional=True)]
    assert "late" not in to_text(Document([Table("t", columns, [["x", None], ["y", ""]])]))
    assert "late" in to_text(Document([Table("t", columns, [["x", "1 of 2"]])]))


def test_json_has_numbers_with_units_and_null_for_unknown_ones() -> None:
    table = json.loads(to_json(Document([Heading("h"), TABLE])))["blocks"][1]
    assert (table["type"], table["id"]) == ("table", "cells")
    assert [column["unit"] for column in table["columns"]] == ["", "", "1/s", ""]
    assert table["rows"][0][2] == {"value": 1e6, "low": 9e5, "high": 1.1e6, "n": 8}
    assert table["rows"][1] == ["mcs", 1, None, ""]


def test_rows_of_another_length_and_unknown_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="another number of cells"):
        Table("t", [Column("a")], [["x", "y"]])
    with pytest.raises(ValueError, match="no kind of column"):
        Column("a", "parsecs")


@given(st.text(), st.lists(st.lists(st.text(), min_size=3, max_size=3), max_size=4))
def test_no_text_steers_a_terminal(text: str, rows: list[list[str]]) -> None:
    table = Table("t", [Column(text), Column("b"), Column("c", group=True)], rows, title=text)
    shown = to_text(Document([Heading(text, text), note(text), Paragraph((Span(text, "bad"),)), table]))
    assert not set(shown) & {chr(code) for code in (*range(10), *range(11, 32), 127, 0x9B, 0x202E)}
    assert printable(shown.replace("\n", "")) == shown.replace("\n", "")


@pytest.mark.parametrize("width", [60, 80, 100])
def test_tables_keep_to_the_width(width: int) -> None:
    columns = [
        Column("a long header of a column", "time"),
        Column("text"),
        Column("ops/s", "rate"),
        Column("more"),
    ]
    rows: list[list[Content]] = [[RATE, "words " * 12, RATE, "other words " * 9]] * 3
    text = to_text(Document([Section("Part", [Table("t", columns, rows)], lead="lead " * 40)]), width)
    assert max(map(len, text.splitlines())) <= width
    assert text.count("words") == 3 * (12 + 9)


def test_every_kind_writes_a_number() -> None:
    for name, kind in KINDS.items():
        value = (3, 4) if name == "fraction" else RATE if name == "peak" else 0.5
        assert kind.text(value, 0.0)
    assert cell_text((4, 4), Column("valid", "fraction")) == "4"
    assert cell_text(Figure(3.0, least=10.0), Column("p50", "time")) == "<10ns"


def test_the_document_of_a_sweep_has_its_results_as_numbers() -> None:
    file = noisy("a.jsonl", [cell("spin", threads=n, cpus=tuple(range(n))) for n in (1, 2)], factors=[1.0, 0.5])
    document = json.loads(to_json(sweep(file)))
    (cells,) = [block for block in document["blocks"] if block.get("id") == "cells"]
    names = [column["name"] for column in cells["columns"]]
    rates = [row[names.index("ops/s")]["value"] for row in cells["rows"]]
    assert rates[0] == pytest.approx(2 * rates[1], rel=0.05)
