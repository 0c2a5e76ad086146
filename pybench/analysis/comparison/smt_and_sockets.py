# SPDX-License-Identifier: Apache-2.0
"""Compare SMT, and sockets, at equal cores and at equal threads.

Twice the threads on the same cores, and the same threads on half the cores, are two questions with two answers; a
single "with and without SMT" mixes them.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from pybench.analysis.comparison.cell_pairs import Group, Part
from pybench.analysis.comparison.compare import compare_groups
from pybench.analysis.comparison.verdicts import CellComparison, Compared, MetricComparison
from pybench.results.columns import FileColumns
from pybench.results.records import Cell

Kind = Literal["smt", "sockets"]


class Labels(msgspec.Struct, frozen=True):
    """Labels of the two sides, at equal cores and at equal threads."""

    one: str
    cores: str
    threads: str


LABELS: dict[Kind, Labels] = {
    "smt": Labels(
        "one thread per core",
        "EQUAL CORES: all siblings of the same number of cores, so {factor}x the threads",
        "EQUAL THREADS: all siblings of 1/{factor} of the cores, with the same number of threads",
    ),
    "sockets": Labels(
        "one socket",
        "EQUAL CORES PER SOCKET: both sockets with as many threads each, so {factor}x the threads",
        "EQUAL THREADS: the same number of threads, spread over both sockets",
    ),
}


def compare_equal(file: FileColumns, kind: Kind, ones: int, factor: int) -> Compared:
    """Compare the first `ones` cells of a plan (one thread per core, or one socket) with the others.

    `factor` is the number of threads per core (or sockets) of the others. The first pair of the result is at equal
    cores, the second at equal threads. Raises UsageError if no cell has a partner.
    """
    cells = file.header.plan.cells
    labels = LABELS[kind]
    pairs = []
    for label, scale in ((labels.cores, factor), (labels.threads, 1)):
        a = _group(file, labels.one, cells[:ones], 0, 1)
        b = _group(file, label.format(factor=factor), cells[ones:], ones, scale)
        # A thread count that only the other question needs is not a cell without a partner.
        shared = a.cells.keys() & b.cells.keys()
        for group in (a, b):
            group.cells = {key: parts for key, parts in group.cells.items() if key in shared}
        pairs.append((a, b))
    compared = compare_groups([file], pairs, axis="smt" if kind == "smt" else "place")
    for pair in compared.pairs:
        pair.caveats = [
            "Both sides ran interleaved in one sweep, on one host; what changes from sweep to sweep is not in "
            "these intervals: to see it, run this again"
        ]
        for cell in pair.cells:
            if cell.cell.threads != cell.other.threads:
                cell.notes.append(f"threads: {cell.cell.threads} in A, {cell.other.threads} in B")
    return compared


def _group(file: FileColumns, label: str, cells: Sequence[Cell], first: int, scale: int) -> Group:
    """Group cells by the settings they share with their partners: all but placement and SMT, and threads over
    `scale`."""
    group = Group(label=label, files=[0], cells={})
    for index, cell in enumerate(cells, first):
        if cell.threads % scale == 0:
            key = [cell.workload, sorted(cell.params.items()), cell.crew, cell.threads // scale]
            group.cells[msgspec.json.encode(key)] = [Part(0, cell, file.cells.get(index))]
    return group


def largest(cells: Sequence[CellComparison]) -> list[tuple[CellComparison, MetricComparison]]:
    """Return, for each series, the pair of cells with the most threads and its throughput."""
    found: dict[bytes, tuple[CellComparison, MetricComparison]] = {}
    for cell in sorted(cells, key=lambda one: one.cell.threads):
        for one in cell.comparisons:
            if one.metric == "throughput":
                found[msgspec.json.encode([cell.cell.workload, sorted(cell.cell.params.items())])] = cell, one
    return list(found.values())
