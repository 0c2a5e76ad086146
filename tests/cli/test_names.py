# SPDX-License-Identifier: Apache-2.0
"""A name that is no UTF-8 is a name."""

import json
import os
from pathlib import Path

import pytest

from pybench.results.store import read
from tests.cli.cli_runs import pybench

ASKED = ["simulate", "--machine", "r5.metal", "spin", "--threads", "1,2", "--place", "all", "--smt", "on"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("names") / os.fsdecode(b"a\xff.jsonl")
    ran = pybench(*ASKED, "--draws", "2", "--duration", "20us", "--output", path)
    assert ran.returncode == 0, ran.stderr
    return path


def test_a_run_keeps_its_command(path: Path) -> None:
    assert read(path).header.command[-1].endswith("a\ufffd.jsonl")


@pytest.mark.parametrize(
    "words",
    [
        ["fit", "--json"],
        ["compare", "--axis", "threads", "--json"],
        ["export", "--sql", "SELECT file FROM trials", "--format", "json"],
    ],
)
def test_json_of_it_is_text(path: Path, words: list[str]) -> None:
    ran = pybench(*words, path)
    assert ran.returncode == 0, ran.stderr
    json.loads(ran.stdout)
    assert "a\ufffd.jsonl" in ran.stdout


@pytest.mark.parametrize(
    "words",
    [["export", "--format", "csv"], ["export", "--format", "pyperf"], ["export", "--format", "go"], ["report"]],
)
def test_it_is_exported_and_reported(path: Path, words: list[str]) -> None:
    out = path.with_name("out." + words[-1])
    ran = pybench(*words, path, "-o", out)
    assert ran.returncode == 0, ran.stderr
    assert out.read_text()


@pytest.mark.parametrize("length", [256, 300])
def test_a_page_with_too_long_a_name_is_one_line(path: Path, length: int) -> None:
    pytest.importorskip("altair")
    ran = pybench("report", path, "-o", path.with_name("n" * length))
    assert ran.returncode == 2 and ran.stderr.count("\n") == 1, ran.stderr
    assert "File name too long; name a writable place" in ran.stderr
