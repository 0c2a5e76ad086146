# SPDX-License-Identifier: Apache-2.0
"""What the verbs that measure share: where results go, what a file says of its run, how far a run got."""

import datetime
import platform
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pybench._version import VERSION
from pybench.host.facts import read_facts
from pybench.host.topology import Topology
from pybench.results.names import command_of

RESULTS = Path("results")


def new_name(what: str, where: str | None = None) -> Path:
    """A name for the result of a run that begins now, on this host unless told."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return RESULTS / f"{what}-{where or platform.node() or 'host'}-{stamp}.jsonl"


def origin(topology: Topology) -> dict[str, Any]:
    """The fields of a file's header that say where it is from: program, time, command and host."""
    return {
        "pybench": VERSION,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command_of(["pybench", *sys.argv[1:]]),
        "host": read_facts(),
        "topology": topology.to_dict(),
    }


def progress_bar(console: Console, *, auto_refresh: bool = False) -> Progress:
    """A bar on a terminal, which moves only when told: Python must not run beside a trial, but may beside a
    simulation (`auto_refresh`)."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        auto_refresh=auto_refresh,
        transient=True,
        disable=not console.is_terminal,
    )
