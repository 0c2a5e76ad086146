# SPDX-License-Identifier: Apache-2.0
"""Measure container launches, many at once, by each strategy."""

import click

from pybench.cli.options import (
    output_option,
    oversubscribe_option,
    param_option,
    place_option,
    report_option,
    seed_option,
    smt_option,
)
from pybench.workloads.launch import STRATEGIES

CONTAINERS = "1,2,5,10,20,50,100,200"
QUICK_STRATEGIES = ("plain", "binds", "fds", "parent")
QUICK_CONTAINERS = "1,10,100"


@click.command()
@click.option(
    "--quick",
    is_flag=True,
    help=f"Measure {', '.join(QUICK_STRATEGIES)} at {QUICK_CONTAINERS} containers, in a minute.",
)
@click.option(
    "--strategy", metavar="NAME,...", help=f"Assemble roots by these strategies: {', '.join(STRATEGIES)}. [all]"
)
@click.option("--containers", metavar="N,...", help=f"Launch N containers at once. [{CONTAINERS}]")
@click.option("--layers", default="50", metavar="N,...", help="Give the image N layers. [50]")
@click.option(
    "--passes", default="1", metavar="N,...", help="Assemble each root N times; the incident's runtime did 2. [1]"
)
@click.option("--threads", default="max", metavar="LIST", help="Launch from this number of threads. [max]")
@place_option
@smt_option
@click.option(
    "--allow-host-changes", is_flag=True, help="Allow --smt off:kernel. SMT is put back, whatever happens."
)
@click.option("--probers", default="1", metavar="N,...", help="Run N health checks during the storm. [1]")
@click.option(
    "--readers", default="0", metavar="N,...", help="Run N threads that re-read mountinfo at each change. [0]"
)
@param_option
@click.option("--budget", metavar="TIME", help="End the sweep after TIME. [10m; 50s with --quick]")
@seed_option
@oversubscribe_option
@output_option
@report_option
@click.option("--dry-run", is_flag=True, help="Print the cells and the time they take, and measure nothing.")
def command(
    quick: bool,
    strategy: str | None,
    containers: str | None,
    budget: str | None,
    report: bool | None,
    **rest: object,
) -> None:
    """Measure container launches as runtimes do them, many at once, by each strategy.

    Prints, for every strategy and number of containers, the time per container, launch latency from arrival,
    success, mount operations, the length of the mount table, and the latency of health checks during the storm.
    Each root is checked by reading a file of its last layer. Mounts are made in a private mount namespace.

    \b
    pybench launch --quick
    pybench launch --strategy binds,parent --containers 100 --passes 2
    pybench launch --containers 50 --place single-socket,dual-socket --readers 0,1
    """
    from pybench.cli.runs import run_request
    from pybench.plan.request import Request, from_options

    given = {name: str(rest.pop(name)) for name in ("layers", "passes", "probers", "readers")}
    options = {f"param_{name}": value for name, value in given.items()} | rest
    defaults = {
        "param_strategy": (strategy, ",".join(QUICK_STRATEGIES if quick else STRATEGIES)),
        "param_containers": (containers, QUICK_CONTAINERS if quick else CONTAINERS),
        "budget": (budget, "50s" if quick else "10m"),
    }
    options |= {name: default if value is None else value for name, (value, default) in defaults.items()}
    run_request(from_options(Request(), ("launch",), options), report)
