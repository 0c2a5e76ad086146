# SPDX-License-Identifier: Apache-2.0
"""Test when a sweep repeats, stops and resumes, on made-up outcomes, as only their results matter here."""

import random
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybench.analysis.summary.series import unsupported_of
from pybench.errors import MeasurementError, UnsupportedError
from pybench.host.meters import HostCounts
from pybench.native.outcome import Members, Outcome, Phase, TrialSpec
from pybench.results.records import Cell, Plan, Trial
from pybench.run import sweep as runner

SPAN_NS = 100_000_000


def Sweep(*args: Any, **kwargs: Any) -> runner.Sweep:
    """A sweep on a host that nothing else runs on."""
    return runner.Sweep(*args, **kwargs | {"meters": lambda _: HostCounts})


def ran(operations: int, off_cpu: float = 0.0, second_start_ns: int = 0) -> Outcome:
    """A trial of two members that ran for 100 ms."""
    members = Members(
        cpu=[0, 1],
        operations=[operations // 2, operations - operations // 2],
        start_ns=[0, second_start_ns],
        stop_ns=[SPAN_NS, SPAN_NS],
        cpu_ns=[SPAN_NS, int((SPAN_NS - second_start_ns) * (1 - off_cpu))],
        voluntary_switches=[0, 0],
        involuntary_switches=[0, 0],
    )
    phase = Phase(calls=10, operations=10, wall_ns=1000, max_ns=100, histogram=[100, 10])
    return Outcome(status="ok", members=members, phases={"operation": phase})


def plan_of(cells: int, **changes: object) -> Plan:
    base = {
        "cells": [
            Cell(workload="spin", params={"lock": "tas"}, threads=2, place=f"p{i}", smt="on", cpus=(0, 1))
            for i in range(cells)
        ],
        "seed": 1,
        "duration_ns": SPAN_NS,
        "warmup_ns": 0,
    }
    return Plan(**(base | changes))  # type: ignore[arg-type]


def test_quiet_cells_stop_at_the_least_and_noisy_ones_go_on() -> None:
    noise = random.Random(5)
    plan = plan_of(1)
    quiet = list(Sweep(plan, run_trial=lambda _: ran(int(1e6 * noise.uniform(0.99, 1.01)))).trials())
    loud = list(Sweep(plan, run_trial=lambda _: ran(int(1e6 * noise.uniform(0.5, 1.5)))).trials())
    assert len(quiet) == plan.min_trials
    assert len(loud) == plan.max_trials


def test_each_round_runs_every_open_cell_once() -> None:
    noise = random.Random(2)
    plan = plan_of(5, max_trials=12)
    trials = list(Sweep(plan, run_trial=lambda _: ran(int(1e6 * noise.uniform(0.2, 2)))).trials())
    rounds = [[t.cell for t in trials if t.repeat == number] for number in range(12)]
    assert all(sorted(cells) == list(range(5)) for cells in rounds)
    assert [t.sequence for t in trials] == list(range(60))
    assert len({tuple(cells) for cells in rounds}) > 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.integers(1, 4))
def test_a_resumed_sweep_is_the_sweep_that_was_not_stopped(stop_after: int, cells: int) -> None:
    def run(spec: TrialSpec) -> Outcome:
        return ran(int(1e6 * random.Random(spec.seed).uniform(0.8, 1.2)))

    plan = plan_of(cells, max_trials=15)
    whole = list(Sweep(plan, run_trial=run).trials())
    before = whole[:stop_after]
    after = list(Sweep(plan, before, run_trial=run).trials())
    assert Counter((t.cell, t.repeat) for t in before + after) == Counter((t.cell, t.repeat) for t in whole)
    assert max(Counter((t.cell, t.repeat) for t in before + after).values()) == 1


def test_invalid_trials_are_kept_marked_and_repeated() -> None:
    outcomes = iter([ran(100, off_cpu=0.5), ran(100, second_start_ns=SPAN_NS // 10)] + [ran(1_000_000)] * 50)
    trials = list(Sweep(plan_of(1), run_trial=lambda _: next(outcomes)).trials())
    assert [t.flags for t in trials[:3]] == [["off-cpu"], ["overlap", "skew"], []]
    assert sum(t.valid for t in trials) == 6
    assert len(trials) == 8


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 1), st.integers(6, 12), st.integers(1, 8))
def test_invalid_trials_are_run_again_within_a_bound_of_their_own(
    seed: int, share: float, most: int, most_invalid: int
) -> None:
    luck = random.Random(seed)
    plan = plan_of(1, max_trials=most, max_invalid=most_invalid, target=1e-9)
    run = lambda _: ran(int(1e6 * luck.uniform(0.5, 1.5)), off_cpu=0.5 * (luck.random() < share))  # noqa: E731
    trials = list(Sweep(plan, run_trial=run).trials())
    valid, invalid = (sum(t.valid is wanted for t in trials) for wanted in (True, False))
    assert (valid == most and invalid < most_invalid) or (invalid == most_invalid and valid < most)
    assert [t.repeat for t in trials] == list(range(len(trials)))


def test_a_cell_slower_than_it_used_to_be_is_told() -> None:
    def run(slow: float) -> Outcome:
        good = ran(1_000_000)
        assert good.members is not None
        members = msgspec.structs.replace(good.members, work_ns=[[slow, slow], [1000.0, 1000.0]])
        return msgspec.structs.replace(good, members=members)

    outcomes = iter([run(1000.0)] * 4 + [run(1150.0)] + [run(1005.0)] * 9)
    trials = list(Sweep(plan_of(1), run_trial=lambda _: next(outcomes)).trials())
    assert [t.flags for t in trials[:6]] == [[]] * 4 + [["speed"], []]


def test_failed_trials_have_no_figures_and_end_in_an_error_if_there_is_nothing_else() -> None:
    failed = Outcome(status="failed", reason="running: member 1 was killed by signal 9")
    sweep = Sweep(plan_of(2, max_trials=7), run_trial=lambda _: failed)
    trials = list(sweep.trials())
    assert len(trials) == 14
    assert all(t.figures is None and t.evidence is None for t in trials)
    with pytest.raises(MeasurementError, match="killed by signal 9"):
        sweep.raise_if_nothing(trials)


def test_what_the_host_cannot_do_is_tried_once_a_cell() -> None:
    cannot = Outcome(
        status="unsupported", reason="unshare(CLONE_NEWUSER | CLONE_NEWNS): a user namespace", errno=1
    )
    sweep = Sweep(plan_of(3), run_trial=lambda _: cannot)
    trials = list(sweep.trials())
    assert len(trials) == 3
    with pytest.raises(UnsupportedError, match="need root"):
        sweep.raise_if_nothing(trials)


def test_what_could_not_be_done_is_tried_again_when_a_sweep_goes_on() -> None:
    cannot = Outcome(status="unsupported", reason="mount", errno=1)
    plan = plan_of(2, max_trials=6)
    before: list[Trial] = []
    for _ in range(7):  # by an ordinary user, more often than there may be trials
        before += Sweep(plan, before, run_trial=lambda _: cannot).trials()
    assert len(before) == 14
    sweep = Sweep(plan, before, run_trial=lambda _: ran(1_000_000))
    assert sweep.end().reason == "limit"
    after = list(sweep.trials())
    assert Counter(t.cell for t in after if t.valid) == {0: 6, 1: 6}
    assert sweep.end().reason == "sure"
    assert len({(t.cell, t.repeat) for t in before + after}) == len(before + after)
    assert unsupported_of(before)
    assert unsupported_of(before + after) == ""


def test_one_measured_trial_is_enough_to_go_on() -> None:
    sweep = Sweep(plan_of(1), run_trial=lambda _: ran(10))
    sweep.raise_if_nothing(list(sweep.trials()))


def test_an_interrupted_trial_is_done_again_not_recorded() -> None:
    outcomes = iter([Outcome(status="interrupted", reason="x")] * 2 + [ran(1_000)] * 20)
    trials = list(Sweep(plan_of(1), run_trial=lambda _: next(outcomes)).trials())
    assert all(t.outcome.status == "ok" for t in trials)


def test_the_budget_bounds_the_sweep() -> None:
    plan = plan_of(4, budget_ns=1)
    assert not list(Sweep(plan, run_trial=lambda _: ran(1)).trials())
    plan = plan_of(1, budget_ns=10**12, max_trials=6)
    assert len(list(Sweep(plan, run_trial=lambda _: ran(1_000)).trials())) == 6


def test_progress_only_rises_and_ends_at_one() -> None:
    noise = random.Random(3)
    sweep = Sweep(plan_of(2, max_trials=10), run_trial=lambda _: ran(int(1e6 * noise.uniform(0.5, 1.5))))
    seen: list[float] = []
    trials: list[Trial] = []
    for trial in sweep.trials():
        trials.append(trial)
        seen.append(sweep.progress())
    assert seen[-1] == 1.0
    assert all(0 <= share <= 1 for share in seen)
    assert sweep.end().reason == "limit"
