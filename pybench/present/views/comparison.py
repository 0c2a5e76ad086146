# SPDX-License-Identifier: Apache-2.0
"""A comparison for the terminal: 80 columns, what could explain it first, and nothing dropped in silence."""

import math
from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pybench.analysis.comparison.compared import CellComparison, Compared, Comparison, PairComparison
from pybench.analysis.comparison.conditions import Judged
from pybench.analysis.comparison.distributions import Distribution
from pybench.present.labels import settings, threads_word, varying
from pybench.present.numbers import UNKNOWN, count, time_ns
from pybench.present.provenance import SIMULATED
from pybench.results.metrics import metric
from pybench.results.records import Cell
from pybench.stats.estimate import Interval
from pybench.stats.ratios import LEAST_TRIALS

# Name, width and side of each column: with margins they fill 80.
COLUMNS = (
    ("threads", 7, "right"),
    ("", 10, "left"),
    ("A", 7, "right"),
    ("B", 7, "right"),
    ("B/A  95 % interval", 20, "right"),
    ("verdict", 24, "left"),
)
MARKS = {"better": "green", "worse": "red", "same": "", "unsure": "dim", "nothing": "dim"}


def compare_report(compared: Compared) -> Iterable[RenderableType]:
    """All of a comparison, each side against the base in turn."""
    for pair in compared.pairs:
        yield from _pair(compared, pair)
    for note in compared.notes:
        yield Text(note)
    if compared.outside:
        yield Text(f"not compared, as {compared.axis} is nothing to them:")
        yield from (_indented(line) for line in _cell_lines(compared.outside, compared.axis))
    yield Text(_legend(compared), style="dim")
    yield from (Text(line, style="bold") for line in condition_lines(compared))


def _pair(compared: Compared, pair: PairComparison) -> Iterable[RenderableType]:
    yield from (Text(line, style="bold") for line in simulated_lines(pair))
    for letter, side in (("A", pair.a), ("B", pair.b)):
        dates = ", ".join(dict.fromkeys(created[:16].replace("T", " ") for created in side.created))
        files = "" if compared.axis and pair.a.files == pair.b.files else f"  {', '.join(side.files)} ({dates})"
        yield Text.assemble((f"{letter}  {side.label}", "bold"), files)
    if pair.a.files == pair.b.files:
        yield Text(f"   both from {', '.join(pair.a.files)}")
    yield Text()
    yield from _environment(pair)
    for caveat in pair.caveats:
        yield Text(f"{caveat}.")
    yield Text()
    yield from _tables(pair.cells, compared.axis)
    yield from _orphans(pair, compared.axis)


def simulated_lines(pair: PairComparison) -> list[str]:
    """That a side was not measured, before anything else is said; empty if both were."""
    told = [(letter, side) for letter, side in (("A", pair.a), ("B", pair.b)) if side.simulated]
    if not told:
        return []
    said = [
        f"{letter} is {'in part ' if len(side.simulated) < len(side.files) else ''}{SIMULATED}, not measured "
        f"({'; '.join(dict.fromkeys(side.simulated))})"
        for letter, side in told
    ]
    return [
        f"{' and '.join(said)}: a difference may be the model's. Ratios with a simulated side have the range of "
        "its draws, and their verdicts say in how many draws they hold."
    ]


def _environment(pair: PairComparison) -> Iterable[RenderableType]:
    if pair.a.files == pair.b.files:
        return
    rows = pair.differences
    if not rows:
        yield Text("Nothing in the recorded environments differs.")
        return
    yield Text("What differs in the recorded environments and could explain a result:")
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=False)
    table.add_column(width=20)
    table.add_column(ratio=1, overflow="fold")
    for row in rows:
        table.add_row(Text(f"  {row.what}"), Text(f"A {' | '.join(row.a)}\nB {' | '.join(row.b)}"))
    yield table


def _tables(cells: Sequence[CellComparison], axis: str) -> Iterable[RenderableType]:
    """A table a series: cells that differ in their threads alone."""
    names = list(dict.fromkeys(one.cell.workload for one in cells))
    for name in names:
        mine = [one for one in cells if one.cell.workload == name]
        shown = [key for key in varying([one.cell for one in mine]) if key != axis]
        own = settings(mine[0].cell)
        same = " ".join(
            f"{k}={v}" for k, v in own.items() if k not in (*shown, axis) and (k == "place" or v not in ("", "0"))
        )
        yield Text.assemble((name, "bold"), (f"  {same}", "dim"))
        groups: dict[str, list[CellComparison]] = {}
        for one in mine:
            values = settings(one.cell)
            groups.setdefault(" ".join(f"{key}={values[key]}" for key in shown if key in values), []).append(one)
        for index, (where, group) in enumerate(groups.items()):
            if where:
                yield Text(f"  {where}", style="bold")
            yield _rows(group, axis, header=index == 0)
        yield Text()


def _rows(cells: Sequence[CellComparison], axis: str, *, header: bool) -> RenderableType:
    parts: list[RenderableType] = []
    for index, one in enumerate(cells):
        if not all(one.valid):
            parts.append(_untold(one, axis))
            continue
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=header and index == 0)
        for name, width, side in COLUMNS:
            table.add_column(
                name, width=width, justify="right" if side == "right" else "left", no_wrap=name != "verdict"
            )
        for row, comparison in enumerate(one.comparisons):
            threads = "" if row or axis == "threads" else str(one.cell.threads)
            table.add_row(*_row(comparison, threads))
        parts.append(table)
        parts += [_indented(line) for line in _below(one)]
    return Group(*parts)


def _untold(one: CellComparison, axis: str) -> RenderableType:
    """A cell of which a side has no valid trial, in one line; its launches may tell all the same."""
    threads = "" if axis == "threads" else f"{one.cell.threads:>7} "
    counts = ", ".join(f"{c} of {t} in {s}" for c, t, s in zip(one.valid, one.trials, "AB", strict=True))
    words = [f"{threads}not enough evidence: {LEAST_TRIALS} valid trials a side are the least; there are {counts}"]
    for told in one.comparisons:
        if not math.isnan(told.ratio.value):
            words.append(f"{told.metric} {' '.join(text.plain for text in _row(told, '')[2:])}")
    return Text("; ".join(words))


def _row(one: Comparison, threads: str) -> list[Text]:
    words = Text(one.words, style=MARKS[one.verdict])
    return [
        Text(threads),
        Text(one.metric),
        Text(figure(one.metric, one.a)),
        Text(figure(one.metric, one.b)),
        Text(ratio_words(one.ratio)),
        words,
    ]


def figure(name: str, value: float) -> str:
    """One side's figure, in the metric's unit."""
    if math.isnan(value):
        return UNKNOWN
    unit = metric(name).unit
    if unit == "ns":
        return time_ns(value)
    return count(value) if unit == "rate" else f"{value:.2f}" if name == "jain" else f"{value:.1%}"


def ratio_words(interval: Interval) -> str:
    """`1.05 [1.02, 1.09]`: two digits, and a third where the interval is narrow."""
    if math.isnan(interval.value):
        return UNKNOWN
    if not interval.known:
        return f"{_digits(interval.value, 2)} [?]"
    digits = 3 if interval.high - interval.low < 0.1 and interval.high < 10 else 2
    return f"{_digits(interval.value, digits)} [{_digits(interval.low, digits)}, {_digits(interval.high, digits)}]"


def _digits(value: float, digits: int) -> str:
    if value >= 1e4:
        return ">9999"
    return f"{value:.{digits}f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _below(one: CellComparison) -> list[str]:
    """What a cell's rows cannot say: its distribution, and notes."""
    lines = [distribution_words(one.distribution)] if one.distribution else []
    notes: dict[str, list[str]] = {}
    for comparison in one.comparisons:
        if comparison.note and comparison.note != comparison.words:
            notes.setdefault(comparison.note, []).append(comparison.metric)
    lines += [f"{', '.join(names)}: {note}" for note, names in notes.items()]
    if one.valid[0] < one.trials[0] or one.valid[1] < one.trials[1]:
        sides = ", ".join(f"{c} of {t} in {s}" for c, t, s in zip(one.valid, one.trials, "AB", strict=True))
        lines.append(f"valid trials: {sides}; the others enter nothing")
    return lines + one.notes


def distribution_words(shape: Distribution) -> str:
    """`all calls: p50 -3% p90 -1% (p99 +4%); tail grew; 12 % moved, p=0.001`."""
    words = []
    for shift in shape.shifts:
        change = (shift.ratio.value - 1) * 100
        digits = 1 if abs(change) < 9.95 else 0
        text = f"p{shift.share * 100:g} {change:+.{digits}f}%"
        words.append(text if shift.shown else f"({text})")
    said = f"all calls: {' '.join(words)}"
    said += f"; {shape.shape}" if shape.shape else ""
    said += f"; {shape.moved:.0%} of them moved"
    if math.isnan(shape.p):
        return f"{said}, too few {shape.unit} to tell if by chance"
    if shape.differs:
        return f"{said}, not by chance (p {_p(shape.corrected_p)})"
    return f"{said}, may be chance (p {_p(shape.corrected_p)})"


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 0.001 else "< 0.001"


def _indented(line: str) -> RenderableType:
    return Padding(Text(line, style="dim"), (0, 0, 0, 8))


def _orphans(pair: PairComparison, axis: str) -> Iterable[RenderableType]:
    for side in (pair.a, pair.b):
        cells = [orphan.cell for orphan in pair.unmatched if orphan.only_in == side.label]
        if cells:
            letter = "A" if side is pair.a else "B"
            yield Text(f"only in {letter} ({side.label}), without a partner:")
            yield from (_indented(line) for line in _cell_lines(cells, axis))
            yield Text()


def _cell_lines(cells: Sequence[Cell], axis: str) -> list[str]:
    """Cells by name, those that differ in their threads alone on one line."""
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
            "sides are simulated and have as many). In all draws: whatever the uncertain inputs are within "
            "their ranges; it is no evidence about hardware."
        )
    several = compared.family > 1
    family = f"all {compared.family} ratios together" if several else "one ratio"
    launches = any(cell.cell.workload == "launch" for pair in compared.pairs for cell in pair.cells)
    success = " success: share of the containers launched within the deadline." if launches else ""
    return (
        f"B/A: ratio of the medians, with its own {compared.level:.0%} interval. Verdicts hold for {family}: the "
        f"chance of even one wrong difference among them is at most {1 - compared.level:.0%} (Holm), and of one "
        f"wrong 'same within {compared.same_within * 100:g} %' likewise. ~N more: to be told apart, or told the "
        "same, four times in five, if the ratio stays. all calls: change of percentiles of all calls of all valid "
        "trials, in brackets where not shown; moved: the largest share that is on the other side of some "
        f"latency.{success}"
    )


def condition_lines(compared: Compared) -> list[str]:
    """What became of each --fail-if."""
    return [_condition(judged) for judged in compared.conditions]


def _condition(judged: Judged) -> str:
    parts = [
        f"{number} {words}"
        for words, number in (
            ("shown", judged.count("shown")),
            ("ruled out", judged.count("ruled out")),
            ("not enough evidence", judged.count("unsure")),
        )
        if number
    ]
    return f"{judged.condition.text}: {', '.join(parts)} (of {len(judged.states)})"
