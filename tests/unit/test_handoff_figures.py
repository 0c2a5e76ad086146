# SPDX-License-Identifier: Apache-2.0
"""Handoffs by distance: sums of a trial, and what a cell's trials tell."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybench.analysis.summary.series import summarize_handoffs
from pybench.host.topology import DISTANCES, Distance
from pybench.native.outcome import Handoffs, Members, Outcome
from pybench.results.records import Evidence, Figures, HandoffFigure, Trial
from pybench.run.checked_trial import handoffs_by_distance


@st.composite
def crews(draw: st.DrawFn) -> tuple[Handoffs, list[list[Distance]]]:
    members = draw(st.integers(2, 6))
    matrix = [[draw(st.sampled_from(DISTANCES)) for _ in range(members)] for _ in range(members)]
    pairs = [(a, b) for a in range(members) for b in range(members) if a != b]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, min_size=1))
    counts = [draw(st.integers(1, 10**6)) for _ in chosen]
    timed = [draw(st.integers(0, count)) for count in counts]
    ns = [one * draw(st.integers(1, 10**5)) for one in timed]
    return Handoffs([a for a, _ in chosen], [b for _, b in chosen], counts, timed, ns), matrix


@given(crews())
def test_every_handoff_is_in_one_distance(crew: tuple[Handoffs, list[list[Distance]]]) -> None:
    handoffs, matrix = crew
    figures = handoffs_by_distance(handoffs, matrix)
    assert sum(f.count for f in figures) == sum(handoffs.count)
    assert sum(f.timed for f in figures) == sum(handoffs.timed)
    assert sum(f.timed * f.mean_ns for f in figures) == pytest.approx(
        sum(handoffs.ns), rel=1e-3, abs=sum(handoffs.timed)
    )
    order = [DISTANCES.index(f.distance) for f in figures]
    assert order == sorted(set(order))


def trial(near: int, far: int, near_ns: float, run: int, flags: tuple[str, ...] = ()) -> Trial:
    members = Members(
        cpu=[0, 1],
        operations=[200, 200],
        start_ns=[0, 0],
        stop_ns=[1, 1],
        cpu_ns=[1, 1],
        voluntary_switches=[0, 0],
        involuntary_switches=[0, 0],
        longest_streak=[run, 1],
        longest_wait_ns=[70, 900],
        longest_gap_ns=[800, 1000],
    )
    figures = Figures(
        throughput=1.0, p50_ns=1, p90_ns=1, p99_ns=1, p999_ns=1, max_ns=1, jain=1, cpu_ns_per_operation=1
    )
    return Trial(
        cell=0, repeat=0, sequence=0, workload="spin", params={}, threads=2, place="all", smt="on", crew="threads",
        started=0, seconds=0,
        outcome=Outcome(status="ok", members=members),
        figures=figures,
        evidence=Evidence(start_skew_ns=0, overlap=1, off_cpu=0, steal=0, load=0),
        flags=list(flags),
        handoffs=[
            HandoffFigure(distance="l3", count=near, timed=near, mean_ns=near_ns),
            HandoffFigure(distance="cross-socket", count=far, timed=0, mean_ns=0.0),
        ],
    )  # fmt: skip


def test_a_cell_tells_medians_over_its_clean_trials() -> None:
    valid = [trial(30, 10, 40.0 + i, 100 + i) for i in range(7)]
    invalid = trial(1, 399, 9999.0, 5000, flags=("steal",))
    told = summarize_handoffs([*valid, invalid])
    assert told is not None
    near, far = told.distances
    assert (near.distance, far.distance) == ("l3", "cross-socket")
    assert near.share.value == pytest.approx(0.75) and far.share.value == pytest.approx(0.25)
    assert near.mean_ns.value == 43.0 and near.mean_ns.low <= 43.0 <= near.mean_ns.high
    assert far.mean_ns.n == 0, "no handoff was timed: there is no mean"
    assert told.kept.value == pytest.approx(1 - 40 / 400)
    assert told.longest_streak.value == 103
    assert told.longest_wait_ns.value == 900 and told.longest_gap_ns.value == 1000


def test_invalid_trials_alone_tell_nothing() -> None:
    assert summarize_handoffs([trial(1, 1, 1.0, 1, flags=("steal",))]) is None


def test_a_record_reads_back_as_it_was() -> None:
    one = trial(30, 10, 40.0, 3)
    assert msgspec.json.decode(msgspec.json.encode(one), type=Trial) == one
