# SPDX-License-Identifier: Apache-2.0
"""Test that mistakes of Python callers are a PybenchError of one line, before anything is measured."""

from typing import Any

import pytest

import pybench
from pybench.native.outcome import Outcome, TrialSpec


def untouched(_: TrialSpec) -> Outcome:
    raise AssertionError("it was measured")


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({"duration": 5}, "Expected `str`, got `int` - at `$.duration`"),
        ({"warmup": []}, "$.warmup"),
        ({"budget": 5}, "$.budget"),
        ({"trials": "x"}, "write the minimum, or (minimum, maximum)"),
        ({"trials": (1, 2, 3)}, "write the minimum, or (minimum, maximum)"),
        ({"trials": (6, "b")}, "$.max_trials"),
        ({"trials": 0}, "min_trials: 0 is out of range"),
        ({"operations": -1}, "operations: -1 is out of range"),
        ({"seed": "a"}, "$.seed"),
        ({"target": "x"}, "$.target"),
        ({"target": float("nan")}, "target: nan is out of range"),
        ({"crew": "fibers"}, "choose from threads, processes"),
        ({"threads": ""}, "invalid thread count"),
        ({"threads": 5000, "oversubscribe": True}, "write 1 to 4096"),
        ({"oversubscribe": "x"}, "$.oversubscribe"),
    ],
)
def test_a_sweep_that_cannot_be_meant_is_refused(axes: dict[str, Any], words: str) -> None:
    with pytest.raises(pybench.UsageError) as refused:
        pybench.measure("spin", run_trial=untouched, **axes)
    assert words in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"duration": 5}, "$.duration"),
        ({"warmup": 5}, "$.warmup"),
        ({"machine": 5}, "no machine '5'"),
        ({"draws": "x"}, "draws='x': write a whole number"),
        ({"draws": 0}, "draws=0"),
        ({"seed": "x"}, "seed='x'"),
        ({"workers": -1}, "workers=-1"),
        ({"threads": 10**12}, "write 1 to 4096"),
    ],
)
def test_a_simulation_that_cannot_be_meant_is_refused(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(pybench.UsageError) as refused:
        pybench.simulate("spin", **({"machine": "r5.metal"} | asked))
    assert words in str(refused.value)


@pytest.mark.parametrize("within", [-1, 0, "a", float("nan"), 1.5])
def test_a_margin_that_is_no_share_is_refused(within: Any) -> None:
    run = pybench.simulate(
        "spin", machine="r5.metal", lock=["ticket", "mcs"], threads=1, draws=1, place="all", duration="20us"
    )
    with pytest.raises(pybench.UsageError, match=r"same within .* is out of range"):
        run.compare_axis("lock", same_within=within)


@pytest.fixture(scope="module")
def run() -> pybench.Run:
    return pybench.simulate("spin", machine="r5.metal", threads=1, draws=1, place="all", duration="20us")


@pytest.mark.parametrize("sql", ["", " ", ";", "-- nothing"])
def test_sql_without_a_statement_is_refused(run: pybench.Run, sql: str) -> None:
    pytest.importorskip("duckdb")
    with pytest.raises(pybench.UsageError, match="write a SELECT"):
        run.query(sql)


def test_columns_of_one_name_are_numbered(run: pybench.Run) -> None:
    pytest.importorskip("duckdb")
    from pybench.results.sql import ask

    answer = ask(run.results, "SELECT 1 AS a, 2 AS a, 3 AS a_2, 4 AS a")
    assert dict(zip(answer.columns, *answer.rows, strict=True)) == {"a": 1, "a_3": 2, "a_2": 3, "a_4": 4}
