# SPDX-License-Identifier: Apache-2.0
"""Exports and SQL: each format loaded by the tool or library that it is for, flagged trials where they belong."""

import csv
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pyperf
import pytest
from click.testing import CliRunner

from pybench.analysis.summary.cell_table import TABLES
from pybench.cli.read.export import command as export_command
from pybench.errors import UsageError
from pybench.results.export import export
from pybench.results.sql import ask
from pybench.results.store import Results, read
from tests.unit.synthetic import cell, noisy, results, trial, write

CELLS = [cell(lock=lock, threads=n, place="0-7 compact") for lock in ("ticket", "mcs") for n in (1, 2)]
FLAGGED = 3


@pytest.fixture
def file(tmp_path: Path) -> Results:
    """Return four cells of ten valid trials, and flagged trials of the first that would distort any result."""
    made = noisy("x", CELLS, factors=[1.0, 0.5, 1.0, 0.8])
    bad = [trial(0, CELLS[0], 1.0, repeat=10 + i, flags=["steal", "off-cpu"]) for i in range(FLAGGED)]
    return read(write(tmp_path / "a.jsonl", results("x", CELLS, [*made.trials, *bad])))


def medians(file: Results) -> list[float]:
    """Of each cell's valid trials, s an operation."""
    return [
        float(np.median([1 / t.figures.throughput for t in file.trials if t.cell == i and t.valid and t.figures]))
        for i in range(len(CELLS))
    ]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_have_every_trial_with_its_flags(file: Results, tmp_path: Path, kind: str) -> None:
    target = tmp_path / f"out.{kind}"
    export([file], kind, target)
    frame = pandas.read_csv(target) if kind == "csv" else pandas.read_parquet(target)
    assert len(frame) == len(file.trials)
    assert frame.flagged.sum() == FLAGGED and set(frame[frame.flagged]["flags"]) == {"steal,off-cpu"}
    assert set(frame.source) == {"measured"}
    valid = frame[frame.valid].groupby("cell").ns_per_operation.median()
    assert valid.tolist() == pytest.approx([s * 1e9 for s in medians(file)])


def test_pyperf_loads_it(file: Results, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    export([file], "pyperf", target)
    suite = pyperf.BenchmarkSuite.load(str(target))
    assert [b.median() for b in suite] == pytest.approx(medians(file))
    assert {b.get_unit() for b in suite} == {"second"}
    ran = subprocess.run([sys.executable, "-m", "pyperf", "stats", target], capture_output=True, text=True)
    assert ran.returncode == 0 and "Number of benchmarks: 4" in ran.stdout


def test_pytest_benchmark_compares_it(file: Results, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    export([file], "pytest-benchmark", target)
    words = [sys.executable, "-m", "pytest_benchmark", "compare", str(target), "--csv", str(tmp_path / "table")]
    ran = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    rows = list(csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text())))
    assert sorted(float(row["median"]) for row in rows) == pytest.approx(sorted(medians(file)))
    assert {row["rounds"] for row in rows} == {"10"}


def parse_go(text: str) -> dict[str, list[dict[str, float]]]:
    """Benchmark lines as golang.org/design/14313-benchmark-format defines them, and nothing else."""
    found: dict[str, list[dict[str, float]]] = {}
    for line in text.splitlines():
        if re.match(r"[a-z][^\sA-Z:]*:\s+\S", line) or re.fullmatch(r"Unit \S+( \w+=\w+)+", line):
            continue
        name, iterations, *pairs = line.split()
        assert re.match(r"Benchmark[^a-z]", name) and int(iterations) > 0 and pairs and len(pairs) % 2 == 0, line
        values = dict(zip(pairs[1::2], map(float, pairs[::2]), strict=True))
        found.setdefault(name, []).append(values)
    return found


def test_go_format_is_as_specified(file: Results) -> None:
    text = export([file], "go", None)
    assert text is not None
    found = parse_go(text)
    assert list(found) == [f"BenchmarkSpin/lock={lock}-{n}" for lock in ("ticket", "mcs") for n in (1, 2)]
    got = [float(np.median([v["ns/op"] for v in values])) / 1e9 for values in found.values()]
    assert got == pytest.approx(medians(file), rel=1e-4)


def test_what_cannot_be_exported_says_why(file: Results, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name a file"):
        export([file], "parquet", None)
    with pytest.raises(UsageError, match="one file at a time"):
        export([file, file], "pyperf", None)
    only_bad = results("x", CELLS, [one for one in file.trials if one.flags])
    with pytest.raises(UsageError, match="no valid trial"):
        export([only_bad], "go", None)
    ran = CliRunner().invoke(export_command, [str(file.path), "-o", str(tmp_path / "x.json")])
    assert isinstance(ran.exception, UsageError) and "names no format" in str(ran.exception)


def test_sql_over_trials_cells_members_and_phases(file: Results) -> None:
    sql = "SELECT cell, median(ns_per_operation) FROM trials WHERE valid GROUP BY cell ORDER BY cell"
    assert [row[1] / 1e9 for row in ask([file], sql, TABLES).rows] == pytest.approx(medians(file))
    assert ask([file], "SELECT valid, flagged FROM cells WHERE cell = 0", TABLES).rows == [(10, FLAGGED)]
    joined = "SELECT count(*) FROM phases JOIN trials USING (file, cell, repeat) WHERE valid"
    assert ask([file], joined, TABLES).rows == [(40,)]
    assert ask([file], "SELECT count(*) FROM members").rows == [(0,)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELEC 1",
        "SELECT nothing FROM trials",
        "SELECT * FROM read_text('{path}')",
        "COPY trials TO '{path}.csv'",
        "SET enable_external_access = true",
        "ATTACH '{path}.db'",
    ],
)
def test_sql_that_fails_or_reaches_out_is_one_line(file: Results, sql: str) -> None:
    with pytest.raises(UsageError) as raised:
        ask([file], sql.format(path=file.path))
    assert str(raised.value).startswith("SQL: ") and "\n" not in str(raised.value)
    assert [path.name for path in file.path.parent.iterdir()] == [file.path.name]


@pytest.mark.parametrize("option", [[], ["--format", "csv"], ["--format", "json"]])
def test_sql_answers_print(file: Results, option: list[str]) -> None:
    sql = "SELECT DISTINCT lock FROM trials ORDER BY 1"
    ran = CliRunner().invoke(export_command, [str(file.path), "--sql", sql, *option])
    assert ran.exit_code == 0 and "ticket" in ran.output and "mcs" in ran.output


@pytest.mark.parametrize("name", ["a.csv", "a.json"])
def test_sql_answers_are_written_by_the_ending_of_a_name(file: Results, tmp_path: Path, name: str) -> None:
    words = [str(file.path), "--sql", "SELECT DISTINCT lock FROM trials", "-o", str(tmp_path / name)]
    assert CliRunner().invoke(export_command, words).exit_code == 0
    assert "ticket" in (tmp_path / name).read_text()
    refused = CliRunner().invoke(export_command, [*words[:-1], str(tmp_path / "a.parquet")])
    assert isinstance(refused.exception, UsageError) and "csv or json" in str(refused.exception)
