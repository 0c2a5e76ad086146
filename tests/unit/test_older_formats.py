# SPDX-License-Identifier: Apache-2.0
"""Files of earlier formats still read, with the numbers that the pybench of their day gave.

`format-1-expected.json` was written by that pybench: `export --table cells`, `compare --json`, `fit --json`, and
the medians of its latency file. A number that was not known is null there.
"""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pybench.analysis.comparison.compare import compare
from pybench.analysis.scaling.curve_fits import fit_curve
from pybench.analysis.summary.cell_table import TABLES
from pybench.analysis.summary.series import summarize
from pybench.results.columns import read_columns
from pybench.results.latency_file import TransferFile, read_any, read_transfers
from pybench.results.latency_summary import pair_latencies
from pybench.results.latency_summary import summarize as summarize_transfers
from pybench.results.records import Trial
from pybench.results.store import read
from pybench.results.tables import table
from pybench.stats.estimate import Interval

FOLDER = Path(__file__).parents[1] / "data" / "results"
FILES = sorted(path for path in FOLDER.glob("format-1-*.jsonl") if "latency" not in path.name)
EXPECTED = json.loads((FOLDER / "format-1-expected.json").read_text())
LATENCY = FOLDER / "format-1-latency.jsonl"


def same(found: float | None, expected: float | None) -> bool:
    """Return True if two numbers are equal but for the last bits, which depend on a host's linear algebra."""
    if expected is None or found is None:
        return found is None or math.isnan(found)
    return found == pytest.approx(expected, rel=1e-9)


def interval(found: Interval, expected: dict[str, float | None]) -> bool:
    return all(same(getattr(found, name), expected[name]) for name in ("value", "low", "high"))


def expected_of(kind: str) -> Iterable[Any]:
    return [
        pytest.param(FOLDER / f"format-1-{name}.jsonl", one[kind], id=name)
        for name, one in EXPECTED.items()
        if kind in one
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_renamed_keys_of_format_1_keep_their_values(path: Path) -> None:
    """`max_spoiled` is `max_invalid`, `longest_run` is `longest_streak`, in both readers."""
    text, file = path.read_text(), read(path)
    assert file.header.format == 1
    if '"max_spoiled"' in text:
        assert f'"max_spoiled":{file.header.plan.max_invalid},' in text
    assert read_columns(path).header.plan == file.header.plan
    streaks = [t.outcome.members.longest_streak for t in file.trials if t.outcome.members]
    assert any(streaks) == ('"longest_run"' in text)
    assert all(str(one).replace(" ", "") in text for one in streaks if one)


@pytest.mark.parametrize(("path", "expected"), expected_of("cells"))
def test_cells_have_the_same_estimates(path: Path, expected: list[dict[str, float | None]]) -> None:
    columns = table([read(path)], "cells", TABLES)
    assert len(columns["cell"]) == len(expected)
    for index, row in enumerate(expected):
        for name, value in row.items():
            assert same(columns[name][index], value), (index, name)


@pytest.mark.parametrize(("path", "expected"), expected_of("compare"))
def test_comparisons_are_the_same(path: Path, expected: list[dict[str, Any]]) -> None:
    axis = "strategy" if "launch" in path.name else "lock"
    found = compare([[read_columns(path)]], axis=axis).every
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert (one.metric, one.verdict) == (other["metric"], other["verdict"])
        assert interval(one.ratio, other["ratio"])
        for name in ("a", "b", "p", "corrected_p"):
            assert same(getattr(one, name), other[name]), name


@pytest.mark.parametrize(("path", "expected"), expected_of("fit"))
def test_fits_are_the_same(path: Path, expected: list[dict[str, Any]]) -> None:
    file = read(path)
    curves = summarize(file.header.plan.cells, file.trials, file.header.topology)
    assert len(curves) == len(expected)
    for curve, other in zip(curves, expected, strict=True):
        threads, rates = [n for n, _ in curve.points], [x for _, x in curve.points]
        fits = fit_curve(threads, rates, borders=curve.borders)
        assert fits.best == other["best"]
        assert [one.name for one in fits.models] == [one["name"] for one in other["models"]]
        for model, numbers in zip(fits.models, other["models"], strict=True):
            assert same(model.aicc, numbers["aicc"]) and same(model.rms, numbers["rms"])
            assert (model.peak is None) == (numbers["peak"] is None)
            assert model.peak is None or interval(model.peak, numbers["peak"])
            for one in model.parameters:
                for name in ("value", "low", "high"):
                    known = numbers["parameters"][one.name][name]
                    assert getattr(one.interval, name) == pytest.approx(known, rel=1e-5, abs=1e-6), (
                        one.name,
                        name,
                    )


def test_latency_files_have_the_same_medians() -> None:
    file = read_transfers(LATENCY)
    assert isinstance(read_any(LATENCY), TransferFile)
    for method, expected in EXPECTED["latency"].items():
        classes = summarize_transfers(file.trials, method).classes
        found = [
            [
                *(one.distance, one.median_ns.value, one.median_ns.low, one.median_ns.high),
                *(one.p5_ns, one.p95_ns, one.pairs),
            ]
            for one in classes
        ]
        assert all(
            same(x, y) if isinstance(x, float) else x == y
            for a, b in zip(found, expected["classes"], strict=True)
            for x, y in zip(a, b, strict=True)
        )
        pairs = [
            [list(one.cpus), one.transfer_ns.value, one.transfer_ns.n]
            for one in pair_latencies(file.trials, method)
        ]
        assert pairs == expected["pairs"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_written_again_is_of_todays_format(path: Path) -> None:
    """Records that were read are written with today's keys, and read as the same."""
    file = read(path)
    lines = [msgspec.json.encode(one) for one in (file.header, *file.trials)]
    assert not any(b'"longest_run"' in line or b'"max_spoiled"' in line for line in lines)
    assert [msgspec.json.decode(line, type=Trial) for line in lines[1:]] == file.trials
