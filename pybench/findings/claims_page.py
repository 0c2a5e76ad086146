# SPDX-License-Identifier: Apache-2.0
"""The findings as one self-contained page: the verdicts first, then the evidence of each."""

import datetime
import math

import altair as alt
from markupsafe import Markup

from pybench.findings.claim import Assumption, Chart, Check, Finding, Point, told
from pybench.findings.claims_report import (
    HOW,
    STYLES,
    Account,
    asked_words,
    figure_words,
    holds_word,
    summary_words,
)
from pybench.present.charts import DrawnChart
from pybench.present.charts.parts import (
    COLOURS,
    count_axis,
    data,
    finish,
    rounded,
    series_colour,
    series_shape,
    time_axis,
)
from pybench.present.html.page import page_file, render_page

KINDS = {"reproduced": "yes", "not reproduced": "no", "cannot tell here": "open"}
HEIGHT = 250
METHOD = (
    "Each finding is taken apart into checks: one figure with an interval that must lie above, below or between "
    "bounds which are fixed beforehand. A check holds if its whole interval does, and fails if its whole "
    "interval does not. One that fails makes the finding not reproduced; all must hold to reproduce it; else it "
    "cannot be told here. Checks in grey stand beside and decide nothing.",
    "Measured: real mount operations and locks on this host, trials interleaved in a seeded order, disturbed "
    "ones kept out; medians with distribution-free 95 % intervals. Mounts are made in private mount namespaces.",
    "Simulated: nothing was measured on those machines. A discrete-event model of their CPUs, caches and lock "
    "protocols ran on descriptions in which every number has a published source or is assumed within a range; a "
    "figure's interval is what 95 % of the draws of those inputs give. No description was fitted to a finding.",
    "Where a finding does not come out, what if says which assumed number, varied alone over its range and far "
    "beyond, would give it.",
)


def render_account(account: Account) -> str:
    """The page as one string."""
    views = {
        (finding.number, index): DrawnChart(
            id=f"finding{finding.number}-{index}",
            title=chart.title,
            chart=draw(chart),
            note=_chart_note(chart),
        )
        for finding in account.findings
        for index, chart in enumerate(finding.charts)
    }
    counts = account.counts
    return render_page(
        "claims.html.j2",
        list(views.values()),
        css=Markup(page_file("report.css") + page_file("claims.css")),
        title="Mount storms: the published findings, looked at again",
        host=account.host,
        created=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        summary=summary_words(account),
        counts=[
            {"kind": KINDS[verdict], "count": counts[verdict], "verdict": verdict}
            for verdict in STYLES
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


def _check(check: Check) -> dict[str, object]:
    return {
        "says": check.says,
        "asked": asked_words(check),
        "figure": told(check.value, check.unit) if check.value and not check.unknown else figure_words(check),
        "holds": holds_word(check).strip("()"),
        "kind": {True: "yes-word", False: "no-word", None: "open-word"}[check.holds],
        "how": HOW[check.how],
        "decides": check.decides,
    }


def _assumption(one: Assumption) -> str:
    return f"{one.name}. {one.words}"


def _chart_note(chart: Chart) -> str:
    kinds = {point.how for point in chart.points}
    told_by = {
        "measured": "medians and 95 % intervals",
        "simulated": "simulated: medians and ranges over draws; dashed",
    }
    return "; ".join(told_by[how] for how in ("measured", "simulated") if how in kinds)


def draw(chart: Chart) -> alt.LayerChart:
    """Lines with intervals over what was varied; simulated ones dashed."""
    names = list(dict.fromkeys(point.series for point in chart.points))
    xs = sorted({point.x for point in chart.points})
    axis = time_axis() if chart.unit == "ns" else count_axis()
    kind = "log" if chart.log else "linear"
    x = alt.X(
        "x:Q",
        title=chart.x,
        scale=alt.Scale(type="log" if chart.log else "linear", nice=False),
        axis=alt.Axis(values=xs, format=".2~s", grid=False, labelOverlap="greedy"),
    )
    y = alt.Y("y:Q", title=chart.y, scale=alt.Scale(type="log" if chart.log else "linear"), axis=axis)
    base = alt.Chart(data([_row(point, chart) for point in chart.points])).encode(x=x, color=series_colour(names))
    layers: list[alt.Chart] = []
    for how, dash in (("measured", [1, 0]), ("simulated", [5, 4])):
        if any(point.how == how for point in chart.points):
            line = base.transform_filter(f"datum.how == '{how}'").mark_line(strokeWidth=1.8, strokeDash=dash)
            layers.append(line.encode(y=y, detail="series:N"))
    bars = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.6, opacity=0.8)
    layers.append(bars.encode(y=alt.Y("low:Q", title=chart.y), y2="high:Q"))
    dots = base.mark_point(filled=True, size=55, opacity=1)
    layers.append(dots.encode(y=y, shape=series_shape(names), tooltip=["series:N", "x:Q", "figure:N"]))
    if chart.limit is not None:
        limit = alt.Chart(data([{"y": chart.limit, "says": chart.limit_says, "x": xs[0], "series": names[0]}]))
        layers.append(limit.mark_rule(strokeDash=[2, 3], color=COLOURS[1]).encode(y="y:Q"))
        words = limit.mark_text(align="left", dy=-6, dx=4, color=COLOURS[1], fontSize=12)
        layers.append(words.encode(y="y:Q", x="x:Q", text="says:N"))
    drawn = finish(
        alt.LayerChart(layer=layers),
        f"{chart.title}. {_chart_note(chart)}.",
        series=names,
        axes={"y": kind},
        height=HEIGHT,
    )
    assert isinstance(drawn, alt.LayerChart)
    return drawn


def _row(point: Point, chart: Chart) -> dict[str, object]:
    from pybench.stats.estimate import Interval

    return {
        "series": point.series,
        "how": point.how,
        "x": rounded(point.x),
        "y": rounded(point.value),
        "low": None if math.isnan(point.low) else rounded(point.low),
        "high": None if math.isnan(point.high) else rounded(point.high),
        "figure": told(Interval(point.value, point.low, point.high, 0), chart.unit),
    }
