# SPDX-License-Identifier: Apache-2.0
"""Transfers between CPUs for the terminal: a heat map that needs no colour, and a table by distance class."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pybench.analysis.summary.transfer_matrix import Axis, axis, finest, matrix
from pybench.host.topology import Distance
from pybench.plan.lists import show_duration
from pybench.plan.transfer_pairs import expected_ns
from pybench.present.numbers import time_ns, timed
from pybench.present.provenance import bounded, host_words
from pybench.results.transfer_figures import PairFigure, Transfers, pair_figures, summarize
from pybench.results.transfers import PairTrial, TransferFile, TransferHeader, TransferPlan
from pybench.run.checks import explain
from pybench.workloads.transfer import METHODS

DISTANCE_WORDS: dict[Distance, str] = {
    "same-cpu": "same CPU",
    "smt": "SMT siblings",
    "l3": "same L3",
    "socket": "same socket",
    "cross-socket": "other socket",
}
# Cividis, which colour-blind eyes read as others do, from fast to slow; the digits tell the same without it.
COLOURS = (
    "#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#fee838",
)  # fmt: skip
FIRST_BRIGHT = 5
# Neighbouring levels differ by no less than this, or noise would draw a pattern.
LEAST_STEP = 1.15
# Frequency and noise make less.
MOST_SPREAD = 2.0
UNMEASURED, INVALID, ITSELF = ".", "!", "-"
# A cell's width and decimals, from the one that tells most.
NUMBERS = ((6, 1), (4, 0))


def host_of(header: TransferHeader) -> str:
    """One line: what was measured."""
    return host_words(header.host, len(header.topology.get("cpus", [])))


class Levels:
    """Up to nine levels between the least and the most, of equal ratio."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        known = values[np.isfinite(values)]
        self.low, self.high = (float(known.min()), float(known.max())) if known.size else (math.nan, math.nan)
        ratio = self.high / self.low if known.size else 1.0
        self.count = min(len(COLOURS), max(1, math.floor(math.log(ratio) / math.log(LEAST_STEP))))
        self._step = ratio ** (1 / self.count)

    def of(self, value: float) -> int:
        """The level of a value, from 0."""
        if self.count == 1:
            return 0
        return min(max(int(math.log(value / self.low) / math.log(self._step)), 0), self.count - 1)

    def style(self, level: int) -> str:
        """Colours of a level, spread over the whole scale."""
        index = round(level * (len(COLOURS) - 1) / max(self.count - 1, 1))
        return f"{'black' if index >= FIRST_BRIGHT else 'white'} on {COLOURS[index]}"

    def bounds(self, level: int) -> tuple[float, float]:
        """From and to, ns."""
        return self.low * self._step**level, self.low * self._step ** (level + 1)


def _fitting(size: int, gaps: int, margin: int, width: int, values: NDArray[np.float64]) -> tuple[int, int]:
    """Width of a cell and its decimals; width 1 is a level's digit."""
    widest = np.nanmax(values) if np.isfinite(values).any() else 0.0
    for cell, decimals in NUMBERS:
        fits = margin + size * cell + gaps <= width
        if fits and len(f"{widest:.{decimals}f}") < cell:
            return cell, decimals
    return 1, 0


def heat_map(file: TransferFile, method: str, width: int = 80) -> RenderableType:
    """The matrix of one method: numbers where they fit `width`, else a digit a cell, grouped until it fits."""
    plan = file.header.plan
    cpus, figures = plan.cpus, pair_figures(file.trials, method)
    margin = max(len(str(cpu)) for cpu in cpus) + 1
    gaps = len({cpu.socket or 0 for cpu in file.topology.cpus if cpu.number in cpus}) - 1
    most = max(1, width - margin - gaps)
    rows = axis(file.topology, cpus, min(most, finest(len(plan.pairs))) if plan.sampled else most)
    values = matrix(rows, figures)
    levels = Levels(values)
    cell, decimals = _fitting(len(rows.groups), gaps, margin, width, values)
    invalid = _invalid(rows, figures)
    lines = _column_names(rows, margin, cell)
    for i, name in enumerate(rows.names):
        line = Text(f"{name:>{margin - 1}} ", no_wrap=True)
        for j, value in enumerate(values[i]):
            if j and rows.sockets[j] != rows.sockets[j - 1]:
                line.append(" ")
            if math.isnan(value):
                alone = i == j and len(rows.groups[i]) == 1
                mark = ITSELF if alone else INVALID if (i, j) in invalid else UNMEASURED
                line.append(mark.rjust(cell))
                continue
            level = levels.of(value)
            shown = str(level + 1) if cell == 1 else f"{value:.{decimals}f}"
            line.append(shown.rjust(cell), style=levels.style(level))
        lines.append(line)
        if i + 1 < len(rows.groups) and rows.sockets[i + 1] != rows.sockets[i]:
            lines.append(Text(""))
    return Group(*lines, *_legend(rows, levels, cell, width, bool(invalid), np.isnan(values)))


def _invalid(rows: Axis, figures: Sequence[PairFigure]) -> set[tuple[int, int]]:
    """Cells with a pair that was measured and never came out valid."""
    place = {cpu: index for index, group in enumerate(rows.groups) for cpu in group}
    cells = [(place[f.cpus[0]], place[f.cpus[1]]) for f in figures if not f.transfer_ns.n]
    return {*cells, *((b, a) for a, b in cells)}


def _column_names(rows: Axis, margin: int, cell: int) -> list[Text]:
    """The names above their columns; from top to bottom where a cell is one character."""
    names = rows.names
    tall = max(len(name) for name in names) if cell == 1 else 1
    lines = []
    for k in range(tall):
        line = " " * margin
        for j, name in enumerate(names):
            line += " " if j and rows.sockets[j] != rows.sockets[j - 1] else ""
            line += name.rjust(tall)[k] if cell == 1 else name.rjust(cell)
        lines.append(Text(line, style="dim", no_wrap=True))
    return lines


def _legend(
    rows: Axis, levels: Levels, cell: int, width: int, invalid: bool, missing: NDArray[np.bool_]
) -> Iterable[Text]:
    if cell == 1 and not math.isnan(levels.low):
        pieces = []
        for level in range(levels.count):
            low, high = levels.bounds(level)
            pieces.append((f"{level + 1}", f" {_short(low)}-{_short(high)}ns", levels.style(level)))
        line = Text(no_wrap=True)
        for digit, words, style in pieces:
            if len(line) + len(digit) + len(words) + 2 > width:
                yield line
                line = Text(no_wrap=True)
            line.append("  " if len(line) else "")
            line.append(digit, style=style)
            line.append(words)
        yield line
    said = ["ns of one-way transfer"] if cell > 1 else []
    if rows.of == "CPU":
        said.append("rows and columns are CPUs")
    else:
        said.append(f"a row is one {rows.of} by its first CPU, a cell the median between two, or inside one")
    off_diagonal = missing & ~np.eye(len(missing), dtype=bool)
    if off_diagonal.any() and not invalid:
        said.append(f"{UNMEASURED} not measured")
    if invalid:
        said.append(f"{INVALID} no valid measurement")
    yield Text("; ".join(said), style="dim")


def _short(ns: float) -> str:
    return f"{ns:.1f}" if ns < 100 else f"{ns:.0f}"


def class_table(every: Sequence[Transfers], plan: TransferPlan) -> Table:
    """A row a method and distance class."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in ("method", "between CPUs of"):
        table.add_column(column)
    for column in ("pairs", "transfer", "p5", "p95"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in every:
        for figure in one.classes:
            there = plan.pairs_there.get(figure.distance, figure.pairs)
            pairs = str(figure.pairs) if figure.pairs == there else f"{figure.pairs} of {there}"
            bounds = [time_ns(ns) if figure.pairs > 1 else "" for ns in (figure.p5_ns, figure.p95_ns)]
            words = DISTANCE_WORDS[figure.distance]
            table.add_row(one.method, words, pairs, timed(figure.median_ns), *bounds)
    return table


def plan_words(plan: TransferPlan) -> str:
    """What a plan will do and how long that takes, in a line."""
    all_pairs = sum(plan.pairs_there.values())
    pairs = f"{len(plan.pairs)} of {all_pairs} pairs" if plan.sampled else f"{all_pairs} pairs"
    pairs = pairs.replace("1 pairs", "1 pair") if all_pairs == 1 else pairs
    return (
        f"{len(plan.cpus)} CPUs, {pairs} by {', '.join(plan.methods)}, {plan.rounds} rounds of "
        f"{show_duration(plan.duration_ns)}: about {show_duration(expected_ns(plan))}"
    )


def _sampled_words(plan: TransferPlan) -> str:
    there = sum(plan.pairs_there.values())
    every = expected_ns(plan) * there // len(plan.pairs)
    return (
        f"{len(plan.pairs)} of {there} pairs were measured, as many of each class as fit the budget; "
        f"--all takes about {show_duration(every)}"
    )


def complaints(trials: Iterable[PairTrial]) -> list[str]:
    """What was kept out of the figures, a line a reason."""
    flagged = Counter(flag for trial in trials for flag in trial.flags)
    failed = Counter(trial.reason or trial.status for trial in trials if trial.transfer_ns is None)
    lines = [
        f"{n} trial{'s' * (n > 1)} kept out of the figures: {explain(bounded(f))}" for f, n in flagged.items()
    ]
    return lines + [f"{n} trial{'s' * (n > 1)} failed: {bounded(why, 200)}" for why, n in failed.items()]


def _restless(file: TransferFile) -> str:
    """Say if rounds of the same pair differ so much that the pair itself must have changed."""
    valid: dict[tuple[str, tuple[int, int]], list[float]] = {}
    for trial in file.trials:
        if trial.valid and trial.transfer_ns is not None:
            valid.setdefault((trial.method, trial.cpus), []).append(trial.transfer_ns)
    moved = {key: v for key, v in valid.items() if max(v) > MOST_SPREAD * min(v)}
    if not moved:
        return ""
    method, pair = max(moved, key=lambda key: max(moved[key]) / min(moved[key]))
    worst, pairs = moved[method, pair], len({pair for _, pair in moved})
    return (
        f"Rounds of {pairs} pair{'s' * (pairs > 1)} differ more than {MOST_SPREAD:g} times (CPUs {pair[0]} and "
        f"{pair[1]} by {bounded(method)}: {time_ns(min(worst))} to {time_ns(max(worst))}). A hypervisor that "
        "moves virtual CPUs changes what they share: pin them, measure on bare metal, or rely on the interval."
    )


def transfer_report(file: TransferFile, width: int = 80) -> Iterable[RenderableType]:
    """Host, a heat map a method, the classes, and what to know about them."""
    plan = file.header.plan
    yield Text(f"{host_of(file.header)}\n")
    for method in plan.methods:
        title = Text(bounded(method), style="bold")
        title.append(f"  {METHODS.get(method, '')}", style="not bold")
        yield title
        yield heat_map(file, method, width)
        yield Text("")
    yield class_table([summarize(file.trials, method) for method in plan.methods], plan)
    yield Text("")
    if plan.sampled:
        yield Text(_sampled_words(plan))
    for line in complaints(file.trials):
        yield Text(line)
    if restless := _restless(file):
        yield Text(restless)
    if any(end.reason == "interrupted" for end in file.ends) or not file.ends:
        yield Text("This run was broken off: some pairs have fewer rounds, or none.")
    yield Text(
        "A transfer is half a round trip of one line between two CPUs: both directions are one measurement. "
        f"Medians over a pair's valid rounds ({plan.rounds} at the most), then over pairs, with 95 % intervals; "
        "p5, p95: over pairs.",
        style="dim",
    )
