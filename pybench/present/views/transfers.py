# SPDX-License-Identifier: Apache-2.0
"""Line transfers between CPUs: a heat map that needs no colour, and a table by distance."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pybench.analysis.summary.transfer_matrix import Axis, axis, finest, matrix
from pybench.plan.request import show_duration
from pybench.present import caveats
from pybench.present.document import (
    Block,
    Column,
    Content,
    Document,
    Drawing,
    Heading,
    Paragraph,
    Span,
    Table,
    Words,
    note,
)
from pybench.present.labels import DISTANCE_WORDS, bounded, host_words
from pybench.present.numbers import time_ns
from pybench.results.latency_file import PairTrial, TransferFile, TransferHeader, TransferPlan
from pybench.results.latency_summary import PairLatency, Transfers, pair_latencies, summarize
from pybench.results.store import EMULATED_NOTE, is_emulated
from pybench.run.line_transfers import expected_ns
from pybench.text import plural
from pybench.workloads.transfer import METHODS

COLUMNS = (
    Column("method"),
    Column("between CPUs of"),
    Column("pairs"),
    Column("transfer", "time"),
    Column("p5", "time"),
    Column("p95", "time"),
)
MOST_LEVELS = 9
# Neighbouring levels differ by no less than this, or noise would draw a pattern.
LEAST_STEP = 1.15
# Frequency and noise make less.
MOST_SPREAD = 2.0
UNMEASURED, INVALID, ITSELF = ".", "!", "-"
# A cell's width and decimals, from the one that tells most.
NUMBERS = ((6, 1), (4, 0))


def host_of(header: TransferHeader) -> str:
    """Return one line on the host that was measured."""
    return host_words(header.host, len(header.topology.get("cpus", [])))


class Levels:
    """Up to nine levels of equal ratio between the lowest and the highest value."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        known = values[np.isfinite(values)]
        self.low, self.high = (float(known.min()), float(known.max())) if known.size else (math.nan, math.nan)
        ratio = self.high / self.low if known.size else 1.0
        self.count = min(MOST_LEVELS, max(1, math.floor(math.log(ratio) / math.log(LEAST_STEP))))
        self._step = ratio ** (1 / self.count)

    def of(self, value: float) -> int:
        """Return the level of a value, from 0."""
        if self.count == 1:
            return 0
        return min(max(int(math.log(value / self.low) / math.log(self._step)), 0), self.count - 1)

    def heat(self, level: int) -> float:
        """Return a level's place on the scale of colours, 0 (least) to 1 (most)."""
        return level / max(self.count - 1, 1)

    def bounds(self, level: int) -> tuple[float, float]:
        """Return where a level begins and ends, in ns."""
        return self.low * self._step**level, self.low * self._step ** (level + 1)


def _fitting(size: int, gaps: int, margin: int, width: int, values: NDArray[np.float64]) -> tuple[int, int]:
    """Return the width of a cell and its decimals; width 1 is a level's digit."""
    widest = np.nanmax(values) if np.isfinite(values).any() else 0.0
    for cell, decimals in NUMBERS:
        fits = margin + size * cell + gaps <= width
        if fits and len(f"{widest:.{decimals}f}") < cell:
            return cell, decimals
    return 1, 0


def heat_map(file: TransferFile, method: str, width: int = 80) -> Drawing:
    """Return the matrix of one method: numbers where they fit `width`, else a digit per cell, grouped until it
    fits."""
    plan = file.header.plan
    cpus, figures = plan.cpus, pair_latencies(file.trials, method)
    margin = max(len(str(cpu)) for cpu in cpus) + 1
    gaps = len({cpu.socket or 0 for cpu in file.topology.cpus if cpu.number in cpus}) - 1
    most = max(1, width - margin - gaps)
    rows = axis(file.topology, cpus, min(most, finest(len(plan.pairs))) if plan.sampled else most)
    values = matrix(rows, figures)
    levels = Levels(values)
    cell, decimals = _fitting(len(rows.groups), gaps, margin, width, values)
    invalid = _invalid(rows, figures)
    lines: list[Words] = [Span(line, "dim") for line in _column_names(rows, margin, cell)]
    for i, name in enumerate(rows.names):
        line = [Span(f"{name:>{margin - 1}} ")]
        for j, value in enumerate(values[i]):
            if j and rows.sockets[j] != rows.sockets[j - 1]:
                line.append(Span(" "))
            if math.isnan(value):
                alone = i == j and len(rows.groups[i]) == 1
                mark = ITSELF if alone else INVALID if (i, j) in invalid else UNMEASURED
                line.append(Span(mark.rjust(cell)))
                continue
            level = levels.of(value)
            shown = str(level + 1) if cell == 1 else f"{value:.{decimals}f}"
            line.append(Span(shown.rjust(cell), heat=levels.heat(level)))
        lines.append(tuple(line))
        if i + 1 < len(rows.groups) and rows.sockets[i + 1] != rows.sockets[i]:
            lines.append("")
    if cell == 1 and not math.isnan(levels.low):
        lines += _scale(levels, width)
    return Drawing(lines, legend=_legend(rows, cell, bool(invalid), np.isnan(values)))


def _invalid(rows: Axis, figures: Sequence[PairLatency]) -> set[tuple[int, int]]:
    """Return the cells with a pair of which no measurement is valid."""
    place = {cpu: index for index, group in enumerate(rows.groups) for cpu in group}
    cells = [(place[f.cpus[0]], place[f.cpus[1]]) for f in figures if not f.transfer_ns.n]
    return {*cells, *((b, a) for a, b in cells)}


def _column_names(rows: Axis, margin: int, cell: int) -> Iterator[str]:
    """Yield lines with the names above their columns; from top to bottom where a cell is one character."""
    names = rows.names
    tall = max(len(name) for name in names) if cell == 1 else 1
    for k in range(tall):
        line = " " * margin
        for j, name in enumerate(names):
            line += " " if j and rows.sockets[j] != rows.sockets[j - 1] else ""
            line += name.rjust(tall)[k] if cell == 1 else name.rjust(cell)
        yield line


def _scale(levels: Levels, width: int) -> Iterator[Words]:
    """Yield lines that say which times each digit stands for."""
    line: list[Span] = []
    used = 0
    for level in range(levels.count):
        low, high = levels.bounds(level)
        words = f" {_short(low)}-{_short(high)}ns"
        if used and used + len(words) + 3 > width:
            yield tuple(line)
            line, used = [], 0
        line += [Span("  " if used else ""), Span(f"{level + 1}", heat=levels.heat(level)), Span(words)]
        used += len(words) + 1 + (2 if used else 0)
    yield tuple(line)


def _legend(rows: Axis, cell: int, invalid: bool, missing: NDArray[np.bool_]) -> str:
    words = ["one-way line transfer in ns"] if cell > 1 else []
    if rows.of == "CPU":
        words.append("rows and columns are CPUs")
    else:
        words.append(
            f"a row is one {rows.of}, named by its first CPU; a cell is the median between two, or inside one"
        )
    off_diagonal = missing & ~np.eye(len(missing), dtype=bool)
    if off_diagonal.any() and not invalid:
        words.append(f"{UNMEASURED} not measured")
    if invalid:
        words.append(f"{INVALID} no valid measurement")
    return "; ".join(words)


def _short(ns: float) -> str:
    return f"{ns:.1f}" if ns < 100 else f"{ns:.0f}"


def distance_table(every: Sequence[Transfers], plan: TransferPlan) -> Table:
    """Return a row for each method and distance."""
    rows: list[list[Content]] = []
    for one in every:
        for figure in one.classes:
            there = plan.pairs_there.get(figure.distance, figure.pairs)
            pairs = str(figure.pairs) if figure.pairs == there else f"{figure.pairs} of {there}"
            bounds: list[Content] = [figure.p5_ns, figure.p95_ns] if figure.pairs > 1 else [None, None]
            rows.append([one.method, DISTANCE_WORDS[figure.distance], pairs, figure.median_ns, *bounds])
    return Table("distances", COLUMNS, rows)


def plan_words(plan: TransferPlan) -> str:
    """Return what a plan measures and how long that takes, in one line."""
    all_pairs = sum(plan.pairs_there.values())
    pairs = f"{len(plan.pairs)} of {all_pairs} pairs" if plan.sampled else plural(all_pairs, "pair")
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


def transfer_caveats(trials: Iterable[PairTrial]) -> Iterator[str]:
    """Yield a line for each reason why trials are invalid or failed."""
    trials = list(trials)
    yield from caveats.invalid_trials(Counter(flag for trial in trials for flag in trial.flags))
    failed = Counter(trial.reason or trial.status for trial in trials if trial.transfer_ns is None)
    yield from (f"{plural(n, 'trial')} failed: {bounded(why, 200)}" for why, n in failed.items())


def _unstable(file: TransferFile) -> str:
    """Return a caveat if rounds of one pair differ by a factor that only other CPUs behind the pair explain."""
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
        f"Rounds of {plural(pairs, 'pair')} differ more than {MOST_SPREAD:g} times (CPUs {pair[0]} and "
        f"{pair[1]} by {bounded(method)}: {time_ns(min(worst))} to {time_ns(max(worst))}). A hypervisor that "
        "moves virtual CPUs changes what they share: pin them, measure on bare metal, or rely on the interval."
    )


def transfers(file: TransferFile, width: int = 80) -> Document:
    """Return a latency file as `pybench show` prints it; heat maps are at most `width` columns wide."""
    plan = file.header.plan
    blocks: list[Block] = [Paragraph(host_of(file.header))]
    if is_emulated(file.header.host):
        blocks.append(Paragraph(EMULATED_NOTE, tone="strong"))
    for method in plan.methods:
        blocks += [Heading(bounded(method), METHODS.get(method, "")), heat_map(file, method, width)]
    blocks.append(distance_table([summarize(file.trials, method) for method in plan.methods], plan))
    lines = [_sampled_words(plan)] if plan.sampled else []
    lines += transfer_caveats(file.trials)
    if unstable := _unstable(file):
        lines.append(unstable)
    if any(end.reason == "interrupted" for end in file.ends) or not file.ends:
        lines.append("This run was interrupted: some pairs have fewer rounds, or none. Measure again for all.")
    return Document(
        [
            *blocks,
            *map(Paragraph, lines),
            note(
                "A transfer is half a round trip of one line between two CPUs: both directions are one "
                f"measurement. Medians over a pair's valid rounds (at most {plan.rounds}), then over pairs, "
                "with 95 % intervals. p5, p95: over pairs."
            ),
        ]
    )
