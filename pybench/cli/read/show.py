# SPDX-License-Identifier: Apache-2.0
"""Print the tables of a result file."""

from pathlib import Path

import click

from pybench.errors import UsageError
from pybench.present.document import Document, to_json
from pybench.present.terminal.output import show
from pybench.present.views.sweep import sweep
from pybench.results.latency_file import TransferFile, read_any
from pybench.results.store import Results


def print_results(results: Results) -> None:
    """Print a sweep's host, tables, curves and caveats."""
    show(sweep(results))


def print_matrix(file: TransferFile, chart: Path | None) -> None:
    """Print the tables of line transfers; draw their heat map into `chart`, if there is one."""
    from pybench.present.views.transfers import transfers

    show(transfers(file))
    draw(file, chart)


def draw(file: TransferFile, chart: Path | None) -> None:
    """Draw the heat map of line transfers into `chart`, if there is one. Raises UsageError or UnsupportedError."""
    if chart:
        from pybench.present.transfer_chart import write_chart

        write_chart(file, chart)
        click.echo(f"drawn in {chart}", err=True)


def document_of(file: Results | TransferFile) -> Document:
    """Return a result file of any kind as a document."""
    if isinstance(file, Results):
        return sweep(file)
    from pybench.present.views.transfers import transfers

    return transfers(file)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON: tables as numbers with units.")
@click.option(
    "--chart",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="Draw the heat map of a latency file into OUT, .svg or .png.",
)
def command(file: Path, as_json: bool, chart: Path | None) -> None:
    """Print the tables of a result FILE: a sweep, a launch storm, a simulation, or a latency file.

    Results are medians over a cell's valid trials with 95 % intervals. Each curve is followed by the scaling model
    that describes it best (`pybench fit` compares all models), and the tables by caveats: invalid and failed
    trials, and what they show together.

    \b
    pybench show results/sweep.jsonl
    pybench show results/latency.jsonl --json
    pybench show results/latency.jsonl --chart heat.svg
    """
    if chart:
        from pybench.present.transfer_chart import check_chart

        check_chart(chart)
    results = read_any(file)
    if chart and isinstance(results, Results):
        raise UsageError(f"{file} is a sweep, and --chart draws latency files; see pybench report --svg DIR")
    if as_json:
        click.echo(to_json(document_of(results)).decode())
    else:
        show(document_of(results))
    if isinstance(results, TransferFile):
        draw(results, chart)
