# SPDX-License-Identifier: Apache-2.0
"""pybench latency: how long a cache line takes from CPU to CPU."""

from pathlib import Path
from typing import Any

import click

from pybench.errors import UsageError


@click.command()
@click.option(
    "--place",
    metavar="WORDS",
    help="The CPUs to pair, as `pybench topology --place` takes them. [all]",
)
@click.option("--method", "methods", metavar="cas,store,lines", help="How the line is passed. [cas,store]")
@click.option(
    "--rounds",
    type=click.IntRange(1),
    metavar="N",
    help="Measurements of each pair. [3 to 7, as fit the budget]",
)
@click.option("--duration", metavar="TIME", help="Length of a measurement. [10ms]")
@click.option(
    "--budget",
    metavar="TIME",
    help="Measure all pairs if they fit, else as many of each class as do. [1m]",
)
@click.option("--all", "every_pair", is_flag=True, help="Measure all pairs, however long it takes.")
@click.option("--seed", type=int, metavar="N", help="Seed of order and sample. [random, and recorded]")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="[results/latency-....jsonl]")
@click.option(
    "--chart",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw the heat map into FILE, .svg or .png, as well.",
)
@click.option(
    "--show",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Print (and --chart) what such a FILE holds, and measure nothing.",
)
def command(chart: Path | None, show: Path | None, **options: Any) -> None:
    """Measure how long a cache line takes from each CPU to each other one.

    Two pinned threads pass a line back and forth; a transfer is half a round trip. It is the least that handing
    over a lock can take between these CPUs. Shown as a heat map and by what the CPUs share: a core, an L3 cache,
    a socket; and kept in a JSON Lines file.

    \b
    Methods
      cas    both compare-and-swap one word, and wait by trying
      store  both load one word until it is their turn, then store to it
      lines  each stores to a line of its own that the other watches

    \b
    pybench latency
    pybench latency --place dual-socket --method cas --all
    pybench latency --show results/latency-....jsonl --chart heat.svg
    """
    from pybench.cli.run_latency import measure, show_file
    from pybench.present.transfer_chart import check_chart

    if chart:
        check_chart(chart)
    if show:
        given = [name for name, value in options.items() if value not in (None, False)]
        if given:
            raise UsageError("--show measures nothing; leave out the other options but --chart")
        show_file(show, chart)
        return
    measure(chart=chart, **options)
