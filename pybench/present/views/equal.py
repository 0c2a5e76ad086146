# SPDX-License-Identifier: Apache-2.0
"""The verdict of `pybench compare-smt` and `compare-sockets`, a line a question and workload."""

import math

from pybench.analysis.comparison.compared import CellComparison, Compared, Comparison
from pybench.analysis.comparison.equal import Kind, largest
from pybench.present.labels import threads_word
from pybench.present.views.comparison import ratio_words
from pybench.text import counted
from pybench.workloads import workload

# kind -> (at equal cores, at equal threads) -> verdict -> what to make of it
ADVICE: dict[Kind, tuple[dict[str, str], dict[str, str]]] = {
    "smt": (
        {
            "better": "SMT adds throughput",
            "worse": "SMT takes throughput away: siblings idle, or SMT off, is better",
            "same": "SMT makes no difference",
        },
        {
            "better": "siblings share this cheaper than cores do: fill them first",
            "worse": "a core each is better while there are cores",
            "same": "packing threads on siblings costs nothing",
        },
    ),
    "sockets": (
        {
            "better": "the second socket adds throughput",
            "worse": "the second socket takes throughput away",
            "same": "the second socket adds nothing",
        },
        {
            "better": "two sockets are better for as many threads",
            "worse": "keep the threads on one socket",
            "same": "one socket or two makes no difference",
        },
    ),
}


def verdict_lines(compared: Compared, kind: Kind, factor: int) -> list[str]:
    """What it comes to, at the most threads: `mount: EQUAL CORES (4): ...`."""
    lines = []
    for question, pair in enumerate(compared.pairs):
        for cell, one in largest(pair.cells):
            lines.append(_line(cell, one, kind, question, factor))
    return lines


def _line(cell: CellComparison, one: Comparison, kind: Kind, question: int, factor: int) -> str:
    a, b = cell.cell.threads, cell.other.threads
    operation = workload(cell.cell.workload).operation
    if kind == "smt":
        name = f"equal cores ({a})" if question == 0 else f"equal threads ({a})"
        one_side, other = (
            f"{threads_word(a)}, a core each",
            f"{threads_word(b)} on {counted(b // factor, 'core')} with SMT",
        )
    else:
        name = f"equal cores a socket ({a})" if question == 0 else f"equal threads ({a})"
        one_side, other = f"{threads_word(a)} on one socket", f"{threads_word(b)} over two sockets"
    advice = ADVICE[kind][question].get(one.verdict, one.words)
    if math.isnan(one.ratio.value):
        return f"{cell.cell.workload}, {name}: {advice}"
    ratio = ratio_words(one.ratio)
    return (
        f"{cell.cell.workload}, {name}: {other} do {ratio} times the {operation} a second of {one_side}: {advice}"
    )
