# SPDX-License-Identifier: Apache-2.0
"""The outcome of a comparison as plain data: for the terminal, JSON and Python."""

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
    """One metric of one pair of cells: B over A."""

    metric: str
    a: float
    """Median over the trials (geometric mean of the sweeps' medians; for `success`, the share of all launches)."""
    b: float
    ratio: Interval
    """With its own 95 % interval, not corrected."""
    basis: Basis
    """The repeated unit."""
    n_a: int
    n_b: int
    p: float
    """Two-sided p-value of no difference."""
    corrected_p: float = 1.0
    same_p: float
    """p-value of a difference beyond `same_within`."""
    same_corrected_p: float = 1.0
    verdict: Verdict = "unsure"
    words: str = ""
    """The verdict in words."""
    further: int | None = None
    """Where evidence is missing: about how many more trials or sweeps per side would be enough; None if unknown,
    above 1000 for more than that."""
    note: str = ""


class CellComparison(msgspec.Struct, kw_only=True):
    """One pair of cells."""

    cell: Cell
    """The cell of A; that of B differs in the axis and the CPUs."""
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
    """`MACHINE, N draws` of each simulated file."""


class PairComparison(msgspec.Struct, kw_only=True):
    """One side against the baseline."""

    a: SideInfo
    b: SideInfo
    differences: list[Difference]
    """Differences of the recorded environments."""
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
    """The number of ratios over which verdicts are corrected."""
    notes: list[str]
    """Notes on all files: defaults that were filled in, lines that are incomplete."""
    outside: list[Cell]
    """Cells that do not have the axis."""
    pairs: list[PairComparison]
    conditions: list[Judged]

    @property
    def every(self) -> list[MetricComparison]:
        """Return all comparisons of metrics."""
        return [one for pair in self.pairs for cell in pair.cells for one in cell.comparisons]
