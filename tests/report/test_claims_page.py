# SPDX-License-Identifier: Apache-2.0
"""The page of findings: what evidence says stays text, and every verdict and value is on it."""

import re
from html import unescape
from html.parser import HTMLParser

import pytest

pytest.importorskip("altair")
pytest.importorskip("vl_convert")
from pybench.findings.account import Account
from pybench.findings.findings_page import render_account
from pybench.findings.verdict import Assumption, ChartPoint, ClaimChart, ClaimCheck, Finding, exactly, judge
from pybench.stats.estimate import Interval

HOSTILE = "</script><img src=x onerror=alert(1)>'\"&<b>"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def finding(number: int, words: str = "W") -> Finding:
    value = Interval(number, number * 0.9, number * 1.1, 9)
    checks = [
        ClaimCheck(key="a", says=f"{words} one", value=value, least=2.0),
        ClaimCheck(key="b", says=words, unknown=words, decides=False, how="simulated"),
    ]
    points = [ChartPoint(series=words, x=x, value=x, low=x / 2, high=2 * x, how="simulated") for x in (1.0, 10.0)]
    points.append(ChartPoint(series="here", x=5.0, value=3.0))
    return Finding(
        number=number,
        title=words,
        said=words,
        refuted_by=words,
        verdict=judge(checks),
        how="measured",
        words=words,
        checks=checks,
        charts=[ClaimChart(title=words, x=words, y=words, unit="ns", points=points, limit=5.0, limit_says=words)],
        notes=[words],
        assumptions=[Assumption(name=words, says=words, low=1, high=2, tried=[(1.0, exactly(1))], least=0.5)],
    )


def page(*findings: Finding, host: str = "a host") -> str:
    return render_account(Account(host=host, findings=list(findings), seconds=61, seed=1))


def test_what_evidence_says_is_text_everywhere() -> None:
    text = page(finding(1, HOSTILE), host=HOSTILE)
    tags = Tags()
    tags.feed(text)
    assert not [tag for tag, _ in tags.seen if tag in ("img", "iframe", "link")]
    assert not [name for _, attributes in tags.seen for name in attributes if name.startswith("on")]
    assert HOSTILE in unescape(text)


def test_a_page_loads_nothing_and_admits_only_its_own_scripts() -> None:
    text = page(finding(3))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert "default-src 'none'" in unescape(policy[1])
    tags = Tags()
    tags.feed(text)
    assert not [a for _, a in tags.seen if "src" in a or str(a.get("href", "#"))[0] != "#"]


def test_verdicts_and_figures_are_all_on_the_page() -> None:
    text = unescape(page(finding(1), finding(2), finding(3)))
    for verdict in ("1</b> reproduced", "1</b> not reproduced", "1</b> cannot tell here"):
        assert verdict in text
    assert "3 times [2.7, 3.3]" in text
    assert "at least 2 times" in text


def test_a_page_without_findings_is_one() -> None:
    assert "No finding was examined" in page()
