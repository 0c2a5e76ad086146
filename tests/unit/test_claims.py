# SPDX-License-Identifier: Apache-2.0
"""Verdicts by planted evidence, the kernel's traces by captured lines, and what is said of an assumption."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybench.api.toolkit.scenarios import Scenario, simulate_scenarios
from pybench.errors import MeasurementError, UnsupportedError, UsageError
from pybench.findings.claim import Claim, examine
from pybench.findings.claims import MODULES, load_claims
from pybench.findings.experiments.host_experiments import Count, Experiments
from pybench.findings.experiments.kernel_events import Operations, kernel_counts, waits_by_lock
from pybench.findings.experiments.samples import lost_share, rate, simulated_samples
from pybench.findings.verdict import (
    LEAST_DRAWS,
    Assumption,
    ClaimCheck,
    ClaimEvidence,
    exactly,
    fill,
    judge,
    over_draws,
    paired_ratio,
    quantity,
)
from pybench.stats.estimate import Interval

finite = st.floats(0.01, 1e6)


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    low, value, high = sorted(draw(st.tuples(finite, finite, finite)))
    return Interval(value, low, high, 9)


@st.composite
def checks(draw: st.DrawFn) -> ClaimCheck:
    bounds = sorted(draw(st.tuples(finite, finite)))
    least, most = (bound if draw(st.booleans()) else None for bound in bounds)
    value = draw(st.none() | intervals() | finite.map(lambda x: Interval(x, math.nan, math.nan, 2)))
    return ClaimCheck(
        key="k",
        says="it holds",
        value=value,
        least=least,
        most=most,
        decides=draw(st.booleans()),
        unknown=draw(st.sampled_from(["", "no root"])),
    )


@given(intervals(), finite)
def test_a_check_holds_fails_or_is_open_by_its_whole_interval(value: Interval, bound: float) -> None:
    at_least = ClaimCheck(key="k", says="", value=value, least=bound).holds
    assert at_least == (True if value.low >= bound else False if value.high < bound else None)
    at_most = ClaimCheck(key="k", says="", value=value, most=bound).holds
    assert at_most == (True if value.high <= bound else False if value.low > bound else None)


@given(checks())
def test_what_has_no_interval_or_is_unknown_is_open(check: ClaimCheck) -> None:
    if check.unknown or check.value is None or not check.value.known:
        assert check.holds is None


@given(st.lists(checks(), max_size=6))
def test_one_failed_check_refutes_and_only_all_reproduce(some: list[ClaimCheck]) -> None:
    verdict = judge(some)
    deciding = [check.holds for check in some if check.decides]
    if False in deciding:
        assert verdict == "not reproduced"
    elif deciding and None not in deciding:
        assert verdict == "reproduced"
    else:
        assert verdict == "cannot tell here"


@given(st.lists(checks(), max_size=6), checks())
def test_more_evidence_never_turns_a_refuted_finding_and_what_stands_beside_never_matters(
    some: list[ClaimCheck], one: ClaimCheck
) -> None:
    before, after = judge(some), judge([*some, one])
    if before == "not reproduced":
        assert after == before
    if not one.decides:
        assert after == before
    if after == "reproduced":
        assert before == "reproduced" or not [check for check in some if check.decides]


@given(st.lists(finite, min_size=LEAST_DRAWS, max_size=60))
def test_the_range_over_draws_does_not_shrink_with_their_number(values: list[float]) -> None:
    once, often = over_draws(values), over_draws(values * 30)
    assert once.low <= once.value <= once.high
    assert often.low <= often.value <= often.high
    # Up to where quantiles fall between samples, it is the samples' spread, and not that of their median.
    inside = sum(once.low <= x <= once.high for x in values)
    assert inside >= 0.9 * len(values)


@given(st.lists(st.tuples(finite, st.floats(0.5, 2.0)), min_size=LEAST_DRAWS, max_size=30), finite)
def test_what_moves_both_sides_of_a_draw_cancels(draws: list[tuple[float, float]], ratio: float) -> None:
    lower = [a * b for a, b in draws]
    found = paired_ratio([ratio * x for x in lower], lower)
    assert found.low == pytest.approx(ratio, rel=1e-9)
    assert found.high == pytest.approx(ratio, rel=1e-9)


@given(st.lists(finite, min_size=1, max_size=LEAST_DRAWS - 1))
def test_few_draws_decide_nothing(values: list[float]) -> None:
    few = over_draws(values)
    assert not few.known
    assert few.value == pytest.approx(np.median(values))
    assert judge([ClaimCheck(key="x", says="x", value=few, least=0.0)]) == "cannot tell here"


def test_every_scenario_gets_the_draws_that_a_range_takes_however_short_the_time() -> None:
    scenarios = [
        Scenario(machine="graviton3", workload="spin", params={"lock": ("mcs",)}, threads=n) for n in ("2", "4")
    ]
    for run in simulate_scenarios(scenarios, seconds=0.0, seed=1, draws=12, least_draws=LEAST_DRAWS):
        assert len(simulated_samples(run, rate)) == LEAST_DRAWS


def test_ratios_of_unlike_draws_are_refused() -> None:
    with pytest.raises(ValueError, match="as many"):
        paired_ratio([1.0, 2.0], [1.0])


@given(st.floats(0.5, 100), st.floats(0, 0.4))
def test_the_share_lost_to_company_is_the_time_that_alone_would_not_be_taken(factor: float, spread: float) -> None:
    share = lost_share(Interval(factor, factor * (1 - spread), factor * (1 + spread), 8))
    assert 0 <= share.low <= share.value <= share.high < 1
    if factor > 1:
        assert share.value == pytest.approx(1 - 1 / factor)


def test_an_assumption_says_whether_its_range_gives_the_finding() -> None:
    def one(low: float, high: float) -> str:
        tried = [(float(x), exactly(x / 10)) for x in (1, 10, 20, 100)]
        return Assumption(name="n", says="a number", low=low, high=high, tried=tried, least=1.5, unit=" ns").words

    assert "20 ns reproduces the finding, within the range" in one(5, 50)
    assert "20 to 100 ns reproduces the finding, outside the range" in one(1, 15)
    never = Assumption(
        name="n", says="a number", low=1, high=2, tried=[(1.0, exactly(0)), (9.0, exactly(0))], least=1
    )
    assert "no value from 1 to 9 reproduces the finding" in never.words


def test_figures_are_put_into_sentences_whatever_their_keys_are() -> None:
    some = [ClaimCheck(key="dual_m7i.metal-24xl", says="", value=exactly(20_200), unit="count")]
    assert fill("it made {dual_m7i.metal-24xl} of {no}", some) == "it made 20,200 of an unknown amount"


def test_figures_have_their_unit_and_interval() -> None:
    assert quantity(Interval(3.4, 3.1, 3.8, 9), "x") == "3.4 times [3.1, 3.8]"
    assert quantity(Interval(0.312, 0.28, 0.35, 9), "share") == "31.2 % [28, 35]"
    assert quantity(Interval(1.5e6, 1.2e6, 1.9e6, 9), "ns") == "1.5 ms [1.2, 1.9]"


# ----------------------------------------------------------------------------------------------------------- looks


def claim(*looks: object) -> Claim:
    return Claim(
        number=1,
        title="T",
        said="S",
        refuted_by="R",
        looks=tuple(("measured", one) for one in looks),  # type: ignore[misc]
        sentences={"reproduced": "yes, {k}", "not reproduced": "no, {k}", "cannot tell here": "open, {k}"},
    )


def good(_: Experiments) -> ClaimEvidence:
    return ClaimEvidence(checks=[ClaimCheck(key="k", says="s", value=Interval(3, 2, 4, 9), least=1)])


@pytest.mark.parametrize("error", [UnsupportedError("needs a CLONE_NEWNS"), MeasurementError("it failed")])
def test_what_a_host_cannot_do_leaves_a_finding_open_with_the_reason(error: Exception) -> None:
    def bad(_: Experiments) -> ClaimEvidence:
        raise error

    found = examine(claim(good, bad), Experiments())
    assert found.verdict == "cannot tell here"
    assert str(error) in found.words
    assert "1 of 1 other checks hold" in found.words
    assert examine(claim(good), Experiments()).words == "yes, 3 times [2, 4]"


def test_the_operations_are_refuted_by_one_call_more_or_less(monkeypatch: pytest.MonkeyPatch) -> None:
    (published,) = load_claims([2])
    for kernel, core, verdict in (
        (20_200, 20_200, "reproduced"),
        (20_201, 20_200, "not reproduced"),
        (0, 20_200, "reproduced"),
        (0, 20_199, "not reproduced"),
    ):
        seen = {"mount": 200, "move_mount": 10_000, "umount of layers": kernel - 10_200} if kernel else {}
        count = Count(
            Operations(launched=100, core=core, core_clean=200, kernel=seen), "" if kernel else "no root"
        )
        lab = Experiments()
        monkeypatch.setattr(lab, "count", lambda count=count: count)
        found = examine(published, lab)
        assert found.verdict == verdict
        assert ("no root" in " ".join(found.notes)) == (not kernel)


def test_every_claim_has_its_number_and_a_sentence_for_each_verdict() -> None:
    claims = load_claims()
    assert [one.number for one in claims] == list(range(1, len(MODULES) + 1))
    for one in claims:
        assert set(one.sentences) == {"reproduced", "not reproduced", "cannot tell here"}


def test_a_number_without_a_finding_is_refused() -> None:
    with pytest.raises(UsageError, match="no finding 11; choose from 1 to 10"):
        load_claims([2, 11])


# ---------------------------------------------------------------------------------------------------------- traces


def test_the_kernels_trace_tells_layers_from_roots_and_members_from_others() -> None:
    lines = """
    pybench-crew-10 [000] ..... 1.0: sys_unshare(unshare_flags: 20000)
    pybench-crew-11 [000] ..... 1.1: sys_unshare(unshare_flags: 0x200)
    pybench-crew-10 [000] ..... 1.2: sys_mount -> 0x0
    pybench-crew-11 [000] ..... 1.3: sys_move_mount -> 0x0
    pybench-crew-11 [000] ..... 1.3: sys_move_mount -> 0xffffffffffffffe4
    pybench-crew-11 [000] ..... 1.4: sys_mount -> 0x0
    pybench-crew-11 [000] ..... 1.5: sys_umount -> 0x0
    pybench-crew-11 [000] ..... 1.6: sys_umount -> 0x0
    bash-99 [000] ..... 1.7: sys_umount -> 0x0
    """.strip().splitlines()
    assert kernel_counts(lines, bound=True) == {
        "leader": 1,
        "move_mount": 1,
        "mount": 1,
        "umount of layers": 1,
        "umount of roots": 1,
        "other": 1,
    }


def test_waits_are_named_by_who_called_and_added_up() -> None:
    text = """
    pybench-crew-11 [000] ...1. 13541.000010: contention_begin: ffffffff8300b784 (flags=SPIN)
    pybench-crew-11 [000] ...1. 13541.000011: <stack trace>
 => _raw_spin_lock
 => setup_mnt
 => __x64_sys_open_tree
    pybench-crew-12 [001] ...1. 13541.000012: contention_begin: ffffffff83000100 (flags=WRITE)
    pybench-crew-12 [001] ...1. 13541.000012: <stack trace>
 => rwsem_down_write_slowpath
 => namespace_unlock
    pybench-crew-13 [001] ...1. 13541.000013: contention_begin: 0xffffffff83000900 (flags=MUTEX)
    pybench-crew-13 [001] ...1. 13541.000013: <stack trace>
 => synchronize_rcu_expedited
 => namespace_unlock
    pybench-crew-14 [001] ...1. 13541.000013: contention_begin: ffff8881093ff000 (flags=SPIN)
    cc1-24559   [001] d..4. 13541.000014: contention_begin: ffffffff8300b784 (flags=SPIN)
    pybench-crew-11 [000] ...1. 13541.000015: contention_end: ffffffff8300b784 (ret=0)
    pybench-crew-12 [001] ...1. 13541.000022: contention_end: ffffffff83000100 (ret=0)
    pybench-crew-13 [001] ...1. 13541.000113: contention_end: 0xffffffff83000900 (ret=0)
    pybench-crew-14 [001] ...1. 13541.000014: contention_end: ffff8881093ff000 (ret=0)
    """
    waited, waits = waits_by_lock(text.splitlines(), 0xFFFFFFFF81000000)
    assert {name: round(ns, -2) for name, ns in waited.items()} == {
        "mount_lock": 5_000,
        "namespace_sem": 10_000,
        "grace periods": 100_000,
        "locks of single objects": 1_000,
    }
    assert set(waits.values()) == {1}
