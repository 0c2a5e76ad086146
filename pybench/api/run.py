# SPDX-License-Identifier: Apache-2.0
"""One or more result files as an object: estimates, ratios, frames, comparisons, models, charts."""

import functools
import importlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from pybench.analysis.summary.cell_table import TABLES, summaries
from pybench.analysis.summary.series import CellSummary, Series, summarize
from pybench.errors import UnsupportedError, UsageError
from pybench.results.columns import clock_step_ns
from pybench.results.columns import metric as metric_named
from pybench.results.export import export, format_of
from pybench.results.records import Cell, Trial, axis_values, label, varying
from pybench.results.sql import ask
from pybench.results.store import EMULATED, Results, check_emulated, is_emulated, read
from pybench.results.tables import source, table
from pybench.stats.estimate import Interval, interval_of
from pybench.stats.ratios import clock_blur, ratio_interval

if TYPE_CHECKING:
    import pandas

    from pybench.analysis.scaling.curve_fits import CurveFits
    from pybench.api.comparison import Comparison


class Ratio(msgspec.Struct, frozen=True):
    """The ratios of all pairs of cells that differ in one axis alone."""

    each: list[tuple[Cell, Interval]]
    """For each pair, its upper cell, and the ratio of the medians with its 95 % interval."""

    @property
    def value(self) -> float:
        """Return the geometric mean of the ratios."""
        product = functools.reduce(lambda so_far, one: so_far * one[1].value, self.each, 1.0)
        return float(product ** (1 / len(self.each)))

    @property
    def low(self) -> float:
        """Return the lowest lower bound: `low > 0.9` means every pair is above 0.9. NaN without an interval."""
        return _extreme(min, [interval.low for _, interval in self.each])

    @property
    def high(self) -> float:
        """Return the highest upper bound: `high < 1.1` means every pair is below 1.1. NaN if a pair has no
        interval."""
        return _extreme(max, [interval.high for _, interval in self.each])

    def __repr__(self) -> str:
        pairs = f", {len(self.each)} pairs" if len(self.each) > 1 else ""
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}{pairs}]"


def _extreme(pick: Callable[[list[float]], float], values: list[float]) -> float:
    return float("nan") if any(map(math.isnan, values)) else pick(values)


class Run:
    """Results of one or several files: from `pybench.load()` or `pybench.measure()`."""

    def __init__(self, results: Sequence[Results], aliases: Mapping[str, str] | None = None) -> None:
        if not results:
            raise UsageError("nothing to load; name a result file")
        self.results = list(results)
        self._aliases = dict(aliases or {})

    def __repr__(self) -> str:
        trials = sum(len(one.trials) for one in self.results)
        marked = "" if self.source == "measured" else f"{self.source.upper()}, "
        return f"<pybench.Run: {marked}{len(self._cells)} cells, {trials} trials, {', '.join(self.paths)}>"

    @property
    def source(self) -> str:
        """Return `measured`, `simulated` or `emulated`, or `measured and simulated` for files of both kinds."""
        return " and ".join(sorted({source(one.header) for one in self.results}))

    @property
    def paths(self) -> list[str]:
        """Return the paths of the files."""
        return [str(one.path) for one in self.results]

    @property
    def cells(self) -> list[CellSummary]:
        """Return every cell of every file: medians over its valid trials with 95 % intervals, and its flags."""
        return self._summaries

    @functools.cached_property
    def _summaries(self) -> list[CellSummary]:
        return [cell for one in self.results for cell in summaries(one)]

    @functools.cached_property
    def _cells(self) -> list[tuple[Results, int, Cell]]:
        return [(one, index, cell) for one in self.results for index, cell in enumerate(one.header.plan.cells)]

    def series(self) -> list[Series]:
        """Return the scaling curves: cells that differ only in their thread count."""
        return [
            curve
            for one in self.results
            for curve in summarize(one.header.plan.cells, one.trials, one.header.topology)
        ]

    def figure(self, metric: str = "throughput", **cell: Any) -> Interval:
        """Return a metric of the one cell with these settings: median and 95 % interval, ops/s or ns.

        Metrics: throughput, any percentile such as p50 or p99.9, max, jain, cpu. Raises UsageError unless exactly
        one cell has the settings.
        """
        wanted = self._only(cell)
        return interval_of(self._samples(wanted, metric), drawn=wanted[0].header.simulated is not None)

    def cell(self, **settings: Any) -> CellSummary:
        """Return the one cell with these settings (lock="mcs", threads=2). UsageError unless it is exactly one."""
        wanted = self._only(settings)
        self._check(*wanted)
        return self._summaries[self._cells.index(wanted)]

    def ratio(self, metric: str = "throughput", *, over: Any, **cell: Any) -> Ratio:
        """Return `ratio(lock="mcs", over="ticket")`: each cell of mcs over the cell of ticket that is alike
        otherwise.

        More settings select fewer cells: `ratio(lock="mcs", over="ticket", threads=2)`. If `over` is a value of
        two axes, name the axis: `over={"lock": "ticket"}`. Bounds hold for every pair, see `Ratio`. Raises
        UsageError if there is no such pair.
        """
        axis, base = self._base(over, cell)
        upper, lower = self._matching(cell), self._matching(cell | {axis: base})
        pairs = [
            (one, other)
            for one in upper
            for other in lower
            if one[0] is other[0] and _without(one[2], axis) == _without(other[2], axis)
        ]
        if not pairs:
            words = " ".join(f"{name}={value}" for name, value in cell.items())
            raise UsageError(f"no pair of cells with {words} over {axis}={base}{self._there(axis)}")
        return Ratio([(one[2], self._ratio(one, other, metric)) for one, other in pairs])

    def to_frame(self, kind: str = "trials") -> "pandas.DataFrame":
        """Return a data frame of `trials`, `cells`, `members` or `phases`; `pybench export --help` lists the
        columns.

        Units are in the column names. Invalid trials are included, so select `frame[frame.valid]` for results.
        Raises UnsupportedError if pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise UnsupportedError("data frames need pandas: pip install pandas") from None
        return pandas.DataFrame(table(self.results, kind, TABLES))

    def compare(
        self, other: "Run", *, metrics: str = "throughput,p50,p99", same_within: float = 0.03
    ) -> "Comparison":
        """Compare `other` with this run, the baseline, cell by cell, as `pybench compare` does.

        Raises UsageError if no cell has a partner.
        """
        from pybench.api.comparison import compare_runs

        return compare_runs([self.results, other.results], metrics=metrics, same_within=same_within)

    def compare_axis(
        self, axis: str, *, base: Any = None, metrics: str = "throughput,p50,p99", same_within: float = 0.03
    ) -> "Comparison":
        """Compare the values of an axis of this run (`lock`, `smt`, `host.kernel`) with its `base`."""
        from pybench.api.comparison import compare_runs

        text = None if base is None else str(base)
        return compare_runs([self.results], axis=axis, base=text, metrics=metrics, same_within=same_within)

    def fit(self, *, models: Sequence[str] | None = None, predict: Sequence[int] = ()) -> "dict[str, CurveFits]":
        """Return the scaling models of each curve, by the curve's name, as `pybench fit` does."""
        from pybench.analysis.scaling.curve_fits import fit_curve
        from pybench.analysis.scaling.models import MODELS

        unknown = [name for name in models or () if name not in MODELS]
        if unknown:
            raise UsageError(f"no model {unknown[0]!r}; there are {', '.join(MODELS)}")
        fits = {}
        for curve in self.series():
            rates = [rate for _, rate in curve.points]
            if rates:
                threads = [count for count, _ in curve.points]
                name = self._name(curve.cell, ("threads",))
                fits[name] = fit_curve(
                    threads, rates, borders=curve.borders, models=list(models or MODELS), predict=list(predict)
                )
        return fits

    def query(self, sql: str) -> "pandas.DataFrame":
        """Return the answer to SQL over the tables trials, cells, members and phases, as `pybench export --sql`
        does."""
        try:
            import pandas
        except ImportError:
            raise UnsupportedError("data frames need pandas: pip install pandas") from None
        answer = ask(self.results, sql, TABLES)
        return pandas.DataFrame(answer.rows, columns=answer.columns)

    def export(self, path: str | Path, format: str | None = None) -> Path:  # noqa: A002 - as the option is called
        """Write `csv`, `parquet`, `pytest-benchmark`, `pyperf` or `go` (by default as the name ends); return the
        path.

        Raises UsageError if it cannot be written, UnsupportedError without the library it needs.
        """
        target = Path(path)
        export(self.results, format or format_of(target), target)
        return target

    def chart(self, kind: str = "scaling") -> Any:
        """Return an Altair chart of a report by its short name: `scaling`, `latency`, `fairness`, `trials`, ...

        Raises UsageError for another kind, or without a valid trial; UnsupportedError if Altair is not installed.
        """
        try:
            import altair  # noqa: F401 - so that the message is ours
        except ImportError:
            raise UnsupportedError("charts need Altair: pip install altair vl-convert-python") from None
        charts = importlib.import_module("pybench.present.charts")
        if kind not in charts.kinds():
            raise UsageError(f"no chart {kind!r}", fix=f"choose from {', '.join(charts.kinds())}")
        try:
            chart = charts.draw(kind, self.results)
        except ValueError as error:
            raise UsageError(f"no chart of {', '.join(self.paths)}: {error}") from None
        labelled = any(is_emulated(one.header.host) for one in self.results)
        return chart.properties(title=EMULATED) if labelled else chart

    # A subclass may refuse a cell.
    def _check(self, file: Results, index: int, cell: Cell) -> None:
        """Check a cell before its results are returned."""

    def _samples(self, of: tuple[Results, int, Cell], metric: str) -> list[float]:
        wanted = metric_named(metric)
        self._check(*of)
        file, index, cell = of
        every = [wanted.value(trial) for trial in self.trials_of(file, index) if trial.valid]
        values = [value for value in every if value is not None]
        if not values:
            raise UsageError(f"{self._name(cell)}: no valid trial with {metric}")
        return values

    def _ratio(self, a: tuple[Results, int, Cell], b: tuple[Results, int, Cell], metric: str) -> Interval:
        """Return the ratio of two cells. The clock's step widens that of latencies, as in `pybench compare`."""
        sides, steps = [], []
        for of in (a, b):
            values = self._samples(of, metric)
            step = clock_step_ns(max(trial.outcome.timer_step_ns for trial in self.trials_of(of[0], of[1])))
            if metric_named(metric).is_latency:
                values = [max(value, step / 2) for value in values]
            if min(values) <= 0:
                raise UsageError(f"{self._name(of[2])}: {metric} is 0 in a trial, and has no ratio")
            sides.append(values)
            steps.append(step)
        drawn = a[0].header.simulated is not None
        blur = 0.0
        if metric_named(metric).is_latency and not drawn:
            blur = clock_blur(*(float(np.median(values)) for values in sides), *steps)
        return ratio_interval(*sides, drawn=drawn, resolution=blur)

    @staticmethod
    def trials_of(file: Results, index: int) -> list[Trial]:
        """Return the trials of one cell of a file."""
        return [trial for trial in file.trials if trial.cell == index]

    def _matching(self, settings: Mapping[str, Any]) -> list[tuple[Results, int, Cell]]:
        every = {name for _, _, cell in self._cells for name in axis_values(cell)}
        for name in settings:
            if name not in every:
                raise UsageError(f"no axis {name!r}; there are {', '.join(sorted(every))}")
        return [one for one in self._cells if self._fits(axis_values(one[2]), settings)]

    def _fits(self, own: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
        return all(
            str(own.get(name)) in (str(value), self._aliases.get(str(value)) if name == "place" else None)
            for name, value in settings.items()
        )

    def _only(self, settings: Mapping[str, Any]) -> tuple[Results, int, Cell]:
        found = self._matching(settings)
        if len(found) == 1:
            return found[0]
        words = " ".join(f"{name}={value}" for name, value in settings.items()) or "no settings"
        if not found:
            raise UsageError(f"no cell has {words}{''.join(self._there(name) for name in settings)}")
        names = ", ".join(varying((cell for _, _, cell in found), axis_values)) or "the files"
        raise UsageError(f"{len(found)} cells have {words}; they differ in {names}: choose one")

    def _there(self, axis: str) -> str:
        values = dict.fromkeys(str(axis_values(cell).get(axis)) for _, _, cell in self._cells)
        return f"; {axis} has {', '.join(values)}"

    def _base(self, over: Any, cell: Mapping[str, Any]) -> tuple[str, Any]:
        if isinstance(over, Mapping):
            if len(over) != 1:
                raise UsageError("over={axis: value} names one axis")
            return next(iter(over.items()))
        known = {name: {str(axis_values(one[2]).get(name)) for one in self._cells} for name in cell}
        wanted = {str(over), self._aliases.get(str(over), str(over))}
        axes = [name for name, value in cell.items() if str(value) != str(over) and wanted & known[name]]
        if len(axes) == 1:
            return axes[0], over
        if not axes:
            words = "".join(self._there(name) for name in cell) or "; name the axis: ratio(lock=..., over=...)"
            raise UsageError(f"over={over!r} is not a value of {', '.join(cell) or 'any axis'}{words}")
        raise UsageError(f"over={over!r} is a value of {' and '.join(axes)}; write over={{{axes[0]!r}: {over!r}}}")

    def _varying(self) -> list[str]:
        return varying((cell for _, _, cell in self._cells), axis_values)

    def _name(self, cell: Cell, without: Collection[str] = ()) -> str:
        shown = [name for name in self._varying() if name not in ("workload", *without)]
        return f"{cell.workload} {label(cell, shown, of=axis_values)}".rstrip()

    def values(self, axis: str) -> list[Any]:
        """Return the values of an axis, in order: `values("threads")` may be [1, 2]."""
        self._matching({axis: None})
        found = dict.fromkeys(axis_values(cell).get(axis) for _, _, cell in self._cells)
        return [value for value in found if value is not None]

    def axes(self) -> list[str]:
        """Return the names of the settings that vary among cells."""
        return [name for name in self._varying() if name != "workload"]

    def names(self) -> Iterator[tuple[Cell, str]]:
        """Return each cell with its workload and the settings that vary, in words."""
        return ((cell, self._name(cell)) for _, _, cell in self._cells)


def _without(cell: Cell, axis: str) -> dict[str, Any]:
    """Return the settings that two cells share which differ only in this axis."""
    plain = msgspec.structs.asdict(cell)
    own = {"params": {n: v for n, v in cell.params.items() if n != axis}}
    # Another thread count, place or lock has other CPUs, nodes and domains.
    dropped = {axis, "cpus", "nodes", "domains", "oversubscribed", "memory" if axis == "place" else ""}
    return {name: value for name, value in (plain | own).items() if name not in dropped}


def load(*paths: str | Path, emulated: bool = False) -> Run:
    """Read result files into one run. Raises UsageError, in one line, for a file that is not one.

    Files of emulated machines are refused unless `emulated`: their times are not those of a real machine. The run,
    and everything made of it, is then marked.
    """
    results = [read(Path(path)) for path in paths]
    check_emulated(((one.path, one.header.host) for one in results), emulated, "load it with emulated=True")
    for one in results:
        _ = one.trials  # a damaged file is refused here, not by the first call
    return Run(results)
