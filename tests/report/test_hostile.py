# SPDX-License-Identifier: Apache-2.0
"""Strings of a result file, which anyone may have written, in every field and every section: they stay text."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from functools import cache
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

pytest.importorskip("altair")
vl_convert = pytest.importorskip("vl_convert")
from pybench.analysis.summary.launches import PHASES
from pybench.native.outcome import Handoffs, Members, Phase
from pybench.present.html.page import render
from pybench.present.report.contents import make_report
from pybench.results.latency_file import TransferFile
from pybench.results.store import Results
from tests.unit.synthetic import cell, noisy, results, trial
from tests.unit.transfer_files import file_of, topology_of

NASTY = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "-->",
    "]]>",
    "<img src=x onerror=alert(1)>",
    "'\"><svg/onload=alert(1)>",
    "</style><style>*{display:none}",
    "</textarea></title></pre><iframe srcdoc=x>",
    "javascript:alert(1)",
    "&lt;b&gt;&#x3c;b&#x3e;",
    "{{ 7 * 7 }}{% for x in y %}{# #}${7*7}",
    "[bold red]x[/][link=file:///]y[/link]",
    "\u2028\u2029\u202e\ufeff",
    "\x1b[31m\x07\x01",
    "../../etc/passwd\n-o --png",
    "toString __proto__ constructor",
]
CODE = ("script", "style", "iframe", "object", "embed", "link", "meta", "base", "form", "svg", "img")
SVG = "{http://www.w3.org/2000/svg}"


def replaced(node: Any, text: str, keep: tuple[str, ...] = ()) -> Any:
    """Plain data with every string in it, whatever it is, become `text`; not those under the keys `keep`."""
    if isinstance(node, str):
        return text
    if isinstance(node, Mapping):
        return {name: value if name in keep else replaced(value, text, keep) for name, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [replaced(one, text, keep) for one in node]
    return node


def files(text: str) -> list[Results]:
    """Two sweeps, with something for every section of a page; every free string in them is `text`."""
    spins = [
        cell("spin", lock=text, hold_ns=hold, threads=n, place=text, cpus=tuple(range(n)))
        for hold in (0, 100)
        for n in (1, 2, 4)
    ]
    mounts = [cell("mount", api=text, threads=n, place=text, cpus=tuple(range(n))) for n in (1, 2)]
    launches = [cell("launch", strategy=text, containers=n, place=text) for n in (1, 10)]
    made = []
    for number in (1, 2):
        file = noisy(
            "x", spins + mounts, factors=[1, 0.5, 0.4, 1, 0.6, 0.4, 1, 0.5], trials=7, seed=number, calls=40
        )
        trials = [told(one, text) for one in file.trials]
        for index, one in enumerate(launches, len(spins) + len(mounts)):
            trials += [
                told(trial(index, one, 1e3, [5000, 6000], repeat, launched=10), text) for repeat in range(7)
            ]
        flagged = msgspec.structs.replace(trials[0], flags=[text])
        bad = msgspec.structs.replace(trials[1].outcome, status="failed", reason=text, note=text)
        failed = msgspec.structs.replace(trials[1], figures=None, outcome=bad)
        file = results(
            f"{text.replace('/', '')}{number}.jsonl", spins + mounts + launches, [*trials, flagged, failed]
        )
        head = file.header
        plan = msgspec.structs.replace(head.plan, left_out=[text])
        host = replaced(head.host, text) | {"software": {text: text}, text: text, "load": [text]}
        header = msgspec.structs.replace(
            head, host=host, pybench=text, created=text, command=[text, text], plan=plan, topology=head.topology
        )
        made.append(msgspec.structs.replace(file, header=header))
    return made


def told(one: Any, text: str) -> Any:
    """A trial with members, handoffs and phases, one of them named `text`."""
    n = one.threads
    members = Members(
        cpu=list(range(n)), operations=[100 + i for i in range(n)], start_ns=[0] * n, stop_ns=[10**8] * n,
        cpu_ns=[10**8] * n, voluntary_switches=[0] * n, involuntary_switches=[0] * n,
    )  # fmt: skip
    pairs = Handoffs(giver=[0, 1], taker=[1, 0], count=[5, 5], timed=[2, 2], ns=[90, 80]) if n > 1 else None
    more = Phase(calls=1, operations=1, wall_ns=1000, max_ns=1000, histogram=[100, 1])
    phases = one.outcome.phases | dict.fromkeys([text, *(PHASES if one.workload == "launch" else ())], more)
    outcome = msgspec.structs.replace(
        one.outcome, members=members, handoffs=pairs, phases=phases, timeline=[[0, 1], [10, 5]]
    )
    return msgspec.structs.replace(one, outcome=outcome)


@cache
def latencies(text: str) -> TransferFile:
    """A latency file whose host has that name."""
    file = file_of(topology_of("small_vm"))
    host = replaced(file.header.host, text)
    return msgspec.structs.replace(file, header=msgspec.structs.replace(file.header, host=host, created=text))


class Tags(HTMLParser):
    """Collects elements with the names of their attributes, and the text of elements that hold code or style."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, tuple[str, ...]]] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, tuple(name for name, _ in attrs)))
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action", "srcdoc")]


def shape(page: str) -> list[tuple[str, tuple[str, ...]]]:
    tags = Tags()
    tags.feed(page)
    tags.close()
    assert all(address.startswith("#") for address in tags.addresses)
    return tags.seen


@pytest.fixture(scope="module")
def plain() -> list[tuple[str, tuple[str, ...]]]:
    page = render(make_report(files("plain"), [latencies("plain")]))
    for section in ("results", "comparisons", "latency", "fairness", "handoffs", "phases", "launches", "transfers",
                    "evidence", "environment", "repeat"):  # fmt: skip
        assert f'<section id="{section}"' in page, section
    return shape(page)


# Several at a time, each in each field: a page takes a second.
@pytest.mark.parametrize("text", ["".join(NASTY[i::3]) for i in range(3)], ids=["some", "others", "rest"])
def test_no_string_adds_an_element_or_an_attribute(plain: list[tuple[str, tuple[str, ...]]], text: str) -> None:
    page = render(make_report(files(text), [latencies(text)]))
    found = shape(page)
    if "\n" not in text:
        assert found == plain
    # A line break makes two paragraphs of one, and nothing else.
    assert set(found) == set(plain)
    assert [one for one in found if one[0] in CODE] == [one for one in plain if one[0] in CODE]


def test_pictures_have_text_only_as_text() -> None:
    report = make_report(files("".join(NASTY)), [latencies("".join(NASTY))])
    assert len(report.views) > 8
    for view in report.views:
        root = ET.fromstring(vl_convert.vegalite_to_svg(view.chart.to_json()))
        names = {one.tag.removeprefix(SVG) for one in root.iter()}
        assert names <= {
            "svg",
            "g",
            "path",
            "text",
            "rect",
            "line",
            "defs",
            "clipPath",
            "linearGradient",
            "stop",
            "title",
        }
        assert not any(
            name.lower().startswith("on") or "href" in name for one in root.iter() for name in one.attrib
        )
