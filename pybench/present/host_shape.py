# SPDX-License-Identifier: Apache-2.0
"""A host's shape in words, for every output."""

from collections import Counter

from pybench.host.topology import Topology
from pybench.text import plural


def title(topology: Topology) -> str:
    """Return a host in one line: CPUs, sockets x cores x threads, NUMA nodes, memory."""
    absent = len(topology.cpus) - len(topology.online)
    barred = len(topology.online) - len(topology.usable)
    notes = [f"{n} {what}" for n, what in ((absent, "offline"), (barred, "not allowed")) if n]
    line = plural(len(topology.cpus), "CPU") + (f" ({', '.join(notes)})" if notes else "")
    more = [_shape(topology)]
    if topology.nodes:
        more.append(plural(len(topology.nodes), "NUMA node"))
    if topology.memory_bytes:
        more.append(size(topology.memory_bytes))
    return f"{line}: {', '.join(more)}"


def _shape(topology: Topology) -> str:
    sockets, cores = topology.sockets, topology.cores
    threads = {len(core) for core in cores.values()}
    each = {len({cpu.core for cpu in cpus}) for cpus in sockets.values()}
    types = Counter(core[0].core_type for core in cores.values() if core[0].core_type)
    where = plural(len(sockets), "socket") if topology.sockets_known else "sockets unknown"
    if len(each) == 1 and len(threads) == 1 and not types:
        per_socket, per_core = each.pop(), threads.pop()
        shape = [where, plural(per_socket, "core"), plural(per_core, "thread")]
        return " x ".join(shape) if topology.sockets_known else f"{where}, {' x '.join(shape[1:])}"
    kinds = f" ({', '.join(f'{n} {kind}' for kind, n in types.items())})" if types else ""
    low, high = min(threads), max(threads)
    span = plural(low, "thread") if low == high else f"{low}-{high} threads"
    return f"{where}, {plural(len(cores), 'core')}{kinds}, {span} per core"


def size(count: int) -> str:
    """Return bytes in binary units, with one decimal below 10: `384 GiB`, `4.1 GiB`, `32 MiB`."""
    amount, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.1f} {unit}" if amount < 10 and amount != int(amount) else f"{amount:.0f} {unit}"
