# SPDX-License-Identifier: Apache-2.0
"""Cells that want different states of the host: planned for the CPUs they leave, and measured in blocks."""

import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybench.errors import MeasurementError, UnsupportedError, UsageError
from pybench.host.meters import HostCounts, difference
from pybench.host.switches.controls import Controls
from pybench.host.switches.journal import AS_FOUND
from pybench.host.topology import Cpu, Topology
from pybench.native.outcome import Outcome, TrialSpec
from pybench.plan.planner import (
    block_order,
    host_state,
    make_plan,
    rounds_in_block,
    states_of,
    switch_words,
    turns_switches,
)
from pybench.plan.request import Request
from pybench.results.records import Cell, Plan
from pybench.run import sweep as runner
from pybench.run.sweep import check_allowed
from tests.unit.kernel_model import KernelModel
from tests.unit.test_controls import host, state
from tests.unit.test_runner import plan_of, ran

QUIET: Any = lambda _: HostCounts  # noqa: E731 - a host that nothing else runs on


@pytest.fixture(scope="module", autouse=True)
def _nothing_to_settle() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "SETTLE_S", 0.0)
        yield


def two_sockets() -> Topology:
    """2 sockets x 2 cores x 2 threads, siblings N and N+4, CPU 3 off."""
    cpus = [
        Cpu(number=n, socket=n % 4 // 2, core=n % 4, smt=n // 4, node=n % 4 // 2)
        if n != 3
        else Cpu(number=3, online=False, allowed=False)
        for n in range(8)
    ]
    cpus[7] = Cpu(number=7, socket=1, core=3, smt=0, node=1)
    return Topology(cpus=tuple(cpus), smt_control="on")


def switched_plan(**changes: Any) -> Plan:
    """Five cells of three states."""
    states: list[tuple[str, str, dict[str, Any]]] = [
        ("a", "on", {}),
        ("b", "on", {}),
        ("a", "off:kernel", {}),
        ("b", "off:kernel", {}),
        ("a offline:5", "on", {"offline": (5,)}),
    ]
    every = [
        Cell(workload="spin", params={"lock": "tas"}, threads=2, place=place, smt=smt, cpus=(0, 2), **more)
        for place, smt, more in states
    ]
    return msgspec.structs.replace(plan_of(0), **({"cells": every} | changes))


def test_cells_are_planned_on_the_cpus_that_their_state_leaves() -> None:
    request = Request(
        workloads=("spin",),
        threads="max",
        place=("all",),
        smt=("on", "off", "off:kernel"),
        offline=("none", "1,3"),
    )
    cells = make_plan(request, two_sockets()).plan.cells
    seen = {(cell.smt, cell.place): set(cell.cpus) for cell in cells}
    assert seen == {
        ("on", "all"): {0, 1, 2, 4, 5, 6, 7},
        ("off", "all"): {0, 1, 2, 7},
        ("off:kernel", "all"): {0, 1, 2, 7},
        ("on", "all offline:1,3"): {0, 2, 4, 5, 6, 7},
        ("off", "all offline:1,3"): {0, 2, 5, 7},
        ("off:kernel", "all offline:1,3"): {0, 2, 7},
    }


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_turns_begin_where_the_last_ended_and_hold_every_state(seed: int, turns: int) -> None:
    plan = switched_plan(seed=seed)
    states = states_of(plan.cells)
    orders = [block_order(plan, turn, states) for turn in range(turns)]
    assert all(sorted(map(repr, order)) == sorted(map(repr, states)) for order in orders)
    assert all(one[-1] == following[0] for one, following in pairwise(orders))
    assert orders == [block_order(plan, turn, states) for turn in range(turns)]


@settings(max_examples=8)
@given(st.integers(0, 2**32))
def test_a_steady_drift_moves_two_states_alike(seed: int) -> None:
    cells = [cell for cell in switched_plan().cells if cell.place == "a"]
    plan = switched_plan(cells=cells, seed=seed, min_trials=12, max_trials=12)
    with host() as (kernel, store), made(plan, kernel, store) as controls:
        sweep = runner.Sweep(plan, run_trial=lambda _: ran(10**6), meters=QUIET, controls=controls)
        trials = list(sweep.trials())
        turns = controls.turns
    places = [[t.sequence for t in trials if t.cell == cell] for cell in (0, 1)]
    assert sum(places[0]) == sum(places[1])
    assert turns <= 12 // rounds_in_block(plan) + 1


def made(plan: Plan, kernel: KernelModel, store: Any) -> Controls:
    return Controls(
        states_of(plan.cells), files=kernel, store=store, watched=False, tell=lambda _: None, pause_s=0
    )


@settings(max_examples=15)
@given(stop_after=st.integers(0, 40))
def test_every_trial_runs_in_its_state_and_a_resumed_sweep_goes_on(stop_after: int) -> None:
    plan = switched_plan(min_trials=6, max_trials=9)

    def run(spec: TrialSpec) -> Outcome:
        seen.append(frozenset(kernel.on))
        return ran(int(1e6 * random.Random(spec.seed).uniform(0.8, 1.2)))

    def sweep(before: list[Any]) -> runner.Sweep:
        return runner.Sweep(plan, before, run_trial=run, meters=QUIET, controls=controls)

    seen: list[frozenset[int]] = []
    with host() as (kernel, store):
        began = kernel.state()
        with made(plan, kernel, store) as controls:
            first = [trial for trial, _ in zip(sweep([]).trials(), range(stop_after), strict=False)]
        assert kernel.state() == began
        seen = seen[: len(first)]
        with made(plan, kernel, store) as controls:
            trials = first + list(sweep(first).trials())
        assert kernel.state() == began
        for trial, on in zip(trials, seen, strict=True):
            wants = host_state(plan.cells[trial.cell])
            assert on == began[1] - set(wants.offline) - (kernel.secondary if wants.smt_off else set())
    counts = Counter(trial.cell for trial in trials)
    assert set(counts.values()) <= set(range(6, 10))
    assert len(counts) == len(plan.cells)


def test_when_another_turns_a_switch_trials_are_invalid_and_the_sweep_ends() -> None:
    plan = switched_plan()
    trials = []
    with host() as (kernel, store):
        began = kernel.state()
        with pytest.raises(MeasurementError, match=r"another process.*SMT is on"), made(plan, kernel, store) as c:
            for trial in runner.Sweep(plan, run_trial=lambda _: ran(10**6), meters=QUIET, controls=c).trials():
                if trial.smt == "off:kernel" and kernel.control == "off":
                    kernel.write("sys/devices/system/cpu/smt/control", "on")
                trials.append(trial)
        assert kernel.state() == began
    assert trials[-1].flags == ["topology"]
    assert trials[-1].evidence is not None
    assert "SMT is on" in trials[-1].evidence.topology[0]


def test_a_trial_whose_cpu_is_gone_is_invalid_and_run_again_within_its_bound() -> None:
    gone = HostCounts(topology=["CPU 1 went off"])
    failed = Outcome(status="failed", reason="sched_setaffinity: CPU 1: Invalid argument", errno=22)
    plan = plan_of(2, max_invalid=3)
    calls = iter(range(10**6))

    def run(_: TrialSpec) -> Outcome:
        return failed if next(calls) % 2 else ran(10**6)

    trials = list(runner.Sweep(plan, run_trial=run, meters=lambda _: lambda: gone).trials())
    assert {tuple(trial.flags) for trial in trials} == {("topology",)}
    assert Counter(trial.cell for trial in trials) == {0: 3, 1: 3}


def test_a_failure_on_a_host_that_did_not_change_is_no_invalid_trial() -> None:
    failed = Outcome(status="failed", reason="running: the crew was killed by signal 9")
    trials = list(runner.Sweep(plan_of(1, max_trials=6), run_trial=lambda _: failed, meters=QUIET).trials())
    assert not any(trial.flags for trial in trials)


def test_what_changed_of_the_cpus_is_told() -> None:
    from pybench.host.meters import HostMeter

    meters = HostMeter([0])
    before = meters._before

    def after(online: set[int], allowed: set[int]) -> list[str]:
        changed = type(before)(
            **{name: getattr(before, name) for name in before.__struct_fields__}
            | {"online": frozenset(online), "allowed": frozenset(allowed)}
        )
        return difference(before, changed, [0]).topology

    before.online = before.allowed = frozenset({0, 1, 2})
    assert after({0, 1, 2}, {0, 1, 2}) == []
    assert after({1, 2}, {1, 2}) == ["CPU 0 went off"]
    assert after({0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}) == ["CPUs 3-4 came"]
    assert after({0, 1, 2}, {0}) == ["CPUs 1-2 taken from us"]
    before.online = before.allowed = frozenset({1, 2})
    assert after({1, 2}, {1, 2}) == ["CPU 0 off"]


def test_switches_are_planned_told_and_refused_without_leave(tmp_path: Path) -> None:
    plan, topology = switched_plan(), two_sockets()
    assert turns_switches(plan)
    words = "\n".join(switch_words(plan, topology))
    for part in (
        "the host as it is",
        "SMT off (CPUs 4-6 to turn)",
        "CPU 5 off (CPU 5 to turn)",
        "already (3)",
        "in blocks",
    ):
        assert part in words
    with pytest.raises(UsageError, match="--allow-host-changes"):
        check_allowed(plan, allowed=False)
    check_allowed(plan, allowed=True)
    with pytest.raises(UsageError, match="--allow-host-changes"):
        list(runner.Sweep(plan, run_trial=lambda _: ran(1), meters=QUIET).trials())
    still = plan_of(2)
    assert not turns_switches(still)
    assert switch_words(still, topology) == []
    assert states_of(still.cells) == [AS_FOUND]
    check_allowed(still, allowed=False)


def test_a_state_without_a_word_is_the_host_as_found() -> None:
    assert state().words() == "as found"
    assert state({4, 5, 6}, smt_off=True).words() == "SMT off, CPUs 4-6 off"


@pytest.mark.parametrize("control", [None, "notsupported", "notimplemented"])
def test_a_host_without_the_switch_cannot_be_planned_for(control: str | None) -> None:
    topology = msgspec.structs.replace(two_sockets(), smt_control=control)
    with pytest.raises(UnsupportedError, match="--smt off:kernel: "):
        make_plan(Request(workloads=("spin",), smt=("off:kernel",)), topology)
