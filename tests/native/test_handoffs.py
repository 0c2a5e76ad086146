# SPDX-License-Identifier: Apache-2.0
"""Results of a spin trial about its lock: handoffs, measured hold and think times, and the place of its line."""

import itertools

import pytest

from pybench.native import locks, run_trial
from pybench.native.outcome import Outcome
from tests.native.crew_tools import MS, request, run_or_skip

OWNED = [name for name, info in locks().items() if info.excludes and not info.readers and info.family != "control"]


def spin(cpus: tuple[int, ...], ms: int = 40, **params: object) -> Outcome:
    outcome = run_trial(request("spin", cpus, ms, **params))
    assert outcome.status == "ok", outcome.reason
    return outcome


@pytest.mark.parametrize("lock", OWNED)
def test_what_one_hands_over_the_other_takes(lock: str, two_cpus: tuple[int, ...]) -> None:
    outcome = spin(two_cpus, lock=lock, hold_ns=100, think_ns=100)
    assert outcome.members and outcome.handoffs, "two threads at one lock hand it over"
    seen = outcome.handoffs
    pairs = {(0, 1): 0, (1, 0): 0} | dict(zip(zip(seen.giver, seen.taker, strict=True), seen.count, strict=True))
    assert len(pairs) == 2
    # It goes to and fro, so neither way can be ahead by more than one.
    assert abs(pairs[0, 1] - pairs[1, 0]) <= 1
    for member in (0, 1):
        taken = pairs[1 - member, member]
        operations, longest = outcome.members.operations[member], outcome.members.longest_streak[member]
        assert taken <= operations
        # No run is longer than what is left when every other handoff ends a run of one.
        assert 1 <= longest <= operations - max(taken - 1, 0)
    assert all(timed <= count for timed, count in zip(outcome.handoffs.timed, outcome.handoffs.count, strict=True))


def test_a_lone_thread_hands_to_nobody(cpus: tuple[int, ...]) -> None:
    outcome = spin(cpus[:1], lock="mcs")
    assert outcome.handoffs is None
    assert outcome.members and outcome.members.longest_streak == outcome.members.operations


@pytest.mark.parametrize("crew", ["threads", "processes"])
def test_nobody_hands_to_itself(two_cpus: tuple[int, ...], crew: str) -> None:
    """Three members, two of which share a CPU."""
    outcome = spin((*two_cpus, two_cpus[0]), 60, lock="futex-mutex", hold_ns=20_000, crew=crew)
    assert outcome.handoffs
    pairs = list(zip(outcome.handoffs.giver, outcome.handoffs.taker, strict=True))
    assert len(set(pairs)) == len(pairs)
    assert all(giver != taker and {giver, taker} <= {0, 1, 2} for giver, taker in pairs)


@pytest.mark.parametrize("distribution", ["fixed", "exponential", "bimodal"])
def test_hold_and_think_time_are_what_was_asked(cpus: tuple[int, ...], distribution: str) -> None:
    """A busy machine may disturb a trial, or leave it too few operations for a mean: the best of five counts."""
    words = {"hold_dist": distribution, "think_dist": distribution}
    off, hold_asked, think_asked = [], [], []
    for _ in range(5):
        members = spin(cpus[:1], 60, lock="tas", hold_ns=2000, think_ns=3000, warmup_ns=20 * MS, **words).members
        assert members
        hold_asked.append(abs(members.hold_asked_ns[0] / 2000 - 1))
        think_asked.append(abs(members.think_asked_ns[0] / 3000 - 1))
        off.append(abs(members.hold_ns[0] / members.hold_asked_ns[0] - 1))
        off.append(abs(members.think_ns[0] / members.think_asked_ns[0] - 1))
    assert min(off) < 0.02
    assert max(min(hold_asked), min(think_asked)) < 0.2


@pytest.mark.parametrize("workload", ["spin", "stat"])
def test_samples_stand_for_all_operations(workload: str, two_cpus: tuple[int, ...]) -> None:
    """Slow operations count by their number, not by their duration."""
    outcome = run_or_skip(request(workload, two_cpus, 50))
    assert outcome.members
    for phase in outcome.phases.values():
        assert phase.calls < phase.operations == sum(outcome.members.operations) == sum(phase.histogram[1::2])


def test_no_hold_time_is_none(cpus: tuple[int, ...]) -> None:
    members = spin(cpus[:1], lock="tas").members
    assert members and not members.hold_ns and not members.think_asked_ns


@pytest.mark.parametrize(("guard", "offset"), [*itertools.product(("apart", "shared"), ("0", "128", "3968"))])
def test_the_line_lies_where_it_was_asked_for(two_cpus: tuple[int, ...], guard: str, offset: str) -> None:
    outcome = spin(two_cpus, 20, lock="ticket", guard=guard, line_offset=offset)
    assert outcome.line_offset == int(offset)


def test_a_varying_line_is_seeded(cpus: tuple[int, ...]) -> None:
    seen = [
        spin(cpus[:1], 1, lock="tas", line_offset="vary", seed=seed).line_offset for seed in (1, 1, 2, 3, 4, 5)
    ]
    assert seen[0] == seen[1]
    assert len(set(seen)) > 1
    assert all(offset % 128 == 0 and 0 <= offset < 4096 for offset in seen)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"line_offset": "100"}, "multiple of 128"),
        ({"line_offset": "4096"}, "multiple of 128"),
        ({"lock": "array", "guard": "shared"}, "guard=shared needs a lock of at most"),
    ],
)
def test_a_line_that_cannot_be_is_refused(cpus: tuple[int, ...], words: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        run_trial(request("spin", cpus[:1], 10, **words))


def test_a_huge_page_is_one_or_is_refused(two_cpus: tuple[int, ...]) -> None:
    outcome = run_trial(request("spin", two_cpus, 20, lock="ticket", page="huge"))
    if outcome.status == "unsupported":
        assert "huge page" in outcome.reason and "nr_hugepages" in outcome.reason
        pytest.skip(outcome.reason)
    assert outcome.status == "ok" and outcome.line_page_bytes >= 2 << 20


def test_clocks_and_speed_are_told_for_each_member(two_cpus: tuple[int, ...]) -> None:
    members = spin(two_cpus, 30).members
    assert members and len(members.clock_offset_ns) == len(members.work_ns) == 2
    assert members.clock_offset_ns[0][0] == 0.0
    assert all(before > 0 and after > 0 for before, after in members.work_ns)


def test_a_wait_is_within_its_bounds(two_cpus: tuple[int, ...]) -> None:
    members = spin(two_cpus, 50, lock="tas", hold_ns=500).members
    assert members
    for wait, gap, start, stop in zip(
        members.longest_wait_ns, members.longest_gap_ns, members.start_ns, members.stop_ns, strict=True
    ):
        assert 0 <= wait <= gap + 1000
        assert gap <= stop - start
