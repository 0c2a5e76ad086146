"""Switches of the host from the command line. Nothing here turns one: that is tested in a guest."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pybench.host.journal import Journal, Store
from pybench.host.switches import SwitchFiles

TOPOLOGIES = Path(__file__).parents[1] / "data/topologies"


def pybench(state: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [Path(sys.executable).with_name("pybench"), *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"PYBENCH_STATE_DIR": str(state)},
        cwd=state,
    )


def left_journal(state: Path) -> Store:
    """What a dead run leaves that had turned nothing that is still turned."""
    files, store = SwitchFiles(), Store(state)
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


@pytest.mark.parametrize("words", [["--smt", "off:kernel"], ["--offline", "0"]])
def test_switches_are_refused_without_leave(tmp_path: Path, words: list[str]) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs a second CPU, as the first is the one to go")
    cpu = max(os.sched_getaffinity(0))
    ran = pybench(tmp_path, "sweep", "spin", "--place", str(cpu), "--threads", "1", *words)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "--allow-host-changes" in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_plan_shows_the_switches(tmp_path: Path) -> None:
    tree = TOPOLOGIES / "two-sockets-96.tar.gz"
    how = ("--dry-run", "--sysroot", str(tree), "--threads", "max", "--place", "all")
    ran = pybench(tmp_path, "sweep", "spin", "--smt", "on,off:kernel", "--offline", "none", "--offline", "5", *how)
    assert ran.returncode == 0, ran.stderr
    for part in ("off:kernel", "all offline:5", "CPUs 48-95 go off", "CPUs 5,48-95 go off", "in blocks of"):
        assert part in ran.stdout


@pytest.mark.parametrize(
    ("verb", "tree", "said"),
    [
        ("compare-smt", "smt-off.tar.gz", "SMT is switched"),
        ("compare-smt", "two-sockets-96.tar.gz", "siblings-first"),
        ("compare-sockets", "two-sockets-96.tar.gz", "dual-socket"),
    ],
)
def test_comparisons_are_planned_or_offer_the_simulator(tmp_path: Path, verb: str, tree: str, said: str) -> None:
    ran = pybench(tmp_path, verb, "spin", "--dry-run", "--sysroot", str(TOPOLOGIES / tree))
    if ran.returncode == 0:
        assert said in ran.stdout
    else:
        assert ran.returncode == 3
        assert said in ran.stderr
        assert "pybench simulate --machine" in ran.stderr
        assert ran.stderr.count("\n") == 1


def test_a_left_journal_is_pointed_to_by_every_command_and_restored(tmp_path: Path) -> None:
    store = left_journal(tmp_path)
    for words in (["locks"], ["doctor", "--quick"]):
        ran = pybench(tmp_path, *words)
        assert "put them back: pybench restore" in ran.stderr
        assert ran.stderr.count("\n") == 1
    assert "host switches" in ran.stdout
    looked = pybench(tmp_path, "restore", "--dry-run")
    assert "pybench sweep" in looked.stdout
    assert store.load() is not None
    restored = pybench(tmp_path, "restore")
    assert restored.returncode == 0, restored.stderr
    assert "all is as it was" in restored.stdout
    assert store.load() is None
    again = pybench(tmp_path, "restore")
    assert again.returncode == 0
    assert "nothing to put back" in again.stdout


def test_a_run_that_turns_nothing_waits_for_none_but_does_not_run_beside_one_that_does(tmp_path: Path) -> None:
    held = Store(tmp_path).hold()
    cpu = str(max(os.sched_getaffinity(0)))
    words = ("sweep", "spin", "--place", cpu, "--threads", "1", "--duration", "5ms", "--max-trials", "6")
    refused = pybench(tmp_path, *words)
    assert refused.returncode == 2
    assert f"process {os.getpid()} turns switches" in refused.stderr
    os.close(held)
    assert pybench(tmp_path, *words).returncode == 0
