# SPDX-License-Identifier: Apache-2.0
"""Compare this host with and without SMT, and give a verdict."""

from typing import Any

import click

from pybench.cli.options import SectionedCommand
from pybench.cli.sides import compare_sides, sides_options
from pybench.workloads import WORKLOADS


@click.command(cls=SectionedCommand)
@click.argument("workloads", nargs=-1, metavar=f"[{'|'.join(WORKLOADS)}]...")
@click.option("--place", metavar="WORDS", help="CPUs to compare on: socket:0, all, core:0-3. [the first socket]")
@click.option("--kernel", is_flag=True, help="Turn SMT off by the kernel's switch, not leave siblings idle.")
@click.option("--allow-host-changes", is_flag=True, help="Allow --kernel. SMT is put back, whatever happens.")
@sides_options
def command(
    workloads: tuple[str, ...], place: str | None, kernel: bool, allow_host_changes: bool, **options: Any
) -> None:
    """Compare this host with and without SMT, and end in a verdict.

    Two questions, both answered: what the siblings add on the same cores (twice the threads), and what packing
    the same threads on half the cores costs. One thread a core against all siblings, at 1, 2, 4, ... cores of one
    socket, interleaved in one sweep; mount, spin and stat unless told. By placement: siblings are left idle.

    \b
    pybench compare-smt
    pybench compare-smt spin --lock mcs,ticket --place all
    pybench compare-smt --kernel --allow-host-changes

    Exit status 3: no core has siblings, or SMT is off.
    """
    compare_sides("smt", workloads, options, place=place, kernel=kernel, allow_host_changes=allow_host_changes)
