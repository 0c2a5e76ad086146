# SPDX-License-Identifier: Apache-2.0
"""Comparisons: what is matched, what is said, and that words, intervals and corrections agree."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pybench.analysis.comparison.cell_pairs import filled_in
from pybench.analysis.comparison.compare import compare
from pybench.analysis.comparison.conditions import judge, parse_condition
from pybench.analysis.comparison.environment import differences
from pybench.analysis.comparison.verdicts import Compared, MetricComparison
from pybench.errors import UsageError
from pybench.present.terminal.output import to_text
from pybench.present.views.comparison import comparison
from pybench.results.columns import metrics
from pybench.results.records import Cell
from pybench.results.store import Results
from tests.unit.synthetic import cell, columns, header, noisy, results, trial

CELLS = [cell(threads=n) for n in (1, 2, 4)]


def two(a: Results, b: Results, **options: object) -> Compared:
    return compare([columns(a), columns(b)], **options)  # type: ignore[arg-type]


def only(compared: Compared, name: str) -> list[MetricComparison]:
    return [one for one in compared.every if one.metric == name]


def text_of(compared: Compared) -> str:
    return to_text(comparison(compared))


def test_planted_differences_are_found_and_put_into_words() -> None:
    a = noisy("a.jsonl", CELLS, trials=20)
    b = noisy("b.jsonl", CELLS, factors=[1.2, 1.0, 0.8], trials=20, seed=2)
    compared = two(a, b, metrics=metrics("throughput,p50,cpu"))
    assert [one.words for one in only(compared, "throughput")] == ["faster", "same within 3 %", "slower"]
    assert [one.verdict for one in only(compared, "p50")][::2] == ["better", "worse"]
    assert [one.words for one in only(compared, "cpu")] == ["less CPU", "same within 3 %", "more CPU"]
    for one, planted in zip(only(compared, "throughput"), (1.2, 1.0, 0.8), strict=True):
        assert one.ratio.low * 0.99 < planted < one.ratio.high * 1.01


@settings(max_examples=12, deadline=None)
@example(factor=1.3, noise=0.02, trials=2, sweeps=3)
@given(
    factor=st.floats(0.7, 1.4),
    noise=st.floats(0.0, 0.2),
    trials=st.integers(1, 14),
    sweeps=st.integers(1, 3),
)
def test_words_never_contradict_what_is_shown(factor: float, noise: float, trials: int, sweeps: int) -> None:
    sides = [
        columns(
            *(
                noisy(f"{n}", CELLS[:2], factors=f, trials=trials, noise=noise, calls=30, seed=9 * n + s)
                for s in range(sweeps)
            )
        )
        for n, f in ((1, 1.0), (2, factor))
    ]
    compared, swapped = (compare(order, distributions=False) for order in (sides, sides[::-1]))
    for one, other in zip(compared.every, swapped.every, strict=True):
        if one.ratio.known:
            assert one.ratio.low <= one.ratio.value <= one.ratio.high
            back = [1 / other.ratio.high, 1 / other.ratio.value, 1 / other.ratio.low]
            assert [one.ratio.low, one.ratio.value, one.ratio.high] == pytest.approx(back)
        assert one.corrected_p >= one.p
        opposite = {"better": "worse", "worse": "better"}
        assert other.verdict == opposite.get(one.verdict, one.verdict)
        if one.verdict in ("better", "worse"):
            assert not one.ratio.low <= 1 <= one.ratio.high
            assert (one.ratio.value > 1) == ((one.verdict == "better") == (one.metric == "throughput"))
        elif one.verdict == "same":
            assert one.ratio.low >= 1 / 1.03
            assert one.ratio.high <= 1.03
        else:
            assert one.words.startswith("not enough evidence")
            assert one.further is None or one.further > 0
            excluded = one.ratio.known and not one.ratio.low <= 1 <= one.ratio.high
            assert ("not after correction" in one.note) == excluded


def test_a_file_against_itself_is_one_everywhere() -> None:
    a = noisy("a.jsonl", CELLS)
    for one in two(a, a).every:
        assert one.ratio.value == 1
        assert one.verdict in ("same", "unsure")
    for cells in two(a, a).pairs[0].cells:
        assert cells.distribution
        assert cells.distribution.moved == pytest.approx(0, abs=1e-9)
        assert cells.distribution.transport_ns == pytest.approx(0, abs=1e-6)
        assert cells.distribution.p == 1
        assert not cells.distribution.shape


def test_correction_takes_back_what_one_comparison_alone_would_say() -> None:
    def run(cells: list[Cell]) -> MetricComparison:
        factors = [1.03] + [1.0] * (len(cells) - 1)
        a = noisy("a", cells, trials=8, noise=0.02, calls=5)
        b = noisy("b", cells, factors=factors, trials=8, noise=0.02, calls=5, seed=2)
        return two(a, b, metrics=metrics("throughput"), distributions=False, same_within=0.001).every[0]

    alone = run([cell(hold_ns=0)])
    among = run([cell(hold_ns=n) for n in range(80)])
    assert alone.ratio == among.ratio
    assert alone.p == among.p <= 0.05
    assert alone.verdict == "better"
    assert among.verdict == "unsure"
    assert "not after correction for 80 comparisons" in among.note


def test_cells_without_a_partner_are_all_named() -> None:
    a = noisy("a.jsonl", [*CELLS, cell("stat"), cell(threads=8, lock="mcs")])
    b = noisy("b.jsonl", [*CELLS[1:], cell("mount", children=50)])
    compared = two(a, b)
    named = {(one.only_in, one.cell.workload, one.cell.threads) for one in compared.pairs[0].unmatched}
    assert named == {("a", "spin", 1), ("a", "stat", 1), ("a", "spin", 8), ("b", "mount", 1)}
    assert len(compared.pairs[0].cells) == 2
    said = text_of(compared)
    for words in ("Only in A (a)", "Only in B (b)", "lock=mcs", "children=50", "stat depth=1"):
        assert words in said


def test_nothing_in_common_is_an_error_that_names_a_cell() -> None:
    with pytest.raises(UsageError, match="no cell of a and b has a partner; a alone has stat"):
        two(noisy("a.jsonl", [cell("stat")]), noisy("b.jsonl", [cell("spin")]))


def test_a_parameter_of_a_later_version_is_its_default_and_said_so() -> None:
    old = cell()
    older = msgspec.structs.replace(old, params={k: v for k, v in old.params.items() if k != "domain"})
    compared = two(noisy("old.jsonl", [older]), noisy("new.jsonl", [old]))
    assert len(compared.pairs[0].cells) == 1
    assert not compared.pairs[0].unmatched
    assert compared.notes == ["old.jsonl: spin has no domain recorded; taken as its default, node"]
    assert filled_in(columns(noisy("a", [old]), noisy("b", [old]))) == []


def test_flagged_trials_enter_nothing() -> None:
    a, b = noisy("a", CELLS[:1]), noisy("b", CELLS[:1], seed=2)
    valid = two(a, b)
    b.trials.extend(trial(0, CELLS[0], 1e9, [5], repeat=50 + i, flags=["steal"]) for i in range(30))
    invalid = two(a, b)
    assert [one.ratio for one in invalid.every] == [one.ratio for one in valid.every]
    assert invalid.pairs[0].cells[0].trials == (10, 40)
    assert "10 of 40 in B" in text_of(invalid)


@pytest.mark.parametrize("trials", [0, 1, 5])
def test_too_few_trials_are_not_enough_evidence(trials: int) -> None:
    compared = two(noisy("a", CELLS), noisy("b", CELLS, trials=trials, factors=9.0))
    assert {one.verdict for one in compared.every} == {"unsure"}
    assert {one.further for one in compared.every} == {6 - trials}
    assert "not enough evidence" in text_of(compared)


def test_sweeps_are_what_varies_where_there_are_several() -> None:
    def side(name: str, factors: list[float]) -> list[Results]:
        return [noisy(f"{name}{i}", CELLS[:1], factors=f, seed=i) for i, f in enumerate(factors)]

    # Trials within a sweep agree to 1 %, but sweeps differ by 20 %: two files alone look sure.
    a, b = side("a", [1.0, 1.2, 1.1]), side("b", [1.15, 0.98, 1.2])
    one = two(a[0], b[0], metrics=metrics("throughput"))
    assert one.every[0].verdict == "better"
    assert "NOT in these intervals" in one.pairs[0].caveats[0]
    several = compare([columns(*a), columns(*b)], metrics=metrics("throughput"))
    assert several.every[0].verdict == "unsure"
    assert several.every[0].basis == "sweeps"
    assert (several.every[0].n_a, several.every[0].n_b) == (3, 3)
    assert "sweep" in several.every[0].words
    assert not several.pairs[0].caveats
    lone = compare([columns(a[0]), columns(*b)], metrics=metrics("throughput"))
    assert lone.every[0].basis == "sweeps"
    assert "that of the other side" in lone.pairs[0].caveats[0]


def test_an_axis_pairs_the_sweeps_that_have_both() -> None:
    cells = [cell(lock=lock, threads=2) for lock in ("ticket", "mcs", "clh")] + [cell("stat")]
    # Sweeps differ by 30 %, the locks by 10 % in each: what hits both alike cancels.
    sweeps = [
        noisy(f"s{i}", cells, factors=[f, 1.1 * f, f, f], seed=i, trials=20)
        for i, f in enumerate((1, 1.3, 0.9, 1.1))
    ]
    compared = compare([columns(*sweeps)], axis="lock", base="ticket", metrics=metrics("throughput"))
    assert [pair.b.label for pair in compared.pairs] == ["lock=mcs", "lock=clh"]
    mcs, clh = compared.every
    assert mcs.basis == "pairs of sweeps"
    assert mcs.verdict == "better"
    assert mcs.ratio.value == pytest.approx(1.1, rel=0.01)
    assert clh.verdict in ("same", "unsure")
    assert [one.workload for one in compared.outside] == ["stat"]
    assert "Not compared, because lock does not apply to them" in text_of(compared)
    one = compare([columns(sweeps[0])], axis="lock", metrics=metrics("throughput"))
    assert "interleaved in one sweep" in one.pairs[0].caveats[0]


@pytest.mark.parametrize(
    ("axis", "a", "b"),
    [
        ("smt", {"smt": "on"}, {"smt": "off"}),
        ("place", {"place": "socket:0"}, {"place": "dual-socket", "memory": "interleave", "nodes": (0, 1)}),
        ("crew", {"crew": "threads"}, {"crew": "processes"}),
        ("threads", {"threads": 1}, {"threads": 2, "oversubscribed": True}),
        ("hold_ns", {"hold_ns": 0}, {"hold_ns": 100}),
        ("memory", {"memory": "local"}, {"memory": "bind", "nodes": (1,)}),
    ],
)
def test_every_axis_of_one_file(axis: str, a: dict[str, Any], b: dict[str, Any]) -> None:
    compared = compare([columns(noisy("f", [cell(**a), cell(**b)]))], axis=axis)
    assert len(compared.pairs[0].cells) == 1
    assert not compared.pairs[0].unmatched
    assert [compared.pairs[0].a.label, compared.pairs[0].b.label] == [f"{axis}={a[axis]}", f"{axis}={b[axis]}"]
    assert text_of(compared)


def test_an_axis_of_the_host_and_axes_that_are_none() -> None:
    other = noisy("b", CELLS, cpu={"model": "Other", "microcode": None})
    compared = compare([columns(noisy("a", CELLS), other)], axis="host.cpu_model")
    assert [compared.pairs[0].a.label, compared.pairs[0].b.label] == ["host.cpu_model=CPU", "host.cpu_model=Other"]
    assert len(compared.pairs[0].cells) == 3
    for axis, base, words in (
        ("colour", None, "no axis 'colour' in these files; there are workload, threads"),
        ("host.nothing", None, "no axis 'host.nothing'"),
        ("lock", None, "lock is ticket everywhere"),
        ("threads", "9", "no threads=9 in these files; there are 1, 2, 4"),
    ):
        with pytest.raises(UsageError, match=words):
            compare([columns(noisy("a", CELLS))], axis=axis, base=base)


def test_only_what_differs_between_the_hosts_is_listed_and_it_is_first() -> None:
    a, b = noisy("a", CELLS), noisy("b", CELLS, cpu={"model": "CPU", "microcode": "0x2"}, later={"fact": [1, 2]})
    a.header.host["load"], b.header.host["load"] = 0.1, 3.0
    b.header.host["kernel"] = {"release": "[red]6.8[/red]", "version": "#1", "cmdline": ["nosmt"]}
    compared = two(a, b)
    assert [(one.what, one.a, one.b) for one in compared.pairs[0].differences] == [
        ("kernel", ["6.1"], ["[red]6.8[/red]"]),
        ("kernel command line", ["none"], ["nosmt"]),
        ("microcode", ["0x1"], ["0x2"]),
        ("later.fact", ["not recorded"], ["1 2"]),
    ]
    said = text_of(compared)
    assert "[red]6.8[/red]" in said
    assert said.index("microcode") < said.index("B/A")
    slower = msgspec.structs.replace(header(CELLS).plan, duration_ns=50_000_000)
    changed = msgspec.structs.replace(header(CELLS), plan=slower, pybench="2.0")
    found = {one.what for one in differences([header(CELLS)], [changed])}
    assert found == {"pybench", "trial length"}


def test_distributions_tell_a_tail_from_a_shift() -> None:
    of = cell()
    body = list(range(2000, 3000, 5))

    def file(name: str, tail: list[int], factor: float = 1.0) -> Results:
        calls = [[round((ns + i) * factor) for ns in (*body, *tail)] for i in range(12)]
        return results(name, [of], [trial(0, of, latencies_ns=one, repeat=i) for i, one in enumerate(calls)])

    plain = file("a", [3000] * 6)
    tailed = two(plain, file("b", [90_000] * 6)).pairs[0].cells[0].distribution
    shifted = two(plain, file("c", [3000] * 6, 1.5)).pairs[0].cells[0].distribution
    assert tailed and shifted
    assert tailed.shape == "tail grew"
    # The tail's share is what is elsewhere, however far.
    assert tailed.moved == pytest.approx(6 / 206, abs=0.01)
    assert tailed.transport_ns == pytest.approx(87_000 * 6 / 206, rel=0.03)
    assert tailed.differs
    assert shifted.shape == "all slower"
    assert shifted.shifts[0].ratio.value == pytest.approx(1.5, rel=0.01)
    assert shifted.transport_ns == pytest.approx(1250, rel=0.05)
    assert "tail grew" in text_of(two(plain, file("b", [90_000] * 6)))


def test_success_counts_trials_of_which_every_launch_failed() -> None:
    of = cell("launch", containers=10)

    def file(name: str, launched: list[int], late: int = 0) -> Results:
        trials = [trial(0, of, repeat=i, launched=n, late=late) for i, n in enumerate(launched)]
        trials = [
            t if n else msgspec.structs.replace(t, figures=None) for t, n in zip(trials, launched, strict=True)
        ]
        return results(name, [of], trials)

    compared = two(file("a", [10] * 12), file("b", [5] * 11 + [0], late=0), metrics=metrics("success"))
    (one,) = compared.every
    assert [one.a, one.b] == pytest.approx([1, 55 / 120])
    assert one.words == "fewer succeed"
    nothing = two(file("a", [10] * 12), file("b", [0] * 12), metrics=metrics("success"))
    assert nothing.every[0].b == 0
    assert nothing.every[0].words == "fewer succeed"
    same = two(file("a", [10] * 300), file("b", [10] * 300), metrics=metrics("success"))
    assert same.every[0].words == "same within 3 %"
    late = two(file("a", [10] * 12), file("b", [10] * 12, late=9), metrics=metrics("success"))
    assert late.every[0].b == pytest.approx(0.1)
    assert "fewer succeed" in text_of(late)


def test_what_the_clock_cannot_tell_is_no_difference() -> None:
    of = cell()

    def file(name: str, ns: int) -> Results:
        trials = [trial(0, of, latencies_ns=[ns] * 50, repeat=i) for i in range(20)]
        coarse = [
            msgspec.structs.replace(t, outcome=msgspec.structs.replace(t.outcome, timer_step_ns=11.0))
            for t in trials
        ]
        return results(name, [of], coarse)

    near = two(file("a", 100), file("b", 105), metrics=metrics("p50")).every[0]
    assert near.ratio.low < 1 < near.ratio.high
    far = two(file("a", 100), file("b", 150), metrics=metrics("p50")).every[0]
    assert far.verdict == "worse"
    below = two(file("a", 3), file("b", 9), metrics=metrics("p50")).every[0]
    assert below.verdict == "unsure"
    assert "clock's step of 11 ns" in below.note
    assert below.further is None


@pytest.mark.parametrize(
    "text", ["p99", "p99 > 5", "p99 => 5%", "> 5%", "p99 > 5% extra", "p99 < -100%", "p0 > 5%", ""]
)
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(UsageError):
        parse_condition(text)


def test_a_condition_needs_evidence_beyond_its_bound() -> None:
    a, b = noisy("a", CELLS[:1], trials=20), noisy("b", CELLS[:1], factors=0.9, trials=20, seed=2)
    states = {
        text: two(a, b, conditions=[parse_condition(text)]).conditions[0].states
        for text in ("throughput < -3%", "throughput < -10%", "throughput<-20%", "p50 > 3%", "throughput > 0%")
    }
    assert states == {
        "throughput < -3%": ["shown"],
        "throughput < -10%": ["unsure"],
        "throughput<-20%": ["ruled out"],
        "p50 > 3%": ["shown"],
        "throughput > 0%": ["ruled out"],
    }
    with pytest.raises(UsageError, match="no cell has success on both sides"):
        two(a, b, conditions=[parse_condition("success < -1%")])
    assert judge(parse_condition("p99 > 5%"), []).states == []


def test_metrics_by_name() -> None:
    assert [one.name for one in metrics("p99.9, throughput,p99.9")] == ["p99.9", "throughput"]
    assert metrics("p99.9")[0].percentile == pytest.approx(0.999)
    for text in ("p100", "p0", "speed", "", ","):
        with pytest.raises(UsageError):
            metrics(text)


def test_json_has_no_number_that_is_none() -> None:
    compared = two(noisy("a", CELLS, trials=3), noisy("b", CELLS, trials=0))
    plain = msgspec.json.decode(msgspec.json.encode(compared))
    assert plain["pairs"][0]["cells"][0]["comparisons"][0]["ratio"]["value"] is None
    assert math.isnan(compared.every[0].ratio.value)
