# SPDX-License-Identifier: Apache-2.0
"""Compare this host with and without SMT, and give a verdict."""

from typing import Any

import click

from pybench.cli.options import SectionedCommand
from pybench.cli.sides import compare_sides, sides_options
from pybench.workloads import WORKLOADS


@click.command(cls=SectionedCommand)
@click.argument("workloads", nargs=-1, metavar=f"[{'|'.join(WORKLOADS)}]...")
@click.option("--place", metavar="WORDS", help="Compare on these CPUs: socket:0, all, core:0-3. [socket:0]")
@click.option("--kernel", is_flag=True, help="Turn SMT off by the kernel's switch, not leave siblings idle.")
@click.option("--allow-host-changes", is_flag=True, help="Allow --kernel. SMT is put back, whatever happens.")
@sides_options
def command(
    workloads: tuple[str, ...], place: str | None, kernel: bool, allow_host_changes: bool, **options: Any
) -> None:
    """Compare this host with and without SMT, and give a verdict.

    Answers two questions: what the siblings add on the same cores (twice the threads), and what packing the same
    threads on half the cores costs. Measures one thread per core and all siblings, at 1, 2, 4, ... cores of one
    socket, interleaved in one sweep; by default the workloads mount, spin and stat. Without --kernel, siblings are
    left idle.

    \b
    pybench compare-smt
    pybench compare-smt spin --lock mcs,ticket --place all
    pybench compare-smt --kernel --allow-host-changes

    Exit status 3: no core has siblings, or SMT is off.
    """
    compare_sides("smt", workloads, options, place=place, kernel=kernel, allow_host_changes=allow_host_changes)
