# SPDX-License-Identifier: Apache-2.0
"""From a claim to a finding: every look at it, whatever fails told, and the verdict."""

import time

from pybench.errors import MeasurementError, UnsupportedError
from pybench.findings.claim import Check, Claim, Evidence, Finding, fill, judge, where_from
from pybench.findings.lab import Lab


def look(claim: Claim, lab: Lab) -> Finding:
    """Look at a claim in every way there is. What this host cannot do, or what failed, leaves it open."""
    began = time.monotonic()
    evidence: list[Evidence] = []
    for how, one in claim.looks:
        try:
            evidence.append(one(lab))
        except (UnsupportedError, MeasurementError) as error:
            gap = Check(key=f"no_{how}", says=f"there is evidence that is {how}", how=how, unknown=str(error))
            evidence.append(Evidence(checks=[gap]))
    checks = [check for one in evidence for check in one.checks]
    verdict = judge(checks)
    words = fill(claim.sentences[verdict], checks)
    missing = list(dict.fromkeys(check.unknown for check in checks if check.unknown and check.decides))
    if verdict == "cannot tell here" and missing:
        known = [check for check in checks if check.decides and check.holds is not None]
        told = f" Of the rest, {_as_far(known)}" if known else ""
        words = f"Not all of it could be looked at here: {'; '.join(missing)}.{told}"
    elif verdict == "cannot tell here":
        words = f"{words} {_open(checks)}"
    return Finding(
        number=claim.number,
        title=claim.title,
        said=claim.said,
        refuted_by=claim.refuted_by,
        verdict=verdict,
        how=where_from(checks),
        words=words,
        checks=checks,
        charts=[chart for one in evidence for chart in one.charts],
        notes=list(dict.fromkeys(note for one in evidence for note in one.notes)),
        assumptions=[assumption for one in evidence for assumption in one.assumptions],
        seconds=time.monotonic() - began,
    )


def _as_far(known: list[Check]) -> str:
    """What the deciding checks say that could be looked at."""
    held = sum(check.holds is True for check in known)
    how = where_from(known)
    return f"{held} of {len(known)} checks hold ({'measured and simulated' if how == 'both' else how})."


def _open(checks: list[Check]) -> str:
    """Why the deciding checks that are open are."""
    left = [check for check in checks if check.decides and check.holds is None]
    few = [check for check in left if check.value is None or not check.value.known]
    if few:
        return f"{len(few)} of its checks had too few undisturbed trials for an interval: a longer --budget helps."
    return f"The intervals of {len(left)} of its checks reach to both sides of the bound."
