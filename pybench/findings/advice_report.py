# SPDX-License-Identifier: Apache-2.0
"""Advice on a terminal: what meets the workload, with what margin, and what to change first."""

import math
from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pybench.findings.advice import Change, Option, Workload, changes, few_words, present
from pybench.findings.claim import told
from pybench.present.numbers import count, time_ns
from pybench.stats.estimate import Interval

# Less is no advice.
LEAST_GAIN = 1.05


def advice(
    options: Sequence[Option], left_out: Sequence[str], wanted: Workload, strategy: str
) -> Iterator[RenderableType]:
    """The table, the conclusion, and what to change first on each host."""
    passes = f", assembled {wanted.passes} times" if wanted.passes > 1 else ""
    yield Text(
        f"{wanted.containers} containers at once, {wanted.layers} layers{passes}, each launched within "
        f"{time_ns(wanted.deadline_ns)}",
        style="bold",
    )
    hosts = dict.fromkeys((one.host, one.how) for one in options)
    for host, how in hosts:
        yield Text(f"\n{host}, {how}", style="bold")
        own = [one for one in options if (one.host, one.how) == (host, how)]
        yield _table(own, wanted)
        for line in _bases(own):
            yield Text(f"  {line}", style="dim")
    for line in left_out:
        yield Text(f"left out: {line}")
    yield Text(f"\n{_conclusion(options, wanted)}")
    for now in present(options, strategy):
        yield from _first(changes(options, now), now, wanted)
    if any(one.how == "simulated" for one in options):
        yield Text(
            "Simulated figures are of a model, with ranges over draws of its assumed inputs; it has locks and "
            "cache lines, but nobody who reads the mount table meanwhile. Measure before you rely on them.",
            style="dim",
        )
    if options:
        yield Text(LEGEND, style="dim")


LEGEND = (
    "slowest: 99th percentile of the latency of a launch, from its being wanted. margin: the deadline over it, "
    "with its interval; 2 says that launches could take twice as long."
)
COLUMNS = (
    ("strategy", 8, "left"),
    ("place", 14, "left"),
    ("SMT", 3, "left"),
    ("threads", 7, "right"),
    ("slowest", 8, "right"),
    ("margin", 14, "right"),
    ("meets it", 8, "left"),
)


def _table(options: Sequence[Option], wanted: Workload) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name, width, justify in COLUMNS:
        table.add_column(name, width=width, justify=justify, overflow="fold")  # type: ignore[arg-type]
    # What launched nothing has no margin, and stands last.
    margins = {id(one): one.margin(wanted.deadline_ns).value for one in options}
    for one in sorted(options, key=lambda o: (math.isnan(margins[id(o)]), -margins[id(o)])):
        meets = {
            True: Text("yes", style="green"),
            False: Text("no", style="red"),
            None: Text("open", style="yellow"),
        }
        table.add_row(
            one.strategy,
            one.place,
            one.smt,
            str(one.threads),
            time_ns(one.slowest_ns.value),
            _span(one.margin(wanted.deadline_ns)),
            meets[one.meets(wanted.deadline_ns)],
        )
    return table


def _bases(options: Sequence[Option]) -> list[str]:
    """How figures that are not of the very workload came about, failures, and what has no interval, each once."""
    taken = [f"{one.strategy}, {one.place}: {one.basis}" for one in options if one.basis != "as asked"]
    failed = [f"{one.strategy}, {one.place}: launches failed: {one.failed}" for one in options if one.failed]
    few = [
        f"{one.strategy}, {one.place}: no interval: {few_words(len(one.samples), one.how == 'simulated')}"
        for one in options
        if one.samples and not one.slowest_ns.known
    ]
    return list(dict.fromkeys([*taken, *failed, *few]))


def _span(margin: Interval) -> str:
    if not margin.known:
        return f"{count(margin.value)} ±?"
    return f"{count(margin.low)} to {count(margin.high)}"


def _conclusion(options: Sequence[Option], wanted: Workload) -> str:
    if not options:
        return "Nothing tells of this workload: measure it (pybench launch), or name a --machine."
    verdicts = [one.meets(wanted.deadline_ns) for one in options]
    words = f"{verdicts.count(True)} of {len(options)} settings meet it, {verdicts.count(False)} do not"
    left = verdicts.count(None)
    return f"{words}{f', {left} cannot be told' if left else ''}."


def _first(found: Sequence[Change], now: Option, wanted: Workload) -> Iterator[RenderableType]:
    """The changes of one host that gain something, the greatest first."""
    gaining = [one for one in found if one.gain.value >= LEAST_GAIN]
    sure = [one for one in gaining if one.gain.known and one.gain.low > 1]
    where = f"{now.host} ({now.how}), now {now.strategy}, {now.place}, SMT {now.smt}, {now.threads} threads"
    yield Text(f"\n{where}: margin {told(now.margin(wanted.deadline_ns), 'count')}", style="bold")
    if not sure:
        yield Text("  No single change that is known here makes its slowest launches faster.")
        return
    for number, one in enumerate(sure, 1):
        meets = {True: "meets it", False: "does not meet it", None: "open whether that meets it"}
        yield Text(
            f"  {number}. {one.what}: {told(one.gain, 'x')} as fast, {one.how}; "
            f"{meets[one.then.meets(wanted.deadline_ns)]}"
        )
    rest = [one for one in found if one not in sure]
    if rest:
        no = ", ".join(f"{one.what} ({told(one.gain, 'x')})" for one in rest)
        yield Text(f"  Not worth it, or not sure: {no}", style="dim")
