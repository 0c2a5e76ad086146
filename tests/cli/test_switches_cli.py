# SPDX-License-Identifier: Apache-2.0
"""Switches of the host from the command line. Nothing here turns one: that is tested in a guest."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from pybench.cli import main
from pybench.host.switches.files import SwitchFiles
from pybench.host.switches.journal import Journal, StateFolder

TOPOLOGIES = Path(__file__).parents[1] / "data/topologies"


class Ran(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Pybench = Callable[..., Ran]


@pytest.fixture
def pybench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Pybench:
    """The command line, with journal and lock in `tmp_path`. In this process: starting one more takes longer than
    what is tested."""
    monkeypatch.setenv("PYBENCH_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["pybench", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Ran(int(ended.value.code or 0), *capsys.readouterr())

    return run


def left_journal(state: Path) -> StateFolder:
    """Write the journal of a dead run whose switches are all back."""
    files, store = SwitchFiles(), StateFolder(state)
    online = files.online()
    store.save(
        Journal(
            boot=files.boot(),
            pid=1,
            created="2026-01-01T00:00:00+00:00",
            command=["pybench", "sweep"],
            smt=files.smt(),
            online=online,
            offline=tuple(set(files.present()) - set(online)),
            turned=online[1:],
        )
    )
    return store


def test_switches_are_refused_without_leave(tmp_path: Path, pybench: Pybench) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs a second CPU, as the first is the one to go")
    cpu = max(os.sched_getaffinity(0))
    ran = pybench("sweep", "spin", "--place", str(cpu), "--threads", "1", "--offline", "0")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "--allow-host-changes" in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_plan_shows_the_switches(pybench: Pybench) -> None:
    tree = TOPOLOGIES / "two-sockets-96.tar.gz"
    how = ("--dry-run", "--sysroot", str(tree), "--threads", "max", "--place", "all")
    ran = pybench("sweep", "spin", "--smt", "on,off:kernel", "--offline", "none", "--offline", "5", *how)
    assert ran.returncode == 0, ran.stderr
    for part in ("off:kernel", "all offline:5", "CPUs 48-95 to turn", "CPUs 5,48-95 to turn", "in blocks of"):
        assert part in ran.stdout


@pytest.mark.parametrize(
    ("verb", "tree", "said"),
    [
        ("compare-smt", "smt-off.tar.gz", "SMT is switched"),
        ("compare-smt", "two-sockets-96.tar.gz", "siblings-first"),
        ("compare-sockets", "two-sockets-96.tar.gz", "dual-socket"),
    ],
)
def test_comparisons_are_planned_or_offer_the_simulator(pybench: Pybench, verb: str, tree: str, said: str) -> None:
    ran = pybench(verb, "spin", "--dry-run", "--sysroot", str(TOPOLOGIES / tree))
    if ran.returncode == 0:
        assert said in ran.stdout
    else:
        assert ran.returncode == 3
        assert said in ran.stderr
        assert "pybench simulate --machine" in ran.stderr
        assert ran.stderr.count("\n") == 1


def test_a_left_journal_is_pointed_to_by_every_command_and_restored(tmp_path: Path, pybench: Pybench) -> None:
    store = left_journal(tmp_path)
    for words in (["machine", "list"], ["doctor", "--quick"]):
        ran = pybench(*words)
        assert "put them back with pybench doctor --restore" in ran.stderr
        assert ran.stderr.count("\n") == 1
    assert "host switches" in ran.stdout
    looked = pybench("doctor", "--restore", "--dry-run")
    assert "pybench sweep" in looked.stdout
    assert store.load() is not None
    restored = pybench("doctor", "--restore")
    assert restored.returncode == 0, restored.stderr
    assert "all is as it was" in restored.stdout
    assert store.load() is None
    again = pybench("doctor", "--restore")
    assert again.returncode == 0
    assert "nothing to put back" in again.stdout


def test_a_run_that_turns_nothing_does_not_run_beside_one_that_does(tmp_path: Path, pybench: Pybench) -> None:
    held = StateFolder(tmp_path).hold()
    cpu = str(max(os.sched_getaffinity(0)))
    words = ("sweep", "spin", "--place", cpu, "--threads", "1", "--duration", "5ms", "--max-trials", "6")
    refused = pybench(*words)
    assert refused.returncode == 75
    assert f"process {os.getpid()} turns switches" in refused.stderr
    os.close(held)
    assert pybench(*words).returncode == 0


@pytest.mark.parametrize(
    "words",
    [
        ("machine", "calibrate", "-o", "here.toml"),
        ("reproduce", "--only", "2", "-o", "new"),
        ("latency", "--output", "l.jsonl"),
    ],
)
def test_every_verb_that_measures_is_refused_beside_it_and_leaves_nothing(
    tmp_path: Path, pybench: Pybench, words: tuple[str, ...]
) -> None:
    held = StateFolder(tmp_path).hold()
    before = set(tmp_path.iterdir())
    refused = pybench(*words)
    os.close(held)
    assert refused.returncode == 75
    assert f"process {os.getpid()} turns switches" in refused.stderr.splitlines()[-1]
    assert set(tmp_path.iterdir()) == before
