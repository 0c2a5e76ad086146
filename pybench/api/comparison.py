# SPDX-License-Identifier: Apache-2.0
"""A comparison for a notebook: plain data, a data frame, and the report as text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pybench.analysis.comparison.compare import compare
from pybench.analysis.comparison.verdicts import Compared
from pybench.errors import UnsupportedError
from pybench.results.columns import columns_of
from pybench.results.columns import metrics as parse_metrics
from pybench.results.records import cell_settings
from pybench.results.store import EMULATED_NOTE, Results, is_emulated

if TYPE_CHECKING:
    import pandas


class Comparison:
    """The result of `pybench compare`: `data` has all of it, and `print` shows the report."""

    def __init__(self, data: Compared, sides: Sequence[Sequence[Results]]) -> None:
        self.data = data
        self._emulated = any(is_emulated(one.header.host) for side in sides for one in side)

    def to_frame(self) -> "pandas.DataFrame":
        """Return a data frame with a row per metric of each pair of cells.

        The columns are settings, both medians, the ratio with its bounds, and the verdict in words.
        """
        try:
            import pandas
        except ImportError:
            raise UnsupportedError("data frames need pandas: pip install pandas") from None
        rows: list[dict[str, Any]] = [
            cell_settings(cell.cell)
            | {
                "a": pair.a.label,
                "b": pair.b.label,
                "metric": one.metric,
                "value_a": one.a,
                "value_b": one.b,
                "ratio": one.ratio.value,
                "ratio_low": one.ratio.low,
                "ratio_high": one.ratio.high,
                "corrected_p": one.corrected_p,
                "verdict": one.verdict,
                "words": one.words,
            }
            for pair in self.data.pairs
            for cell in pair.cells
            for one in cell.comparisons
        ]
        return pandas.DataFrame(rows)

    def __repr__(self) -> str:
        from pybench.present.terminal.output import to_text
        from pybench.present.views.comparison import comparison

        return to_text(comparison(self.data, EMULATED_NOTE if self._emulated else ""))


def compare_runs(
    sides: Sequence[Sequence[Results]],
    *,
    metrics: str,
    same_within: float,
    axis: str = "",
    base: str | None = None,
) -> Comparison:
    """Compare every side with the first, or the values of an axis. UsageError if there is nothing to compare."""
    data = compare(
        [[columns_of(file) for file in side] for side in sides],
        axis=axis,
        base=base,
        metrics=parse_metrics(metrics),
        same_within=same_within,
    )
    return Comparison(data, sides)
