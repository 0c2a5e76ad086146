# SPDX-License-Identifier: Apache-2.0
"""The transfer workload: what two members count is what the line counts, and what went wrong is said."""

import signal
from collections.abc import Callable

import numpy as np
import pytest

from pybench.native import run_trial
from pybench.workloads.transfer import METHODS
from tests.native.crew_tools import MS, Meddler, members_in, pick_leader, pick_process, request, wait_gone

CREWS = ("threads", "processes")


@pytest.mark.parametrize("crew", CREWS)
@pytest.mark.parametrize("method", METHODS)
def test_both_members_make_the_same_transfers(method: str, crew: str, two_cpus: tuple[int, int]) -> None:
    """A transfer that the line did not count, or that one side made alone, would make the trial a failed one."""
    outcome = run_trial(request("transfer", two_cpus, 10, method=method, crew=crew, warmup_ns=2 * MS))
    assert outcome.status == "ok", outcome.reason
    members, phase = members_in(outcome), outcome.phases["transfer"]
    assert members.operations[0] == members.operations[1] > 0
    assert sum(phase.histogram[1::2]) == phase.calls == phase.operations > 0
    assert members.cpu == list(two_cpus) and members.cpu_seen == []


@pytest.mark.parametrize("method", METHODS)
def test_batches_add_up_to_the_time_that_the_members_ran(method: str, two_cpus: tuple[int, int]) -> None:
    """Each batch's mean times its transfers is its time, and batches follow each other without a gap."""
    untold = []
    for _ in range(8):
        outcome = run_trial(request("transfer", two_cpus, 12, method=method))
        members, means_ns = members_in(outcome), np.array(outcome.timeline)[:, 1] / 1000
        assert len(means_ns) == outcome.phases["transfer"].calls  # fewer than are kept
        each = sum(members.operations) / len(means_ns)
        untold.append(1 - means_ns.sum() * each / (members.stop_ns[0] - members.start_ns[0]))
    # On a busy machine, a member is off its CPU before the first batch or after the last, but not each time.
    assert min(map(abs, untold)) < 0.03, untold
    assert (np.diff(np.array(outcome.timeline)[:, 0]) >= 0).all()
    # The phase holds the same means, rounded.
    assert outcome.phases["transfer"].wall_ns == pytest.approx(means_ns.sum(), abs=0.51 * len(means_ns))


def test_a_long_trial_keeps_every_second_batch(two_cpus: tuple[int, int]) -> None:
    outcome = run_trial(request("transfer", (two_cpus[0],) * 2, 60_000, operations=16 * 1500))
    assert outcome.status == "ok", outcome.reason
    assert outcome.phases["transfer"].calls == 1500
    assert len(outcome.timeline) == 750
    assert (np.diff([ns for ns, _ in outcome.timeline]) > 0).all()


@pytest.mark.parametrize("crew", CREWS)
@pytest.mark.parametrize("method", METHODS)
def test_two_members_on_one_cpu_give_way_to_each_other(method: str, crew: str, cpus: tuple[int, ...]) -> None:
    outcome = run_trial(request("transfer", (cpus[0], cpus[0]), 10, method=method, crew=crew, grace_ns=5_000 * MS))
    assert outcome.status == "ok", outcome.reason
    assert members_in(outcome).operations[0] == members_in(outcome).operations[1] > 0


@pytest.mark.parametrize("operations", [1, 500, 777])
def test_operations_are_a_limit(operations: int, two_cpus: tuple[int, int]) -> None:
    for warmup_ns in (0, 2 * MS):
        outcome = run_trial(request("transfer", two_cpus, 60_000, operations=operations, warmup_ns=warmup_ns))
        assert members_in(outcome).operations == [operations] * 2


@pytest.mark.parametrize(("batch", "operations", "batches"), [(1, 777, 777), (500, 777, 2), (2000, 777, 1)])
def test_a_batch_has_as_many_round_trips_as_asked(
    batch: int, operations: int, batches: int, two_cpus: tuple[int, int]
) -> None:
    outcome = run_trial(request("transfer", two_cpus, 60_000, operations=operations, batch=batch))
    assert outcome.phases["transfer"].calls == batches
    assert members_in(outcome).operations == [operations] * 2


def test_a_batch_of_nothing_is_refused(two_cpus: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="batch must be 1 or more"):
        run_trial(request("transfer", two_cpus, batch=0))


@pytest.mark.parametrize("members", [1, 3])
def test_other_crews_than_two_are_refused(members: int, cpus: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"transfer takes 2 members, not {members}"):
        run_trial(request("transfer", (cpus[0],) * members))


def test_an_unknown_method_is_refused(two_cpus: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="invalid method=telepathy"):
        run_trial(request("transfer", two_cpus, method="telepathy"))


@pytest.mark.parametrize(("crew", "pick"), [("threads", pick_leader), ("processes", pick_process)])
def test_a_killed_member_gives_a_reason(crew: str, pick: Callable[[int], int], two_cpus: tuple[int, int]) -> None:
    meddler = Meddler(pick, signal.SIGKILL, 0.05)
    outcome = run_trial(request("transfer", two_cpus, 60_000, crew=crew))
    assert outcome.status == "failed"
    assert "killed by signal 9" in outcome.reason
    assert outcome.members is None
    assert wait_gone(meddler.done())


def test_a_stopped_member_is_given_up(two_cpus: tuple[int, int]) -> None:
    meddler = Meddler(pick_process, signal.SIGSTOP, 0.05)
    outcome = run_trial(request("transfer", two_cpus, 1_000, crew="processes", grace_ns=400 * MS))
    assert outcome.status == "failed"
    assert "no result within 1.4 s" in outcome.reason
    assert wait_gone(meddler.done())
