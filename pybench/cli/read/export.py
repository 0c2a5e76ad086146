# SPDX-License-Identifier: Apache-2.0
"""pybench export: result files for other tools."""

from pathlib import Path

import click


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["csv", "parquet", "pytest-benchmark", "pyperf", "go"]),
    help="By default what the name after -o ends in: .csv, .parquet, .txt (go); else csv.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Where to; parquet needs it. [print]"
)
@click.option(
    "--table",
    "kind",
    type=click.Choice(["trials", "cells", "members", "phases"]),
    default="trials",
    help="csv, parquet: a row a trial, cell, thread, or timed phase. [trials]",
)
def command(files: tuple[Path, ...], format_name: str | None, output: Path | None, kind: str) -> None:
    """Write result FILEs in the format of another tool.

    \b
    csv, parquet      every trial, with columns `flags`, `flagged` and `valid`;
                      units are in the columns' names (pybench query --help lists
                      them), `source` says measured, emulated or simulated
    pytest-benchmark  its JSON: pytest-benchmark compare FILE
    pyperf            its JSON: pyperf stats FILE, pyperf compare_to A B
    go                the text that benchstat reads: benchstat a.txt b.txt

    The last three have a benchmark a cell, valid trials alone, and as a trial's time that of one operation (1 /
    throughput); in `go`, the number after the last dash is the thread count.

    \b
    pybench export results/a.jsonl -o a.csv
    pybench export results/a.jsonl --format go -o a.txt
    """
    from pybench.analysis.summary.tables import TABLES
    from pybench.results.export import export, format_of
    from pybench.results.store import read

    if format_name is None:
        format_name = "csv" if output is None else format_of(output)
    text = export([read(path) for path in files], format_name, output, kind, TABLES)
    if text is not None:
        click.echo(text, nl=False)
