"""A comparison for a notebook: plain data, a data frame, and the report as text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pybench.analysis.compare import compare
from pybench.analysis.compared import Compared
from pybench.analysis.metrics import metrics as parse_metrics
from pybench.analysis.tables import cell_settings
from pybench.errors import UnsupportedError
from pybench.results.columns import columns_of
from pybench.results.emulated import NOTE, is_emulated

if TYPE_CHECKING:
    import pandas

    from pybench.api.run import Run


class Comparison:
    """What `pybench compare` says. Printed, it is that report; `data` has everything."""

    def __init__(self, data: Compared, runs: "Sequence[Run]") -> None:
        self.data = data
        self._emulated = any(is_emulated(one.header.host) for run in runs for one in run.results)

    def to_frame(self) -> "pandas.DataFrame":
        """A row a metric of each pair of cells: settings, both medians, ratio with bounds, verdict in words."""
        try:
            import pandas
        except ImportError:
            raise UnsupportedError("data frames need pandas: pip install 'pybench[export]'") from None
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
        from rich.console import Console

        from pybench.report.compare import compare_report

        console = Console(width=80, highlight=False, color_system=None)
        with console.capture() as drawn:
            if self._emulated:
                console.print(NOTE)
            for part in compare_report(self.data):
                console.print(part)
        return drawn.get()


def compare_runs(
    runs: "Sequence[Run]", *, metrics: str, same_within: float, axis: str = "", base: str | None = None
) -> Comparison:
    """Compare every run with the first, or the values of an axis. Raises UsageError if nothing can be."""
    sides = [[columns_of(file) for file in run.results] for run in runs]
    data = compare(sides, axis=axis, base=base, metrics=parse_metrics(metrics), same_within=same_within)
    return Comparison(data, runs)
