# SPDX-License-Identifier: Apache-2.0
"""Compare one socket of this host with two, and give a verdict."""

from typing import Any

import click

from pybench.cli.options import SectionedCommand
from pybench.cli.sides import compare_sides, sides_options
from pybench.workloads import WORKLOADS


@click.command(cls=SectionedCommand)
@click.argument("workloads", nargs=-1, metavar=f"[{'|'.join(WORKLOADS)}]...")
@sides_options
def command(workloads: tuple[str, ...], **options: Any) -> None:
    """Compare one socket of this host with two, and give a verdict.

    Answers two questions: what spreading the same threads over two sockets does, and what the second socket adds
    with twice the threads. Measures one thread per core, which excludes SMT, at 1, 2, 4, ... threads per socket,
    interleaved in one sweep; by default the workloads mount, spin and stat.

    \b
    pybench compare-sockets
    pybench compare-sockets spin --lock mcs,cohort --hold-ns 0,200

    Exit status 3: this host has one socket.
    """
    compare_sides("sockets", workloads, options)
