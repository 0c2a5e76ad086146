# SPDX-License-Identifier: Apache-2.0
"""Test which CPUs a calibration measures on other hosts, and what it makes of round trips."""

from typing import Any

import numpy as np
import pytest

from pybench.native.engine import transfer_paces
from pybench.native.outcome import Outcome, Phase
from pybench.simulator.calibration import launch_durations
from pybench.simulator.calibration.lateness import lateness
from tests.unit.hosts import HOSTS, read

STEP = Phase(calls=1, operations=1, wall_ns=2, max_ns=2, histogram=[], cpu_ns=1)
PHASES = dict.fromkeys(("build", "overlay", "release", "clean"), STEP)


@pytest.mark.parametrize("name", HOSTS)
def test_what_is_serial_is_measured_on_two_cores_of_a_socket(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    crews: list[tuple[int, ...]] = []

    def valid_outcomes(kind: str, cpus: tuple[int, ...], repeats: int, **_: Any) -> list[Outcome]:
        crews.append(cpus)
        return [Outcome(status="ok", phases=PHASES)] * repeats

    monkeypatch.setattr(launch_durations, "valid_outcomes", valid_outcomes)
    monkeypatch.setattr(launch_durations, "ns_an_operation", lambda _: 100.0)
    topology = read(name)
    steps, notes = launch_durations.launch_steps(topology)
    assert notes == []
    first = [cpu for cpu in topology.usable if cpu.socket == topology.usable[0].socket]
    share = steps["launch.section_share"]
    assert max(map(len, crews)) == min(len({cpu.core for cpu in first}), 2)
    assert share.assumed == (max(map(len, crews)) == 1)
    known = topology.by_number()
    for cpus in crews:
        assert len({known[cpu].core for cpu in cpus}) == len(cpus)
        assert len({known[cpu].socket for cpu in cpus}) == 1


@pytest.mark.parametrize("clock_step_ns", [0.4, 10.0])
@pytest.mark.parametrize("transfer_ns", [29.0, 120.0])
@pytest.mark.parametrize("late", [0.2, 0.4, 0.8])
def test_how_late_transfers_come_is_told_from_round_trips(
    late: float, transfer_ns: float, clock_step_ns: float
) -> None:
    """Of two transfers each, between two readings of a clock with that step, as many as a calibration has."""
    chance = np.random.default_rng(1)
    starts = chance.uniform(0, clock_step_ns, 100_000)
    ends = starts + transfer_ns * chance.choice(transfer_paces(0.03, late), (2, 100_000)).sum(axis=0)
    seen = (ends // clock_step_ns - starts // clock_step_ns) * clock_step_ns
    ns, counts = np.unique(np.round(seen / 2), return_counts=True)
    # The share of a transfer that one step of the clock in the tail is.
    assert lateness(ns, counts) == pytest.approx(late, rel=0.1, abs=clock_step_ns / transfer_ns / 3)


def test_round_trips_that_all_took_the_same_are_not_late() -> None:
    assert lateness(np.array([30.0]), np.array([1000])) == 0.0
