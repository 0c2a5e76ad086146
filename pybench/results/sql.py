# SPDX-License-Identifier: Apache-2.0
"""SQL over result files by DuckDB: the tables are made in memory, and the statement can reach nothing else."""

import itertools
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pybench.errors import UnsupportedError, UsageError
from pybench.results.store import Results
from pybench.results.tables import TABLES, Columns, FlatTable, table


class Answer(msgspec.Struct, frozen=True):
    """The rows that a statement gives."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


def ask(files: Sequence[Results], sql: str, tables: Mapping[str, FlatTable] = TABLES) -> Answer:
    """Run one SQL statement over `tables` of the files.

    The statement can read no file, load no extension and reach no network. Raises UsageError, in one line, for SQL
    that fails, and UnsupportedError if DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError:
        raise UnsupportedError("SQL needs DuckDB: pip install duckdb") from None
    connection = duckdb.connect(":memory:", config={"threads": "1"})
    try:
        with tempfile.TemporaryDirectory(prefix="pybench-query-") as folder:
            for name in tables:
                # A table that the statement does not name is not made: members may have many rows.
                if re.search(rf"\b{name}\b", sql, re.IGNORECASE) or name == "trials":
                    _load(connection, name, table(files, name, tables), Path(folder))
        connection.execute("SET enable_external_access = false")
        connection.execute("SET python_enable_replacements = false")
        connection.execute("SET lock_configuration = true")
        done = connection.execute(sql)
        # DuckDB returns None for a text without a statement.
        if done is None or done.description is None:
            raise UsageError("the SQL gives no rows; write a SELECT")
        return Answer(_unique([column[0] for column in done.description]), done.fetchall())
    except duckdb.Error as error:
        raise UsageError(f"SQL: {_one_line(str(error))}") from None
    finally:
        connection.close()


def _unique(names: Sequence[str]) -> list[str]:
    """Return column names in which a second `a` is `a_2`: JSON and data frames need distinct names."""
    found: dict[str, None] = {}
    for name in names:
        candidates = (name if i == 1 else f"{name}_{i}" for i in itertools.count(1))
        found[next(one for one in candidates if one not in found and (one == name or one not in names))] = None
    return list(found)


def _load(connection: Any, name: str, columns: Columns, folder: Path) -> None:
    """Make a table, typed by its values; through a file, since inserting row by row takes minutes."""
    types = {column: _type(values) for column, values in columns.items()}
    if not types:
        connection.execute(f"CREATE TABLE {name} (file VARCHAR)")
        return
    path = folder / f"{name}.jsonl"
    with path.open("wb") as file:
        for row in zip(*columns.values(), strict=True):
            file.write(msgspec.json.encode(dict(zip(columns, row, strict=True))) + b"\n")
    words = ", ".join(f"'{column}': '{kind}'" for column, kind in types.items())
    connection.execute(
        f"CREATE TABLE {name} AS SELECT * FROM read_json(?, format = 'newline_delimited', columns = {{{words}}})",
        [str(path)],
    )


def _type(values: Sequence[Any]) -> str:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "BOOLEAN"
    if kinds == {int}:
        return "BIGINT"
    return "DOUBLE" if kinds and kinds <= {int, float} else "VARCHAR"


def _one_line(message: str) -> str:
    """Return an error without the echo of the statement, which follows an empty line or `LINE 1`."""
    return " ".join(re.split(r"\n\s*\n|\nLINE ", message)[0].split())
