# SPDX-License-Identifier: Apache-2.0
"""Launches that fail, kernels that lack a call, kills: all are counted and reported, and leave nothing."""

import contextlib
import errno
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pybench.native import Outcome, TrialSpec, run_trial
from pybench.workloads.launch import STRATEGIES
from tests.native.crew_tools import (
    crew_of,
    group_of,
    in_child,
    members_in,
    pick_leader,
    pick_thread,
    run_or_skip,
    wait_for,
    wait_gone,
)
from tests.native.launch_tools import launch_spec, storm
from tests.native.refusals import refuse

KILLS = int(os.environ.get("PYBENCH_KILLS", "2"))
GONE_WITHIN = 5.0
# A busy disk takes seconds to forget 1,700 folders; a guard that is stuck never ends.
REMOVED_WITHIN = 60.0


def in_process_with(prepare: Callable[[], None], spec: TrialSpec) -> Outcome:
    """The outcome of a trial run by a child that first changed something of its own."""
    read_end, write_end = os.pipe()

    def run() -> None:
        prepare()
        os.write(write_end, msgspec.json.encode(run_trial(spec)))

    pid = in_child(run)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        data = pipe.read()
    assert os.waitpid(pid, 0)[1] == 0
    return msgspec.json.decode(data, type=Outcome)


def few_descriptors(count: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


@pytest.mark.parametrize("strategy", ["fds", "parentfd"])
def test_launches_without_descriptors_fail_and_are_counted(strategy: str, cpus: tuple[int, ...]) -> None:
    """With room for one launch of three at a time, some fail (or all: each holds what others lack); with room
    for none, all do."""
    run_or_skip(launch_spec(cpus[:1], strategy=strategy, containers=2, layers=20))
    placement = (cpus[0], cpus[-1], cpus[0])
    spec = launch_spec(placement, strategy=strategy, containers=60, layers=40, arrival="closed")
    some = in_process_with(few_descriptors(58), spec)
    assert some.status == "ok", some.reason
    launched = some.counters.get("launched", 0)
    assert launched + some.counters["failed"] == 60
    assert "Too many open files" in some.note
    assert some.mounts_after == some.mounts_before
    assert sum(members_in(some).operations) == launched == some.phases["launch"].calls

    none = in_process_with(few_descriptors(30), spec)
    assert none.status == "ok", none.reason
    assert none.counters["failed"] == 60
    assert "launched" not in none.counters
    assert none.phases["launch"].calls == 0
    assert none.mounts_after == none.mounts_before == none.peak


@pytest.mark.parametrize("strategy", ["binds", "fds", "parent", "parentfd"])
def test_a_root_of_the_wrong_owner_is_caught(strategy: str, cpus: tuple[int, ...]) -> None:
    """mount_setattr says yes and does nothing: only the check of the root can tell."""
    spec = launch_spec(cpus[:1], strategy=strategy, containers=4, layers=3)
    if run_or_skip(spec).user_namespace:
        pytest.skip("needs root: an ordinary user's one user range looks like none")
    outcome = in_process_with(lambda: refuse("mount_setattr", 0), spec)
    assert outcome.status == "ok", outcome.reason
    assert outcome.counters["failed"] == 4
    assert "launched" not in outcome.counters
    assert outcome.note.startswith("checking content and owner of the last layer's file")
    assert outcome.mounts_after == outcome.mounts_before


def test_a_chown_that_is_not_done_is_caught(cpus: tuple[int, ...]) -> None:
    spec = launch_spec(cpus[:1], strategy="chown", containers=4, layers=3)
    if run_or_skip(spec).user_namespace:
        pytest.skip("needs root: an ordinary user may own files for one user only")
    outcome = in_process_with(lambda: refuse("fchown", 0), spec)
    assert outcome.counters["failed"] == 4
    assert outcome.note.startswith("checking content and owner")


REFUSED = [
    ("open_tree", "ENOSYS", ("binds", "fds", "parent", "parentfd"), "open_tree(OPEN_TREE_CLONE)"),
    ("mount_setattr", "ENOSYS", ("binds", "fds", "parent", "parentfd"), "mount_setattr(MOUNT_ATTR_IDMAP)"),
    ("mount_setattr", "EINVAL", ("binds", "fds", "parent", "parentfd"), "mount_setattr(MOUNT_ATTR_IDMAP)"),
    ("fsopen", "ENODEV", ("fds", "parentfd"), "fsopen(overlay)"),
    ("fsconfig:fd", "EINVAL", ("fds", "parentfd"), "fsconfig(FSCONFIG_SET_FD, lowerdir+)"),
    ("fsconfig:create", "EINVAL", ("fds", "parentfd"), "fsconfig(FSCONFIG_CMD_CREATE)"),
]


@pytest.mark.parametrize(("call", "error", "without", "tried"), REFUSED, ids=str)
def test_what_a_kernel_lacks_is_unsupported_by_name(
    call: str, error: str, without: str, tried: str, cpus: tuple[int, ...]
) -> None:
    for strategy in STRATEGIES:
        spec = launch_spec(cpus[:1], strategy=strategy, containers=2, layers=3)
        run_or_skip(spec)
        code = getattr(errno, error)
        outcome = in_process_with(partial(refuse, call, code), spec)
        if strategy in without:
            assert (outcome.status, outcome.errno) == ("unsupported", code), outcome
            assert outcome.reason.startswith(tried)
        else:
            assert outcome.status == "ok", outcome.reason
            assert outcome.counters["launched"] == 2


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_directory_of_the_host_is_left_empty(strategy: str, disk_path: Path, two_cpus: tuple[int, int]) -> None:
    for keep in ("no", "yes"):
        storm(two_cpus, strategy=strategy, fs=str(disk_path), keep=keep)
        assert is_empty(disk_path)


def test_a_directory_that_is_not_there_fails_the_trial(tmp_path: Path, cpus: tuple[int, ...]) -> None:
    outcome = run_trial(launch_spec(cpus[:1], fs=str(tmp_path / "none")))
    if outcome.status == "unsupported":
        pytest.skip(outcome.reason)
    assert outcome.status == "failed"
    assert str(tmp_path) in outcome.reason


def links(folder: Path) -> Iterator[str]:
    """Yield the targets of a process's open files; some or all may be closed meanwhile."""
    with contextlib.suppress(OSError):
        for link in folder.iterdir():
            with contextlib.suppress(OSError):
                yield str(link.readlink())


def guards_of(folder: Path) -> list[int]:
    """Guards that are there to remove a folder of a trial below this one."""
    seen = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "comm").read_text() == "pybench-guard\n":
                seen += [int(entry.name)] if str(folder) in links(entry / "fd") else []
    return seen


def is_empty(folder: Path) -> bool:
    return not list(folder.iterdir())


def host_mounts() -> list[str]:
    return sorted(Path("/proc/self/mountinfo").read_text().splitlines())


def exit_by(outcome: Outcome) -> None:
    assert outcome.status == "failed"
    assert outcome.reason


def kill_caller(spec: TrialSpec, moment: float) -> int:
    """Kill the process that runs the trial: its crew goes with it."""
    caller = in_child(lambda: run_trial(spec))
    try:
        leader = wait_for(lambda: crew_of(caller))[0]
        time.sleep(moment)
    finally:
        os.kill(caller, signal.SIGKILL)
        os.waitpid(caller, 0)
    return leader


def kill_part(pick: Callable[[int], int]) -> Callable[[TrialSpec, float], int]:
    def kill(spec: TrialSpec, moment: float) -> int:
        """Kill a part of the crew: the trial fails."""
        caller = in_child(lambda: exit_by(run_trial(spec)))
        leader = wait_for(lambda: crew_of(caller))[0]
        victim = pick(leader)
        time.sleep(moment)
        os.kill(victim, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(caller, 0)[1]) == 0
        return leader

    return kill


KILLERS = {"caller": kill_caller, "leader": kill_part(pick_leader), "member": kill_part(pick_thread)}
# Where layers are -> a storm there that takes seconds.
STORMS: dict[str, dict[str, Any]] = {
    "tmpfs": {"containers": 4000, "think_ns": 3_000_000, "table": 30_000},
    "folder": {"containers": 300, "think_ns": 30_000_000},
}


@pytest.mark.parametrize("where", STORMS)
@pytest.mark.parametrize("who", KILLERS)
def test_kills_at_random_moments_leave_nothing(
    who: str, where: str, disk_path: Path, two_cpus: tuple[int, int]
) -> None:
    """PYBENCH_KILLS of each kind, 2 by default: set-up (of 30,000 mounts) and storm alike are hit."""
    fs = str(disk_path) if where == "folder" else "tmpfs"
    tried = {name: run_trial(launch_spec(two_cpus, containers=2, fs=fs, strategy=name)) for name in STRATEGIES}
    able = [name for name, outcome in tried.items() if outcome.status == "ok"]
    if not able:
        pytest.skip(f"this host cannot: {tried['plain'].reason}")
    chance = random.Random(f"{who} {where} {os.environ.get('PYBENCH_SEED')}")
    before = host_mounts()
    for _ in range(KILLS):
        own = {"strategy": chance.choice(able), "userns": chance.choice(("shared", "container")), "fs": fs}
        leader = KILLERS[who](
            launch_spec(two_cpus, arrival="closed", **own, **STORMS[where]), chance.uniform(0, 1)
        )
        assert wait_gone(leader, GONE_WITHIN), f"left {group_of(leader)}"
        wait_for(lambda: not guards_of(disk_path), REMOVED_WITHIN)
        assert is_empty(disk_path)
        assert host_mounts() == before


def test_an_interrupted_storm_leaves_its_folder_empty(disk_path: Path, cpus: tuple[int, ...]) -> None:
    program = (
        "import sys; from tests.native.launch_tools import launch_spec; from pybench.native import run_trial;"
        f"run_trial(launch_spec({cpus[:1]}, fs=sys.argv[1], containers=5000, arrival='rate:10', layers=30))"
    )
    run_or_skip(launch_spec(cpus[:1], containers=1, fs=str(disk_path)))
    with subprocess.Popen(
        [sys.executable, "-c", program, disk_path], cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL
    ) as caller:
        wait_for(lambda: crew_of(caller.pid))
        wait_for(lambda: not is_empty(disk_path))
        caller.send_signal(signal.SIGINT)
        caller.wait(30)
    assert is_empty(disk_path)
    assert not guards_of(disk_path)
