# SPDX-License-Identifier: Apache-2.0
"""Test advice on planted results: what meets a workload, how far results are extrapolated, what gains most."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from pybench.api.toolkit.documents import to_text
from pybench.errors import UsageError
from pybench.findings.advice.advice_document import advice
from pybench.findings.advice.changes import changes, present_settings
from pybench.findings.advice.options import FARTHEST, Demand, Option, options_of
from pybench.results.records import Simulated
from pybench.results.store import Results
from pybench.stats.estimate import Interval
from pybench.workloads import workload
from tests.unit.synthetic import cell, results, trial

WANTED = Demand(containers=100, layers=50, deadline_ns=1e9)


def storm(slowest_ms: dict[tuple[str, str, int], float], threads: int = 2, trials: int = 8) -> Results:
    """A file of launches: (strategy, SMT, containers) -> 99th percentile in ms, give or take a little."""
    cells = [
        cell("launch", strategy=strategy, containers=containers, smt=smt, threads=threads, place="single-socket")
        for strategy, smt, containers in slowest_ms
    ]
    made = [
        trial(index, of, latencies_ns=[int(ms * 1e6 * (1 + 0.002 * repeat))] * 5, repeat=repeat, launched=100)
        for index, (of, ms) in enumerate(zip(cells, slowest_ms.values(), strict=True))
        for repeat in range(trials)
    ]
    return results("storm.jsonl", cells, made)


def only(file: Results, wanted: Demand = WANTED, strategies: tuple[str, ...] = ()) -> Option:
    (one,), _ = options_of(file, wanted, strategies)
    return one


def text_of(options: list[Option]) -> str:
    return to_text(advice(options, [], WANTED, "binds"), width=200)


def test_a_setting_meets_a_deadline_by_its_whole_interval() -> None:
    assert only(storm({("binds", "on", 100): 500})).meets(1e9) is True
    assert only(storm({("binds", "on", 100): 1500})).meets(1e9) is False
    assert only(storm({("binds", "on", 100): 993})).meets(1e9) is None
    few = only(storm({("binds", "on", 100): 100}, trials=3))
    assert few.meets(1e9) is None  # three trials have no interval


def test_a_launch_that_failed_meets_nothing() -> None:
    file = storm({("binds", "on", 100): 10})
    broken = trial(0, file.header.plan.cells[0], latencies_ns=[10], repeat=8, launched=99, failed=1)
    assert only(results("x.jsonl", file.header.plan.cells, [*file.trials, broken])).meets(1e9) is False


@pytest.mark.parametrize("name", [p.name for p in workload("launch").parameters])
def test_a_file_from_before_there_was_a_parameter_tells_as_with_its_default(name: str) -> None:
    file = storm({("binds", "on", 100): 400, ("binds", "on", 200): 800})
    cells = [
        structs.replace(one, params={n: v for n, v in one.params.items() if n != name or v != default})
        for one in file.header.plan.cells
        for default in [workload("launch").parameter(name).default]
    ]
    older = results("storm.jsonl", cells, file.trials)
    assert options_of(older, WANTED, ()) == options_of(file, WANTED, ())


@pytest.mark.parametrize(("launched", "failed"), [(0, 100), (0, 0), (99, 0)])
@pytest.mark.parametrize("containers", [100, 150])
def test_trials_without_a_figure_count_as_failed_too(launched: int, failed: int, containers: int) -> None:
    file = storm({("binds", "on", 100): 10})
    of = file.header.plan.cells[0]
    figures = {} if launched else {"figures": None}
    broken = [
        msgspec.structs.replace(trial(0, of, repeat=8 + i, launched=launched, failed=failed), **figures)
        for i in range(30)
    ]
    wanted = Demand(containers=containers, layers=50, deadline_ns=1e9)
    for trials in ([*file.trials, *broken], broken):
        one = only(results("x.jsonl", [of], trials), wanted)
        assert one.meets(1e9) is False
        assert one.failed
        assert "launches failed: " in text_of([one])
    flagged = [msgspec.structs.replace(one, flags=["steal"]) for one in broken]
    assert only(results("x.jsonl", [of], [*file.trials, *flagged]), wanted).meets(1e9) is True


@given(st.floats(1.01, FARTHEST * 0.99))
def test_an_extrapolated_figure_is_wider_and_says_what_it_is_from(factor: float) -> None:
    measured = only(storm({("binds", "on", 100): 100}))
    taken = only(storm({("binds", "on", 100): 100}), Demand(containers=round(100 * factor), layers=50))
    assert taken.slowest_ns.value >= measured.slowest_ns.value
    assert (
        taken.slowest_ns.high / taken.slowest_ns.low >= measured.slowest_ns.high / measured.slowest_ns.low * 0.999
    )
    assert measured.basis == "as asked"
    assert round(100 * factor) == 100 or "extrapolated from 100 x 50 layers" in taken.basis


def test_growth_that_was_seen_is_used_instead_of_an_assumed_one() -> None:
    file = storm({("binds", "on", n): float(n) for n in (25, 50, 100)})
    taken = only(file, Demand(containers=200, layers=50))
    assert "measured" in taken.basis
    assert taken.slowest_ns.value == pytest.approx(200e6, rel=0.02)


def test_nothing_is_told_of_what_is_too_far() -> None:
    found, reasons = options_of(storm({("binds", "on", 10): 100}), WANTED, ())
    assert not found
    assert "measure nearer" in reasons[0]


def test_a_file_without_launches_names_the_fix() -> None:
    of = cell("spin")
    with pytest.raises(UsageError, match="pybench launch"):
        options_of(results("spin.jsonl", [of], [trial(0, of)]), WANTED, ())


def test_the_greatest_gain_comes_first_and_only_one_thing_changes() -> None:
    file = storm(
        {
            ("binds", "on", 100): 600,
            ("binds", "off", 100): 500,
            ("parent", "on", 100): 60,
            ("parent", "off", 100): 40,
        }
    )
    options, _ = options_of(file, WANTED, ())
    now = next(iter(present_settings(options, "binds")))
    assert (now.strategy, now.smt) == ("binds", "on")
    found = changes(options, now)
    assert [one.kind for one in found] == ["strategy", "SMT"]
    assert found[0].gain.value == pytest.approx(10, rel=0.05)
    assert found[1].what == "SMT on -> off"


@given(st.integers(105, 390))
def test_a_gain_over_what_was_extrapolated_is_as_unsure_as_that(containers: int) -> None:
    wanted = Demand(containers=containers, layers=50, deadline_ns=1e9)
    one = storm({("binds", "on", 100): 100})
    other = storm({("parent", "on", containers): 90})
    now, then = only(one, wanted), msgspec.structs.replace(only(other, wanted), host=only(one).host)
    for a, b in ((now, then), (then, now)):
        (change,) = changes([a, b], a)
        # Nothing is surer of the ratio than the two sides are.
        assert change.gain.high / change.gain.low >= (now.slowest_ns.high / now.slowest_ns.low) * 0.999
        low, high = (a.slowest_ns.low / b.slowest_ns.high), (a.slowest_ns.high / b.slowest_ns.low)
        assert low * 0.999 <= change.gain.low <= change.gain.value <= change.gain.high <= high * 1.001


@pytest.mark.parametrize(("draws", "meets"), [(1, None), (9, None), (10, True)])
def test_few_draws_meet_nothing(draws: int, meets: bool | None) -> None:
    file = storm({("binds", "on", 100): 1}, trials=draws)
    told = Simulated(machine="m", title="m", digest="", engine=1, seed=1, draws=draws, inputs={}, drawn=[])
    drawn = msgspec.structs.replace(file, header=msgspec.structs.replace(file.header, simulated=told))
    one = only(drawn)
    assert one.meets(1e9) is meets
    assert (f"{draws} draws, needs at least 10" in text_of([one])) == (meets is None)


def test_measured_and_simulated_figures_are_not_set_against_each_other() -> None:
    here = only(storm({("binds", "on", 100): 600}))
    there = Option(
        host="r5.metal", how="simulated", strategy="binds", place="single-socket", smt="on", threads=96,
        slowest_ns=Interval(1e6, 9e5, 1.1e6, 9), basis="as asked", samples=[1e6] * 9,
    )  # fmt: skip
    assert not changes([here, there], here)
