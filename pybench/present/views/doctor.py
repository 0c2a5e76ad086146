# SPDX-License-Identifier: Apache-2.0
"""Observations on a host that would disturb a measurement, with their thresholds and next steps."""

from collections.abc import Sequence

from pybench.host.doctor import Observation
from pybench.present.document import Column, Content, Document, Paragraph, Span, Table, Tone, Words
from pybench.text import format_list, plural

TONES: dict[str, Tone] = {"problem": "bad", "note": "warn", "fine": "good"}
ORDER = tuple(TONES)


def doctor(found: Sequence[Observation], cpus: Sequence[int]) -> Document:
    """Return a row for each observation, the worst first: level, topic, observation, threshold and next step."""
    rows: list[list[Content]] = []
    notes: dict[int, list[Words]] = {}
    for one in sorted(found, key=lambda advice: ORDER.index(advice.level)):
        words = one.seen if one.level == "fine" else f"{one.seen} (fine: {one.threshold})"
        rows.append([Span(one.level, TONES[one.level]), one.topic, words])
        if one.next_step:
            notes[len(rows) - 1] = [(Span("-> "), Span(one.next_step))]
    columns = [Column("level"), Column("topic"), Column("observation")]
    return Document([Table("advice", columns, rows, notes=notes, header=False), Paragraph(verdict(found, cpus))])


def verdict(found: Sequence[Observation], cpus: Sequence[int]) -> str:
    """Return how many observations make trials invalid or change results."""
    problems = [one.topic for one in found if one.level == "problem"]
    where = f"CPUs {format_list(cpus)}"
    if not problems:
        return f"{where}: no problem found that would disturb a measurement."
    return f"{where}: {plural(len(problems), 'problem')} would disturb a measurement: {', '.join(problems)}."
