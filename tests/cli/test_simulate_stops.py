# SPDX-License-Identifier: Apache-2.0
"""Test that simulations end when asked to, however long the current one takes, and leave no process behind."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from pybench.results.store import read
from tests.cli.cli_runs import PYBENCH, pybench, said

# The first cell is done at once, the second takes half a minute.
LONG = ["simulate", "--machine", "r5.metal", "launch", "--strategy", "parent,binds", "--containers", "1,1000000"]
LONG += ["--threads", "1", "--place", "single-socket", "--smt", "on", "--layers", "50"]


def begun(path: Path, workers: int) -> "tuple[subprocess.Popen[str], list[psutil.Process]]":
    """A long simulation under way, one trial of it kept, and its workers."""
    command = [*PYBENCH, *LONG, "--output", str(path), "--workers", str(workers)]
    ran = subprocess.Popen(command, text=True, stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        processes = psutil.Process(ran.pid).children()
        if len(processes) == workers and path.exists() and path.read_bytes().count(b"\n") >= 2:
            return ran, processes
        time.sleep(0.05)
    ran.kill()
    raise AssertionError("no simulation began")


@pytest.mark.parametrize("workers", [1, 3])
def test_ctrl_c_ends_a_long_draw_and_keeps_what_was_simulated(tmp_path: Path, workers: int) -> None:
    path = tmp_path / "a.jsonl"
    ran, processes = begun(path, workers)
    os.kill(ran.pid, signal.SIGINT)
    err = ran.communicate(timeout=30)[1]
    assert ran.returncode == 130 and "Traceback" not in err, err
    assert f"kept in {path}" in err
    results = read(path)
    assert results.trials and results.ends[-1].reason == "interrupted"
    assert not psutil.wait_procs(processes, timeout=5)[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_die_with_the_program(tmp_path: Path, number: signal.Signals) -> None:
    ran, processes = begun(tmp_path / "a.jsonl", 2)
    os.kill(ran.pid, number)
    ran.communicate(timeout=30)
    assert not psutil.wait_procs(processes, timeout=5)[1]


def test_a_killed_worker_is_told(tmp_path: Path) -> None:
    ran, processes = begun(tmp_path / "a.jsonl", 2)
    processes[0].kill()
    err = ran.communicate(timeout=30)[1]
    assert ran.returncode == 4 and "use fewer --workers" in err and "Traceback" not in err


def test_advice_that_does_not_fit_its_budget_is_refused_in_time() -> None:
    began = time.monotonic()
    ran = pybench("advise", "--machine", "r5.metal", "--budget", "1s", "--containers", "1000000")
    assert ran.returncode == 2 and "longer than 1 s: " in said(ran.stderr)
    assert "--budget" in ran.stderr and time.monotonic() - began < 20
