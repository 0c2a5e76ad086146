# SPDX-License-Identifier: Apache-2.0
"""Trials that succeed: what every lock, kind of crew and workload must report."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybench import native
from pybench.native import Outcome, Phase, histogram_values, run_trial
from tests.native.crew_tools import members_in, request, run_or_skip

LOCKS = ("tas", "ttas", "ticket", "mcs", "pthread_mutex", "seqlock")
CREWS = ("threads", "processes")


def counts_of(phase: Phase) -> tuple[np.ndarray, np.ndarray]:
    """(bucket numbers, counts) of a phase's histogram."""
    pairs = np.array(phase.histogram).reshape(-1, 2)
    return np.cumsum(pairs[:, 0]), pairs[:, 1]


def check_sums(outcome: Outcome) -> None:
    """Check what holds for every outcome that is ok."""
    members = outcome.members
    assert members
    count = len(members.cpu)
    columns = (
        members.operations,
        members.start_ns,
        members.stop_ns,
        members.cpu_ns,
        members.voluntary_switches,
        members.involuntary_switches,
    )
    assert all(len(column) == count for column in columns)
    assert all(len(column) in (0, count) for column in (members.cpu_seen, members.role, members.node))
    assert all(operations > 0 for operations in members.operations)
    assert min(members.start_ns) == 0
    assert all(stop > start for start, stop in zip(members.start_ns, members.stop_ns, strict=True))
    for name, phase in outcome.phases.items():
        buckets, counts = counts_of(phase)
        # A batched call counts once, a sample once per operation that it represents.
        assert counts.sum() in (phase.calls, phase.operations), name
        assert (counts > 0).all(), name
        assert (np.diff(buckets) > 0).all(), name


def test_locks_are_named_with_their_source() -> None:
    assert set(LOCKS) <= set(native.locks())
    assert all(native.locks().values())


@pytest.mark.parametrize("workload", ["mount", "stat"])
def test_what_works_in_the_kernel_is_bound_by_the_crews_policy(workload: str, cpus: tuple[int, ...]) -> None:
    bound = run_or_skip(request(workload, cpus[:1], memory="bind", nodes=(0,)))
    assert bound.members
    assert set(bound.members.node) <= {0}
    nowhere = run_trial(request(workload, cpus[:1], memory="bind", nodes=(1023,)))
    assert nowhere.status == "failed"
    assert "set_mempolicy" in nowhere.reason


@pytest.mark.parametrize("crew", CREWS)
@pytest.mark.parametrize("lock", native.locks())
def test_lock_excludes(lock: str, crew: str, two_cpus: tuple[int, int]) -> None:
    """The core counts every section in unprotected memory; a lost one makes the trial a failed one."""
    for params in ({}, {"hold_ns": 200, "think_ns": 100, "write_think_ns": 0}):
        outcome = run_trial(request("spin", two_cpus, lock=lock, crew=crew, **params))
        assert outcome.status == "ok", outcome.reason
        check_sums(outcome)


@pytest.mark.parametrize("crew", CREWS)
@pytest.mark.parametrize("lock", native.locks())
def test_lock_excludes_beyond_the_cpus(lock: str, crew: str, cpus: tuple[int, ...]) -> None:
    outcome = run_trial(request("spin", (cpus[0],) * 3, 10, lock=lock, crew=crew))
    assert outcome.status == "ok", outcome.reason
    check_sums(outcome)


@pytest.mark.parametrize("crew", CREWS)
@pytest.mark.parametrize(("workload", "operations"), [("spin", 1), ("spin", 777), ("mount", 13), ("stat", 999)])
def test_operations_are_a_limit(workload: str, operations: int, crew: str, two_cpus: tuple[int, int]) -> None:
    for warmup_ns in (0, 2_000_000):
        spec = request(workload, two_cpus, 60_000, crew=crew, operations=operations, warmup_ns=warmup_ns)
        outcome = run_or_skip(spec)
        assert members_in(outcome).operations == [operations] * 2
        check_sums(outcome)


@pytest.mark.parametrize("operations", [1, 4, 5, 9])
def test_operations_are_a_limit_of_batches(operations: int, two_cpus: tuple[int, int]) -> None:
    outcome = run_or_skip(request("mount", two_cpus, 60_000, operations=operations, umount="batch:4"))
    assert members_in(outcome).operations == [operations] * 2
    assert outcome.phases["mount"].operations == 2 * operations
    assert outcome.phases["umount"].operations == 2 * (operations // 4) * 4


def test_time_ends_a_trial(two_cpus: tuple[int, int]) -> None:
    outcome = run_trial(request("spin", two_cpus, 50))
    assert outcome.status == "ok"
    # Members that start late end no later; this much later would take a machine that stands still.
    assert all(stop >= 10_000_000 for stop in members_in(outcome).stop_ns)


def test_members_stand_in_the_order_of_the_placement(cpus: tuple[int, ...]) -> None:
    placement = tuple(reversed(cpus))
    outcome = run_trial(request("spin", placement, 10))
    assert members_in(outcome).cpu == list(placement)
    assert members_in(outcome).cpu_seen == []


def test_seqlock_counts_reads(two_cpus: tuple[int, int]) -> None:
    members = members_in(run_trial(request("spin", two_cpus, lock="seqlock")))
    assert members.role == [0, 1]
    assert [members.is_main(i) for i in range(2)] == [True, False]


def test_phases_are_the_workload_s(two_cpus: tuple[int, int]) -> None:
    for workload in ("spin", "mount", "stat"):
        outcome = run_or_skip(request(workload, two_cpus))
        assert list(outcome.phases) == native.phases(workload)


def test_latencies_lie_in_their_histogram(two_cpus: tuple[int, int]) -> None:
    values = histogram_values()
    for workload in ("spin", "mount", "stat"):
        for name, phase in run_or_skip(request(workload, two_cpus, 50)).phases.items():
            buckets, counts = counts_of(phase)
            assert phase.max_ns * 0.992 - 1 <= values[buckets[-1]] <= phase.max_ns * 1.008 + 1, name
            mean = phase.wall_ns / counts.sum()
            assert values[buckets[0]] * 0.992 - 1 <= mean <= phase.max_ns, name
            # Buckets are half a percent off at most, and so is the sum that they stand for.
            assert (values[buckets] * counts).sum() == pytest.approx(phase.wall_ns, rel=0.008), name
            at_half = buckets[np.searchsorted(np.cumsum(counts), counts.sum() / 2)]
            assert values[buckets[0]] <= values[at_half] <= values[buckets[-1]], name


def test_on_cpu_time_is_read_beside_wall_time(two_cpus: tuple[int, int]) -> None:
    phases = run_or_skip(request("mount", two_cpus, 50)).phases
    for phase in phases.values():
        assert 0 < phase.cpu_operations <= phase.operations
        assert phase.cpu_ns > 0
        assert 0 < phase.cpu_wall_ns <= phase.wall_ns + phase.calls * 1_000


def test_histogram_values_ascend() -> None:
    assert (np.diff(histogram_values()) > 0).all()


@given(st.integers(min_value=0, max_value=2**40))
def test_histogram_keeps_a_latency_within_0_8_percent(ns: int) -> None:
    lib = native.load().lib
    bucket = lib.pb_histogram_bucket(ns)
    value = lib.pb_histogram_value(bucket)
    assert abs(value - ns) <= 0.008 * ns
    if ns < 128:
        assert value == ns
    assert lib.pb_histogram_bucket(int(value)) == bucket


@given(st.integers(min_value=2**41, max_value=2**64 - 1))
def test_histogram_keeps_what_is_too_long_in_the_last_bucket(ns: int) -> None:
    lib = native.load().lib
    assert lib.pb_histogram_bucket(ns) == lib.PB_HISTOGRAM_BUCKETS - 1
    assert lib.pb_histogram_value(lib.PB_HISTOGRAM_BUCKETS) == -1


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(request("spin", (0,), lock="nosuch"), id="lock"),
        pytest.param(request("spin", ()), id="no members"),
        pytest.param(request("spin", (0,), 0), id="no time"),
        pytest.param(request("spin", (0,), warmup_ns=-1), id="negative warm-up"),
        pytest.param(request("spin", (0,), operations=-1), id="negative operations"),
        pytest.param(request("spin", (0,), grace_ns=0), id="no grace"),
        pytest.param(request("spin", (-1,)), id="negative CPU"),
        pytest.param(request("spin", (8192,)), id="CPU beyond all"),
        pytest.param(request("spin", (0,), memory="bind", nodes=(5000,)), id="node beyond all"),
        pytest.param(request("mount", (0,), api="bind"), id="api"),
        pytest.param(request("mount", (0,), umount="never"), id="umount"),
        pytest.param(request("mount", (0,), idmap="yes"), id="idmap without open_tree"),
        pytest.param(request("mount", (0,), fs="/" + 300 * "x"), id="path too long"),
        pytest.param(request("stat", (0,), depth=33), id="depth"),
    ],
)
def test_a_bad_request_is_refused(spec: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        run_trial(spec)


def test_an_unknown_workload_is_refused() -> None:
    spec = native.TrialSpec(workload="none", params={}, cpus=(0,), duration_ns=1)
    with pytest.raises(ValueError, match="finding the workload: none"):
        run_trial(spec)


def test_a_missing_parameter_is_named() -> None:
    spec = native.TrialSpec(workload="spin", params={"lock": "tas"}, cpus=(0,), duration_ns=1)
    with pytest.raises(ValueError, match="hold_ns is missing"):
        run_trial(spec)


@pytest.mark.parametrize("crew", CREWS)
def test_a_cpu_that_is_not_there_fails_the_trial(crew: str, cpus: tuple[int, ...]) -> None:
    outcome = run_trial(request("spin", (cpus[0], 8191), crew=crew))
    assert outcome.status == "failed"
    assert "CPU 8191" in outcome.reason
    assert outcome.members is None
    assert not outcome.phases
