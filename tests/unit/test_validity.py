# SPDX-License-Identifier: Apache-2.0
"""Every check at its threshold and just over it; and what a cell's trials show together."""

import random
import statistics
from typing import Any

import msgspec
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pybench.analysis.diagnosis.patterns import Pattern, cell_patterns
from pybench.host.meters import HostCounts
from pybench.native.outcome import Members, Outcome, Phase
from pybench.present.caveats import finding_words
from pybench.results.records import Cell, Evidence, Figures, HandoffFigure, Trial
from pybench.run import checks as validity
from pybench.run.checked_trial import Baseline, evidence
from pybench.run.checks import CHECKS, THRESHOLDS, explain, flags
from pybench.stats.estimate import drift, two_modes
from pybench.workloads import workload

QUIET = Evidence(start_skew_ns=0, overlap=1.0, off_cpu=0.0, steal=0.0, load=0.0)
SPIN = Cell(
    workload="spin",
    params=workload("spin").complete({"lock": "mcs"}),
    threads=2,
    place="all",
    smt="on",
    cpus=(0, 1),
)
MOUNT, STAT, LAUNCH, TRANSFER = (
    msgspec.structs.replace(SPIN, workload=name, params=workload(name).complete({}))
    for name in ("mount", "stat", "launch", "transfer")
)
SPAN_NS = 100_000_000

# check -> fields at the threshold, fields just over it
AT_AND_OVER: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "overlap": ({"overlap": THRESHOLDS["overlap"]}, {"overlap": THRESHOLDS["overlap"] - 0.001}),
    "skew": ({"skew": THRESHOLDS["skew"]}, {"skew": THRESHOLDS["skew"] + 0.001}),
    "off-cpu": (
        {"off_cpu": THRESHOLDS["off-cpu"], "off_cpu_sum": THRESHOLDS["off-cpu"]},
        {"off_cpu_sum": THRESHOLDS["off-cpu"] + 0.001},
    ),
    "waited": (
        {"waited": 0.5, "waited_more": THRESHOLDS["waited"]},
        {"waited_more": THRESHOLDS["waited"] + 0.001},
    ),
    "involuntary-switches": (
        {"involuntary": THRESHOLDS["involuntary-switches"]},
        {"involuntary": THRESHOLDS["involuntary-switches"] + 1},
    ),
    "topology": ({"topology": []}, {"topology": ["CPU 3 went off"]}),
    "migration": ({"migrated": 0}, {"migrated": 1}),
    "steal": (
        {"steal": THRESHOLDS["steal"] + 0.049, "tick_share": 0.05},
        {"steal": THRESHOLDS["steal"] + 0.051, "tick_share": 0.05},
    ),
    "throttled": ({"throttled": THRESHOLDS["throttled"]}, {"throttled": THRESHOLDS["throttled"] + 0.001}),
    "speed": ({"speed_change": THRESHOLDS["speed"]}, {"speed_loss": THRESHOLDS["speed"] + 0.001}),
    "interrupts": (
        {"interrupts": {"device": THRESHOLDS["interrupts"], "timer": 1e9}},
        {"interrupts": {"device": THRESHOLDS["interrupts"], "call": 1.0}},
    ),
    "memory-node": ({"misplaced": 0}, {"misplaced": 1}),
    "hold-time": ({"hold_error": THRESHOLDS["hold-time"]}, {"hold_error": THRESHOLDS["hold-time"] + 0.001}),
    "think-time": (
        {"think_error": THRESHOLDS["think-time"]},
        {"think_error": THRESHOLDS["think-time"] + 0.001},
    ),
    "clock": (
        {"clock_offset_ns": THRESHOLDS["clock"], "clock_drift": validity.CLOCK_DRIFT},
        {"clock_drift": validity.CLOCK_DRIFT * 1.01},
    ),
    "too-short": ({"quantum": THRESHOLDS["too-short"]}, {"quantum": THRESHOLDS["too-short"] + 0.001}),
    "stall": ({"stall": THRESHOLDS["stall"]}, {"stall": THRESHOLDS["stall"] + 0.001}),
    "load-before": ({"running": 0}, {"running": 10**6}),
    "other-work": ({"other_work": THRESHOLDS["other-work"]}, {"other_work": THRESHOLDS["other-work"] + 0.001}),
    "siblings": (
        {"siblings_busy": THRESHOLDS["siblings"]},
        {"siblings_busy": THRESHOLDS["siblings"] + 0.001},
    ),
    "elsewhere": ({"elsewhere": THRESHOLDS["elsewhere"]}, {"elsewhere": THRESHOLDS["elsewhere"] + 0.001}),
}


def test_every_check_is_tested_here_and_says_what_to_do() -> None:
    assert {check.name for check in CHECKS} == set(AT_AND_OVER)
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert check.reason
        assert check.next_step
        assert explain(check.name) == f"{check.name}: {check.reason}; {check.next_step}"


@pytest.mark.parametrize("name", AT_AND_OVER)
def test_a_check_flags_from_its_threshold_on(name: str) -> None:
    at, over = (msgspec.structs.replace(QUIET, **fields) for fields in AT_AND_OVER[name])
    assert flags(SPIN, at) == []
    assert flags(SPIN, over) == [name]


def test_waiting_by_nature_is_no_disturbance() -> None:
    seen = msgspec.structs.replace(
        QUIET, off_cpu=0.5, involuntary=2000.0, interrupts={"call": 50_000.0, "reschedule": 50_000.0}
    )
    assert flags(MOUNT, seen) == []
    assert flags(SPIN, seen) == ["off-cpu", "involuntary-switches", "interrupts"]
    storm = msgspec.structs.replace(QUIET, interrupts={"device": 50_000.0})
    assert flags(MOUNT, storm) == ["interrupts"]


def test_who_works_in_the_kernel_elsewhere_disturbs_only_who_does_too() -> None:
    seen = msgspec.structs.replace(QUIET, elsewhere=(THRESHOLDS["elsewhere"] + validity.ELSEWHERE_KERNEL) / 2)
    assert [flags(cell, seen) for cell in (SPIN, TRANSFER)] == [[], []]
    assert [flags(cell, seen) for cell in (MOUNT, STAT, LAUNCH)] == [["elsewhere"]] * 3


def test_an_old_record_fails_no_check_for_what_it_does_not_say() -> None:
    old = b'{"start_skew_ns":5,"overlap":1.0,"off_cpu":0.0,"steal":0.0,"load":3.5}'
    assert flags(SPIN, msgspec.json.decode(old, type=Evidence)) == []


def outcome(**columns: object) -> Outcome:
    base: dict[str, object] = {
        "cpu": [0, 1],
        "operations": [1_000_000, 1_000_000],
        "start_ns": [0, 0],
        "stop_ns": [SPAN_NS, SPAN_NS],
        "cpu_ns": [SPAN_NS, SPAN_NS],
        "voluntary_switches": [0, 0],
        "involuntary_switches": [0, 0],
    }
    members = Members(**(base | columns))  # type: ignore[arg-type]
    phase = Phase(calls=10, operations=10, wall_ns=1000, max_ns=100, histogram=[100, 10])
    return Outcome(status="ok", members=members, phases={"operation": phase})


@given(st.floats(0.5, 2.0))
def test_hold_time_off_by_a_factor(factor: float) -> None:
    """Within 2 % it passes; a member that was asked for none passes whatever it took."""
    got = evidence(SPIN, outcome(hold_ns=[200 * factor, 37.0], hold_asked_ns=[200.0, 0.0]), HostCounts())
    assert got.hold_error == pytest.approx(abs(factor - 1), abs=1e-6)
    assert ("hold-time" in flags(SPIN, got)) == (got.hold_error > THRESHOLDS["hold-time"])


@given(st.floats(-1e9, 1e9), st.floats(-0.01, 0.01))
def test_clocks_that_warp_or_run_wrong(offset_ns: float, rate: float) -> None:
    got = evidence(
        SPIN, outcome(clock_offset_ns=[[0.0, 0.0], [offset_ns, offset_ns + rate * SPAN_NS]]), HostCounts()
    )
    assert got.clock_offset_ns == pytest.approx(abs(offset_ns), abs=0.1)
    assert got.clock_drift == pytest.approx(abs(rate), abs=1e-8)


@given(st.floats(1.0, 2.0), st.floats(1.0, 2.0))
def test_speed_over_a_trial_and_against_the_usual(during: float, before: float) -> None:
    """A whole slow trial is seen by what the cell usually takes, one that became slow by itself."""
    work = [[1000.0 * before, 1000.0 * before * during], [1000.0, 1000.0]]
    got = evidence(SPIN, outcome(work_ns=work), HostCounts(), Baseline(work_ns=[1000.0, 1000.0]))
    assert got.speed_change == pytest.approx(during - 1, abs=1e-6)
    assert got.speed_loss == pytest.approx(during * before - 1, abs=1e-6)
    assert evidence(SPIN, outcome(work_ns=work), HostCounts()).speed_loss == 0
    for unknown in (outcome(), outcome(work_ns=[])):
        assert evidence(SPIN, unknown, HostCounts(), Baseline(work_ns=[1000.0, 1000.0])).speed_loss == 0
    assert evidence(SPIN, outcome(work_ns=work), HostCounts(), Baseline(work_ns=[0.0, 0.0])).speed_loss == 0


def test_where_memory_was(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr("pybench.run.checked_trial.node_of", lambda cpu: cpu)

    def misplaced(cell: Cell, line: int, after: int, **columns: object) -> int:
        seen = msgspec.structs.replace(outcome(**columns), line_node=line, line_node_after=after)
        return evidence(cell, seen, HostCounts()).misplaced

    bound = msgspec.structs.replace(SPIN, memory="bind", nodes=(1,))
    assert (
        misplaced(SPIN, -1, -1) == misplaced(SPIN, 0, -1) == misplaced(SPIN, 0, 0) == misplaced(bound, 1, 1) == 0
    )
    assert misplaced(SPIN, 1, 1) == misplaced(bound, 0, 0) == misplaced(SPIN, 0, 1) == 1
    assert misplaced(SPIN, 0, 0, node=[0, 1]) == misplaced(SPIN, 0, 0, node=[-1, 1]) == 0
    assert misplaced(SPIN, 0, 0, node=[1, 1]) == 1


def test_too_short_is_told_by_operations() -> None:
    few = outcome(operations=[10, 10])
    assert flags(SPIN, evidence(SPIN, few, HostCounts())) == ["too-short"]
    assert flags(SPIN, evidence(SPIN, few, HostCounts(), by_time=False)) == []


def trials(values: list[float], cell: int = 0) -> list[Trial]:
    blank = Figures(
        throughput=1, p50_ns=1, p90_ns=1, p99_ns=1, p999_ns=1, max_ns=1, jain=1, cpu_ns_per_operation=1
    )
    return [
        Trial(
            cell=cell,
            repeat=i,
            sequence=i,
            workload="spin",
            params={},
            threads=2,
            place="all",
            smt="on",
            crew="threads",
            started=0.0,
            seconds=0.1,
            outcome=Outcome(status="ok"),
            figures=msgspec.structs.replace(blank, throughput=value),
        )
        for i, value in enumerate(values)
    ]


def test_two_modes_are_named() -> None:
    noise = random.Random(4)
    values = [m * noise.gauss(1, 0.01) for m in [17.2e6] * 12 + [22.9e6] * 8]
    noise.shuffle(values)
    (finding,) = cell_patterns(trials(values))
    low, low_count, high, high_count = finding.values
    assert finding.name == "bimodal"
    assert (low_count, high_count) == (12, 8)
    assert low == pytest.approx(17.2e6, rel=0.01)
    assert high == pytest.approx(22.9e6, rel=0.01)


@pytest.mark.parametrize("n", [6, 8, 10, 15, 20, 30])
def test_one_mode_is_rarely_called_two(n: int) -> None:
    """At most 1 % of samples of any noise: 500 are simulated of each, and 12 are three sigma over."""
    rng = np.random.default_rng(n)
    noises = (rng.standard_normal, rng.standard_exponential, lambda s: rng.lognormal(0, 0.7, s), rng.random)
    for noise in noises:
        calls = sum(two_modes(10 + noise(n)) is not None for _ in range(500))
        assert calls <= 12


def test_modes_are_found_when_they_are_apart() -> None:
    rng = np.random.default_rng(1)
    for n in (8, 12, 20, 30):
        found = sum(
            two_modes(np.where(np.arange(n) % 2, 1.0, 1.3) * rng.normal(1, 0.015, n)) is not None
            for _ in range(200)
        )
        assert found >= 180, n


def test_a_drift_has_a_size() -> None:
    noise = random.Random(2)
    values = [1e6 * (1 - 0.10 * i / 19) * noise.gauss(1, 0.005) for i in range(20)]
    findings = [finding for finding in cell_patterns(trials(values)) if finding.name == "drift"]
    (finding,) = findings
    assert finding.values[0] == pytest.approx(-0.105, abs=0.02)


@given(
    st.one_of(
        st.lists(st.integers(1, 9), min_size=6, max_size=60),
        st.lists(st.floats(1, 2), min_size=6, max_size=60, unique=True),
    ),
    st.randoms(use_true_random=False),
)
def test_a_drift_is_what_scipy_says(values: list[float], luck: random.Random) -> None:
    """With ties and without, few values and many, times that repeat and that do not."""
    for times in (list(range(len(values))), [luck.randint(0, 9) for _ in values]):
        seen = drift(values, times)
        if seen is None:
            assert len(set(values)) == 1 or len(set(times)) == 1
            continue
        slope = stats.theilslopes(values, times).slope * (max(times) - min(times)) / statistics.median(values)
        assert seen.size == pytest.approx(slope, abs=1e-12)
        assert seen.p == pytest.approx(stats.kendalltau(times, values).pvalue, rel=1e-9)


def test_sweeps_without_a_drift_are_rarely_called_drifting() -> None:
    """8 cells a sweep, 5 % noise: the level is 1 % for the sweep, so of 60 sweeps 4 would be far too many."""
    noise = random.Random(3)

    def sweep() -> list[Pattern]:
        some = [t for cell in range(8) for t in trials([noise.gauss(1, 0.05) for _ in range(10)], cell)]
        return [finding for finding in cell_patterns(some) if finding.name == "drift"]

    assert sum(bool(sweep()) for _ in range(60)) < 4


def test_too_few_or_equal_values_tell_nothing() -> None:
    assert two_modes([1, 1, 9, 9, 9]) is None
    assert two_modes([5.0] * 20) is None
    assert drift([1, 2, 3], [1, 2, 3]) is None
    assert drift([5.0] * 20, range(20)) is None


def handed_trials(costs: list[float], rates: list[float]) -> list[Trial]:
    """Clean trials of one cell, each with the mean time of its handoffs and its throughput."""
    made = []
    for sequence, (ns, rate) in enumerate(zip(costs, rates, strict=True)):
        figures = Figures(
            throughput=rate, p50_ns=1, p90_ns=1, p99_ns=1, p999_ns=1, max_ns=1, jain=1, cpu_ns_per_operation=1
        )
        handoffs = [HandoffFigure(distance="l3", count=9, timed=9, mean_ns=ns)]
        made.append(
            Trial(
                cell=0, repeat=sequence, sequence=sequence, workload="spin", params={}, threads=2, place="all",
                smt="on", crew="threads", started=0, seconds=0, outcome=Outcome(status="ok"), figures=figures,
                handoffs=handoffs,
            )
        )  # fmt: skip
    return made


# Ten trials of 10 s of a two-CPU virtual machine: mean handoff, ns, and acquisitions a second.
REAL_HANDOFFS = [123.84, 367.3, 338.18, 413.93, 343.34, 191.33, 105.88, 99.69, 63.17, 105.44]
REAL_RATES = [3.088e6, 1.649e6, 1.705e6, 1.532e6, 1.718e6, 2.683e6, 3.142e6, 3.155e6, 3.796e6, 3.294e6]


def test_a_figure_that_follows_the_handoff_has_two_modes() -> None:
    (found,) = [f for f in cell_patterns(handed_trials(REAL_HANDOFFS, REAL_RATES)) if f.name == "handoff"]
    assert found.values == pytest.approx([63.17, 413.93])
    assert "two modes" in finding_words(found) and "63.2ns to 414ns" in finding_words(found)


@given(st.randoms(use_true_random=False))
def test_handoffs_that_explain_nothing_are_not_blamed(luck: random.Random) -> None:
    """Rates that do not vary with the handoff, or handoffs all alike."""
    alike = handed_trials([100 + luck.random() for _ in range(10)], REAL_RATES)
    steady = handed_trials(REAL_HANDOFFS, [3e6] * 10)
    assert not [f for f in cell_patterns([*alike]) + cell_patterns(steady) if f.name == "handoff"]


@given(
    st.lists(st.floats(1, 9).map(lambda x: round(x, 1)), min_size=6, max_size=60).filter(
        lambda x: len(set(x)) > 1
    ),
    st.booleans(),
)
def test_the_trend_is_scipys(values: list[float], tied: bool) -> None:
    times = [i // 2 for i in range(len(values))] if tied else list(range(len(values)))
    if not tied:
        values = [x + i * 1e-6 for i, x in enumerate(values)]
    seen = drift(values, times)
    assert seen
    assert seen.p == pytest.approx(scipy.stats.kendalltau(times, values).pvalue, rel=1e-6, abs=1e-12)
    slope = scipy.stats.theilslopes(values, times).slope
    assert seen.size == pytest.approx(slope * max(times) / np.median(values), rel=1e-6, abs=1e-12)


def test_a_trend_of_very_many_values_is_seen() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(100, 2, 20_000)
    assert (flat := drift(values, range(20_000))) and flat.p > 0.01
    assert (rising := drift(values + np.linspace(0, 1, 20_000), range(20_000))) and rising.p < 1e-6
    assert rising.size == pytest.approx(0.01, rel=0.3)
