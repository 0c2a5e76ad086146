# SPDX-License-Identifier: Apache-2.0
"""A published finding as a claim with experiments that test it, and its examination on this host."""

import time
from collections.abc import Callable, Sequence

import msgspec

from pybench import MeasurementError, UnsupportedError
from pybench.findings.experiments.host_experiments import Experiments
from pybench.findings.verdict import ClaimCheck, ClaimEvidence, Finding, How, Verdict, fill, judge, where_from

Examine = Callable[[Experiments], ClaimEvidence]


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A published finding, and the experiments that test it."""

    number: int
    title: str
    said: str
    """The published text, shortened."""
    refuted_by: str
    """The result that would refute it."""
    looks: tuple[tuple[How, Examine], ...]
    """The experiments, measured and simulated."""
    sentences: dict[Verdict, str]
    """The meaning of each verdict in plain words; {key} stands for the number of that check."""


def examine(claim: Claim, experiments: Experiments) -> Finding:
    """Run every experiment on a claim and return its verdict. A failed experiment leaves the verdict open."""
    began = time.monotonic()
    evidence: list[ClaimEvidence] = []
    for how, experiment in claim.looks:
        try:
            evidence.append(experiment(experiments))
        except (UnsupportedError, MeasurementError) as error:
            gap = ClaimCheck(key=f"no_{how}", says=f"there is {how} evidence", how=how, unknown=str(error))
            evidence.append(ClaimEvidence(checks=[gap]))
    checks = [check for one in evidence for check in one.checks]
    verdict = judge(checks)
    return Finding(
        number=claim.number,
        title=claim.title,
        said=claim.said,
        refuted_by=claim.refuted_by,
        verdict=verdict,
        how=where_from(checks),
        words=_sentence(claim, verdict, checks),
        checks=checks,
        charts=[chart for one in evidence for chart in one.charts],
        notes=list(dict.fromkeys(note for one in evidence for note in one.notes)),
        assumptions=[assumption for one in evidence for assumption in one.assumptions],
        seconds=time.monotonic() - began,
    )


def _sentence(claim: Claim, verdict: Verdict, checks: Sequence[ClaimCheck]) -> str:
    words = fill(claim.sentences[verdict], checks)
    if verdict != "cannot tell here":
        return words
    missing = list(dict.fromkeys(check.unknown for check in checks if check.unknown and check.decides))
    if missing:
        known = [check for check in checks if check.decides and check.holds is not None]
        return f"This host cannot examine all of it: {'; '.join(missing)}.{_held(known)}"
    left = [check for check in checks if check.decides and check.holds is None]
    few = [check for check in left if check.value is None or not check.value.known]
    if few:
        return f"{words} Too few valid trials for the interval of {_checks(few)}; give a longer --budget."
    return f"{words} The interval of {_checks(left)} contains the bound."


def _checks(found: Sequence[ClaimCheck]) -> str:
    return "one check" if len(found) == 1 else f"each of {len(found)} checks"


def _held(known: Sequence[ClaimCheck]) -> str:
    if not known:
        return ""
    held = sum(check.holds is True for check in known)
    how = where_from(known)
    return f" {held} of {len(known)} other checks hold ({'measured and simulated' if how == 'both' else how})."
