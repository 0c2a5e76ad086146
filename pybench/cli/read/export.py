# SPDX-License-Identifier: Apache-2.0
"""Write result files for other tools, or ask them by SQL."""

import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pybench.errors import UsageError
from pybench.outputs import write_whole

if TYPE_CHECKING:
    from pybench.results.sql import Answer


class SchemaCommand(click.Command):
    """A command whose --help ends with the SQL tables."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the columns of each table."""
        from pybench.analysis.summary.cell_table import TABLES

        with formatter.section("Tables of --sql"):
            formatter.write_dl([(name, one.columns) for name, one in TABLES.items()])


@click.command(cls=SchemaCommand)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["csv", "json", "parquet", "pytest-benchmark", "pyperf", "go"]),
    help="Write this format. [as -o ends: .csv, .json, .parquet, .txt (go); else csv, or a table with --sql]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE; parquet needs it. [print]",
)
@click.option(
    "--table",
    "kind",
    type=click.Choice(["trials", "cells", "members", "phases"]),
    default="trials",
    help="Write a row per trial, cell, thread, or timed phase (csv, parquet). [trials]",
)
@click.option("--sql", metavar="'SELECT ...'", help="Run one statement of DuckDB's SQL over the tables below.")
def command(
    files: tuple[Path, ...], format_name: str | None, output: Path | None, kind: str, sql: str | None
) -> None:
    """Write result FILEs in the format of another tool, or the answer to an SQL statement over them.

    \b
    csv, parquet      every trial, with columns `flags`, `flagged` and `valid`;
                      units are in the columns' names (below), `source` is
                      measured, emulated or simulated
    pytest-benchmark  its JSON: pytest-benchmark compare FILE
    pyperf            its JSON: pyperf stats FILE, pyperf compare_to A B
    go                the text that benchstat reads: benchstat a.txt b.txt

    The last three have a benchmark per cell, valid trials alone, and as a trial's time that of one operation (1 /
    throughput); in `go`, the number after the last dash is the thread count.

    An SQL statement sees the tables below and nothing else: no other file, no network. Tables are joined by file,
    cell and repeat. An invalid trial is a row too: choose `WHERE valid` for results. The answer is printed as a
    table, or written as csv or json.

    \b
    pybench export results/a.jsonl -o a.csv
    pybench export results/a.jsonl --format go -o a.txt
    pybench export results/*.jsonl --sql 'SELECT lock, threads,
      median(throughput_ops_per_s) AS rate FROM trials WHERE valid
      GROUP BY ALL ORDER BY ALL'
    pybench export a.jsonl --sql 'SELECT flags, count(*) FROM trials GROUP BY 1'
    """
    from pybench.analysis.summary.cell_table import TABLES
    from pybench.results.store import read

    if sql is not None:
        _answer(files, sql, format_name, output)
        return
    from pybench.results.export import export, format_of

    if format_name == "json":
        raise UsageError("--format json is for --sql; add a statement, or choose another format")
    if format_name is None:
        format_name = "csv" if output is None else format_of(output)
    text = export([read(path) for path in files], format_name, output, kind, TABLES)
    if text is not None:
        click.echo(text, nl=False)


def _answer(files: tuple[Path, ...], sql: str, format_name: str | None, output: Path | None) -> None:
    from pybench.analysis.summary.cell_table import TABLES
    from pybench.results.sql import ask
    from pybench.results.store import read

    if format_name is None and output is not None:
        format_name = output.suffix.removeprefix(".")
    if format_name not in (None, "csv", "json"):
        raise UsageError(f"--sql writes csv or json, not {format_name}; choose one with --format")
    answer = ask([read(path) for path in files], sql, TABLES)
    if format_name is None:
        _print_table(answer)
        return
    text = _csv(answer) if format_name == "csv" else _json(answer)
    if output is None:
        click.echo(text, nl=False)
        return
    write_whole(output, text, files)


def _csv(answer: "Answer") -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(answer.columns)
    writer.writerows(answer.rows)
    return text.getvalue()


def _json(answer: "Answer") -> str:
    import msgspec

    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    return msgspec.json.format(msgspec.json.encode(rows, enc_hook=str), indent=1).decode() + "\n"


def _print_table(answer: "Answer") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pybench.present.terminal.output import make_console

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(answer.columns):
        numbers = all(isinstance(row[i], (int, float)) for row in answer.rows if row[i] is not None)
        table.add_column(Text(name), justify="right" if numbers and answer.rows else "left", overflow="fold")
    for row in answer.rows:
        table.add_row(*(Text(_shown(value)) for value in row))
    console = make_console()
    if not sys.stdout.isatty():
        # Piped output is searched and cut by other tools, so no row is folded.
        console = Console(highlight=False, width=max(80, console.measure(table).maximum))
    console.print(table)
    click.echo(f"{len(answer.rows)} row{'' if len(answer.rows) == 1 else 's'}", err=True)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)
