# SPDX-License-Identifier: Apache-2.0
"""Findings that a host with two sockets and SMT siblings measures for real, by planted trials on such a host."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pybench.api.measure import request_of
from pybench.api.run import Run
from pybench.findings.claims import load_claims
from pybench.findings.experiments.host_experiments import Experiments
from pybench.findings.verdict import ClaimEvidence
from pybench.plan.planner import make_plan
from pybench.results.records import Cell, Trial
from pybench.simulator.machine_file import load_machine
from tests.unit.synthetic import results, trial

Factor = Callable[[Cell], float]
MEASURED = {claim.number: claim.looks[0][1] for claim in load_claims([6, 7, 9])}


def planted(factor: Factor, machine: str, monkeypatch: pytest.MonkeyPatch) -> Experiments:
    """A lab on that machine, whose trials take 1 ms times the factor, and a little more from one to the next."""
    lab = Experiments()
    lab.topology = load_machine(machine).topology()

    def measure(workload: str, output: object = None, **axes: Any) -> Run:
        plan = make_plan(request_of(workload, **axes), lab.topology, "leave out").plan
        trials = [made(index, cell, repeat) for index, cell in enumerate(plan.cells) for repeat in range(8)]
        return Run([results("planted.jsonl", plan.cells, trials)])

    def made(index: int, cell: Cell, repeat: int) -> Trial:
        ns = round(1e6 * factor(cell) * (1 + repeat / 1000))
        one = trial(index, cell, throughput=cell.threads * 1e9 / ns, latencies_ns=[ns] * 4, repeat=repeat)
        phases = {name: msgspec.structs.replace(p, wall_ns=ns * p.calls) for name, p in one.outcome.phases.items()}
        return msgspec.structs.replace(one, outcome=msgspec.structs.replace(one.outcome, phases=phases))

    monkeypatch.setattr("pybench.findings.experiments.host_experiments.measure", measure)
    return lab


def holds(evidence: ClaimEvidence, key: str) -> bool | None:
    return next(check.holds for check in evidence.checks if check.key == key)


@pytest.mark.parametrize(("factor", "expected"), [(2.0, True), (1.495, None), (1.1, False)])
def test_two_sockets_against_one(factor: float, expected: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = planted(lambda cell: factor if cell.place == "dual-socket" else 1.0, "r5.metal", monkeypatch)
    launches, locks = MEASURED[6](lab), MEASURED[9](lab)
    assert holds(launches, "here") is expected
    assert holds(locks, "here_two_ttas") is expected
    assert [check.key for check in locks.checks if check.decides] == ["here_two_ttas"]


@pytest.mark.parametrize(("factor", "expected"), [(0.75, True), (0.95, False), (1.3, False), (0.5, False)])
def test_smt_off_against_on(factor: float, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = planted(lambda cell: factor if cell.smt == "off" else 1.0, "r5.metal", monkeypatch)
    assert holds(MEASURED[7](lab), "here") is expected
    compared = [c for c in lab.places("launch").results[0].header.plan.cells if c.threads == lab.threads]
    # As many launch at once both times, without siblings on half the CPUs.
    assert {(cell.smt, cell.oversubscribed) for cell in compared if cell.place == "single-socket"} == {
        ("on", False),
        ("off", True),
    }


@pytest.mark.parametrize(("machine", "number"), [("graviton3", 6), ("graviton3", 7), ("graviton3", 9)])
def test_a_host_without_sockets_or_siblings_says_so_and_decides_nothing(
    machine: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = MEASURED[number](planted(lambda _: 1.0, machine, monkeypatch))
    assert not found.checks
    assert "cannot measure this" in found.notes[0]
