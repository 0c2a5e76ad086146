# SPDX-License-Identifier: Apache-2.0
"""Runs on the terminal: their progress, and the plan, first results, tables and report of sweeps."""

import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pybench.errors import UnsupportedError, UsageError
from pybench.host.topology import Topology
from pybench.plan.planner import expected_ns, switch_words
from pybench.plan.request import Request
from pybench.present.document import Document
from pybench.present.labels import describe_host
from pybench.present.terminal.output import make_console, show
from pybench.present.views.sweep import budget_words, first_result, plan_view
from pybench.present.views.sweep import sweep as sweep_view
from pybench.results.latency_file import TransferFile
from pybench.results.records import Header, Plan, Trial, varying
from pybench.results.store import RESULTS, Results
from pybench.run.loop import Interrupted, Observer
from pybench.text import printable

# First results that fit a screen.
MOST_FIRST_RESULTS = 24


class Bar(Observer):
    """A bar on a terminal, under lines about the run; only the lines elsewhere.

    The bar moves between trials, as Python must not run during one. A simulation lets it move by itself
    (`auto_refresh`).
    """

    def __init__(
        self,
        word: str,
        lines: Callable[[Any], list[str]],
        *,
        auto_refresh: bool = False,
        every_s: float = 0.0,
    ) -> None:
        """Draw a bar called `word` at most once per `every_s`; `lines` are printed of the header."""
        self.console = make_console(stderr=True)
        self._lines = lines
        self._every_s = every_s
        self._shown = 0.0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            auto_refresh=auto_refresh,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task(word, total=1.0)

    def begin(self, header: Any, path: Path | None, done: int) -> None:
        """Print the lines about the run, and start the bar."""
        for line in [f"{path}: {done} trials are there, going on"] if done else self._lines(header):
            click.echo(line, err=True)
        self._bar.start()

    def trial(self, trial: Any, progress: Callable[[], float]) -> None:
        """Move the bar."""
        if not self._bar.disable and time.monotonic() - self._shown >= self._every_s:
            self._bar.update(self._task, completed=progress())
            self._bar.refresh()
            self._shown = time.monotonic()

    def end(self) -> None:
        """Take the bar away."""
        self._bar.stop()


class SweepBar(Bar):
    """The bar of a sweep, and the first result of each cell."""

    def __init__(self) -> None:
        super().__init__("measuring", _lines)
        self._seen: set[int] = set()
        self._varying: list[str] = []

    def begin(self, header: Header, path: Path | None, done: int) -> None:
        """Print what is measured, and start the bar."""
        self._varying = varying(header.plan.cells)
        super().begin(header, path, done)

    def trial(self, trial: Trial, progress: Callable[[], float]) -> None:
        """Move the bar; print a cell's first result."""
        if trial.cell not in self._seen and len(self._seen) < MOST_FIRST_RESULTS:
            self._seen.add(trial.cell)
            self.console.print(first_result(trial, self._varying), markup=False, soft_wrap=True)
        super().trial(trial, progress)


def _lines(header: Header) -> list[str]:
    topology = msgspec.convert(header.topology, Topology)
    words = budget_words(header.plan, *expected_ns(header.plan))
    return [describe_host(header), *_caveats(topology), words, *switch_words(header.plan, topology)]


def _caveats(topology: Topology) -> list[str]:
    """Return a line for each caveat of the host's topology, on which the placement of threads rests."""
    return [f"caveat: {printable(caveat)}" for caveat in topology.caveats]


def show_plan(made: Plan, topology: Topology) -> None:
    """Print the cells of a plan, the time they take, and the switches it turns."""
    words = [budget_words(made, *expected_ns(made)), *switch_words(made, topology), *_caveats(topology)]
    show(plan_view(made, words))


def run_request(request: Request, report: bool | None) -> None:
    """Measure a request and print its results; or, dry, only its plan."""
    from pybench.api.sweep import plan, sweep

    if request.dry_run:
        show_plan(*plan(request))
        return
    measured = print_measured(lambda: sweep(request, observer=SweepBar()))
    name_report(measured, report)


def print_measured(measure: Callable[[], Results]) -> Results:
    """Measure, print the tables, and return the results; after Ctrl-C say how to go on, and exit."""
    interrupted = False
    try:
        results = measure()
    except Interrupted as stop:
        results, interrupted = stop.results, True
    if results.trials:
        click.echo(err=True)
        print_results(results)
    click.echo(f"kept in {results.path}", err=True)
    if interrupted:
        click.echo(f"interrupted; go on with: pybench sweep --resume {results.path}", err=True)
        sys.exit(130)
    return results


def name_report(results: Results, wanted: bool | None) -> None:
    """Write the report of a sweep and name it; where it is not wanted, name the command that makes it.

    By default (None) a sweep that is kept under its own name gets one. A sweep with --output is often one of many
    that a script runs, which has no use for a page each.
    """
    path = results.path
    page = path.with_suffix(".html")
    can = all(map(find_spec, ("altair", "jinja2", "vl_convert")))
    if not results.trials:
        return
    if wanted or (wanted is None and path.parent == RESULTS and can):
        from pybench.api.report import write_report

        try:
            write_report((path,), page)
        except (UsageError, UnsupportedError) as error:
            click.echo(f"no report: {error}", err=True)
        else:
            click.echo(f"report: {page}", err=True)
        return
    click.echo(f"a page of it: pybench report {path}", err=True)


def print_results(results: Results | TransferFile, chart: Path | None = None) -> None:
    """Print a file's host, tables, curves and caveats; draw its chart, if there is a path for one."""
    show(document_of(results))
    draw_chart(results, chart)


def document_of(results: Results | TransferFile) -> Document:
    """Return a result file of any kind as a document."""
    if isinstance(results, Results):
        return sweep_view(results)
    from pybench.present.views.transfers import transfers

    return transfers(results)


def draw_chart(results: Results | TransferFile, chart: Path | None) -> None:
    if chart:
        from pybench.api.report import write_chart

        click.echo(f"drawn in {write_chart(results, chart)}", err=True)
