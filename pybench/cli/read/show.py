# SPDX-License-Identifier: Apache-2.0
"""Print the tables of a result file."""

from pathlib import Path

import click

from pybench.present.document import Document, to_json
from pybench.present.terminal.output import show
from pybench.present.views.sweep import sweep
from pybench.results.store import Results
from pybench.results.transfers import read_any


def print_results(results: Results) -> None:
    """Print a sweep's host, tables, curves and caveats."""
    show(sweep(results))


def document_of(path: Path) -> Document:
    """Return a result file of any kind as a document. Raises UsageError if it is not one."""
    results = read_any(path)
    if isinstance(results, Results):
        return sweep(results)
    from pybench.present.views.transfers import transfers

    return transfers(results)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON: tables as numbers with units.")
def command(file: Path, as_json: bool) -> None:
    """Print the tables of a result FILE: a sweep, a launch storm, a simulation, or a latency file.

    Results are medians over a cell's valid trials with 95 % intervals. Each curve is followed by the scaling model
    that describes it best (`pybench fit` compares all models), and the tables by caveats: invalid and failed
    trials, and what they show together.

    \b
    pybench show results/sweep.jsonl
    pybench show results/latency.jsonl --json
    """
    document = document_of(file)
    if as_json:
        click.echo(to_json(document).decode())
    else:
        show(document)
