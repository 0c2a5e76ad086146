# SPDX-License-Identifier: Apache-2.0
"""Print the tables of a result file."""

from pathlib import Path

import click

from pybench.cli.runs import document_of, draw_chart, print_results
from pybench.present.document import to_json
from pybench.results.latency_file import read_any


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON: tables as numbers with units.")
@click.option(
    "--chart",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="OUT",
    help="Also draw the scaling curves, launches or line transfers into OUT, .svg or .png.",
)
def command(file: Path, as_json: bool, chart: Path | None) -> None:
    """Print the tables of a result FILE: a sweep, a launch storm, a simulation, or a latency file.

    Results are medians over a cell's valid trials with 95 % intervals. Each curve is followed by the scaling model
    that describes it best (`pybench fit` compares all models), and the tables by caveats: invalid and failed
    trials, and what they show together.

    \b
    pybench show results/sweep.jsonl
    pybench show results/sweep.jsonl --json
    pybench show results/latency.jsonl --chart heat.svg
    """
    if chart:
        from pybench.api.report import check_chart

        check_chart(chart)
    results = read_any(file)
    if as_json:
        click.echo(to_json(document_of(results)).decode())
        draw_chart(results, chart)
    else:
        print_results(results, chart)
