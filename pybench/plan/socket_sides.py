# SPDX-License-Identifier: Apache-2.0
"""The sides of `pybench compare-sockets`: one socket, and two."""

from collections import Counter

from pybench.errors import UnsupportedError
from pybench.host.topology import Topology
from pybench.placement import place
from pybench.plan.sides import SIMULATE, Sides, core_counts


def socket_sides(topology: Topology) -> Sides:
    """Compare one socket with two, a thread per core. Raises UnsupportedError on a host with one usable socket."""
    try:
        both = place(topology, "dual-socket", "off").cpus
    except UnsupportedError as error:
        raise UnsupportedError("nothing to compare", reason=error.reason, fix=SIMULATE) from None
    known = topology.by_number()
    a_socket = Counter(known[cpu].socket or 0 for cpu in both)
    return Sides(
        kind="sockets",
        # Spread over nodes and L3 domains alike, so that the second socket is all that differs.
        one=(f"socket:{min(a_socket)} scatter", "off"),
        more=("dual-socket", "off"),
        factor=2,
        counts=core_counts(min(a_socket.values())),
    )
