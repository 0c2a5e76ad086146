# SPDX-License-Identifier: Apache-2.0
"""The account of examined claims: verdicts and evidence, kept as JSON, and as a document for a terminal."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from pybench import __version__
from pybench.api.toolkit.documents import Block, Column, Document, Heading, Paragraph, Span, Table, host_words
from pybench.api.toolkit.hosts import read_facts
from pybench.findings.claim import Claim, examine
from pybench.findings.experiments.host_experiments import Experiments
from pybench.findings.verdict import ClaimCheck, Finding, exactly, quantity

TONES = {"reproduced": "good", "not reproduced": "bad", "cannot tell here": "warn"}
HOW = {
    "measured": "measured here",
    "simulated": "simulated",
    "both": "measured here and simulated",
    "-": "no evidence",
}


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The findings of one run of `pybench reproduce`."""

    host: str
    findings: list[Finding]
    seconds: float
    seed: int
    quick: bool = False
    pybench: str = __version__
    interrupted: bool = False

    @property
    def counts(self) -> Counter[str]:
        """Return the number of findings by verdict."""
        return Counter(finding.verdict for finding in self.findings)

    @property
    def has_evidence(self) -> bool:
        """Return whether any check has a value."""
        return any(check.value for finding in self.findings for check in finding.checks)


def examine_claims(
    claims: Sequence[Claim],
    *,
    budget_s: float,
    seed: int,
    keep: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
    quick: bool = False,
) -> Account:
    """Examine claims in turn, within about `budget_s` seconds for all; Ctrl-C ends with the findings so far.

    `keep` is a folder for the records of every trial; `tell` is called with progress lines.
    """
    experiments = Experiments(budget_s=budget_s, seed=seed, keep=keep, tell=tell, quick=quick)
    began = time.monotonic()
    findings: list[Finding] = []
    interrupted = False
    try:
        for claim in claims:
            finding = examine(claim, experiments)
            findings.append(finding)
            tell(f"finding {finding.number}: {finding.verdict}")
    except KeyboardInterrupt:
        interrupted = True
    return Account(
        host=host_words(read_facts(), len(experiments.topology.online)),
        findings=findings,
        seconds=time.monotonic() - began,
        seed=seed,
        quick=quick,
        interrupted=interrupted,
    )


def verdicts(account: Account, *, details: bool = False) -> Document:
    """Return the verdicts as a document, with every check of each finding if `details`."""
    columns = (Column("number", "number"), Column("finding"), Column("verdict"), Column("evidence"))
    rows = [
        (
            finding.number,
            Span(finding.title, "strong"),
            Span(finding.verdict, TONES[finding.verdict]),  # type: ignore[arg-type]
            HOW[finding.how],
        )
        for finding in account.findings
    ]
    words = {index: (finding.words,) for index, finding in enumerate(account.findings)}
    blocks: list[Block] = [
        Paragraph(account.host),
        Table("verdicts", columns, rows, notes=words, header=False),
        Paragraph(summary_words(account)),
    ]
    for finding in account.findings if details else ():
        blocks += _details(finding)
    return Document(blocks, "Verdicts on the published findings")


def summary_words(account: Account) -> str:
    """Return the counts of verdicts: `7 reproduced, 2 not reproduced, 1 cannot tell here, in 96 s.`"""
    counts = account.counts
    words = ", ".join(f"{counts[verdict]} {verdict}" for verdict in TONES if counts[verdict])
    size = " Storms were a fifth of the published ones." if account.quick else ""
    return f"{words or 'No finding was examined'}, in {account.seconds:.0f} s.{size}"


def _details(finding: Finding) -> Iterator[Block]:
    yield Heading(f"{finding.number}  {finding.title}")
    yield Paragraph(f"Published: {finding.said}", indent=1)
    for check in finding.checks:
        yield Paragraph(f"{holds_word(check):>7}  {check.says}: {value_words(check)}", indent=1)
    for assumption in finding.assumptions:
        yield Paragraph(f"What if: {assumption.words}", indent=1)
    for note in finding.notes:
        yield Paragraph(note, tone="dim", indent=1)
    yield Paragraph(f"It would be refuted by {finding.refuted_by}.", tone="dim", indent=1)


def holds_word(check: ClaimCheck) -> str:
    """Return `holds`, `fails` or `open`, in parentheses if the check does not decide."""
    word = {True: "holds", False: "fails", None: "open"}[check.holds]
    return word if check.decides else f"({word})"


def value_words(check: ClaimCheck) -> str:
    """Return the value of a check and its source, or the reason for having none."""
    if check.unknown or check.value is None:
        return f"not known: {check.unknown or 'no value'}"
    return f"{quantity(check.value, check.unit)}, {HOW[check.how]}"


def bounds_words(check: ClaimCheck) -> str:
    """Return the bounds of a check: `at least 2 times`, `0.7 times to 0.9 times`, `exactly 20,200`."""

    def bound(value: float) -> str:
        return quantity(exactly(value), check.unit)

    if check.least is not None and check.least == check.most:
        return f"exactly {bound(check.least)}"
    if check.least is not None and check.most is not None:
        return f"{bound(check.least)} to {bound(check.most)}"
    if check.least is not None:
        return f"at least {bound(check.least)}"
    return f"at most {bound(check.most)}" if check.most is not None else "-"
