# SPDX-License-Identifier: Apache-2.0
"""Measure how long a cache line takes from CPU to CPU, as a heat map."""

import sys
from pathlib import Path
from typing import Any

import click

from pybench.cli.options import output_option


@click.command()
@click.option(
    "--place",
    metavar="WORDS",
    help="Pair these CPUs (see pybench topology). [all]",
)
@click.option("--method", "methods", metavar="cas,store,lines", help="Pass the line by these methods. [cas,store]")
@click.option(
    "--rounds",
    type=click.IntRange(1),
    metavar="N",
    help="Measure each pair N times. [3 to 7, as fit the budget]",
)
@click.option("--duration", metavar="TIME", help="Measure for TIME. [10ms]")
@click.option(
    "--budget",
    metavar="TIME",
    help="Measure all pairs if that takes TIME at most, else a sample of each class. [1m]",
)
@click.option("--all", "every_pair", is_flag=True, help="Measure all pairs, however long it takes.")
@click.option("--seed", type=int, metavar="N", help="Seed the order and the sample. [random, and recorded]")
@output_option
@click.option(
    "--chart",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also draw the heat map into FILE, .svg or .png.",
)
def command(chart: Path | None, **options: Any) -> None:
    """Measure how long a cache line takes from each CPU to each other one.

    Two pinned threads pass a line back and forth; a transfer is half a round trip. No handoff of a lock between
    these CPUs can be faster. Results are printed as a heat map and by what the CPUs share (a core, an L3 cache, a
    socket), and written to a JSON Lines file.

    \b
    Methods
      cas    both compare-and-swap one word, and wait by trying
      store  both load one word until it is their turn, then store to it
      lines  each stores to a line of its own that the other watches

    \b
    pybench latency
    pybench latency --place dual-socket --method cas --all
    pybench latency --chart heat.svg
    """
    if chart:
        from pybench.api.report import check_chart

        check_chart(chart)
    _measure(chart, **options)


def _measure(
    chart: Path | None, place: str | None, methods: str | None, output: Path | None, **options: Any
) -> None:
    from pybench.api.latency import latency
    from pybench.cli.runs import Bar, print_results
    from pybench.present.views.transfers import plan_words
    from pybench.results.store import new_name
    from pybench.run.loop import Interrupted

    path = output or new_name("latency")
    interrupted = False
    # A trial takes some ms, less than drawing the bar.
    bar = Bar("measuring", lambda header: [plan_words(header.plan)], every_s=0.2)
    try:
        file = latency(
            "all" if place is None else place,
            methods=("cas", "store") if methods is None else methods,
            output=path,
            observer=bar,
            **options,
        )
    except Interrupted as stop:
        file, interrupted = stop.results, True
    if any(trial.valid for trial in file.trials):
        click.echo(err=True)
        print_results(file, chart)
        click.echo(f"kept in {path}", err=True)
    else:
        click.echo(f"interrupted before a pair gave a valid measurement; kept in {path}", err=True)
    if interrupted:
        sys.exit(130)
