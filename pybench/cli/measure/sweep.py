# SPDX-License-Identifier: Apache-2.0
"""Measure workloads over thread counts, placements and parameters."""

from pathlib import Path
from typing import Any

import click

from pybench.cli.options import (
    SectionedCommand,
    output_option,
    oversubscribe_option,
    param_option,
    parameter_options,
    path,
    place_option,
    report_option,
    seed_option,
    smt_option,
    threads_option,
)
from pybench.errors import UsageError
from pybench.workloads import WORKLOADS


@click.command(cls=SectionedCommand)
@click.argument("workloads", nargs=-1, metavar=f"[{'|'.join(WORKLOADS)}]...")
@threads_option
@place_option
@smt_option
@click.option(
    "--offline",
    multiple=True,
    metavar="CPUS",
    help="Turn these CPUs off: 4-7,12. Repeat it for more sets; `none` is the set without any.",
)
@click.option(
    "--allow-host-changes",
    is_flag=True,
    help="Allow --smt off:kernel and --offline. The host is put back, whatever happens.",
)
@click.option("--crew", metavar="threads,processes", help="Make the crew of threads or of processes. [threads]")
@param_option
@parameter_options()
@click.option("--duration", metavar="TIME", help="Run each trial for TIME. [200ms]")
@click.option("--warmup", metavar="TIME", help="Run for TIME before each trial, without counting. [20ms]")
@click.option(
    "--operations",
    type=click.IntRange(min=1),
    metavar="N",
    help="Stop each thread after N operations, or after --duration.",
)
@click.option(
    "--target",
    type=click.FloatRange(0.001, 1),
    metavar="SHARE",
    help="Repeat a cell until its 95 % interval is within SHARE of its median. [0.03]",
)
@click.option("--min-trials", type=click.IntRange(1), metavar="N", help="Run at least N trials per cell. [6]")
@click.option(
    "--max-trials", type=click.IntRange(1), metavar="N", help="Run at most N valid trials per cell. [30]"
)
@click.option(
    "--max-invalid", type=click.IntRange(1), metavar="N", help="Repeat at most N invalid trials per cell. [20]"
)
@click.option("--budget", metavar="TIME", help="End the sweep after TIME. [none; 45s without arguments]")
@seed_option
@oversubscribe_option
@click.option("--config", type=path, metavar="FILE", help="Read the sweep from a TOML file; options win.")
@output_option
@click.option("--resume", type=path, metavar="FILE", help="Go on with a sweep that was interrupted or killed.")
@report_option
@click.option("--dry-run", is_flag=True, help="Print the cells and the time they take, and measure nothing.")
@click.option("--sysroot", type=path, metavar="DIR|FILE", help="Plan for the host in this tree, with --dry-run.")
def command(
    workloads: tuple[str, ...], config: Path | None, resume: Path | None, report: bool | None, **options: Any
) -> None:
    """Measure workloads over thread counts, placements and parameters.

    Without arguments, measure a representative sweep of this host in under a minute. Every option that takes a
    list is an axis; each combination of axes is a cell. Cells run in a seeded, interleaved order, each repeated
    until the 95 % interval of its median throughput is within the target. Mounts are made in a private mount
    namespace, and every trial is written to a JSON Lines file as it ends.

    \b
    pybench sweep spin --lock ticket,mcs --threads 1..max
    pybench sweep mount stat --children 0,5000 --place single-socket,dual-socket
    pybench sweep spin --smt on,off,off:kernel --allow-host-changes
    pybench sweep --resume results/sweep-....jsonl
    pybench sweep spin --lock list
    """
    from pybench.api.sweep import resume as go_on
    from pybench.cli.runs import SweepBar, name_report, print_measured, run_request
    from pybench.plan.request import Request, from_options, is_given, read_config

    if resume:
        allowed = bool(options.pop("allow_host_changes"))
        if workloads or config or any(map(is_given, options.values())):
            raise UsageError("--resume goes on with the file's own plan; leave out the other options")
        measured = print_measured(lambda: go_on(resume, allow_host_changes=allowed, observer=SweepBar()))
        name_report(measured, report)
        return
    if options["param_lock"] == "list":
        _print_locks()
        return
    request = read_config(config) if config else Request()
    request = from_options(request, workloads, options)
    run_request(request, report)


def _print_locks() -> None:
    from pybench import native
    from pybench.present.terminal.output import show
    from pybench.present.views.locks import lock_table

    show(lock_table(list(native.locks().values())))
