# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin with --benchmark: measure a test's sweep, and hand its cells to pytest-benchmark."""

import copy
import datetime
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pybench.analysis.diagnosis.inconclusive import why_inconclusive
from pybench.analysis.summary.series import CellSummary
from pybench.api.measure import Measured, measure
from pybench.api.run import Ratio
from pybench.errors import PybenchError, UnsupportedError
from pybench.pytest_plugin.messages import NO_PARALLEL
from pybench.results.columns import SUMMARIZED
from pybench.results.records import Cell, Trial, cell_settings
from pybench.results.store import Results
from pybench.results.tables import source
from pybench.stats.estimate import Interval, median_interval

_now = 0.0


def core_time() -> float:
    """Return the clock of pytest-benchmark in seconds: only results of the core move it."""
    return _now


def _set_clock(seconds: float) -> None:
    global _now  # noqa: PLW0603 - a clock is one, and pytest-benchmark reads it without arguments
    _now = seconds


class SweepFigures(Measured):
    """The sweep of a test. Asked for an inconclusive cell, it ends the test as inconclusive."""

    def __init__(self, measured: Measured, request: pytest.FixtureRequest) -> None:
        super().__init__(measured.results[0], measured.planned)
        self._node: Any = request.node
        self._strict = bool(request.config.getoption("pybench_strict"))

    def ratio(self, metric: str = "throughput", *, over: Any, **cell: Any) -> Ratio:
        """As `Run.ratio`; inconclusive if a cell or an interval is, skipped if this host lacks a value."""
        named = over if isinstance(over, Mapping) else dict.fromkeys(cell, over)
        self._skip_missing([*cell.items(), *named.items()])
        ratio = super().ratio(metric, over=over, **cell)
        if any(not interval.known for _, interval in ratio.each):
            self._inconclusive("too few trials for an interval")
        return ratio

    def figure(self, metric: str = "throughput", **cell: Any) -> Interval:
        """As `Run.figure`; inconclusive if the cell or its interval is."""
        interval = super().figure(metric, **cell)
        if not interval.known:
            self._inconclusive("too few trials for an interval")
        return interval

    def cell(self, **settings: Any) -> CellSummary:
        """As `Run.cell`; inconclusive if it is, or has no speedup because the cell of fewest threads has no
        results."""
        summary = super().cell(**settings)
        if not (summary.throughput.known and summary.speedup.known):
            self._inconclusive(f"{self._name(summary.cell)}: too few trials for an interval")
        return summary

    @property
    def cells(self) -> list[CellSummary]:
        """As `Run.cells`; inconclusive if any of them is."""
        for one in self._cells:
            self._check(*one)
        return self._summaries

    def _only(self, settings: Mapping[str, Any]) -> tuple[Results, int, Cell]:
        self._skip_missing(list(settings.items()))
        return super()._only(settings)

    def _check(self, file: Results, index: int, cell: Cell) -> None:
        trials = self.trials_of(file, index)
        unsupported = next((t.outcome.reason for t in trials if t.outcome.status == "unsupported"), "")
        if unsupported:
            pytest.skip(f"this host cannot do {self._name(cell)}: {unsupported}")
        if why := why_inconclusive(file.header.plan, trials):
            self._inconclusive(f"{self._name(cell)}: {why}")

    def _skip_missing(self, named: list[tuple[str, Any]]) -> None:
        for one in self.missing:
            if (one.axis, one.value) in [(name, str(value)) for name, value in named]:
                pytest.skip(f"not on this host: {one.axis}={one.value}: {one.reason}")

    def _inconclusive(self, why: str) -> NoReturn:
        self._node.config.stash[INCONCLUSIVE][self._node.nodeid] = why
        if self._strict:
            pytest.fail(f"inconclusive: {why}", pytrace=False)
        pytest.skip(f"inconclusive: {why}")


INCONCLUSIVE = pytest.StashKey[dict[str, str]]()


class WithOption:
    """The fixture of a run with --benchmark, and the summary of inconclusive tests."""

    def __init__(self, config: pytest.Config) -> None:
        config.stash[INCONCLUSIVE] = {}

    @pytest.fixture
    def sweep(self, request: pytest.FixtureRequest, benchmark: Any) -> SweepFigures:
        """Return the sweep that the marker asks for: ratio(), figure(), cell(), cells, to_frame()."""
        marker = request.node.get_closest_marker("sweep")
        if marker is None or "workload" not in marker.kwargs or marker.args:
            benchmark.skipped = True
            pytest.fail(
                'the fixture sweep needs its marker: @pytest.mark.sweep(workload="spin", threads=[1, 2])',
                pytrace=False,
            )
        if hasattr(request.config, "workerinput"):
            pytest.skip(NO_PARALLEL)
        try:
            measured = measure(**marker.kwargs, output=_output(request))
        except UnsupportedError as error:
            benchmark.skipped = True
            pytest.skip(f"not on this host: {error}")
        except (PybenchError, TypeError, ValueError) as error:
            benchmark.skipped = True
            pytest.fail(f"{request.node.nodeid}: {error}", pytrace=False)
        figures = SweepFigures(measured, request)
        _record(figures, benchmark)
        return figures

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """List the inconclusive tests: a skip is easily overlooked."""
        inconclusive = config.stash[INCONCLUSIVE]
        if inconclusive:
            terminalreporter.section("pybench: inconclusive, neither passed nor failed", sep="-")
            for node, why in inconclusive.items():
                terminalreporter.write_line(f"{node}: {why}")


def _output(request: pytest.FixtureRequest) -> Path | None:
    folder = request.config.getoption("pybench_results")
    if not folder:
        return None
    name = re.sub(r"[^\w.=-]+", "-", request.node.name).strip("-")
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    return Path(folder) / f"{name}-{stamp}.jsonl"


def _record(figures: SweepFigures, benchmark: Any) -> None:
    """Give pytest-benchmark a benchmark per cell: its rounds are the valid trials, its time the core's."""
    file = figures.results[0]
    axes = figures.axes()
    settings = [cell_settings(cell) for cell in file.header.plan.cells]
    blank = copy.copy(benchmark)
    recorded = False
    for index, (cell, name) in enumerate(figures.names()):
        trials = figures.trials_of(file, index)
        seconds = [1 / t.figures.throughput for t in trials if t.valid and t.figures and t.figures.throughput > 0]
        if not seconds:
            continue
        # pytest-benchmark makes one fixture per test, and this test has many cells.
        one = benchmark if not recorded else copy.copy(blank)
        recorded = True
        own = {axis: settings[index][axis] for axis in axes if axis in settings[index]}
        label = "-".join(f"{axis}={value}" for axis, value in own.items())
        one.name, one.fullname = _labelled(blank.name, label), _labelled(blank.fullname, label)
        one.group = f"{cell.workload}: {', '.join(axes)}" if axes else cell.workload
        one.param = "-".join(filter(None, [blank.param, label])) or None
        one.params = {**(blank.params or {}), **own} or None
        one.extra_info = extra_info(figures, cell, trials, name)
        queue = iter(seconds)
        one.pedantic(
            lambda queue=queue: _set_clock(next(queue)), setup=lambda: _set_clock(0.0), rounds=len(seconds)
        )
    if not recorded:
        benchmark.skipped = True


def _labelled(name: str, label: str) -> str:
    if not label:
        return name
    return f"{name[:-1]}-{label}]" if name.endswith("]") else f"{name}[{label}]"


def extra_info(figures: Measured, cell: Cell, trials: list[Trial], name: str) -> dict[str, Any]:
    """Return what a cell's entry has beyond its times: placement, intervals, latency, fairness, and flags."""
    file = figures.results[0]
    plan, valid = file.header.plan, [t.figures for t in trials if t.valid and t.figures]

    def bounds(values: list[float]) -> dict[str, float | None]:
        interval: Interval = median_interval(values)
        low, high = (interval.low, interval.high) if interval.known else (None, None)
        return {"median": interval.value, "low": low, "high": high}

    flags: dict[str, int] = {}
    for flag in (flag for trial in trials for flag in trial.flags):
        flags[flag] = flags.get(flag, 0) + 1
    return {
        "cell": name,
        "source": source(file.header),
        **{k: v for k, v in cell_settings(cell).items() if k != "cpus"},
        "cpus": list(cell.cpus),
        "interval_level": 0.95,
        "ns_per_operation": bounds([1e9 / f.throughput for f in valid]),
        **{one.header: bounds([getattr(f, one.field) for f in valid]) for one in SUMMARIZED},
        "trials": len(trials),
        "valid": len(valid),
        "flags": flags,
        "inconclusive": why_inconclusive(plan, trials),
        "duration_ns": plan.duration_ns,
        "seed": plan.seed,
    }
