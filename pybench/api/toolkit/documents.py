# SPDX-License-Identifier: Apache-2.0
"""Documents of headings, paragraphs and tables, for a terminal, a page or JSON; and numbers as text in them."""

from pybench.present.document import (
    Block,
    Column,
    Document,
    Heading,
    Paragraph,
    Span,
    Table,
    Words,
    note,
    to_json,
)
from pybench.present.labels import host_words
from pybench.present.numbers import count, time_ns
from pybench.present.terminal.output import show, to_text

__all__ = [
    "Block",
    "Column",
    "Document",
    "Heading",
    "Paragraph",
    "Span",
    "Table",
    "Words",
    "count",
    "host_words",
    "note",
    "show",
    "time_ns",
    "to_json",
    "to_text",
]
