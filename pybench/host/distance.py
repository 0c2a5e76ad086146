# SPDX-License-Identifier: Apache-2.0
"""How far apart two CPUs are, by what they share: the classes that handoffs and line transfers are told by."""

from collections.abc import Sequence
from typing import Literal, get_args

from pybench.host.topology import Cpu, Topology

Distance = Literal["same-cpu", "smt", "l3", "socket", "cross-socket"]
DISTANCES: tuple[Distance, ...] = get_args(Distance)
"""From near to far: the CPU itself, a sibling of its core, its L3 domain, its socket, another socket."""


def distance(a: Cpu, b: Cpu) -> Distance:
    """The nearest thing that both share. CPUs whose sockets are unknown count as of one socket."""
    if a.number == b.number:
        return "same-cpu"
    if a.core is not None and a.core == b.core:
        return "smt"
    if a.l3 is not None and a.l3 == b.l3:
        return "l3"
    if a.socket is None or b.socket is None or a.socket == b.socket:
        return "socket"
    return "cross-socket"


def distances(topology: Topology, cpus: Sequence[int]) -> list[list[Distance]]:
    """Shape (len(cpus), len(cpus)): the distance of each pair. KeyError for a CPU that the host has not."""
    known = topology.by_number()
    return [[distance(known[a], known[b]) for b in cpus] for a in cpus]
