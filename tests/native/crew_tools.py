# SPDX-License-Identifier: Apache-2.0
"""Requests for short trials, and what can be seen of a crew from outside: its processes and threads."""

import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from pybench.native import Outcome, TrialSpec, run_trial
from pybench.native.outcome import Members
from pybench.workloads import WORKLOADS

T = TypeVar("T")
MS = 1_000_000
NOBODY = 65534
CREW_NAME = "pybench-crew"

PARAMS: dict[str, dict[str, int | str]] = {
    "spin": WORKLOADS["spin"].complete({}),
    "mount": {
        "api": "mount",
        "idmap": "no",
        "umount": "sync",
        "children": 0,
        "peers": 0,
        "table": 0,
        "fs": "tmpfs",
    },
    "stat": {"depth": 1, "file": "private"},
    "transfer": {"method": "cas", "batch": 500},
}


def request(workload: str, cpus: tuple[int, ...], ms: int = 30, **changes: Any) -> TrialSpec:
    """A trial of `ms` milliseconds; `changes` are fields of the spec, or else the workload's parameters."""
    fields = {key: changes.pop(key) for key in list(changes) if key in TrialSpec.__struct_fields__}
    params = PARAMS[workload] | changes
    return TrialSpec(workload=workload, params=params, cpus=cpus, duration_ns=ms * MS, **fields)


def run_or_skip(spec: TrialSpec) -> Outcome:
    """The outcome of a trial that must succeed wherever it is possible at all."""
    outcome = run_trial(spec)
    if outcome.status == "unsupported":
        pytest.skip(f"this host cannot: {outcome.reason}")
    assert outcome.status == "ok", outcome.reason
    return outcome


def members_in(outcome: Outcome) -> Members:
    """Return the members of an outcome that must have some."""
    assert outcome.members is not None, outcome.reason
    return outcome.members


def _stat(pid: int) -> tuple[str, str, int, int] | None:
    """(name, state, parent, process group), or None if the process is gone."""
    try:
        head, _, tail = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return None
    state, parent, group = tail.split()[:3]
    return head.partition("(")[2], state, int(parent), int(group)


def _crew_processes() -> Iterator[tuple[int, int, int]]:
    """(process, parent, process group) of every living process of every crew."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (seen := _stat(int(entry.name))):
            name, state, parent, group = seen
            if name == CREW_NAME and state not in "ZX":
                yield int(entry.name), parent, group


def crew_of(parent: int) -> list[int]:
    """Crew processes that `parent` started: the leader of a trial under way, or members of a leader."""
    return [pid for pid, of, _ in _crew_processes() if of == parent]


def group_of(leader: int) -> list[int]:
    """Return the living processes of that leader's crew, also those with another parent by now."""
    return [pid for pid, _, group in _crew_processes() if group == leader]


def threads_of(leader: int) -> list[int]:
    """Threads of the leader other than itself: members of a crew of threads."""
    try:
        tids = [int(path.name) for path in Path(f"/proc/{leader}/task").iterdir()]
    except OSError:
        return []
    return sorted(tid for tid in tids if tid != leader)


def wait_for(what: Callable[[], T], seconds: float = 20.0) -> T:
    """The first true value of what()."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} stayed {value!r}")
        time.sleep(0.0005)
    return value


def wait_gone(leader: int, seconds: float = 2.0) -> bool:
    """Return True if no process of that leader's crew is left within `seconds`."""
    try:
        return wait_for(lambda: not group_of(leader), seconds)
    except TimeoutError:
        return False


def pick_leader(leader: int) -> int:
    """A victim: the leader itself."""
    return leader


def pick_thread(leader: int) -> int:
    """A victim: the last member of a crew of threads."""
    return wait_for(lambda: threads_of(leader))[-1]


def pick_process(leader: int) -> int:
    """A victim: the last member of a crew of processes."""
    return wait_for(lambda: crew_of(leader))[-1]


class Meddler(threading.Thread):
    """Sends a signal to the coming crew of `parent`, `delay` seconds after its victim is first seen."""

    def __init__(
        self, pick: Callable[[int], int], number: int, delay: float = 0.0, parent: int | None = None
    ) -> None:
        super().__init__(daemon=True)
        self.parent = os.getpid() if parent is None else parent
        self.pick, self.number, self.delay = pick, number, delay
        self.leader = 0
        self.sent_at = 0.0
        self.start()

    def run(self) -> None:
        """Find, wait, send."""
        self.leader = wait_for(lambda: crew_of(self.parent))[0]
        victim = self.pick(self.leader)
        time.sleep(self.delay)
        self.sent_at = time.monotonic()
        os.kill(victim, self.number)

    def done(self) -> int:
        """The leader whose crew was meddled with."""
        self.join(30)
        assert self.sent_at, "no crew was found to meddle with"
        return self.leader


def in_child(run: Callable[[], object]) -> int:
    """Fork; the child runs run() and exits 0, or 1 if it raised."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        run()
        code = 0
    finally:
        os._exit(code)


def _become_nobody() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    # As exec would: /proc/self belongs to the new user again, as its uid_map must.
    pr_set_dumpable = 4
    ctypes.CDLL(None).prctl(pr_set_dumpable, 1, 0, 0, 0)


def outcome_as_user(spec: TrialSpec) -> Outcome:
    """Run a trial as an ordinary user: in a child if we are root, here if not."""
    if os.geteuid():
        return run_trial(spec)
    read_end, write_end = os.pipe()

    def child() -> None:
        _become_nobody()
        os.write(write_end, msgspec.json.encode(run_trial(spec)))

    pid = in_child(child)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        data = pipe.read()
    assert os.waitpid(pid, 0)[1] == 0
    return msgspec.json.decode(data, type=Outcome)
