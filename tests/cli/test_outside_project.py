# SPDX-License-Identifier: Apache-2.0
"""A fresh project outside this one, with two tests of its own: real trials, two saved runs, compared."""

import json
import os
import subprocess
import sys
from pathlib import Path

OWN = """
import pytest

@pytest.mark.sweep(
    workload="spin", lock=["ticket", "mcs"], threads=[1], smt=["on", "off"], duration="10ms", trials=(6, 6)
)
def test_lock(sweep):
    assert sweep.ratio(lock="mcs", over="ticket").low > 0

@pytest.mark.sweep(workload="stat", threads=[1], duration="10ms", trials=(6, 6))
def test_stat(sweep):
    assert sweep.figure(threads=1).low > 0
"""

# Every trial is valid there, on a busy host too; the checks have their own tests.
ALL_VALID = """
from pybench.run import checked_trial

checked_trial.flags = lambda cell, seen: []
"""


def run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words],
        cwd=folder,
        env=environment,
        text=True,
        capture_output=True,
        timeout=60,
    )


def test_two_runs_are_saved_and_compared(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(OWN)
    (tmp_path / "conftest.py").write_text(ALL_VALID)
    plain = run(tmp_path)
    assert plain.returncode == 0 and "2 skipped" in plain.stdout
    first = run(tmp_path, "--benchmark", "--benchmark-autosave")
    assert first.returncode == 0, first.stdout[-3000:]
    second = run(tmp_path, "--benchmark", "--benchmark-compare", "--benchmark-json", "out.json", "-rs")
    assert second.returncode == 0, second.stdout[-3000:]
    assert "Saved benchmark data" in first.stdout + first.stderr
    names = {one["name"] for one in json.loads((tmp_path / "out.json").read_text())["benchmarks"]}
    saved = next((tmp_path / ".benchmarks").rglob("0001_*.json"))
    before = {one["name"] for one in json.loads(saved.read_text())["benchmarks"]}
    assert names == before == {"test_lock[lock=ticket]", "test_lock[lock=mcs]", "test_stat"}
    # Each is in the table twice: now, and as it was saved.
    for name in names:
        assert f"{name} (NOW)" in second.stdout and f"{name} (0001_" in second.stdout
