# SPDX-License-Identifier: Apache-2.0
"""What `pybench latency` does once its options are read: plan, measure, keep, show."""

import random
import sys
import time
from pathlib import Path

import click

from pybench.cli.runs import new_name, origin, progress_bar
from pybench.errors import MeasurementError, UsageError
from pybench.host.switches.journal import undisturbed
from pybench.host.topology import Topology, read_topology
from pybench.placement import parse_placements, place
from pybench.plan.lists import duration_ns
from pybench.present.terminal.output import make_console
from pybench.present.transfer_chart import write_chart
from pybench.present.views.transfers import plan_words, transfer_report
from pybench.results.emulated import NOTE, is_emulated
from pybench.results.records import End
from pybench.results.store import Writer
from pybench.results.transfer_figures import why_invalid
from pybench.results.transfers import TransferFile, TransferHeader, TransferPlan, read_transfers
from pybench.run.transfers import BUDGET_NS, DURATION_NS, TransferRun, plan_transfers

WIDTH = 80


def show_file(path: Path, chart: Path | None) -> None:
    """Print what a latency file holds, and draw it."""
    _show(read_transfers(path), chart)


def _show(file: TransferFile, chart: Path | None) -> None:
    console = make_console()
    if is_emulated(file.header.host):
        console.print(NOTE, markup=False, style="bold")
    for part in transfer_report(file, min(console.width, WIDTH)):
        console.print(part, width=min(console.width, WIDTH))
    if chart:
        write_chart(file, chart)
        click.echo(f"drawn in {chart}", err=True)


def measure(
    *,
    place: str | None,
    methods: str | None,
    rounds: int | None,
    duration: str | None,
    budget: str | None,
    every_pair: bool,
    seed: int | None,
    output: Path | None,
    chart: Path | None,
) -> None:
    """Plan, run into a new file, show it."""
    if every_pair and budget:
        raise UsageError("--all measures however long it takes, --budget does not; keep one of the two")
    topology = read_topology()
    plan = _plan(topology, place or "all", methods, rounds, duration, budget, every_pair, seed)
    header = TransferHeader(**origin(topology), plan=plan)
    path = output or new_name("latency")
    with undisturbed(), Writer(path, resumable=False) as writer:
        writer.write(header)
        click.echo(plan_words(plan), err=True)
        interrupted = _run(TransferRun(plan, topology), writer)
    file = read_transfers(path)
    if interrupted and not any(trial.valid for trial in file.trials):
        click.echo(f"interrupted before a pair gave a valid measurement; kept in {path}", err=True)
        sys.exit(130)
    if file.trials and not any(trial.valid for trial in file.trials):
        raise MeasurementError(f"no pair gave a valid measurement: {why_invalid(file.trials)} (kept in {path})")
    click.echo(err=True)
    _show(file, chart)
    click.echo(f"kept in {path}", err=True)
    if interrupted:
        sys.exit(130)


def _plan(
    topology: Topology,
    words: str,
    methods: str | None,
    rounds: int | None,
    duration: str | None,
    budget: str | None,
    every_pair: bool,
    seed: int | None,
) -> TransferPlan:
    texts = parse_placements(words)
    if len(texts) != 1:
        raise UsageError(f"--place {words!r} is {len(texts)} placements; a matrix is of one")
    placement = place(topology, texts[0])
    return plan_transfers(
        topology,
        placement.cpus,
        place=placement.text,
        methods=[word.strip() for word in methods.split(",")] if methods is not None else ("cas", "store"),
        rounds=rounds,
        duration_ns=duration_ns(duration) if duration else DURATION_NS,
        budget_ns=duration_ns(budget) if budget else BUDGET_NS,
        every_pair=every_pair,
        seed=random.SystemRandom().randrange(2**32) if seed is None else seed,
    )


def _run(run: TransferRun, writer: Writer) -> bool:
    """Keep every trial as it ends; a bar on a terminal, drawn between trials only. True if it was interrupted."""
    bar = progress_bar(make_console(stderr=True))
    task = bar.add_task("measuring", total=1.0)
    began, shown, interrupted = time.monotonic(), 0.0, False
    try:
        with bar:
            for trial in run.trials():
                writer.write(trial)
                if time.monotonic() - shown > 0.2:
                    bar.update(task, completed=run.progress())
                    bar.refresh()
                    shown = time.monotonic()
    except KeyboardInterrupt:
        interrupted = True
    seconds = round(time.monotonic() - began, 3)
    writer.write(End(reason="interrupted" if interrupted else "limit", seconds=seconds))
    return interrupted
