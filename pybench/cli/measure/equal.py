# SPDX-License-Identifier: Apache-2.0
"""What compare-smt and compare-sockets share: options, the run, and the verdict."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from pybench.errors import UsageError


def sweep_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a sweep that both verbs have."""
    from pybench.cli.measure.sweep import parameter_options

    path = click.Path(path_type=Path)
    for option in reversed(
        (
            click.option("--param", "params", multiple=True, metavar="NAME=V", help="A parameter of a workload."),
            click.option("--duration", metavar="TIME", help="Length of a trial. [200ms]"),
            click.option("--target", type=click.FloatRange(0.001, 1), help="Wanted interval, as a share. [0.03]"),
            click.option("--min-trials", type=click.IntRange(6), help="Trials a cell at the least. [6]"),
            click.option("--max-trials", type=click.IntRange(6), help="Trials a cell at the most. [30]"),
            click.option("--budget", metavar="TIME", help="Bound on the whole. [3m]"),
            click.option("--seed", type=int, help="Seed of the order of trials. [random, and recorded]"),
            click.option("--output", type=path, metavar="FILE", help="Result file. [results/...jsonl]"),
            click.option("--dry-run", is_flag=True, help="Show the cells, and measure nothing."),
            click.option("--sysroot", type=path, help="With --dry-run: plan for another host's tree."),
        )
    ):
        function = option(function)
    return parameter_options(function)


def run(
    workloads: tuple[str, ...],
    options: Mapping[str, Any],
    sides_of: Callable[[Any], Any],
    *,
    allowed: bool = False,
) -> None:
    """Measure both sides of what `sides_of` makes of the topology, interleaved, and end in the verdict."""
    from pybench.analysis.comparison.equal import compare_equal
    from pybench.cli.run_sweep import run_plan, show_plan
    from pybench.host.topology import read_topology
    from pybench.plan.equal import BUDGET, equal_plan
    from pybench.plan.request import Request, from_options
    from pybench.present.terminal.output import make_console
    from pybench.present.views.comparison import compare_report
    from pybench.present.views.equal import verdict_lines
    from pybench.results.columns import read_columns
    from pybench.results.emulated import NOTE, is_emulated

    request = from_options(Request(budget=BUDGET, allow_host_changes=allowed), workloads, options)
    if request.sysroot and not request.dry_run:
        raise UsageError("--sysroot plans for another host, which cannot be measured here; add --dry-run")
    topology = read_topology(request.sysroot or Path("/"))
    sides = sides_of(topology)
    plan, ones = equal_plan(request, topology, sides)
    if request.dry_run:
        show_plan(plan, topology)
        return
    file = read_columns(run_plan(request, plan, topology, name=f"compare-{sides.kind}"))
    compared = compare_equal(file, sides.kind, ones, sides.factor)
    console = make_console()
    if is_emulated(file.header.host):
        console.print(NOTE, markup=False, style="bold")
    for part in compare_report(compared):
        console.print(part)
    console.print("\nVerdict", style="bold")
    for line in verdict_lines(compared, sides.kind, sides.factor):
        console.print(line, markup=False)
