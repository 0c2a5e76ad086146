# SPDX-License-Identifier: Apache-2.0
"""Hostile files end in one printable line and a documented status, without a traceback."""

import json
from pathlib import Path
from typing import Any

import pytest

from pybench.results.records import MOST_THREADS
from tests.cli.cli_runs import pybench

DATA = Path(__file__).parents[1] / "data" / "results" / "format-1-measured.jsonl"
ESCAPE = "\x1b]0;title\x07\x9b31m\x00"
THOUSAND = list(range(1000))
READERS = [("show",), ("fit",), ("export", "--format", "csv"), ("compare",), ("report",)]


def changed(tmp_path: Path, change: Any) -> Path:
    """Write a result file whose header, as a dict, was changed."""
    first, _, rest = DATA.read_text().partition("\n")
    header = json.loads(first)
    change(header)
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(header) + "\n" + rest)
    return path


def refused(*words: str | Path, status: int = 2) -> str:
    """Run a command that must fail in one printable line; return the line."""
    ran = pybench(*words)
    assert ran.returncode == status, ran.stderr
    line = ran.stderr.removesuffix("\n")
    assert line.startswith("pybench: ") and line.isprintable() and len(line) < 1100, line
    return line


@pytest.mark.parametrize("reader", READERS, ids=" ".join)
@pytest.mark.parametrize("threads", [0, -1, MOST_THREADS + 1, 2**31])
def test_a_thread_count_beyond_the_core_is_damage(tmp_path: Path, reader: tuple[str, ...], threads: int) -> None:
    path = changed(tmp_path, lambda header: header["plan"]["cells"][0].update(threads=threads))
    files = (path, path) if reader[0] == "compare" else (path,)
    assert "threads" in refused(*reader, *files)


@pytest.mark.parametrize("reader", READERS, ids=" ".join)
def test_json_nested_deep_is_damage(tmp_path: Path, reader: tuple[str, ...]) -> None:
    path = tmp_path / "deep.jsonl"
    path.write_text('{"kind":"header","host":' + "[" * 100_000 + "\n")
    refused(*reader, path, *([path] if reader[0] == "compare" else []))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed = " + "9" * 5000, "not TOML"),
        ("x = " + "[" * 900 + "]" * 900, "nested too deep"),
        (f"{json.dumps(ESCAPE)} = 1", "unknown field"),
        ('output = "a\\u0000b"', "NUL"),
        ('workloads = "mount"\n[param]\nfs = "/tmp\\u0000x"', "NUL"),
        (
            'workloads = "spin"\n[param]\n'
            + "".join(f"{n} = {list(range(1000))}\n" for n in ("hold_ns", "think_ns")),
            "",
        ),
    ],
    ids=["digits", "deep", "escape", "output", "parameter", "cells"],
)
def test_a_hostile_configuration_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    assert said in refused("sweep", "--dry-run", "--config", path)


def test_names_and_arguments_do_not_steer_the_terminal(tmp_path: Path) -> None:
    assert "title" in refused("show", tmp_path / "\x1b]0;title\x07")
    refused("sweep", "spin", "--lock", "x" * 5000)
