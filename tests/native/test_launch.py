"""Launches of containers: exact counts, roots that are checked, failures that are counted, nothing left."""

import contextlib
import errno
import itertools
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from crew_tools import (
    crew_of,
    group_of,
    in_child,
    outcome_as_user,
    pick_leader,
    pick_thread,
    run_or_skip,
    wait_for,
    wait_gone,
)
from refusals import refuse

from pybench import native
from pybench.native import Outcome, TrialSpec, run_trial
from pybench.workloads import workload
from pybench.workloads.launch import STRATEGIES

LAUNCH = workload("launch")
KILLS = int(os.environ.get("PYBENCH_KILLS", "3"))
GONE_WITHIN = 5.0
PARTS = ("userns", "build", "overlay", "release")
MAPPED = tuple(name for name in STRATEGIES if name != "plain")


def launch_spec(cpus: tuple[int, ...], **params: Any) -> TrialSpec:
    fields = {key: params.pop(key) for key in list(params) if key in TrialSpec.__struct_fields__}
    spec = {"duration_ns": 60_000_000_000} | fields
    return TrialSpec(workload="launch", params=LAUNCH.complete(params), cpus=cpus, **spec)


def launch(cpus: tuple[int, ...], **params: Any) -> Outcome:
    return run_or_skip(launch_spec(cpus, **params))


def operations(strategy: str, layers: int, passes: int) -> int:
    """Mounts and unmounts of one container, but for the last unmount of its root."""
    return passes * {"binds": 2 * layers + 1, "parent": 3}.get(strategy, 1)


def check(outcome: Outcome, params: dict[str, Any], workers: int) -> None:
    """What must hold of every storm without a failure."""
    containers, layers, passes = (params[name] for name in ("containers", "layers", "passes"))
    strategy, kept = params["strategy"], containers if params["keep"] == "yes" else 0
    counts, members = outcome.counters, outcome.members
    assert members
    assert outcome.note == ""
    assert counts["launched"] == containers
    assert "failed" not in counts
    assert counts["mount_operations"] == containers * operations(strategy, layers, passes)
    # Between passes the root goes, and at the end, unless it is kept.
    assert counts.get("clean_operations", 0) == containers * passes - kept
    assert outcome.mounts_after == outcome.mounts_before + kept > 0
    in_flight = {"binds": layers + 1, "parent": 2}.get(strategy, 1)
    base = outcome.mounts_before
    assert base + in_flight <= outcome.peak <= base + workers * in_flight + kept
    assert all(base <= value <= outcome.peak for _, value in outcome.timeline)
    times = [ns for ns, _ in outcome.timeline]
    assert times == sorted(times)
    calls = {name: outcome.phases[name].calls for name in ("launch", *PARTS, "clean")}
    once, each_pass = containers, containers * passes
    assert calls == {
        "launch": once,
        "userns": once,
        "build": each_pass,
        "overlay": each_pass,
        "release": each_pass,
        "clean": once,
    }
    main = [count for i, count in enumerate(members.operations) if members.is_main(i)]
    assert len(main) == workers
    assert sum(main) == containers
    assert all(sum(phase.histogram[1::2]) == phase.calls for phase in outcome.phases.values())


def storm(cpus: tuple[int, ...], **changes: Any) -> Outcome:
    """Run, skip or check."""
    params = {"strategy": "binds", "containers": 5, "layers": 4, "passes": 1, "keep": "no"} | changes
    outcome = launch(cpus, **params)
    check(outcome, params, len(cpus))
    return outcome


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_combination_launches_all_and_leaves_none(strategy, two_cpus):
    for arrival, userns, passes, umount, readonly, keep in itertools.product(
        ("closed", "burst", "rate:2000"),
        ("shared", "container"),
        (1, 2),
        ("sync", "detach"),
        ("no", "yes"),
        ("no", "yes"),
    ):
        storm(
            two_cpus,
            strategy=strategy,
            arrival=arrival,
            userns=userns,
            passes=passes,
            umount=umount,
            readonly=readonly,
            keep=keep,
            containers=3,
            layers=2,
        )


@pytest.mark.parametrize("crew", ["threads", "processes"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_crews_of_both_kinds(strategy, crew, two_cpus):
    storm(two_cpus, strategy=strategy, crew=crew, passes=2, files=3)


def test_the_incident_costs_20200_mount_operations(two_cpus):
    outcome = storm(two_cpus, strategy="binds", containers=100, layers=50, passes=2)
    assert outcome.counters["mount_operations"] == 20_200
    assert outcome.counters["clean_operations"] == 200
    # Each of 10,000 binds: open_tree, mount_setattr, mkdir, move_mount, close, umount2, rmdir; each overlay three.
    assert outcome.counters["syscalls"] == 200 * (50 * 7 + 3)


def test_only_binds_fill_the_mount_table(cpus):
    for layers in (3, 60):
        for strategy in STRATEGIES:
            outcome = storm(cpus[:1], strategy=strategy, layers=layers, containers=2)
            rise = {"binds": layers + 1, "parent": 2}.get(strategy, 1)
            assert outcome.peak - outcome.mounts_before == rise


def test_more_workers_than_containers(cpus):
    storm((cpus[0],) * 6, containers=2)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_500_layers_are_the_most_that_overlay_takes(strategy, cpus):
    storm(cpus[:1], strategy=strategy, layers=500, containers=2)
    with pytest.raises(ValueError, match="layers"):
        run_trial(launch_spec(cpus[:1], strategy=strategy, layers=501))


@pytest.mark.parametrize(
    "params",
    [
        {"containers": 0},
        {"layers": 0},
        {"files": 0},
        {"strategy": "none"},
        {"userns": "none"},
        {"readers": 1},
        {"probers": 5},
    ],
    ids=str,
)
def test_a_bad_request_is_refused(params, cpus):
    with pytest.raises(ValueError, match="reading parameters"):
        run_trial(launch_spec(cpus[:1], **params))


def test_containers_arrive_at_their_rate(cpus):
    begin = time.monotonic()
    outcome = storm(cpus[:1], strategy="plain", arrival="rate:100", containers=21)
    assert time.monotonic() - begin >= 0.2
    assert outcome.members.stop_ns[0] >= 200_000_000


def test_think_time_is_rest(cpus):
    outcome = storm(cpus[:1], strategy="plain", containers=5, arrival="closed", think_ns=20_000_000)
    assert outcome.members.stop_ns[0] >= 100_000_000


def test_what_is_late_is_counted(two_cpus):
    """All arrive at once, so whoever comes after the first millisecond waited too long."""
    params = {"strategy": "binds", "containers": 150, "layers": 20, "passes": 1, "keep": "no"}
    outcome = launch(two_cpus, **params, deadline_ms=1)
    check(outcome, params, 2)
    beyond = sum(count for middle, count in latencies(outcome) if middle > 1_010_000)
    within = sum(count for middle, count in latencies(outcome) if middle < 990_000)
    assert 0 < beyond <= outcome.counters["late"] <= 150 - within
    assert "late" not in launch(two_cpus, **params, deadline_ms=60_000).counters


def latencies(outcome: Outcome) -> Iterator[tuple[float, int]]:
    """(latency of a launch, ns; how many had it)."""
    at, pairs = 0, outcome.phases["launch"].histogram
    for distance, count in zip(pairs[::2], pairs[1::2], strict=True):
        at += distance
        yield native.histogram_values()[at], count


ROLES = {"readers": "read", "listers": "list", "walkers": "walk", "probers": "probe"}


@pytest.mark.parametrize("crew", ["threads", "processes"])
def test_roles_beside_the_storm_are_timed_apart(crew, cpus):
    params = {"strategy": "binds", "containers": 60, "layers": 20, "passes": 1, "keep": "no"}
    counts = {"readers": 1, "listers": 2, "walkers": 1, "probers": 1}
    placement = (cpus[0], cpus[-1]) + (cpus[-1],) * 5
    spec = launch_spec(placement, **params, **counts, probe_every_ms=1, crew=crew)
    outcome = run_trial(spec)
    if outcome.status == "unsupported" and "listmount" in outcome.reason:
        pytest.skip(outcome.reason)
    assert outcome.status == "ok", outcome.reason
    check(outcome, params, 2)
    members = outcome.members
    assert members.role == [0, 0, 1, 2, 2, 3, 4]
    # Who is beside does no launches.
    assert outcome.phases["launch"].operations == outcome.counters["launched"] == sum(members.operations[:2]) == 60
    for role, phase in enumerate(ROLES.values(), start=1):
        calls = outcome.phases[phase].calls
        assert calls == sum(count for r, count in zip(members.role, members.operations, strict=True) if r == role)
        assert calls > 0, phase
    assert outcome.counters["probes"] == outcome.phases["probe"].calls
    assert outcome.counters["wakeups"] >= outcome.phases["read"].calls + outcome.phases["list"].calls


def test_one_role_alone(cpus):
    for name, phase in ROLES.items():
        spec = launch_spec((cpus[0], cpus[-1]), containers=30, layers=10, probe_every_ms=1, **{name: 1})
        outcome = run_trial(spec)
        if outcome.status == "unsupported":
            continue
        assert outcome.status == "ok", outcome.reason
        assert outcome.members.role == [0, list(ROLES).index(name) + 1]
        assert set(outcome.phases) == {"launch", *PARTS, "clean", phase}


def test_a_long_table_is_there_before_and_costs_the_prober(cpus):
    few = launch((cpus[0], cpus[-1]), containers=20, layers=10, probers=1, probe_every_ms=1)
    many = launch((cpus[0], cpus[-1]), containers=20, layers=10, probers=1, probe_every_ms=1, table=5000)
    assert many.mounts_before == many.mounts_after == few.mounts_before + 5001
    assert many.phases["probe"].max_ns > few.phases["probe"].wall_ns / few.phases["probe"].calls


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
def test_launches_without_descriptors_fail_and_are_counted(strategy, cpus):
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
    assert sum(some.members.operations) == launched == some.phases["launch"].calls

    none = in_process_with(few_descriptors(30), spec)
    assert none.status == "ok", none.reason
    assert none.counters["failed"] == 60
    assert "launched" not in none.counters
    assert none.phases["launch"].calls == 0
    assert none.mounts_after == none.mounts_before == none.peak


@pytest.mark.parametrize("strategy", ["binds", "fds", "parent", "parentfd"])
def test_a_root_of_the_wrong_owner_is_caught(strategy, cpus):
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


def test_a_chown_that_is_not_done_is_caught(cpus):
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
def test_what_a_kernel_lacks_is_unsupported_by_name(call, error, without, tried, cpus):
    for strategy in STRATEGIES:
        spec = launch_spec(cpus[:1], strategy=strategy, containers=2, layers=3)
        run_or_skip(spec)
        code = getattr(errno, error)
        outcome = in_process_with(lambda code=code: refuse(call, code), spec)
        if strategy in without:
            assert (outcome.status, outcome.errno) == ("unsupported", code), outcome
            assert outcome.reason.startswith(tried)
        else:
            assert outcome.status == "ok", outcome.reason
            assert outcome.counters["launched"] == 2


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_directory_of_the_host_is_left_empty(strategy, tmp_path, two_cpus):
    for keep in ("no", "yes"):
        storm(two_cpus, strategy=strategy, fs=str(tmp_path), keep=keep)
        assert is_empty(tmp_path)


def test_a_directory_that_is_not_there_fails_the_trial(tmp_path, cpus):
    outcome = run_trial(launch_spec(cpus[:1], fs=str(tmp_path / "none")))
    if outcome.status == "unsupported":
        pytest.skip(outcome.reason)
    assert outcome.status == "failed"
    assert str(tmp_path) in outcome.reason


def links(folder: Path) -> Iterator[str]:
    """Where the open files of a process lead; some may be closed meanwhile, or all."""
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
def test_kills_at_random_moments_leave_nothing(who, where, tmp_path, two_cpus):
    """PYBENCH_KILLS of each kind, 3 unless told: set-up (of 30,000 mounts) and storm alike are hit."""
    fs = str(tmp_path) if where == "folder" else "tmpfs"
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
        killed = time.monotonic()
        assert wait_gone(leader, GONE_WITHIN), f"left {group_of(leader)}"
        wait_for(lambda: not guards_of(tmp_path), GONE_WITHIN - (time.monotonic() - killed))
        assert is_empty(tmp_path)
        assert host_mounts() == before


def test_an_interrupted_storm_leaves_its_folder_empty(tmp_path, cpus):
    program = (
        "import sys; from test_launch import *;"
        f"run_trial(launch_spec({cpus[:1]}, fs=sys.argv[1], containers=5000, arrival='rate:10', layers=30))"
    )
    run_or_skip(launch_spec(cpus[:1], containers=1, fs=str(tmp_path)))
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], cwd=Path(__file__).parent, stderr=subprocess.DEVNULL
    ) as caller:
        wait_for(lambda: crew_of(caller.pid))
        wait_for(lambda: not is_empty(tmp_path))
        caller.send_signal(signal.SIGINT)
        caller.wait(30)
    assert is_empty(tmp_path)
    assert not guards_of(tmp_path)


def count_mounts(*words: str) -> str:
    """What scripts/count-mounts says if kernel and core agree."""
    script = Path(__file__).parents[2] / "scripts/count-mounts"
    ran = subprocess.run(
        [sys.executable, script, *words], text=True, capture_output=True, timeout=100, check=False
    )
    if ran.returncode == 3:
        pytest.skip(ran.stderr.strip())
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_kernel_counts_the_same_mounts(strategy):
    for words in (["--umount", "sync"], ["--crew", "processes", "--passes", "1"]):
        said = count_mounts("--strategy", strategy, "--containers", "6", "--layers", "5", *words)
        assert said.count("confirmed") == 2


def test_the_kernel_counts_20200_mounts_too():
    assert "20,200 = 20,200: confirmed" in count_mounts()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_ordinary_user_launches_on_a_tmpfs_of_their_own(strategy, two_cpus):
    for userns in ("shared", "container"):
        params = {"strategy": strategy, "containers": 5, "layers": 4, "passes": 2, "keep": "no"}
        outcome = outcome_as_user(launch_spec(two_cpus, userns=userns, **params))
        if outcome.status == "unsupported":
            pytest.skip(f"this host gives ordinary users no namespaces: {outcome.reason}")
        assert outcome.status == "ok", outcome.reason
        assert outcome.user_namespace
        check(outcome, params, 2)
