# SPDX-License-Identifier: Apache-2.0
"""Hosts that are not here, by name: those that topologies.py builds, and those that were captured."""

import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pybench.host.topology import Cpu, Topology, read_topology
from pybench.text import format_list
from tests.unit.topologies import MACHINES, SCRATCH, Host, write

DATA = Path(__file__).parents[1] / "data" / "topologies"
CAPTURED = tuple(sorted(path.name.removesuffix(".tar.gz") for path in DATA.glob("*.tar.gz")))
HOSTS = (*MACHINES, *CAPTURED)


@cache
def read(name: str) -> Topology:
    """Return the topology of a host of HOSTS, read from its files once."""
    return read_host(MACHINES[name]()) if name in MACHINES else read_topology(DATA / f"{name}.tar.gz")


def read_host(host: Host) -> Topology:
    """Write a host, read it, and leave nothing behind."""
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        return read_topology(write(Path(folder), host))


def column(topology: Topology, field: str) -> list[Any]:
    """Return one field of every CPU."""
    return [getattr(cpu, field) for cpu in topology.cpus]


def members(groups: Mapping[int, Sequence[Cpu]]) -> list[str]:
    """Return the CPU lists of sockets, cores or L3 domains."""
    return [format_list(cpu.number for cpu in cpus) for cpus in groups.values()]


def lscpu_rows(text: str) -> list[tuple[int | None, ...]]:
    """Return the rows of `lscpu -p`, None for a column it leaves empty."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(int(word) if word.isdigit() else None for word in line.split(",")) for line in lines]
