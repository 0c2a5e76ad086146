# SPDX-License-Identifier: Apache-2.0
"""Launches of containers: exact counts, roots that are checked, nothing left."""

import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pybench import native
from pybench.native import Outcome, run_trial
from pybench.workloads.launch import STRATEGIES
from tests.native.crew_tools import members_in, outcome_as_user
from tests.native.launch_tools import PARTS, check, launch, launch_spec, storm

ARRIVALS = ("closed", "burst", "rate:2000")
TWO_VALUED = {
    "userns": ("shared", "container"),
    "passes": (1, 2),
    "umount": ("sync", "detach"),
    "readonly": ("no", "yes"),
    "keep": ("no", "yes"),
}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_combination_launches_all_and_leaves_none(strategy: str, two_cpus: tuple[int, int]) -> None:
    """Combine all two-valued parameters, half of the combinations with each arrival: any four take all values."""
    for picked in itertools.product((0, 1), repeat=len(TWO_VALUED)):
        params = {name: values[i] for (name, values), i in zip(TWO_VALUED.items(), picked, strict=True)}
        for arrival in ARRIVALS[1::2] if sum(picked) % 2 else ARRIVALS[::2]:
            storm(two_cpus, strategy=strategy, arrival=arrival, **params, containers=3, layers=2)


@pytest.mark.parametrize("crew", ["threads", "processes"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_crews_of_both_kinds(strategy: str, crew: str, two_cpus: tuple[int, int]) -> None:
    storm(two_cpus, strategy=strategy, crew=crew, passes=2, files=3)


def test_the_incident_costs_20200_mount_operations(two_cpus: tuple[int, int]) -> None:
    outcome = storm(two_cpus, strategy="binds", containers=100, layers=50, passes=2)
    assert outcome.counters["mount_operations"] == 20_200
    assert outcome.counters["clean_operations"] == 200
    # Each of 10,000 binds: open_tree, mount_setattr, mkdir, move_mount, close, umount2, rmdir; each overlay three.
    assert outcome.counters["syscalls"] == 200 * (50 * 7 + 3)


def test_only_binds_fill_the_mount_table(cpus: tuple[int, ...]) -> None:
    for layers in (3, 60):
        for strategy in STRATEGIES:
            outcome = storm(cpus[:1], strategy=strategy, layers=layers, containers=2)
            rise = {"binds": layers + 1, "parent": 2}.get(strategy, 1)
            assert outcome.peak - outcome.mounts_before == rise


def test_more_workers_than_containers(cpus: tuple[int, ...]) -> None:
    storm((cpus[0],) * 6, containers=2)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_500_layers_are_the_most_that_overlay_takes(strategy: str, cpus: tuple[int, ...]) -> None:
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
def test_a_bad_request_is_refused(params: dict[str, Any], cpus: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="reading parameters"):
        run_trial(launch_spec(cpus[:1], **params))


def test_containers_arrive_at_their_rate(cpus: tuple[int, ...]) -> None:
    begin = time.monotonic()
    outcome = storm(cpus[:1], strategy="plain", arrival="rate:100", containers=21)
    assert time.monotonic() - begin >= 0.2
    assert members_in(outcome).stop_ns[0] >= 200_000_000


def test_containers_beyond_the_end_are_not_waited_for(two_cpus: tuple[int, int]) -> None:
    """Each worker would sleep to the arrival of a container that comes after the trial's end."""
    begin = time.monotonic()
    outcome = launch(two_cpus, strategy="plain", arrival="rate:1", containers=5, duration_ns=500_000_000)
    assert time.monotonic() - begin < 3
    assert outcome.counters["launched"] == 1


def test_think_time_is_rest(cpus: tuple[int, ...]) -> None:
    outcome = storm(cpus[:1], strategy="plain", containers=5, arrival="closed", think_ns=20_000_000)
    assert members_in(outcome).stop_ns[0] >= 100_000_000


def test_what_is_late_is_counted(two_cpus: tuple[int, int]) -> None:
    """All arrive at once, so each launch that ends after the first millisecond is late."""
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
def test_roles_beside_the_storm_are_timed_apart(crew: str, cpus: tuple[int, ...]) -> None:
    params = {"strategy": "binds", "containers": 60, "layers": 20, "passes": 1, "keep": "no"}
    counts = {"readers": 1, "listers": 2, "walkers": 1, "probers": 1}
    placement = (cpus[0], cpus[-1]) + (cpus[-1],) * 5
    spec = launch_spec(placement, **params, **counts, probe_every_ms=1, crew=crew)
    outcome = run_trial(spec)
    if outcome.status == "unsupported" and "listmount" in outcome.reason:
        pytest.skip(outcome.reason)
    assert outcome.status == "ok", outcome.reason
    check(outcome, params, 2)
    members = members_in(outcome)
    assert members.role == [0, 0, 1, 2, 2, 3, 4]
    # Bystanders do no launches.
    assert outcome.phases["launch"].operations == outcome.counters["launched"] == sum(members.operations[:2]) == 60
    for role, phase in enumerate(ROLES.values(), start=1):
        calls = outcome.phases[phase].calls
        assert calls == sum(count for r, count in zip(members.role, members.operations, strict=True) if r == role)
        assert calls > 0, phase
    assert outcome.counters["probes"] == outcome.phases["probe"].calls
    assert outcome.counters["wakeups"] >= outcome.phases["read"].calls + outcome.phases["list"].calls


def test_one_role_alone(cpus: tuple[int, ...]) -> None:
    for name, phase in ROLES.items():
        spec = launch_spec((cpus[0], cpus[-1]), containers=30, layers=10, probe_every_ms=1, **{name: 1})
        outcome = run_trial(spec)
        if outcome.status == "unsupported":
            continue
        assert outcome.status == "ok", outcome.reason
        assert members_in(outcome).role == [0, list(ROLES).index(name) + 1]
        assert set(outcome.phases) == {"launch", *PARTS, "clean", phase}


def test_a_long_table_is_there_before_and_costs_the_prober(cpus: tuple[int, ...]) -> None:
    few = launch((cpus[0], cpus[-1]), containers=20, layers=10, probers=1, probe_every_ms=1)
    many = launch((cpus[0], cpus[-1]), containers=20, layers=10, probers=1, probe_every_ms=1, table=5000)
    assert many.mounts_before == many.mounts_after == few.mounts_before + 5001
    assert many.phases["probe"].max_ns > few.phases["probe"].wall_ns / few.phases["probe"].calls


def count_mounts(*words: str) -> str:
    """Return what the validation `mounts` prints if kernel and core agree."""
    command = [sys.executable, "-m", "tests.validation", "mounts", *words]
    root = Path(__file__).parents[2]
    ran = subprocess.run(command, text=True, capture_output=True, timeout=100, check=False, cwd=root)
    if ran.returncode == 3:
        pytest.skip(ran.stderr.strip())
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_kernel_counts_the_same_mounts(strategy: str) -> None:
    for words in (["--umount", "sync"], ["--crew", "processes", "--passes", "1"]):
        printed = count_mounts("--strategy", strategy, "--quick", *words)
        assert "mounts: 3 of 3 as asked" in printed


def test_the_kernel_counts_20200_mounts_too() -> None:
    assert "mount operations: 20,200 = 20,200" in count_mounts()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_ordinary_user_launches_on_a_tmpfs_of_their_own(strategy: str, two_cpus: tuple[int, int]) -> None:
    for userns in ("shared", "container"):
        params = {"strategy": strategy, "containers": 5, "layers": 4, "passes": 2, "keep": "no"}
        outcome = outcome_as_user(launch_spec(two_cpus, userns=userns, **params))
        if outcome.status == "unsupported":
            pytest.skip(f"this host gives ordinary users no namespaces: {outcome.reason}")
        assert outcome.status == "ok", outcome.reason
        assert outcome.user_namespace
        check(outcome, params, 2)
