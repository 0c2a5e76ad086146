# SPDX-License-Identifier: Apache-2.0
"""Test the results of a trial: counts add up, percentiles come from the histogram."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybench import native
from pybench.host.meters import HostCounts
from pybench.native.outcome import Members, Outcome, Phase
from pybench.present.numbers import between, count, counted, ratio, spread, time_ns, timed
from pybench.results.records import Cell
from pybench.run.checked_trial import evidence, figures
from pybench.stats.estimate import Interval, percentiles_ns


def members(**changes: object) -> Members:
    base: dict[str, object] = {
        "cpu": [0, 1],
        "operations": [300, 100],
        "start_ns": [0, 50],
        "stop_ns": [1000, 1050],
        "cpu_ns": [1000, 900],
        "voluntary_switches": [0, 0],
        "involuntary_switches": [0, 3],
    }
    return Members(**(base | changes))  # type: ignore[arg-type]


PHASE = Phase(calls=3, operations=3, wall_ns=600, max_ns=300, histogram=[100, 1, 10, 2])


def test_throughput_is_all_operations_from_first_start_to_last_stop() -> None:
    got = figures(members(), {"op": PHASE}, "op")
    assert got.throughput == pytest.approx(400 / 1050e-9)
    assert got.cpu_ns_per_operation == pytest.approx(1900 / 400)
    assert got.jain == pytest.approx(400**2 / (2 * (300**2 + 100**2)), abs=1e-6)


def test_writers_are_not_counted() -> None:
    got = figures(members(role=[0, 1]), {"op": PHASE}, "op")
    assert got.throughput == pytest.approx(300 / 1000e-9)
    assert got.jain == 1


def test_evidence_of_when_members_ran() -> None:
    cell = Cell(workload="stat", params={}, threads=2, place="all", smt="on", cpus=(0, 1))
    outcome = Outcome(status="ok", members=members(), phases={"stat": PHASE})
    got = evidence(cell, outcome, HostCounts(load=0.5))
    assert got.start_skew_ns == 50
    assert got.overlap == pytest.approx(950 / 1050, abs=1e-6)
    assert got.off_cpu == pytest.approx(0.1)


@given(st.lists(st.integers(0, 2**39), min_size=1, max_size=400))
def test_percentiles_are_within_a_bucket_of_the_exact_ones(latencies: list[int]) -> None:
    lib = native.load().lib
    counts: dict[int, int] = {}
    for latency in latencies:
        bucket = lib.pb_histogram_bucket(latency)
        counts[bucket] = counts.get(bucket, 0) + 1
    buckets = sorted(counts)
    pairs = [v for a, b in zip([0, *buckets], buckets, strict=False) for v in (b - a, counts[b])]
    phase = Phase(calls=len(latencies), operations=1, wall_ns=1, max_ns=max(latencies), histogram=pairs)
    exact = np.percentile(latencies, [50, 99, 100], method="inverted_cdf")
    for got, want in zip(percentiles_ns(phase, [0.5, 0.99, 1.0]), exact, strict=True):
        assert got == pytest.approx(want, rel=0.008, abs=0.5)
        assert got <= max(latencies)


def test_numbers_for_people() -> None:
    assert [count(x) for x in (0, 9.994, 153_900, 999_700, 1.28e9)] == ["0", "9.99", "154k", "1.00M", "1.28G"]
    assert [time_ns(x) for x in (42, 5060, 1.9e6, 2.5e9)] == ["42.0ns", "5.06us", "1.90ms", "2.50s"]
    assert time_ns(3, least_ns=10) == "<10ns"
    known, unknown = Interval(100.0, 98.0, 102.0, 8), Interval(100.0, float("nan"), float("nan"), 2)
    assert (spread(known), spread(unknown)) == ("±2.0%", "±?")
    assert (counted(known), timed(known), ratio(unknown)) == ("100 ±2.0%", "100ns ±2.0%", "100.00 ±?")
    assert (between(known), between(unknown)) == ("100 [98, 102]", "100")
    nothing = Interval(float("nan"), float("nan"), float("nan"), 0)
    assert {counted(nothing), timed(nothing), ratio(nothing)} == {"-"}
