# SPDX-License-Identifier: Apache-2.0
"""A comparison: what could explain a difference, then a row for each metric of each pair of cells."""

import math
from collections.abc import Sequence

from pybench.analysis.comparison.conditions import Judged
from pybench.analysis.comparison.distributions import Distribution
from pybench.analysis.comparison.verdicts import CellComparison, Compared, MetricComparison, PairComparison
from pybench.present.document import (
    Block,
    Column,
    Content,
    Document,
    Figure,
    Heading,
    Paragraph,
    Span,
    Table,
    Tone,
    note,
)
from pybench.present.labels import SIMULATED, group_cells, group_columns, is_storm, threads_word
from pybench.results.columns import metric
from pybench.results.records import Cell, label, settings, varying
from pybench.stats.ratios import LEAST_TRIALS

COLUMNS = (
    Column("threads", "number", once=True, optional=True),
    Column("metric"),
    Column("A", "rate"),
    Column("B", "rate"),
    Column("B/A [95 % interval]", "bounds"),
    Column("verdict"),
)
TONES: dict[str, Tone] = {"better": "good", "worse": "bad", "same": "", "unsure": "dim", "nothing": "dim"}
# The unit of a metric -> the kind of its column.
KINDS = {"rate": "rate", "ns": "time", "share": "share"}


def comparison(compared: Compared, note_above: str = "") -> Document:
    """Return all of a comparison, each side against the baseline in turn; `note_above` stands first."""
    blocks: list[Block] = [Paragraph(note_above, tone="strong")] if note_above else []
    for pair in compared.pairs:
        blocks += _pair(compared, pair)
    blocks += [Paragraph(line) for line in compared.notes]
    if compared.outside:
        blocks.append(Paragraph(f"Not compared, because {compared.axis} does not apply to them:"))
        blocks += [_indented(line) for line in _cell_lines(compared.outside, compared.axis)]
    blocks.append(note(_legend(compared)))
    blocks += [Paragraph(_condition(judged), tone="strong") for judged in compared.conditions]
    return Document(blocks)


def _pair(compared: Compared, pair: PairComparison) -> list[Block]:
    blocks: list[Block] = [Paragraph(line, tone="strong") for line in _simulated_lines(pair)]
    for letter, side in (("A", pair.a), ("B", pair.b)):
        dates = ", ".join(dict.fromkeys(created[:16].replace("T", " ") for created in side.created))
        files = "" if compared.axis and pair.a.files == pair.b.files else f"{', '.join(side.files)} ({dates})"
        blocks.append(Heading(f"{letter}  {side.label}", files, level=3))
    if pair.a.files == pair.b.files:
        blocks.append(Paragraph(f"Both from {', '.join(pair.a.files)}.", indent=1))
    blocks += _environment(pair)
    blocks += [Paragraph(f"{caveat}.") for caveat in pair.caveats]
    blocks += _tables(pair.cells, compared.axis)
    return blocks + _orphans(pair, compared.axis)


def _simulated_lines(pair: PairComparison) -> list[str]:
    """Return that a side was not measured, which stands first; nothing if both were."""
    sides = [(letter, side) for letter, side in (("A", pair.a), ("B", pair.b)) if side.simulated]
    if not sides:
        return []
    words = [
        f"{letter} is {'in part ' if len(side.simulated) < len(side.files) else ''}{SIMULATED}, not measured "
        f"({'; '.join(dict.fromkeys(side.simulated))})"
        for letter, side in sides
    ]
    return [
        f"{' and '.join(words)}: a difference may be the model's. Ratios with a simulated side have the range of "
        "its draws, and their verdicts say in how many draws they hold."
    ]


def _environment(pair: PairComparison) -> list[Block]:
    if pair.a.files == pair.b.files:
        return []
    if not pair.differences:
        return [Paragraph("The recorded environments do not differ.")]
    rows: list[list[Content]] = [
        [one.what, letter, " | ".join(values)]
        for one in pair.differences
        for letter, values in (("A", one.a), ("B", one.b))
    ]
    columns = [Column("fact", once=True), Column("side"), Column("value")]
    title = "Differences between the recorded environments, which could explain a result"
    return [Table("environment", columns, rows, title=title)]


def _tables(cells: Sequence[CellComparison], axis: str) -> list[Block]:
    """Return a table for each workload, grouped by series: cells that differ in their threads alone."""
    blocks: list[Block] = []
    for name in dict.fromkeys(one.cell.workload for one in cells):
        mine = [one for one in cells if one.cell.workload == name]
        shown = [key for key in varying([one.cell for one in mine]) if key != axis]
        own = settings(mine[0].cell)
        same = " ".join(
            f"{k}={v}" for k, v in own.items() if k not in (*shown, axis) and (k == "place" or v not in ("", "0"))
        )
        groups: dict[str, list[CellComparison]] = {}
        for one in mine:
            groups.setdefault(label(one.cell, shown), []).append(one)
        rows: list[list[Content]] = []
        notes: dict[int, list[str]] = {}
        for one in (cell for group in groups.values() for cell in group):
            first = [*group_cells(one.cell, shown), None if axis == "threads" else one.cell.threads]
            rows += [[*first, *row] for row in _rows(one)]
            if below := _below(one):
                notes[len(rows) - 1] = below
        blocks += [
            Heading(name),
            note(same),
            Table("comparisons", [*group_columns(shown), *COLUMNS], rows, notes=notes),
        ]
    return blocks


def _rows(one: CellComparison) -> list[list[Content]]:
    """Return a row for each metric. Without valid trials on both sides only shares of launches can be compared."""
    if all(one.valid):
        return [_row(comparison) for comparison in one.comparisons]
    known = [_row(comparison) for comparison in one.comparisons if not math.isnan(comparison.ratio.value)]
    return [["", None, None, None, Span("not enough evidence", "dim")], *known]


def _row(one: MetricComparison) -> list[Content]:
    kind = "index" if one.metric == "jain" else KINDS[metric(one.metric).unit]
    return [
        one.metric,
        Figure(one.a, kind=kind),
        Figure(one.b, kind=kind),
        one.ratio,
        Span(one.words, TONES[one.verdict]),
    ]


def _below(one: CellComparison) -> list[str]:
    """Return what a cell's rows cannot show: its distribution, its invalid trials, and notes."""
    counts = ", ".join(f"{c} of {t} in {s}" for c, t, s in zip(one.valid, one.trials, "AB", strict=True))
    if not all(one.valid):
        return [f"needs at least {LEAST_TRIALS} valid trials per side; valid are {counts}"]
    lines = [distribution_words(one.distribution)] if one.distribution else []
    notes: dict[str, list[str]] = {}
    for comparison in one.comparisons:
        if comparison.note and comparison.note != comparison.words:
            notes.setdefault(comparison.note, []).append(comparison.metric)
    lines += [f"{', '.join(names)}: {words}" for words, names in notes.items()]
    if one.valid[0] < one.trials[0] or one.valid[1] < one.trials[1]:
        lines.append(f"valid trials: {counts}; invalid ones are left out")
    return lines + one.notes


def distribution_words(shape: Distribution) -> str:
    """Return `all calls: p50 -3% p90 -1% (p99 +4%); tail grew; 12% of them moved, not by chance (p 0.001)`."""
    words = []
    for shift in shape.shifts:
        change = (shift.ratio.value - 1) * 100
        digits = 1 if abs(change) < 9.95 else 0
        text = f"p{shift.share * 100:g} {change:+.{digits}f}%"
        words.append(text if shift.shown else f"({text})")
    line = f"all calls: {' '.join(words)}"
    line += f"; {shape.shape}" if shape.shape else ""
    line += f"; {shape.moved:.0%} of them moved"
    if math.isnan(shape.p):
        return f"{line}, too few {shape.unit} to tell if by chance"
    return f"{line}, {'not by chance' if shape.differs else 'may be chance'} (p {_p(shape.corrected_p)})"


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 0.001 else "< 0.001"


def _indented(line: str) -> Paragraph:
    return Paragraph(line, tone="dim", indent=2)


def _orphans(pair: PairComparison, axis: str) -> list[Block]:
    blocks: list[Block] = []
    for letter, side in (("A", pair.a), ("B", pair.b)):
        cells = [orphan.cell for orphan in pair.unmatched if orphan.only_in == side.label]
        if cells:
            blocks.append(Paragraph(f"Only in {letter} ({side.label}), without a partner:"))
            blocks += [_indented(line) for line in _cell_lines(cells, axis)]
    return blocks


def _cell_lines(cells: Sequence[Cell], axis: str) -> list[str]:
    """Return cells by name, those that differ in their threads alone on one line."""
    lines: dict[str, list[int]] = {}
    for cell in cells:
        own = {k: v for k, v in settings(cell).items() if k != axis and (k == "place" or v not in ("", "0"))}
        if cell.memory != "local":
            own["memory"] = f"{cell.memory}:{','.join(map(str, cell.nodes))}"
        lines.setdefault(f"{cell.workload} {' '.join(f'{k}={v}' for k, v in own.items())}", []).append(
            cell.threads
        )
    return [
        f"{name}: {threads_word(n[0]) if len(n) == 1 else 'threads ' + ','.join(map(str, n))}"
        for name, n in lines.items()
    ]


def _legend(compared: Compared) -> str:
    if all(pair.a.simulated or pair.b.simulated for pair in compared.pairs):
        return (
            f"{SIMULATED}: B/A is the ratio of the medians, with the range of its draws (draw by draw where both "
            "sides are simulated with equally many draws). In all draws: at every value of the uncertain inputs "
            "within their ranges; that is not evidence about hardware."
        )
    several = compared.family > 1
    family = f"all {compared.family} ratios together" if several else "one ratio"
    launches = any(is_storm(cell.cell) for pair in compared.pairs for cell in pair.cells)
    success = " success: share of the containers launched within the deadline." if launches else ""
    return (
        f"B/A: ratio of the medians, with its own {compared.level:.0%} interval. Verdicts hold for {family}: the "
        f"chance of one or more wrong differences is at most {1 - compared.level:.0%} (Holm), and so is that of a "
        f"wrong 'same within {compared.same_within * 100:g} %'. ~N more trials: enough for a verdict four times "
        "in five, if the ratio stays. all calls: change of percentiles over all calls of all valid trials, in "
        "brackets where it is not significant; moved: largest share of calls that changed sides of some "
        f"latency.{success}"
    )


def _condition(judged: Judged) -> str:
    """Return what became of one --fail-if."""
    states = (("shown", "shown"), ("ruled out", "ruled out"), ("not enough evidence", "unsure"))
    parts = [f"{judged.count(state)} {words}" for words, state in states if judged.count(state)]  # type: ignore[arg-type]
    return f"{judged.condition.text}: {', '.join(parts)} (of {len(judged.states)})"
