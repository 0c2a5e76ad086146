# SPDX-License-Identifier: Apache-2.0
"""The verdict of `pybench compare-smt` and `compare-sockets`: a line for each question and workload."""

import math
from collections.abc import Iterator

from pybench.analysis.comparison.smt_and_sockets import Kind, largest
from pybench.analysis.comparison.verdicts import CellComparison, Compared, MetricComparison
from pybench.present.document import Document, Heading, Paragraph
from pybench.present.labels import threads_word
from pybench.present.numbers import ratio_between
from pybench.present.views.comparison import comparison
from pybench.text import plural
from pybench.workloads import workload

# kind -> (at equal cores, at equal threads) -> verdict -> what follows from it
ADVICE: dict[Kind, tuple[dict[str, str], dict[str, str]]] = {
    "smt": (
        {
            "better": "SMT adds throughput",
            "worse": "SMT reduces throughput: keep siblings idle, or turn SMT off",
            "same": "SMT makes no difference",
        },
        {
            "better": "siblings share this at lower cost than cores do: fill them first",
            "worse": "use one thread per core while there are cores",
            "same": "packing threads on siblings costs nothing",
        },
    ),
    "sockets": (
        {
            "better": "the second socket adds throughput",
            "worse": "the second socket reduces throughput",
            "same": "the second socket adds nothing",
        },
        {
            "better": "two sockets are better for the same number of threads",
            "worse": "keep the threads on one socket",
            "same": "one socket or two makes no difference",
        },
    ),
}


def equal_comparison(compared: Compared, kind: Kind, factor: int, note_above: str = "") -> Document:
    """Return the comparison, then its verdict."""
    lines = verdict_lines(compared, kind, factor)
    blocks = comparison(compared, note_above).blocks
    return Document([*blocks, Heading("Verdict"), *map(Paragraph, lines)])


def verdict_lines(compared: Compared, kind: Kind, factor: int) -> Iterator[str]:
    """Yield what the comparison shows at the largest thread count: `mount, equal cores (4): ...`."""
    for question, pair in enumerate(compared.pairs):
        for cell, one in largest(pair.cells):
            yield _line(cell, one, kind, question, factor)


def _line(cell: CellComparison, one: MetricComparison, kind: Kind, question: int, factor: int) -> str:
    a, b = cell.cell.threads, cell.other.threads
    operation = workload(cell.cell.workload).operation
    if kind == "smt":
        name = f"equal cores ({a})" if question == 0 else f"equal threads ({a})"
        one_side = f"{threads_word(a)}, one per core"
        other = f"{threads_word(b)} on {plural(b // factor, 'core')} with SMT"
    else:
        name = f"equal cores per socket ({a})" if question == 0 else f"equal threads ({a})"
        one_side, other = f"{threads_word(a)} on one socket", f"{threads_word(b)} over two sockets"
    advice = ADVICE[kind][question].get(one.verdict, one.words)
    if math.isnan(one.ratio.value):
        return f"{cell.cell.workload}, {name}: {advice}"
    return (
        f"{cell.cell.workload}, {name}: {other} do {ratio_between(one.ratio)} times the {operation} per second of "
        f"{one_side}: {advice}"
    )
