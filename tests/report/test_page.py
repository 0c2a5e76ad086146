"""The page of a report: what a file says stays text, and its figures are the terminal's."""

import io
import re
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("altair")
pytest.importorskip("vl_convert")
sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from rich.console import Console
from synthetic import cell, noisy

from pybench.report.html import data_text, make_report, render
from pybench.report.loaded import load
from pybench.report.terminal import result_tables

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
    spoiled = msgspec.structs.replace(file.trials[0], flags=[text])
    return render(make_report([msgspec.structs.replace(file, header=header, trials=[spoiled, *file.trials[1:]])]))


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
    console = Console(file=io.StringIO(), width=200, color_system=None)
    for part in result_tables([line.series for line in load([file])[0].lines], cells, file.trials):
        console.print(part)
    figures = re.findall(r"\d[\d.]*[kMG]? ±[\d.]+%", console.file.getvalue())  # type: ignore[attr-defined]
    assert len(figures) > len(cells)
    assert set(figures) <= shown
