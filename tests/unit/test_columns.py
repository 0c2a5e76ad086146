# SPDX-License-Identifier: Apache-2.0
"""The fast reading of result files says what the slow one says, of good files and of bad ones."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybench import native
from pybench.errors import UsageError
from pybench.results.columns import BUCKETS, columns_of, edges_ns, percentiles, read_columns
from pybench.results.store import read
from pybench.stats.estimate import percentiles_ns
from tests.unit.synthetic import cell, histogram, noisy, results, trial, write

LATENCIES = st.lists(st.integers(0, 10**9), min_size=1, max_size=60)


def test_buckets_are_the_cores() -> None:
    low, width = edges_ns(np.arange(BUCKETS))
    assert native.histogram_values().tolist() == (low + width / 2).tolist()
    assert (low[1:] == (low + width)[:-1]).all()


@settings(max_examples=50)
@given(st.lists(LATENCIES, min_size=1, max_size=8), st.sampled_from([0.01, 0.5, 0.9, 0.99, 0.999]))
def test_percentiles_lie_in_the_bucket_of_the_slow_ones(calls: list[list[int]], share: float) -> None:
    of = cell()
    trials = [trial(0, of, latencies_ns=one, repeat=i) for i, one in enumerate(calls)]
    found = percentiles(columns_of(results("f", [of], trials)).cells[0], share)
    for value, one in zip(found, trials, strict=True):
        (slow,) = percentiles_ns(one.outcome.phases["operation"], [share])
        assert value == pytest.approx(slow, rel=1 / 64, abs=1)


def test_a_bimodal_trial_keeps_its_modes() -> None:
    of = cell()
    one = trial(0, of, latencies_ns=[1000] * 98 + [50_000] * 2)
    columns = columns_of(results("f", [of], [one])).cells[0]
    assert percentiles(columns, 0.95)[0] == pytest.approx(1000, rel=0.01)
    assert percentiles(columns, 0.99)[0] == pytest.approx(50_000, rel=0.01)


def test_streamed_and_listed_trials_give_the_same_columns(tmp_path: Path) -> None:
    cells = [cell(), cell(threads=2), cell("stat")]
    made = noisy("x", cells, trials=4)
    made.trials[1].flags.append("steal")
    made.trials[2] = msgspec.structs.replace(made.trials[2], figures=None)
    path = write(tmp_path / "f.jsonl", made)
    whole = read(path)
    # Without `trials` the file is streamed; afterwards its trials are in memory.
    fast, listed = read_columns(path), len(whole.trials)
    slow, made_columns = columns_of(whole), columns_of(made)
    assert fast.header == slow.header == made_columns.header and listed == len(made.trials)
    assert (fast.cells[0].trials, fast.cells[0].flagged, fast.cells[0].failed, fast.cells[0].valid) == (4, 1, 1, 2)
    for index, one in fast.cells.items():
        for name in one.__struct_fields__:
            assert np.array_equal(getattr(one, name), getattr(slow.cells[index], name)), name
            assert np.array_equal(getattr(one, name), getattr(made_columns.cells[index], name)), name
    # Columns that were not asked for are text, and written back as they were read.
    assert [msgspec.json.encode(one) for one in whole.trials] == [msgspec.json.encode(one) for one in made.trials]
    for read_trial, other in zip(whole.trials, made.trials, strict=True):
        for phase in read_trial.outcome.phases:
            assert read_trial.outcome.phases[phase].histogram == other.outcome.phases[phase].histogram
    assert whole.trials == made.trials


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda lines: [], "its first line is not a header"),
        (lambda lines: [b"\x89PNG\r\n\x1a\n"], "line 1: it is not a pybench result file"),
        (lambda lines: lines[1:], "its first line is not a header"),
        (lambda lines: [lines[0], lines[0]], "line 2: the file is damaged there"),
        (lambda lines: [lines[0].replace(b'"format":2', b'"format":99')], "upgrade pybench"),
        (lambda lines: [*lines[:2], b"\x00\n", *lines[2:]], "line 3: the file is damaged there"),
        (lambda lines: [lines[0], lines[1].replace(b'"cell":0', b'"cell":7')], "its plan has no cell 7"),
        (lambda lines: [lines[0], lines[1].replace(b'"cell":0', b'"cell":-1')], "its plan has no cell -1"),
        (lambda lines: [lines[0], lines[1].replace(b'"histogram":[', b'"histogram":["a",')], "damaged"),
        (lambda lines: [lines[0], lines[1].replace(b'"histogram":[', b'"histogram":["a",1,')], "damaged"),
        (lambda lines: [lines[0], lines[1].replace(b'"histogram":[', b'"histogram":[1.5,1,')], "damaged"),
        (lambda lines: [lines[0], lines[1].replace(b'"histogram":[', b'"histogram":[-5,1,')], "negative"),
        (lambda lines: [lines[0], lines[1].replace(b'"histogram":[', b'"histogram":[9999,1,')], "last bucket"),
        (lambda lines: [lines[0], lines[1].replace(b'"histogram":[', b'"histogram":[{},1,')], "damaged"),
        (lambda lines: [lines[0], lines[1].replace(b'"throughput":', b'"throughput":1e999,"x":')], "damaged"),
    ],
)
def test_damage_is_told_in_one_line(tmp_path: Path, damage: object, words: str) -> None:
    path = write(tmp_path / "f.jsonl", noisy("x", [cell()], trials=2))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(damage(lines)))  # type: ignore[operator]
    with pytest.raises(UsageError) as error:
        read_columns(path)
    assert words in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_last_line_that_broke_off_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", noisy("x", [cell()], trials=3))
    path.write_bytes(path.read_bytes()[:-20])
    columns = read_columns(path)
    assert columns.truncated
    assert columns.cells[0].trials == 2


def test_empty_lines_are_passed_over_as_by_the_other_reader(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", noisy("x", [cell()], trials=3))
    path.write_bytes(path.read_bytes() + b"\n \n")
    assert read_columns(path).cells[0].trials == len(read(path).trials) == 3


def test_a_latency_file_is_named_as_one(tmp_path: Path) -> None:
    path = tmp_path / "latency.jsonl"
    path.write_text('{"kind":"transfers","format":1}\n')
    with pytest.raises(UsageError, match="is a latency file; see it with: pybench show"):
        read_columns(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_columns(tmp_path / "none")
    with pytest.raises(UsageError, match="Is a directory"):
        read_columns(tmp_path)


def test_the_made_up_histogram_is_the_cores() -> None:
    assert histogram([0, 127, 128, 129, 130]) == [0, 1, 127, 1, 1, 2, 1, 1]
