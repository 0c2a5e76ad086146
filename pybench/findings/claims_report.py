# SPDX-License-Identifier: Apache-2.0
"""Verdicts on a terminal: a table of the findings, and under --details every check with its figure."""

from collections import Counter
from collections.abc import Iterator

import msgspec
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pybench._version import VERSION
from pybench.findings.claim import Check, Finding, told

STYLES = {"reproduced": "green", "not reproduced": "red", "cannot tell here": "yellow"}
HOW = {
    "measured": "measured here",
    "simulated": "simulated",
    "both": "measured here and simulated",
    "-": "no evidence",
}
WIDTH = 80


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What `pybench reproduce` found: all that it prints, keeps and shows on a page."""

    host: str
    findings: list[Finding]
    seconds: float
    seed: int
    quick: bool = False
    pybench: str = VERSION

    @property
    def counts(self) -> Counter[str]:
        """Verdict -> findings."""
        return Counter(finding.verdict for finding in self.findings)


def verdict_table(account: Account) -> RenderableType:
    """The findings with their verdicts, and the sum of it."""
    table = Table(box=None, padding=(0, 1, 0, 0), width=WIDTH, show_header=False)
    table.add_column(justify="right", width=2)
    table.add_column(ratio=1, overflow="fold")
    table.add_column(width=17)
    for finding in account.findings:
        verdict = Text(finding.verdict, style=STYLES[finding.verdict])
        verdict.append(f"\n{HOW[finding.how]}", style="dim")
        what = Text(finding.title, style="bold")
        what.append(f"\n{finding.words}", style="not bold")
        table.add_row(str(finding.number), what, verdict)
        table.add_row()
    return Group(table, Text(summary_words(account)))


def summary_words(account: Account) -> str:
    """`7 reproduced, 2 not reproduced, 1 cannot tell here, in 96 s.`"""
    counts = account.counts
    words = ", ".join(f"{counts[verdict]} {verdict}" for verdict in STYLES if counts[verdict])
    size = " Storms were a fifth of the published ones." if account.quick else ""
    return f"{words or 'Nothing was looked at'}, in {account.seconds:.0f} s.{size}"


def finding_details(finding: Finding) -> RenderableType:
    """Every check, note and assumption of a finding."""
    title = Text(f"{finding.number}  {finding.title}", style="bold")
    return Group(Text(""), title, Padding(Group(*_details(finding)), (0, 0, 0, 3)))


def _details(finding: Finding) -> Iterator[RenderableType]:
    yield Text(f"Published: {finding.said}")
    for check in finding.checks:
        yield Text(f"{holds_word(check):>7}  {check.says}: {figure_words(check)}")
    for assumption in finding.assumptions:
        yield Text(f"What if: {assumption.words}")
    for note in finding.notes:
        yield Text(note, style="dim")
    yield Text(f"It would be refuted by {finding.refuted_by}.", style="dim")


def holds_word(check: Check) -> str:
    """`holds`, `fails`, `open`; in brackets if it does not decide."""
    word = {True: "holds", False: "fails", None: "open"}[check.holds]
    return word if check.decides else f"({word})"


def figure_words(check: Check) -> str:
    """The figure and where it is from, or why there is none."""
    if check.unknown or check.value is None:
        return f"not known: {check.unknown or 'no figure'}"
    return f"{told(check.value, check.unit)}, {HOW[check.how]}"


def asked_words(check: Check) -> str:
    """What a check asks: `at least 2 times`, `0.7 to 0.9 times`, `exactly 20,200`."""

    def bound(value: float) -> str:
        from pybench.findings.claim import exactly

        return told(exactly(value), check.unit)

    if check.least is not None and check.least == check.most:
        return f"exactly {bound(check.least)}"
    if check.least is not None and check.most is not None:
        return f"{bound(check.least)} to {bound(check.most)}"
    if check.least is not None:
        return f"at least {bound(check.least)}"
    return f"at most {bound(check.most)}" if check.most is not None else "-"
