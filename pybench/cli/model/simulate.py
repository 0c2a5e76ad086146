# SPDX-License-Identifier: Apache-2.0
"""pybench simulate: the axes of a sweep on a machine that is not here."""

from pathlib import Path
from typing import Any

import click

from pybench.cli.measure.sweep import SectionedCommand, option_of, place_option
from pybench.workloads import WORKLOADS

MODELLED = ("spin", "launch")


class SimulateCommand(SectionedCommand):
    """A command whose --help has the parameters of the workloads that are modelled."""

    kinds = MODELLED


def _parameter_options(function: Any) -> Any:
    for name in {p.name: p for kind in MODELLED for p in WORKLOADS[kind].parameters}:
        function = click.option(option_of(name), f"param_{name}")(function)
    return function


@click.command(cls=SimulateCommand)
@click.argument("workloads", nargs=-1, metavar=f"[{'|'.join(MODELLED)}]...")
@click.option(
    "--machine",
    "machines",
    multiple=True,
    required=True,
    metavar="NAME|FILE,...",
    help="What to simulate: see `pybench machines`, or a file from `pybench calibrate`. Several: a file each.",
)
@click.option("--threads", metavar="LIST", help="Thread counts: 1,2,4..max or 1..8. [1,2,4..max]")
@place_option
@click.option("--smt", metavar="on,off", help="With SMT siblings, or one a core. [on, and off if there are any]")
@click.option("--param", "params", multiple=True, metavar="NAME=V,...", help="Any parameter as an axis.")
@_parameter_options
@click.option("--draws", type=click.IntRange(1, 100_000), metavar="N", help="Draws of the uncertain inputs. [10]")
@click.option(
    "--sensitivity", is_flag=True, help="Say which uncertain number decides the answer; makes it 40 draws or more."
)
@click.option("--duration", metavar="TIME", help="Simulated time of a trial. [1ms]")
@click.option("--warmup", metavar="TIME", help="Simulated before it, not counted. [100us]")
@click.option("--seed", type=click.IntRange(0, 2**53), default=1, help="Seed of draws and simulation. [1]")
@click.option("--steps", metavar="NAME|FILE", help="launch: machine file with the durations of its steps.")
@click.option("--oversubscribe", is_flag=True, help="Allow more threads than CPUs; they are marked.")
@click.option("--workers", type=click.IntRange(1, 1024), metavar="N", help="Processes. [one a CPU]")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Result file. [results/...jsonl]")
@click.option("--dry-run", is_flag=True, help="Show the cells, and simulate nothing.")
def command(workloads: tuple[str, ...], **options: Any) -> None:
    """Simulate workloads on a MACHINE, over thread counts, placements and parameters.

    The axes are those of `pybench sweep`, and so are the records: show, compare, fit, report, export and query
    take them. They are no measurement, and everything made of them says so. Each trial is one draw of the
    machine's uncertain inputs, so the interval of a figure is what those leave open: the central 95 % of draws.
    The same command gives the same figures to the bit.

    Placements that a machine does not have, and thread counts beyond its CPUs, are left out and named.

    \b
    pybench simulate --machine r5.metal spin --place single-socket,dual-socket
    pybench simulate --machine r5.metal,c6a.metal spin --draws 200 --sensitivity
    pybench simulate --machine m7i.metal-48xl launch --strategy binds,parent
    pybench compare measured.jsonl simulated.jsonl
    """
    from pybench.cli.run_simulate import start

    start(workloads, options)
