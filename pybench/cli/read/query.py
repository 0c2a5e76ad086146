# SPDX-License-Identifier: Apache-2.0
"""pybench query: SQL over result files."""

import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pybench.errors import UsageError

if TYPE_CHECKING:
    from pybench.results.sql import Answer


class SchemaCommand(click.Command):
    """A command whose --help ends with the tables."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each table has."""
        from pybench.analysis.summary.tables import TABLES

        with formatter.section("Tables"):
            formatter.write_dl([(name, one.columns) for name, one in TABLES.items()])


@click.command(cls=SchemaCommand)
@click.argument("sql", metavar="SQL")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list with an object a row.")
def command(sql: str, files: tuple[Path, ...], as_csv: bool, as_json: bool) -> None:
    """Ask result FILEs by SQL (DuckDB's).

    The statement sees the tables below and nothing else: no other file, no network. Tables are joined by file,
    cell and repeat. A flagged trial is a row too: choose `WHERE valid` for figures.

    \b
    pybench query 'SELECT lock, threads, median(throughput_ops_per_s) AS rate
                   FROM trials WHERE valid
                   GROUP BY ALL ORDER BY ALL' results/*.jsonl
    pybench query "SELECT flags, count(*) FROM trials GROUP BY flags" a.jsonl
    """
    if as_csv and as_json:
        raise UsageError("--csv and --json are two formats; keep one")
    from pybench.analysis.summary.tables import TABLES
    from pybench.results.sql import ask
    from pybench.results.store import read

    answer = ask([read(path) for path in files], sql, TABLES)
    if as_csv:
        _print_csv(answer)
    elif as_json:
        _print_json(answer)
    else:
        _print_table(answer)


def _print_csv(answer: "Answer") -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(answer.columns)
    writer.writerows(answer.rows)
    click.echo(text.getvalue(), nl=False)


def _print_json(answer: "Answer") -> None:
    import msgspec

    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    click.echo(msgspec.json.format(msgspec.json.encode(rows, enc_hook=str), indent=1).decode())


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
        # What is piped is searched and cut: no row is folded.
        console = Console(highlight=False, width=max(80, console.measure(table).maximum))
    console.print(table)
    click.echo(f"{len(answer.rows)} row{'' if len(answer.rows) == 1 else 's'}", err=True)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)
