# SPDX-License-Identifier: Apache-2.0
"""The study of disturbances leaves nothing behind, however it ends."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]


def names(children: list[psutil.Process]) -> list[str]:
    """Return the names of the processes that have not ended."""
    found = []
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE:
                found.append(child.name())
    return found


def left_behind(pid: int, children: list[psutil.Process]) -> list[str]:
    """Processes and cgroups of the study of that number that are still there."""
    folders = [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/pybench-disturb-{pid}")]
    return folders + names([child for child in children if child.is_running()])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(number: signal.Signals) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two CPUs")
    command = [sys.executable, "-m", "tests.validation", "disturb", "100"]
    study = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process = psutil.Process(study.pid)
    deadline = time.monotonic() + 30
    while "pybench-crew" not in names(process.children()):
        assert time.monotonic() < deadline, "no trial began"
        time.sleep(0.02)
    children = process.children(recursive=True)
    assert len(children) > 10
    study.send_signal(number)
    study.wait(30)
    deadline = time.monotonic() + 10
    while left := left_behind(study.pid, children):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
