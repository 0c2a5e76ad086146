# SPDX-License-Identifier: Apache-2.0
"""What a comparison found, as plain data: for the terminal, JSON, and whoever reads it in Python."""

from typing import Literal

import msgspec

from pybench.analysis.comparison.cell_pairs import Orphan
from pybench.analysis.comparison.conditions import Judged
from pybench.analysis.comparison.distributions import Distribution
from pybench.analysis.comparison.environment import Difference
from pybench.results.records import Cell
from pybench.stats.estimate import Interval

Verdict = Literal["better", "worse", "same", "unsure", "nothing"]
Basis = Literal["trials", "sweeps", "pairs of sweeps"]


class MetricComparison(msgspec.Struct, kw_only=True):
    """One metric of one cell: B over A."""

    metric: str
    a: float
    """Median over the trials (the geometric mean of the sweeps' medians; the share of all for `success`)."""
    b: float
    ratio: Interval
    """With its own 95 % interval, not corrected."""
    basis: Basis
    """What was repeated."""
    n_a: int
    n_b: int
    p: float
    """Of no difference, two-sided."""
    corrected_p: float = 1.0
    same_p: float
    """Of a difference beyond `same_within`."""
    same_corrected_p: float = 1.0
    verdict: Verdict = "unsure"
    words: str = ""
    """The verdict for people."""
    further: int | None = None
    """Where there is not enough evidence: about how many more trials or sweeps a side would tell; None if they
    cannot be reckoned, above 1000 for more than that."""
    note: str = ""


class CellComparison(msgspec.Struct, kw_only=True):
    """One pair of cells."""

    cell: Cell
    """Of A; B's is the same but for the axis and the CPUs."""
    other: Cell
    valid: tuple[int, int]
    trials: tuple[int, int]
    comparisons: list[MetricComparison]
    distribution: Distribution | None
    notes: list[str]


class SideInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One side."""

    label: str
    files: list[str]
    created: list[str]
    simulated: list[str] = []
    """`MACHINE, N draws` of those files that are simulated."""


class PairComparison(msgspec.Struct, kw_only=True):
    """One side against the base."""

    a: SideInfo
    b: SideInfo
    differences: list[Difference]
    """Of the recorded environments."""
    caveats: list[str]
    cells: list[CellComparison]
    unmatched: list[Orphan]


class Compared(msgspec.Struct, kw_only=True):
    """A whole comparison."""

    axis: str
    """Empty if files are compared with files."""
    metrics: list[str]
    same_within: float
    level: float
    family: int
    """Ratios among which verdicts are corrected."""
    notes: list[str]
    """On all files: defaults that were filled in, lines that broke off."""
    outside: list[Cell]
    """Cells that do not know the axis."""
    pairs: list[PairComparison]
    conditions: list[Judged]

    @property
    def every(self) -> list[MetricComparison]:
        """All comparisons."""
        return [one for pair in self.pairs for cell in pair.cells for one in cell.comparisons]
