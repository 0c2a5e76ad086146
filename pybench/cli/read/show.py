# SPDX-License-Identifier: Apache-2.0
"""Print the tables of a result file."""

from pathlib import Path

import click

from pybench.analysis.scaling.curves import LEVELS_TO_COMPARE
from pybench.analysis.summary.series import summarize
from pybench.present.provenance import banner, describe_host
from pybench.present.terminal.output import make_console
from pybench.present.views.sweep import evidence_line, legend, result_tables
from pybench.results.emulated import NOTE, is_emulated
from pybench.results.store import Results, read


def print_results(results: Results) -> None:
    """Print a file's host, tables, curves and complaints."""
    console = make_console()
    simulated = results.header.simulated is not None
    console.print(banner(results.header) or describe_host(results.header), markup=False)
    if is_emulated(results.header.host):
        console.print(NOTE, markup=False, style="bold")
    console.print()
    series = summarize(results.header.plan.cells, results.trials, results.header.topology)
    for table in result_tables(series, results.header.plan.cells, results.trials):
        console.print(table)
    if evidence := evidence_line(results.trials):
        console.print(evidence, markup=False)
    if any(one.levels >= LEVELS_TO_COMPARE for one in series):
        console.print(f"The models compared, with intervals and caveats: pybench fit {results.path}", markup=False)
    for reason in results.header.plan.left_out:
        console.print(f"left out: {reason}", markup=False)
    if results.truncated:
        console.print(f"{results.path}: the last line broke off and is left out", markup=False)
    console.print(
        legend([cell for one in series for cell in one.cells], simulated=simulated), markup=False, style="dim"
    )


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def command(file: Path) -> None:
    """Print the tables of a result FILE again.

    Each figure is the median over a cell's valid trials, with its 95 % interval; then the scaling
    model that describes each curve best (`pybench fit` compares them all), and what was flagged or failed.
    """
    print_results(read(file))
