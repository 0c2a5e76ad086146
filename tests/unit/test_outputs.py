# SPDX-License-Identifier: Apache-2.0
"""Outputs are written whole or not at all, never over an input or measurements, and only as regular files."""

import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pybench.errors import UsageError
from pybench.outputs import check_output, write_whole

DATA = Path(__file__).parents[1] / "data" / "results" / "format-1-measured.jsonl"
VERBS = [
    ("export", "--format", "csv"),
    ("export", "--format", "parquet"),
    ("export", "--format", "pyperf"),
    ("export", "--sql", "SELECT 1", "--format", "json"),
    ("report", "--force"),
]


def run(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run a verb; a hang fails after a minute."""
    main = "from pybench.cli import main; main()"
    command = [sys.executable, "-c", main, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """Copy a result file."""
    path = tmp_path / "x.data"
    path.write_bytes(DATA.read_bytes())
    return path


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_no_verb_writes_over_its_input_by_any_name(measured: Path, verb: tuple[str, ...]) -> None:
    link, hard = measured.with_name("link.csv"), measured.with_name("hard.csv")
    link.symlink_to(measured)
    hard.hardlink_to(measured)
    for target in (measured, link, hard, measured.parent / "." / measured.name, Path(os.path.relpath(measured))):
        ran = run(verb[0], measured, *verb[1:], "-o", target)
        assert ran.returncode == 2 and ran.stderr.count("\n") == 1, ran.stderr
        assert "is an input" in ran.stderr
    assert measured.read_bytes() == DATA.read_bytes()


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_no_verb_replaces_a_pipe_or_other_measurements(measured: Path, verb: tuple[str, ...]) -> None:
    pipe, other = measured.with_name("pipe"), measured.with_name("other.data")
    os.mkfifo(pipe)
    other.write_bytes(DATA.read_bytes())
    for target, words in (
        (pipe, "not a regular file"),
        (other, "holds measurements"),
        (measured.parent, "regular"),
    ):
        ran = run(verb[0], measured, *verb[1:], "-o", target)
        assert ran.returncode == 2 and any(one in ran.stderr for one in (words, "is a directory")), ran.stderr
    assert stat.S_ISFIFO(pipe.stat().st_mode) and other.read_bytes() == DATA.read_bytes()


@pytest.mark.parametrize("old", [None, "old"])
def test_a_failed_write_leaves_what_was_there(tmp_path: Path, old: str | None) -> None:
    """A limit on the size of files stands for a full disk."""
    target = tmp_path / "a.csv"
    if old:
        target.write_text(old)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, limits[1]))
    try:
        with pytest.raises(UsageError, match=r"cannot write .*a\.csv: File too large; name a writable place"):
            write_whole(target, b"x" * 4096)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ([target.name] if old else [])
    assert not old or target.read_text() == old


def test_a_link_stays_a_link_and_modes_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    write_whole(link, "new")
    assert link.is_symlink() and real.read_text() == "new" and stat.S_IMODE(real.stat().st_mode) == 0o640


@pytest.mark.parametrize("name", ["n" * 300, "a\0b"])
def test_an_impossible_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        check_output(tmp_path / name)
    with pytest.raises(UsageError, match="cannot write"):
        write_whole(tmp_path / name, "x")
    assert not list(tmp_path.iterdir())


def test_the_longest_name_that_a_folder_takes_is_written(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 255)
    assert write_whole(target, "x").read_text() == "x"
