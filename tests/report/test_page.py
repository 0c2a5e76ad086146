# SPDX-License-Identifier: Apache-2.0
"""The page of a report: text of a file stays text, and its results are those of the terminal."""

import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("altair")
pytest.importorskip("vl_convert")

from pybench.present.document import Document
from pybench.present.html.bundle import END, vega_bundle
from pybench.present.html.page import data_text, render
from pybench.present.loaded import load
from pybench.present.report.contents import make_report
from pybench.present.terminal.output import to_text
from pybench.present.views.sweep import result_blocks
from tests.unit.synthetic import cell, noisy

HOSTILE = "</script><img src=x onerror=alert(1)>\u2028'\"&<b>"
ALLOWED_SCRIPTS = 2


class Tags(HTMLParser):
    """Collects elements and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def page_of(text: str) -> str:
    cells = [cell("spin", lock="ticket", threads=n, place=text, cpus=tuple(range(n))) for n in (1, 2)]
    file = noisy("a.jsonl", cells, factors=[1.0, 0.5], cpu={"model": text, "microcode": text})
    header = msgspec.structs.replace(
        file.header, command=["pybench", text], host=file.header.host | {"name": text}
    )
    invalid = msgspec.structs.replace(file.trials[0], flags=[text])
    return render(make_report([msgspec.structs.replace(file, header=header, trials=[invalid, *file.trials[1:]])]))


def shape(page: str) -> list[tuple[str, tuple[str, ...]]]:
    tags = Tags()
    tags.feed(page)
    return [(tag, tuple(attributes)) for tag, attributes in tags.seen]


def test_hostile_strings_add_no_element_and_no_attribute() -> None:
    hostile, plain = page_of(HOSTILE), page_of("plain")
    assert shape(hostile) == shape(plain)
    assert HOSTILE not in hostile
    assert len(re.findall(r"<script>", hostile)) == ALLOWED_SCRIPTS
    assert "onerror=alert(1)>" not in re.sub(r"<script.*?</script>", "", hostile, flags=re.DOTALL)


@given(st.recursive(st.text(), lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside), max_leaves=8))
@settings(max_examples=60)
def test_data_stays_data_inside_a_script_element(value: object) -> None:
    text = data_text(value)
    assert msgspec.json.decode(text.encode("utf-8", "surrogatepass")) == value
    assert not set("<>&\u2028\u2029") & set(text)


def test_nothing_is_loaded_and_only_our_scripts_run() -> None:
    page = page_of("plain")
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1])  # type: ignore[index]
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert policy.count("'sha256-") == ALLOWED_SCRIPTS
    outside = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"\b(?:src|srcset)=|<link\b|@import|url\(", outside)


def test_a_usual_page_is_below_two_megabytes_and_has_the_terminals_figures() -> None:
    cells = [
        cell("spin", lock=lock, threads=n, cpus=tuple(range(n)))
        for lock in ("ticket", "mcs", "ttas")
        for n in (1, 2, 4, 8, 16)
    ]
    file = noisy("a.jsonl", cells, factors=[1 / (1 + 0.1 * i) for i in range(len(cells))])
    page = render(make_report([file]))
    assert len(page.encode()) < 2_000_000
    shown = set(re.findall(r"<td[^>]*>([^<]*)</td>", page))
    series = [line.series for line in load([file])[0].lines]
    text = to_text(Document(result_blocks(series, cells, file.trials)), width=200)
    figures = re.findall(r"\d[\d.]*[kMG]? ±[\d.]+%", text)
    assert len(figures) > len(cells)
    assert set(figures) <= shown


def test_the_bundle_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made, kept = vega_bundle(), vega_bundle()
    assert made == kept and made.endswith(END)
    assert len(made) > 500_000 and "vegaEmbed" in made


def test_charts_are_valid_vega_lite() -> None:
    """The page is made without checking them."""
    cells = [
        cell("spin", lock=lock, threads=n, cpus=tuple(range(n))) for lock in ("ticket", "mcs") for n in (1, 2, 4)
    ]
    for view in make_report([noisy("a.jsonl", cells, factors=[1, 0.5, 0.3, 1, 0.9, 0.8])]).views:
        view.chart.to_dict(validate=True)


def test_what_cells_show_together_is_evidence() -> None:
    one = cell("spin", threads=1)
    file = noisy("a.jsonl", [one], trials=20)
    trials = [
        msgspec.structs.replace(
            t, figures=msgspec.structs.replace(t.figures, throughput=1e6 * (1.3 if i % 2 else 1))
        )
        for i, t in enumerate(file.trials)
        if t.figures
    ]
    trials = [msgspec.structs.replace(t, sequence=i) for i, t in enumerate(trials)]
    page = render(make_report([msgspec.structs.replace(file, trials=trials)]))
    evidence = page[page.index('<section id="evidence"') : page.index('<section id="environment"')]
    assert "two modes: 1.00M/s in 10 trials, 1.30M/s in 10" in evidence


def test_axes_too_long_for_a_page_are_named_with_their_command() -> None:
    cells = [cell("spin", lock=lock, hold_ns=hold) for lock in ("ticket", "mcs") for hold in range(200)]
    page = unescape(render(make_report([noisy("a.jsonl", cells, trials=6, calls=5)])))
    assert "Along lock: 200 pairs of cells: pybench compare a.jsonl --axis lock" in page


def test_a_host_that_was_never_quiet_has_a_page_of_what_was_flagged() -> None:
    file = noisy("a.jsonl", [cell("spin", threads=n, cpus=tuple(range(n))) for n in (1, 2)])
    flagged = [msgspec.structs.replace(t, flags=["steal"]) for t in file.trials]
    report = make_report([msgspec.structs.replace(file, trials=flagged)])
    assert "No valid trial of spin" in report.conclusions[0].text
    assert report.hero and report.hero.id == "trials"
    assert [one.id for one in report.views].count("trials") == 1


@pytest.mark.parametrize(("days", "shown"), [((3, 1), "2026-01-01 00:00, 2026-01-03 00:00"),
                                             ((2, 9, 5, 7), "2026-01-02 00:00 to 2026-01-09 00:00")])  # fmt: skip
def test_files_of_one_host_keep_their_dates(days: tuple[int, ...], shown: str) -> None:
    files = [noisy(f"{day}.jsonl", [cell("stat")]) for day in days]
    dated = [
        msgspec.structs.replace(
            one, header=msgspec.structs.replace(one.header, created=f"2026-01-0{day}T00:00:00+00:00")
        )
        for one, day in zip(files, days, strict=True)
    ]
    (host,) = make_report(dated).hosts
    assert host.endswith(f"({shown} UTC)")
