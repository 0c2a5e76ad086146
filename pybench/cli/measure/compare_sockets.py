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
    """Compare one socket of this host with two, and end in a verdict.

    Two questions, both answered: what spreading the same threads over two sockets does, and what the second
    socket adds with as many threads again. One thread a core, so that SMT is left out of it, at 1, 2, 4, ...
    threads a socket, interleaved in one sweep; mount, spin and stat unless told.

    \b
    pybench compare-sockets
    pybench compare-sockets spin --lock mcs,cohort --hold-ns 0,200

    Exit status 3: this host has one socket.
    """
    compare_sides("sockets", workloads, options)
