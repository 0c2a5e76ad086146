# SPDX-License-Identifier: Apache-2.0
"""The options, the run and the verdict that compare-smt and compare-sockets share."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import click

from pybench.cli.options import output_option, param_option, parameter_options, path, seed_option


def sides_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a sweep that both verbs have."""
    for option in reversed(
        (
            param_option,
            click.option("--duration", metavar="TIME", help="Run each trial for TIME. [200ms]"),
            click.option(
                "--target",
                type=click.FloatRange(0.001, 1),
                metavar="SHARE",
                help="Repeat a cell until its 95 % interval is within SHARE of its median. [0.03]",
            ),
            click.option(
                "--min-trials", type=click.IntRange(6), metavar="N", help="Run at least N trials per cell. [6]"
            ),
            click.option(
                "--max-trials",
                type=click.IntRange(6),
                metavar="N",
                help="Run at most N trials per cell. [30]",
            ),
            click.option("--budget", metavar="TIME", help="End the sweep after TIME. [3m]"),
            seed_option,
            output_option,
            click.option("--dry-run", is_flag=True, help="Print the cells, and measure nothing."),
            click.option("--sysroot", type=path, metavar="DIR|FILE", help="Plan for the host in this tree."),
        )
    ):
        function = option(function)
    return parameter_options()(function)


def compare_sides(
    kind: Literal["smt", "sockets"],
    workloads: tuple[str, ...],
    options: Mapping[str, Any],
    *,
    place: str | None = None,
    kernel: bool = False,
    allow_host_changes: bool = False,
) -> None:
    """Measure both sides, interleaved, and print their comparison and a verdict; with --dry-run only the plan."""
    from pybench.analysis.comparison.smt_and_sockets import compare_equal
    from pybench.api.compare_sides import SidesPlan
    from pybench.cli.runs import SweepBar, name_report, print_measured, show_plan
    from pybench.plan.request import Request, from_options
    from pybench.plan.sides import BUDGET
    from pybench.present.terminal.output import show
    from pybench.present.views.equal import equal_comparison
    from pybench.results.columns import columns_of
    from pybench.results.store import EMULATED_NOTE, is_emulated

    base = Request(budget=BUDGET, allow_host_changes=allow_host_changes)
    planned = SidesPlan(kind, from_options(base, workloads, options), place=place, kernel=kernel)
    if planned.request.dry_run:
        show_plan(planned.plan, planned.topology)
        return
    results = print_measured(lambda: planned.measure(SweepBar()))
    name_report(results, None)
    file = columns_of(results)
    factor = planned.sides.factor
    compared = compare_equal(file, kind, planned.ones, factor)
    show(equal_comparison(compared, kind, factor, EMULATED_NOTE if is_emulated(file.header.host) else ""))
