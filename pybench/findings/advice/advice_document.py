# SPDX-License-Identifier: Apache-2.0
"""The document of advice: which settings meet a demand, with what margin, and what to change first."""

import math
from collections.abc import Iterator, Sequence

from pybench.api.toolkit.documents import (
    Block,
    Column,
    Document,
    Heading,
    Paragraph,
    Span,
    Table,
    count,
    note,
    time_ns,
)
from pybench.api.toolkit.statistics import Interval
from pybench.findings.advice.changes import Change, changes, present_settings
from pybench.findings.advice.options import Demand, Option, few_words
from pybench.findings.verdict import quantity

# A smaller gain is not advised.
LEAST_GAIN = 1.05
MEETS = {True: Span("yes", "good"), False: Span("no", "bad"), None: Span("open", "warn")}
MODEL_NOTE = (
    "Simulated results come from a model, with ranges over draws of its assumed inputs. It has locks and cache "
    "lines, but no readers of the mount table. Measure before you rely on them."
)
LEGEND = (
    "slowest: 99th percentile of the latency of a launch, from its request. margin: the deadline over it, with "
    "its interval; at 2, launches could take twice as long."
)


def advice(options: Sequence[Option], left_out: Sequence[str], demand: Demand, strategy: str) -> Document:
    """Return the settings of each host, the conclusion, and what to change first from `strategy`."""
    passes = f", assembled {demand.passes} times" if demand.passes > 1 else ""
    title = (
        f"{demand.containers} containers at once, {demand.layers} layers{passes}, each launched within "
        f"{time_ns(demand.deadline_ns)}"
    )
    blocks: list[Block] = [Heading(title)]
    for host, how in dict.fromkeys((one.host, one.how) for one in options):
        own = [one for one in options if (one.host, one.how) == (host, how)]
        blocks += [Heading(f"{host}, {how}"), _table(own, demand)]
        blocks += [Paragraph(line, tone="dim", indent=1) for line in _remarks(own)]
    blocks += [Paragraph(f"left out: {line}") for line in left_out]
    blocks.append(Paragraph(_conclusion(options, demand)))
    for now in present_settings(options, strategy):
        blocks += _first(changes(options, now), now, demand)
    if any(one.how == "simulated" for one in options):
        blocks.append(note(MODEL_NOTE))
    if options:
        blocks.append(note(LEGEND))
    return Document(blocks, title)


def _table(options: Sequence[Option], demand: Demand) -> Table:
    # Options that launched nothing have no margin, and come last.
    margins = {id(one): one.margin(demand.deadline_ns).value for one in options}
    ordered = sorted(options, key=lambda one: (math.isnan(margins[id(one)]), -margins[id(one)]))
    columns = (
        Column("strategy"),
        Column("place"),
        Column("SMT"),
        Column("threads", "number"),
        Column("slowest", "time"),
        Column("margin"),
        Column("meets it"),
    )
    rows = [
        (
            one.strategy,
            one.place,
            one.smt,
            one.threads,
            one.slowest_ns.value,
            _range(one.margin(demand.deadline_ns)),
            MEETS[one.meets(demand.deadline_ns)],
        )
        for one in ordered
    ]
    return Table("options", columns, rows)


def _remarks(options: Sequence[Option]) -> list[str]:
    """Return how results were extrapolated, failures, and missing intervals, each once."""
    taken = [f"{one.strategy}, {one.place}: {one.basis}" for one in options if one.basis != "as asked"]
    failed = [f"{one.strategy}, {one.place}: launches failed: {one.failed}" for one in options if one.failed]
    few = [
        f"{one.strategy}, {one.place}: no interval: {few_words(len(one.samples), one.how == 'simulated')}"
        for one in options
        if one.samples and not one.slowest_ns.known
    ]
    return list(dict.fromkeys([*taken, *failed, *few]))


def _range(margin: Interval) -> str:
    if not margin.known:
        return f"{count(margin.value)} ±?"
    return f"{count(margin.low)} to {count(margin.high)}"


def _conclusion(options: Sequence[Option], demand: Demand) -> str:
    if not options:
        return "No result answers for this demand: measure it (pybench launch), or name a --machine."
    verdicts = [one.meets(demand.deadline_ns) for one in options]
    words = f"{verdicts.count(True)} of {len(options)} settings meet it, {verdicts.count(False)} do not"
    left = verdicts.count(None)
    return f"{words}{f', {left} are open' if left else ''}."


def _first(found: Sequence[Change], now: Option, demand: Demand) -> Iterator[Block]:
    """Yield the changes of one host that have a gain, the largest first."""
    sure = [one for one in found if one.gain.value >= LEAST_GAIN and one.gain.known and one.gain.low > 1]
    where = f"{now.host} ({now.how}), now {now.strategy}, {now.place}, SMT {now.smt}, {now.threads} threads"
    yield Heading(f"{where}: margin {quantity(now.margin(demand.deadline_ns), 'count')}")
    if not sure:
        yield Paragraph("No single change among these makes its slowest launches faster.", indent=1)
        return
    meets = {True: "meets it", False: "does not meet it", None: "open whether that meets it"}
    for number, one in enumerate(sure, 1):
        then = meets[one.then.meets(demand.deadline_ns)]
        yield Paragraph(f"{number}. {one.what}: {quantity(one.gain, 'x')} as fast, {one.how}; {then}", indent=1)
    rest = [one for one in found if one not in sure]
    if rest:
        words = ", ".join(f"{one.what} ({quantity(one.gain, 'x')})" for one in rest)
        yield Paragraph(f"Not worth it, or not certain: {words}", tone="dim", indent=1)
