# SPDX-License-Identifier: Apache-2.0
"""The Python API on made-up files: charts, and when a cell allows no verdict."""

from pathlib import Path

import pytest

import pybench
from pybench.analysis.diagnosis.inconclusive import why_inconclusive
from pybench.errors import UsageError
from tests.unit.synthetic import cell, noisy, results, trial, write


@pytest.mark.parametrize(
    ("valid", "flagged", "conclusive"),
    [(6, 0, True), (6, 1, True), (5, 0, False), (5, 1, False), (8, 2, True), (6, 2, False), (0, 6, False)],
)
def test_flagged_trials_must_be_made_up_for_and_few(valid: int, flagged: int, conclusive: bool) -> None:
    one = cell(threads=1)
    trials = [trial(0, one, 1e6, repeat=i) for i in range(valid)]
    trials += [trial(0, one, 1e6, repeat=valid + i, flags=["steal"]) for i in range(flagged)]
    why = why_inconclusive(results("x", [one], trials).header.plan, trials)
    assert (why == "") is conclusive
    assert conclusive or not flagged or "steal: " in why


def test_a_chart_has_a_point_a_cell_and_can_be_saved(tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    cells = [cell(lock=lock, threads=n, cpus=tuple(range(n))) for lock in ("ticket", "mcs") for n in (1, 2, 4, 8)]
    factors = [1.0, 1.8, 3.0, 4.0, 1.0, 1.5, 1.7, 1.6]
    path = write(tmp_path / "a.jsonl", noisy("a", cells, factors=factors))
    chart = pybench.load(path).chart()
    chart.save(tmp_path / "a.svg")
    chart.save(tmp_path / "a.png")
    svg = (tmp_path / "a.svg").read_text()
    assert svg.count('aria-roledescription="point"') == len(cells)
    assert all(lock in svg for lock in ("ticket", "mcs")) and "acquisitions a second" in svg
    # Dashed is what lies beyond the threads measured.
    assert "stroke-dasharray" in svg
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_draw_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("altair")
    flagged = [trial(0, cell(), 1e6, repeat=i, flags=["steal"]) for i in range(6)]
    path = write(tmp_path / "a.jsonl", results("a", [cell()], flagged))
    with pytest.raises(UsageError, match="no valid trial"):
        pybench.load(path).chart()
