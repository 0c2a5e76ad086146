# SPDX-License-Identifier: Apache-2.0
"""One self-contained page of the findings: the verdicts first, then the evidence for each."""

import datetime

from markupsafe import Markup

from pybench.api.toolkit.pages import DrawnChart, IntervalPoint, interval_chart, page_file, render_page
from pybench.api.toolkit.statistics import Interval
from pybench.findings.account import HOW, TONES, Account, bounds_words, holds_word, summary_words, value_words
from pybench.findings.verdict import Assumption, ClaimChart, ClaimCheck, Finding, quantity

KINDS = {"reproduced": "yes", "not reproduced": "no", "cannot tell here": "open"}
METHOD = (
    "Each finding is taken apart into checks. A check is one number with an interval, and bounds that were fixed "
    "beforehand. It holds if its whole interval is within the bounds, and fails if its whole interval is "
    "outside. One failed check makes the finding not reproduced, all must hold to reproduce it, anything else "
    "leaves it open. Checks in grey are shown but do not decide.",
    "Measured: real mount operations and locks on this host, in trials interleaved in a seeded order, without "
    "invalid trials; medians with distribution-free 95 % intervals. Mounts are made in private mount namespaces.",
    "Simulated: nothing was measured on those machines. A discrete-event model of their CPUs, caches and lock "
    "protocols ran on descriptions in which every number has a published source or is assumed within a range. An "
    "interval covers 95 % of the draws of the inputs. No description was fitted to a finding.",
    "What if: an assumed number is varied alone over its range and far beyond, to see which values would "
    "reproduce the finding.",
)


def render_account(account: Account) -> str:
    """Return the page as one string."""
    views = {
        (finding.number, index): _drawn(chart, f"finding{finding.number}-{index}")
        for finding in account.findings
        for index, chart in enumerate(finding.charts)
    }
    counts = account.counts
    return render_page(
        "claims.html.j2",
        list(views.values()),
        css=Markup(page_file("report.css") + page_file("claims.css")),
        title="Mount storms: the published findings, examined again",
        host=account.host,
        created=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        summary=summary_words(account),
        counts=[
            {"kind": KINDS[verdict], "count": counts[verdict], "verdict": verdict}
            for verdict in TONES
            if counts[verdict]
        ],
        findings=[
            _finding(finding, [views[key].id for key in views if key[0] == finding.number])
            for finding in account.findings
        ],
        method=METHOD,
        seed=account.seed,
    )


def _finding(finding: Finding, charts: list[str]) -> dict[str, object]:
    return {
        "number": finding.number,
        "title": finding.title,
        "said": finding.said,
        "verdict": finding.verdict,
        "kind": KINDS[finding.verdict],
        "how": HOW[finding.how],
        "words": finding.words,
        "checks": [_check(check) for check in finding.checks],
        "charts": charts,
        "assumptions": [_assumption(one) for one in finding.assumptions],
        "notes": finding.notes,
        "refuted_by": finding.refuted_by,
    }


def _check(check: ClaimCheck) -> dict[str, object]:
    return {
        "says": check.says,
        "asked": bounds_words(check),
        "figure": quantity(check.value, check.unit) if check.value and not check.unknown else value_words(check),
        "holds": holds_word(check).strip("()"),
        "kind": {True: "yes-word", False: "no-word", None: "open-word"}[check.holds],
        "how": HOW[check.how],
        "decides": check.decides,
    }


def _assumption(one: Assumption) -> str:
    return f"{one.name}. {one.words}"


def _chart_note(chart: ClaimChart) -> str:
    kinds = {point.how for point in chart.points}
    legends = {
        "measured": "medians and 95 % intervals",
        "simulated": "simulated: medians and ranges over draws; dashed",
    }
    return "; ".join(legends[how] for how in ("measured", "simulated") if how in kinds)


def _drawn(chart: ClaimChart, name: str) -> DrawnChart:
    """Return a claim's chart: medians with intervals over the varied quantity, simulated lines dashed."""
    note = _chart_note(chart)
    points = [
        IntervalPoint(
            point.series,
            point.x,
            point.value,
            point.low,
            point.high,
            quantity(Interval(point.value, point.low, point.high, 0), chart.unit),
            dashed=point.how == "simulated",
        )
        for point in chart.points
    ]
    made = interval_chart(
        points,
        x=chart.x,
        y=chart.y,
        description=f"{chart.title}. {note}.",
        time=chart.unit == "ns",
        log=chart.log,
        limit=chart.limit,
        limit_says=chart.limit_says,
    )
    return DrawnChart(id=name, title=chart.title, chart=made, note=note)
