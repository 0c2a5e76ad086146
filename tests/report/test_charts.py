# SPDX-License-Identifier: Apache-2.0
"""Charts are found by being in their folder, and the report shows a new one in its section."""

from pathlib import Path

import pytest

pytest.importorskip("altair")
pytest.importorskip("vl_convert")

from pybench.api.report import write_chart
from pybench.errors import UsageError
from pybench.present import charts
from pybench.present.report.contents import make_report
from pybench.results.store import Results
from tests.unit.synthetic import cell, noisy

NEW = """
import altair as alt
from pybench.present.charts import chart
from pybench.present.charts.parts import data, finish

@chart("planted", title="Planted", section="evidence")
def planted(files):
    rows = [{"x": n, "y": n} for n in range(3)]
    return finish(alt.Chart(data(rows)).mark_point().encode(x="x:Q", y="y:Q"), "planted")
"""


def results() -> Results:
    return noisy("a.jsonl", [cell("spin", threads=n, cpus=tuple(range(n))) for n in (1, 2, 4)])


def test_every_chart_of_the_folder_has_its_section() -> None:
    assert set(charts.kinds()) >= {"scaling", "latency", "fairness", "shares", "trials", "handoffs", "phases",
                                   "launch", "launch-phases", "timeline"}  # fmt: skip
    report = make_report([results()])
    sections = {section.id for section in report.sections}
    assert {kind.section for kind in charts.kinds().values() if kind.section} >= sections & {"latency", "fairness"}


def test_a_new_chart_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted.py").write_text(NEW)
    known = dict(charts.kinds())
    monkeypatch.setattr(charts, "_KINDS", known)
    monkeypatch.setattr(charts, "__path__", [*charts.__path__, str(tmp_path)])
    assert "planted" in charts.kinds()
    report = make_report([results()])
    assert "planted" in [view.id for view in report.views]
    assert charts.draw("planted", [results()]).description == "planted"


def test_a_chart_of_a_file_is_written_as_a_picture(tmp_path: Path) -> None:
    path = write_chart(results(), tmp_path / "a.svg")
    assert path.read_text().startswith("<svg")
    with pytest.raises(UsageError, match="no valid trial"):
        write_chart(noisy("a.jsonl", [cell("spin")], trials=0), tmp_path / "b.svg")
