# SPDX-License-Identifier: Apache-2.0
"""pybench compare-sockets: what the second socket does to contention on this host."""

from typing import Any

import click

from pybench.cli.measure.equal import run, sweep_options
from pybench.cli.measure.sweep import SectionedCommand
from pybench.workloads import WORKLOADS


@click.command(cls=SectionedCommand)
@click.argument("workloads", nargs=-1, metavar=f"[{'|'.join(WORKLOADS)}]...")
@sweep_options
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
    from pybench.plan.equal import socket_sides

    run(workloads, options, socket_sides)
