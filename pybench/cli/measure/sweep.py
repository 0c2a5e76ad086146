# SPDX-License-Identifier: Apache-2.0
"""Measure workloads over thread counts, placements and parameters."""

from pathlib import Path
from typing import Any

import click

from pybench.cli.options import SectionedCommand, output_option, parameter_options, place_option
from pybench.errors import UsageError
from pybench.workloads import WORKLOADS


@click.command(cls=SectionedCommand)
@click.argument("workloads", nargs=-1, metavar=f"[{'|'.join(WORKLOADS)}]...")
@click.option("--threads", metavar="LIST", help="Thread counts: 1,2,4..max or 1..8. [1,2,4..max]")
@place_option
@click.option(
    "--smt",
    metavar="on,off,off:kernel",
    help="With SMT siblings; siblings left idle; or SMT turned off by the kernel's switch. [on, and off if any]",
)
@click.option(
    "--offline",
    multiple=True,
    metavar="CPUS",
    help="Turn these CPUs off: 4-7,12. May be given again; `none` for a set of its own.",
)
@click.option(
    "--allow-host-changes",
    is_flag=True,
    help="Allow --smt off:kernel and --offline. All is put back, whatever happens.",
)
@click.option("--crew", metavar="threads,processes", help="What the members of a crew are. [threads]")
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=V,...",
    help="Any parameter as an axis; mount.NAME for one workload's alone.",
)
@parameter_options()
@click.option("--duration", default=None, metavar="TIME", help="Length of a trial. [200ms]")
@click.option("--warmup", default=None, metavar="TIME", help="Run before each trial, not counted. [20ms]")
@click.option(
    "--operations",
    type=click.IntRange(min=1),
    help="Stop each thread after so many operations (or --duration).",
)
@click.option("--target", type=click.FloatRange(0.001, 1), help="Wanted interval, as a share. [0.03]")
@click.option("--min-trials", type=click.IntRange(1), help="Trials a cell at the least. [6]")
@click.option("--max-trials", type=click.IntRange(1), help="Trials a cell at the most, invalid ones apart. [30]")
@click.option("--max-invalid", type=click.IntRange(1), help="Invalid trials a cell; each is run again. [20]")
@click.option("--budget", metavar="TIME", help="Bound on the whole sweep. [none; 45s without arguments]")
@click.option("--seed", type=int, help="Seed of the order of trials. [random, and recorded]")
@click.option("--oversubscribe", is_flag=True, help="Allow more threads than CPUs; they are marked.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="A sweep from a TOML file.")
@output_option
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Go on with a sweep that was interrupted or killed.",
)
@click.option(
    "--report/--no-report",
    default=None,
    help="Make a page of the results, beside them. [yes, but where --output names the file]",
)
@click.option("--dry-run", is_flag=True, help="Show the cells and the time they take, and measure nothing.")
@click.option("--sysroot", type=click.Path(path_type=Path), help="With --dry-run: plan for another host's tree.")
def command(
    workloads: tuple[str, ...], config: Path | None, resume: Path | None, report: bool | None, **options: Any
) -> None:
    """Measure workloads over thread counts, placements and parameters.

    Without arguments: a representative sweep of this host in under a minute. Every option that takes a list is
    an axis; all combinations are measured, in a seeded, interleaved order, each repeated until the 95 %
    interval of its median throughput is within the target. Mounts are made in a private mount namespace, and
    every trial is kept in a JSON Lines file as it ends.

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
