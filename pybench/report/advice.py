"""Advice on a terminal: what meets the workload, with what margin, and what to change first."""

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pybench.advice import Change, Option, Workload, changes, present
from pybench.analysis.estimate import Interval
from pybench.claims.claim import told
from pybench.report.numbers import count, time_ns

# A gain whose interval holds 1 is none.
LEAST_GAIN = 1.02


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
    if options:
        yield _table(options, wanted)
    for line in left_out:
        yield Text(f"left out: {line}")
    yield Text(_conclusion(options, wanted))
    for now in present(options, strategy):
        yield from _first(changes(options, now), now, wanted)
    if any(one.how == "simulated" for one in options):
        yield Text(
            "Simulated figures are of a model, with ranges over draws of its assumed inputs; it has locks and "
            "cache lines, but nobody who reads the mount table meanwhile. Measure before you rely on them.",
            style="dim",
        )


def _table(options: Sequence[Option], wanted: Workload) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), width=80)
    for name, width in (
        ("host", 15),
        ("strategy", 8),
        ("place", 13),
        ("SMT", 3),
        ("slowest 1 %", 12),
        ("margin", 11),
    ):
        table.add_column(name, width=width, overflow="fold", justify="right" if width in (11, 12) else "left")
    table.add_column("meets it", ratio=1, overflow="fold")
    ordered = sorted(options, key=lambda o: -o.margin(wanted.deadline_ns).value)
    for one in ordered:
        meets = {
            True: Text("yes", style="green"),
            False: Text("no", style="red"),
            None: Text("open", style="yellow"),
        }
        word = meets[one.meets(wanted.deadline_ns)]
        word.append(f", {one.how}", style="not bold")
        table.add_row(
            one.host,
            one.strategy,
            f"{one.place} {one.threads}",
            one.smt,
            time_ns(one.slowest_ns.value),
            _span(one.margin(wanted.deadline_ns)),
            word,
        )
        detail = one.failed or (one.basis if one.basis != "as asked" else "")
        if detail:
            table.add_row("", "", "", "", "", "", Text(detail, style="dim"))
    return table


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
    yield Text(f"\n{where}: {told(now.margin(wanted.deadline_ns), 'x')} within the deadline", style="bold")
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
