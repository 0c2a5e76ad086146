# SPDX-License-Identifier: Apache-2.0
"""Measure container launches, many at once, by each strategy."""

import click

from pybench.cli.options import output_option
from pybench.workloads.launch import STRATEGIES

CONTAINERS = "1,2,5,10,20,50,100,200"
QUICK_STRATEGIES = ("plain", "binds", "fds", "parent")
QUICK_CONTAINERS = "1,10,100"


IN_A_MINUTE = f"{', '.join(QUICK_STRATEGIES)} at {QUICK_CONTAINERS} containers, in a minute."
BOTH_PLACES = "Placements. [single-socket, and dual-socket if there are two]"
INCIDENT = "Times each root is assembled; the incident's runtime did 2. [1]"
ANY_OTHER = "Any other parameter of the launch workload."


@click.command()
@click.option("--quick", is_flag=True, help=IN_A_MINUTE)
@click.option("--strategy", metavar="|".join(STRATEGIES) + ",...", help="Ways to assemble a root. [all]")
@click.option("--containers", metavar="N,...", help=f"Containers arriving at once. [{CONTAINERS}]")
@click.option("--layers", default="50", metavar="N,...", help="Layers of the image. [50]")
@click.option("--passes", default="1", metavar="N,...", help=INCIDENT)
@click.option("--threads", default="max", metavar="LIST", help="Threads that launch. [max]")
@click.option("--place", multiple=True, metavar="WORDS,...", help=BOTH_PLACES)
@click.option("--smt", metavar="on,off,off:kernel", help="With SMT siblings, or one a core, or SMT off.")
@click.option(
    "--allow-host-changes", is_flag=True, help="Allow --smt off:kernel. SMT is put back, whatever happens."
)
@click.option("--probers", default="1", metavar="N,...", help="Health checks beside the storm. [1]")
@click.option("--readers", default="0", metavar="N,...", help="Threads that re-read mountinfo at each change. [0]")
@click.option("--param", "params", multiple=True, metavar="NAME=V,...", help=ANY_OTHER)
@click.option("--budget", metavar="TIME", help="Bound on the whole. [10m; 50s with --quick]")
@click.option("--seed", type=int, help="Seed of the order of trials.")
@click.option("--oversubscribe", is_flag=True, help="Allow more threads than CPUs.")
@output_option
@click.option(
    "--report/--no-report",
    default=None,
    help="Make a page of the results, beside them. [yes, but where --output names the file]",
)
@click.option("--dry-run", is_flag=True, help="Show the cells and the time they take, and measure nothing.")
def command(
    quick: bool,
    strategy: str | None,
    containers: str | None,
    budget: str | None,
    place: tuple[str, ...],
    smt: str | None,
    params: tuple[str, ...],
    report: bool | None,
    **rest: object,
) -> None:
    """Launch containers as runtimes do, many at once, and say what it costs.

    Every strategy at every number of containers: time per container, launch latency from arrival, success,
    mount operations, how long the mount table got, and what a health check beside it saw. Each root is checked
    by reading a file of its last layer. Mounts are made in a private mount namespace.

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
    options |= {name: default if told is None else told for name, (told, default) in defaults.items()}
    options |= {"params": params, "places": place, "smt": smt}
    run_request(from_options(Request(), ("launch",), options), report)
