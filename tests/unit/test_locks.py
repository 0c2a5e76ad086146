# SPDX-License-Identifier: Apache-2.0
"""The locks that can be asked for are the core's, and their members' NUMA domains come from the topology."""

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from pybench import native
from pybench.errors import UsageError
from pybench.host.topology import Cpu, Topology, read_topology
from pybench.native import TrialSpec, run_trial
from pybench.plan.planner import make_plan, member_domains
from pybench.plan.request import Request
from pybench.results.records import Cell
from pybench.workloads import spin

ROOT = Path(__file__).parents[2]
HOST = read_topology()
# Two sockets; two nodes each; node and L3 of the last CPU are not known.
BIG = Topology(
    cpus=tuple(
        Cpu(number=n, socket=n // 4, node=4 + n // 2 if n < 7 else None, l3=n if n < 7 else None) for n in range(8)
    )
)


def cells(**params: str) -> list[Cell]:
    own: dict[str, tuple[str, ...]] = {name: (value,) for name, value in params.items()}
    request = Request(workloads=("spin",), param=own, threads="max", place=("all",), smt=("on",))
    return make_plan(request, HOST).plan.cells


def test_the_locks_are_the_core_s_in_its_order() -> None:
    locks = native.locks()
    assert spin.WORKLOAD.parameter("lock").allowed == tuple(locks)
    table = re.findall(r'^    LOCK\(\w+, "(.+?)"', (ROOT / "csrc/locks/locks.def").read_text(), re.MULTILINE)
    assert list(locks) == table
    assert [name for name, info in locks.items() if info.numa] == ["cna", "cohort", "hmcs"]
    readers = [name for name, info in locks.items() if info.readers]
    assert readers == ["seqlock", "rwsem", "pthread_rwlock", "brlock"]
    assert {name: info.most_members for name, info in locks.items() if info.most_members} == {
        "array": 1024,
        "brlock": 1024,
    }
    sleeping = [name for name in locks if spin.WORKLOAD.sleeps({"lock": name})]
    assert sleeping == [name for name, info in locks.items() if info.waiting in ("sleep", "spin then park")]
    assert {"ticket", "mcs", "qspinlock", "qspinlock-cna"} <= set(native.simulated_locks())


def test_every_lock_says_what_it_is() -> None:
    for name, info in native.locks().items():
        assert info.name == name
        assert info.family in ("spin", "queue", "sleeping", "reader-writer", "control")
        assert info.fairness in ("FIFO", "bounded", "none")
        assert info.waiting in ("spin", "spin then park", "sleep", "none")
        assert info.source
        assert info.space


@pytest.mark.parametrize(
    ("cpus", "by", "domains"),
    [
        ((0, 1, 2, 3), "node", (0, 0, 1, 1)),
        ((2, 0, 4, 1), "node", (0, 1, 2, 1)),
        ((6, 0, 6), "l3", (0, 1, 0)),
        ((0, 5, 1), "socket", (0, 1, 0)),
        ((7, 0, 4), "node", (0, 1, 0)),
        ((7, 0, 4), "l3", (0, 1, 0)),
    ],
)
def test_domains_count_from_0_and_fall_back_to_sockets(
    cpus: tuple[int, ...], by: str, domains: tuple[int, ...]
) -> None:
    assert member_domains(BIG, cpus, by) == domains


def test_a_host_that_tells_nothing_apart_is_one_domain() -> None:
    plain = Topology(cpus=(Cpu(number=0), Cpu(number=1)))
    assert member_domains(plain, (0, 1), "node") == (0, 0)


def test_domains_stand_only_in_cells_that_use_them() -> None:
    (near,) = cells(lock="cna")
    assert near.domains == member_domains(HOST, near.cpus, "node")
    (far,) = cells(lock="mcs")
    assert "domains" not in msgspec.to_builtins(far)
    assert msgspec.convert(msgspec.to_builtins(near), Cell) == near


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"lock": "mcs", "domain": "l3"}, "domain needs a NUMA-aware lock (cna, cohort, hmcs)"),
        ({"lock": "mcs", "writers": "2"}, "writers and write_think_ns need a reader-writer lock (seqlock, rwsem"),
    ],
)
def test_parameters_without_meaning_are_refused(params: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError) as error:
        cells(**params)
    assert words in str(error.value)


def test_more_members_than_a_lock_takes_are_refused() -> None:
    params = spin.WORKLOAD.complete({"lock": "array"})
    assert spin.conflict(params, 1024) is None
    assert spin.conflict(params, 1025) == "lock=array takes at most 1024 threads"
    crowd = TrialSpec(workload="spin", params=params, cpus=(0,) * 1025, duration_ns=1)
    with pytest.raises(ValueError, match="array takes at most 1024 members, not 1025"):
        run_trial(crowd)


@pytest.mark.parametrize("lock", ["cna", "cohort", "hmcs"])
@pytest.mark.parametrize("crew", ["threads", "processes"])
def test_domains_reach_the_locks(lock: str, crew: str) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    spec = TrialSpec(
        workload="spin",
        params=spin.WORKLOAD.complete({"lock": lock}),
        cpus=(cpus[0], cpus[-1], cpus[0]),
        domains=(0, 63, 0),
        duration_ns=10_000_000,
        crew=crew,  # type: ignore[arg-type]
    )
    outcome = run_trial(spec)
    assert outcome.status == "ok", outcome.reason
    with pytest.raises(ValueError, match="takes domains 0 to 63, not 64"):
        run_trial(msgspec.structs.replace(spec, domains=(0, 64, 0)))
    with pytest.raises(ValueError, match="2 domains for 3 members"):
        run_trial(msgspec.structs.replace(spec, domains=(0, 1)))


@pytest.mark.parametrize("lock", ["seqlock", "rwsem", "pthread_rwlock", "brlock"])
@pytest.mark.parametrize("writers", [0, 1, 2])
def test_readers_and_writers_share_a_lock(lock: str, writers: int) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    params = spin.WORKLOAD.complete({"lock": lock, "writers": writers, "hold_ns": 200})
    spec = TrialSpec(workload="spin", params=params, cpus=(cpus[0], cpus[-1], cpus[0]), duration_ns=20_000_000)
    outcome = run_trial(spec)
    assert outcome.status == "ok", outcome.reason
    assert outcome.members
    assert (outcome.members.role or [0, 0, 0]) == [0] * (3 - writers) + [1] * writers


def pybench(*words: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", "from pybench.cli import main; main()", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"COLUMNS": "80"},
    )
    return ran.stdout


def test_the_verb_lists_them_in_80_columns() -> None:
    shown = pybench("sweep", "spin", "--lock", "list")
    assert all(len(line.rstrip()) <= 80 for line in shown.splitlines())
    rows = shown.partition("\nspace: ")[0].splitlines()[1:]
    assert [line.split()[0] for line in rows if line[0] != " "] == list(native.locks())


def test_every_planted_break_changes_its_lock() -> None:
    """Check quickly what `scripts/validate locks` takes minutes to find: a break that no longer fits the code."""
    root = Path(__file__).parents[2]
    broken: set[str] = set()
    for line in (root / "tests/locks/mutations").read_text().splitlines():
        if line.startswith("#"):
            continue
        lock, what, script = line.split(" | ", 2)
        header = root / f"csrc/locks/{lock}.h"
        changed = subprocess.run(["sed", script, header], capture_output=True, text=True, check=True).stdout
        assert changed != header.read_text(), f"{lock}: {what}"
        broken.add(lock)
    assert {"mcs", "clh", "qspinlock", "cna", "futex_mutex", "rwsem"} <= broken
