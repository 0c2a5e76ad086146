# SPDX-License-Identifier: Apache-2.0
"""Crews that die, hang or are interrupted give no result and leave nothing."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pybench.native import run_trial
from tests.native.crew_tools import (
    MS,
    Meddler,
    crew_of,
    pick_leader,
    pick_process,
    request,
    run_or_skip,
    wait_for,
    wait_gone,
)
from tests.native.launch_tools import launch_spec
from tests.validation.core.kills import KILLS

LONG_MS = 60_000


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kill", KILLS)
def test_a_kill_at_a_random_moment(kill: str, seed: int) -> None:
    assert "WRONG" not in KILLS[kill](random.Random(f"{kill} {seed}"))


@pytest.mark.parametrize(("crew", "pick"), [("threads", pick_leader), ("processes", pick_leader)])
@pytest.mark.parametrize("workload", ["spin", "mount"])
def test_a_stopped_crew_is_given_up(
    workload: str, crew: str, pick: Callable[[int], int], two_cpus: tuple[int, int]
) -> None:
    run_or_skip(request(workload, two_cpus, 1))
    meddler = Meddler(pick, signal.SIGSTOP)
    outcome = run_trial(request(workload, two_cpus, 100, crew=crew, grace_ns=400 * MS))
    assert outcome.status == "failed"
    assert "no result within 0.5 s" in outcome.reason
    assert wait_gone(meddler.done())


def test_a_stopped_member_is_given_up(two_cpus: tuple[int, int]) -> None:
    """A member that is stopped holds up all who wait for it."""
    meddler = Meddler(pick_process, signal.SIGSTOP, 0.05)
    outcome = run_trial(request("spin", two_cpus, 300, crew="processes", grace_ns=400 * MS))
    assert outcome.status == "failed"
    assert "no result within 0.7 s" in outcome.reason
    assert wait_gone(meddler.done())


def test_a_crew_that_cannot_finish_is_given_up(cpus: tuple[int, ...]) -> None:
    begin = time.monotonic()
    outcome = run_trial(request("spin", cpus[:1], 10, hold_ns=60_000 * MS, grace_ns=200 * MS))
    assert outcome.status == "failed"
    assert "no result within 0.2 s" in outcome.reason
    assert time.monotonic() - begin < 10


def interrupt(number: int, delay: float) -> Meddler:
    """Sends a signal to ourselves once the crew is there."""
    return Meddler(lambda leader: os.getpid(), number, delay)


@pytest.mark.parametrize("crew", ["threads", "processes"])
@pytest.mark.parametrize("delay", [0.0, 0.002, 0.03, 0.1])
def test_ctrl_c_ends_a_trial(delay: float, crew: str, two_cpus: tuple[int, int]) -> None:
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        meddler = interrupt(signal.SIGINT, 0.005 + delay)
        with pytest.raises(KeyboardInterrupt):
            run_trial(request("spin", two_cpus, LONG_MS, crew=crew))
        ended = time.monotonic()
    finally:
        signal.signal(signal.SIGINT, old)
    assert wait_gone(meddler.done(), 0.5)
    assert ended - meddler.sent_at < 5


def test_a_signal_that_is_handled_interrupts_a_trial(two_cpus: tuple[int, int]) -> None:
    heard = []
    old = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    try:
        meddler = interrupt(signal.SIGUSR1, 0.02)
        outcome = run_trial(request("spin", two_cpus, LONG_MS))
    finally:
        signal.signal(signal.SIGUSR1, old)
    assert wait_gone(meddler.done(), 0.5)
    assert outcome.status == "interrupted"
    assert outcome.members is None
    assert heard == [signal.SIGUSR1]


def test_hearing_of_children_interrupts_no_trial(two_cpus: tuple[int, int], disk_path: Path) -> None:
    """The leader's end is heard while the guard of its folder still removes it."""
    run_or_skip(launch_spec(two_cpus, containers=1, fs=str(disk_path)))
    heard = []
    old = signal.signal(signal.SIGCHLD, lambda number, frame: heard.append(number))
    try:
        for _ in range(5):
            assert run_trial(launch_spec(two_cpus, containers=2, fs=str(disk_path))).status == "ok"
    finally:
        signal.signal(signal.SIGCHLD, old)
    assert heard


def test_a_signal_that_nobody_handles_changes_nothing(two_cpus: tuple[int, int]) -> None:
    meddler = interrupt(signal.SIGURG, 0.01)
    outcome = run_trial(request("spin", two_cpus, 100))
    meddler.done()
    assert outcome.status == "ok", outcome.reason


@pytest.mark.parametrize("crew", ["threads", "processes"])
@pytest.mark.parametrize("workload", ["spin", "mount"])
def test_the_crew_goes_with_a_killed_interpreter(workload: str, crew: str, two_cpus: tuple[int, int]) -> None:
    run_or_skip(request(workload, two_cpus, 1))
    trial = f"request({workload!r}, {two_cpus}, {LONG_MS}, crew={crew!r})"
    program = f"from tests.native.crew_tools import *; run_trial({trial})"
    with subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2]) as caller:
        try:
            leader = wait_for(lambda: crew_of(caller.pid))[0]
            time.sleep(0.05)
        finally:
            caller.kill()
    assert wait_gone(leader, 2.0)


def test_a_trial_after_a_killed_one_is_sound(two_cpus: tuple[int, int]) -> None:
    Meddler(pick_leader, signal.SIGKILL, 0.01)
    assert run_trial(request("spin", two_cpus, LONG_MS)).status == "failed"
    assert run_trial(request("spin", two_cpus)).status == "ok"
