# SPDX-License-Identifier: Apache-2.0
"""Read the CPUs of a host and what they share: sockets, dies, NUMA nodes, L3 caches, cores and SMT siblings.

Only text files below `sys` and `proc` are read, so a captured host reads like this one.
"""

import os
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import psutil

from pybench.errors import UsageError
from pybench.host.sysfs import Tree, effective_cpuset
from pybench.text import format_list

CPU_ROOT = "sys/devices/system/cpu"
NODE_ROOT = "sys/devices/system/node"
# The kernel's numbers for "none": -1, also as 16 bits.
NO_ID = {-1, 65535}


class Cpu(msgspec.Struct, frozen=True, kw_only=True):
    """One logical CPU. A property that is unknown, or that an offline CPU does not have, is None.

    `socket`, `die`, `l3` and `core` count from 0 over the whole host, in the order of their lowest CPU; `node` and
    `socket_id` are the kernel's numbers. `smt` is the rank among the core's online siblings. An offline CPU is
    never `allowed`.
    """

    number: int
    socket: int | None = None
    socket_id: int | None = None
    die: int | None = None
    node: int | None = None
    l3: int | None = None
    core: int | None = None
    smt: int | None = None
    core_type: str | None = None
    online: bool = True
    isolated: bool = False
    nohz_full: bool = False
    allowed: bool = True


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One NUMA node. `distances` has the order of `Topology.nodes`; it is empty if unknown."""

    number: int
    cpus: tuple[int, ...]
    memory_bytes: int | None = None
    distances: tuple[int, ...] = ()


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """A host's CPUs and NUMA nodes, both ascending by number.

    `affinity` and `cpuset` are the online CPUs that each of the two allows this process, `memory_nodes` the nodes
    it may take memory from; each is None if the host does not report it. `l3_bytes` is indexed by `Cpu.l3`.
    `missing` lists in sentences what could not be read.
    """

    cpus: tuple[Cpu, ...]
    nodes: tuple[Node, ...] = ()
    smt_control: str | None = None
    memory_bytes: int | None = None
    l3_bytes: tuple[int | None, ...] = ()
    affinity: tuple[int, ...] | None = None
    cpuset: tuple[int, ...] | None = None
    memory_nodes: tuple[int, ...] | None = None
    missing: tuple[str, ...] = ()

    @property
    def online(self) -> tuple[Cpu, ...]:
        """Return the CPUs that are online."""
        return tuple(cpu for cpu in self.cpus if cpu.online)

    @property
    def usable(self) -> tuple[Cpu, ...]:
        """Return the CPUs that threads of this process may be pinned to: online, and in affinity and cpuset."""
        return tuple(cpu for cpu in self.cpus if cpu.online and cpu.allowed)

    @property
    def sockets(self) -> dict[int, tuple[Cpu, ...]]:
        """Return the online CPUs by socket; CPUs of unknown sockets count as on socket 0."""
        return _grouped({cpu: cpu.socket or 0 for cpu in self.online})

    @property
    def cores(self) -> dict[int, tuple[Cpu, ...]]:
        """Return the online CPUs by core."""
        return _grouped({cpu: cpu.core for cpu in self.online if cpu.core is not None})

    @property
    def l3_domains(self) -> dict[int, tuple[Cpu, ...]]:
        """Return the online CPUs of known L3 caches, by L3 cache."""
        return _grouped({cpu: cpu.l3 for cpu in self.online if cpu.l3 is not None})

    @property
    def threads_per_core(self) -> int:
        """Return the largest number of online siblings of a core."""
        return max((len(siblings) for siblings in self.cores.values()), default=1)

    def node(self, number: int) -> Node | None:
        """Return the node of that number, None if there is none."""
        return next((node for node in self.nodes if node.number == number), None)

    def by_number(self) -> dict[int, Cpu]:
        """Return every CPU under its number."""
        return {cpu.number: cpu for cpu in self.cpus}

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and dicts for JSON; `msgspec.convert(plain, Topology)` reverses it."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


def _grouped(keys: Mapping[Cpu, int]) -> dict[int, tuple[Cpu, ...]]:
    groups: dict[int, tuple[Cpu, ...]] = {}
    for cpu, key in keys.items():
        groups[key] = (*groups.get(key, ()), cpu)
    return dict(sorted(groups.items()))


Distance = Literal["same-cpu", "smt", "l3", "socket", "cross-socket"]
DISTANCES: tuple[Distance, ...] = get_args(Distance)
"""From near to far: the CPU itself, a sibling of its core, its L3 domain, its socket, another socket."""


def distance(a: Cpu, b: Cpu) -> Distance:
    """Return the nearest thing that two CPUs share. CPUs of unknown sockets count as on the same socket."""
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
    """Return the distance of each pair, shape (len(cpus), len(cpus)). Raises KeyError for a missing CPU."""
    known = topology.by_number()
    return [[distance(known[a], known[b]) for b in cpus] for a in cpus]


def read_topology(sysroot: Path = Path("/")) -> Topology:
    """Read the topology below `sysroot`: a folder with `sys` and `proc`, or a capture file.

    Raises UsageError if there is no host to read, or a captured file is malformed.
    """
    if sysroot.is_dir():
        return topology_of(Tree(sysroot))
    # Only captures need archives, and every sweep would wait for that to load.
    from pybench.host.capture import open_sysroot

    with open_sysroot(sysroot) as tree:
        return topology_of(tree)


def topology_of(tree: Tree) -> Topology:
    """Read the topology of an open tree. Raises UsageError as `read_topology`."""
    if not tree.is_dir(CPU_ROOT):
        raise UsageError(
            f"no {CPU_ROOT} there", subject=str(tree.shown), fix="name the folder that holds sys and proc"
        )
    numbers, online = _numbers(tree)
    if not online:
        raise UsageError(f"{tree.shown / CPU_ROOT} lists no online CPU")
    missing: list[str] = []
    packages = {n: tree.integer(f"{CPU_ROOT}/cpu{n}/topology/physical_package_id") for n in online}
    sockets = _dense({n: None if raw in NO_ID else raw for n, raw in packages.items()})
    dies = _dense(_die_keys(tree, online, packages))
    cores = _dense(_core_keys(tree, online, packages))
    l3_lowest, l3_sizes = _l3_caches(tree, online)
    l3s = _dense(l3_lowest)
    nodes = _nodes(tree, missing)
    node_of = {n: node.number for node in nodes for n in node.cpus}
    siblings = Counter[int]()
    types = _core_types(tree, online)
    isolated = set(tree.numbers(f"{CPU_ROOT}/isolated") or ())
    tickless = set(tree.numbers(f"{CPU_ROOT}/nohz_full") or ())
    affinity, cpuset = _affinity(tree, online), _within(effective_cpuset(tree), online)
    allowed = set(online).intersection(*(known for known in (affinity, cpuset) if known is not None))
    cpus = []
    for n in numbers:
        core = cores.get(n)
        cpus.append(
            Cpu(
                number=n,
                socket=sockets.get(n),
                socket_id=packages.get(n),
                die=dies.get(n),
                node=node_of.get(n),
                l3=l3s.get(n),
                core=core,
                smt=None if core is None else siblings[core],
                core_type=types.get(n),
                online=n in packages,
                isolated=n in isolated,
                nohz_full=n in tickless,
                allowed=n in allowed,
            )
        )
        if core is not None:
            siblings[core] += 1
    missing[:0] = _unknown(tree, cpus)
    if affinity is None:
        missing.append("no proc/self/status: every online CPU taken as allowed")
    return Topology(
        cpus=tuple(cpus),
        nodes=nodes,
        smt_control=tree.text(f"{CPU_ROOT}/smt/control"),
        memory_bytes=_memory(tree),
        l3_bytes=tuple(l3_sizes.values()),
        affinity=affinity,
        cpuset=cpuset,
        memory_nodes=_memory_nodes(tree, nodes),
        missing=tuple(missing + tree.odd),
    )


def _numbers(tree: Tree) -> tuple[list[int], list[int]]:
    """Return the numbers of all CPUs and of the online ones, ascending."""
    folders = tree.numbered(CPU_ROOT, "cpu")
    listed = tree.numbers(f"{CPU_ROOT}/online")
    if listed is None:
        listed = tuple(n for n in folders if tree.integer(f"{CPU_ROOT}/cpu{n}/online") != 0)
    return sorted({*folders, *listed}), sorted(listed)


def _dense(keys: Mapping[int, Hashable | None]) -> dict[int, int | None]:
    """Number the distinct keys from 0, in the order of their lowest CPUs; None stays None."""
    order: dict[Hashable, int] = {}
    return {n: None if key is None else order.setdefault(key, len(order)) for n, key in sorted(keys.items())}


def _die_keys(tree: Tree, online: list[int], packages: Mapping[int, int | None]) -> dict[int, Hashable | None]:
    dies = {n: tree.integer(f"{CPU_ROOT}/cpu{n}/topology/die_id") for n in online}
    return {n: None if die is None or die in NO_ID else (packages[n], die) for n, die in dies.items()}


def _core_keys(tree: Tree, online: list[int], packages: Mapping[int, int | None]) -> dict[int, Hashable | None]:
    """Identify each core by its lowest sibling, or by socket, die and core_id where siblings are not listed.

    core_id alone repeats on each socket. A CPU that reports neither is a core of its own.
    """
    keys: dict[int, Hashable | None] = {}
    for n in online:
        folder = f"{CPU_ROOT}/cpu{n}/topology"
        siblings = tree.numbers(f"{folder}/core_cpus_list") or tree.numbers(f"{folder}/thread_siblings_list")
        if siblings:
            keys[n] = ("cpu", siblings[0])
            continue
        core_id = tree.integer(f"{folder}/core_id")
        known = core_id is not None and core_id not in NO_ID
        keys[n] = ("id", packages[n], tree.text(f"{folder}/die_id"), core_id) if known else ("cpu", n)
    return keys


def _l3_caches(tree: Tree, online: list[int]) -> tuple[dict[int, int | None], dict[int, int | None]]:
    """Return the lowest CPU that shares each CPU's L3 (None without an L3), and each L3 cache's size in bytes."""
    lowest: dict[int, int | None] = dict.fromkeys(online)
    sizes: dict[int, int | None] = {}
    for n in online:
        # The outermost cache has the highest index.
        for index in reversed(tree.numbered(f"{CPU_ROOT}/cpu{n}/cache", "index")):
            folder = f"{CPU_ROOT}/cpu{n}/cache/index{index}"
            if tree.integer(f"{folder}/level") != 3 or tree.text(f"{folder}/type") == "Instruction":
                continue
            shared = tree.numbers(f"{folder}/shared_cpu_list")
            if shared:
                lowest[n] = shared[0]
                size = tree.text(f"{folder}/size") or ""
                sizes.setdefault(shared[0], _kibibytes(size.replace("K", " kB")))
                break
    return lowest, sizes


def _nodes(tree: Tree, missing: list[str]) -> tuple[Node, ...]:
    numbers = tree.numbered(NODE_ROOT, "node")
    if not numbers:
        missing.append("no node directory: NUMA nodes unknown")
    nodes = []
    for number in numbers:
        folder = f"{NODE_ROOT}/node{number}"
        memory = _kibibytes(tree.field(f"{folder}/meminfo", f"Node {number} MemTotal"))
        if memory is None:
            missing.append(f"no meminfo for node {number}: its memory is unknown")
        distances = _distances(tree, f"{folder}/distance", len(numbers))
        if not distances:
            missing.append(f"no distances for node {number}")
        cpus = tree.numbers(f"{folder}/cpulist") or ()
        nodes.append(Node(number=number, cpus=cpus, memory_bytes=memory, distances=distances))
    return tuple(nodes)


def _distances(tree: Tree, path: str, count: int) -> tuple[int, ...]:
    words = (tree.text(path) or "").split()
    if words and (len(words) != count or not all(word.isdecimal() for word in words)):
        tree.malformed(path, f"{' '.join(words)[:40]!r} is not one distance for each of {count} nodes")
        return ()
    return tuple(int(word) for word in words)


def _kibibytes(text: str | None) -> int | None:
    amount, _, unit = (text or "").partition(" ")
    return int(amount) << 10 if amount.isdecimal() and unit.strip() == "kB" else None


def _memory(tree: Tree) -> int | None:
    if tree.live:
        return int(psutil.virtual_memory().total)
    return _kibibytes(tree.field("proc/meminfo", "MemTotal"))


def _core_types(tree: Tree, online: list[int]) -> dict[int, str]:
    """Return the core type of each CPU of a host that mixes core types; empty for any other host."""
    types: dict[int, str] = {}
    kinds = {"cpu_core": "performance", "cpu_atom": "efficiency", "cpu_lowpower": "low-power"}
    for folder, kind in kinds.items():
        types.update(dict.fromkeys(tree.numbers(f"sys/devices/{folder}/cpus") or (), kind))
    for name in ("core", "atom"):
        for path in sorted(tree.root.glob(f"{CPU_ROOT}/types/*{name}*/cpulist")):
            numbers = tree.numbers(str(path.relative_to(tree.root))) or ()
            types.update(dict.fromkeys(numbers, kinds[f"cpu_{name}"]))
    if types:
        return types if len(set(types.values())) > 1 else {}
    capacities = {n: tree.integer(f"{CPU_ROOT}/cpu{n}/cpu_capacity") for n in online}
    levels = sorted({capacity for capacity in capacities.values() if capacity is not None})
    if len(levels) < 2:
        return {}
    names = {level: f"capacity {level}" for level in levels}
    names |= {levels[0]: "efficiency", levels[-1]: "performance"}
    return {n: names[capacity] for n, capacity in capacities.items() if capacity is not None}


def _within(numbers: tuple[int, ...] | None, online: list[int]) -> tuple[int, ...] | None:
    return None if numbers is None else tuple(sorted(set(numbers).intersection(online)))


def _affinity(tree: Tree, online: list[int]) -> tuple[int, ...] | None:
    if tree.live:
        return _within(tuple(os.sched_getaffinity(0)), online)
    text = tree.field("proc/self/status", "Cpus_allowed_list")
    return None if text is None else _within(tree.as_numbers("proc/self/status", text), online)


def _memory_nodes(tree: Tree, nodes: tuple[Node, ...]) -> tuple[int, ...] | None:
    text = tree.field("proc/self/status", "Mems_allowed_list")
    numbers = None if text is None else tree.as_numbers("proc/self/status", text)
    return _within(numbers, [node.number for node in nodes])


def _unknown(tree: Tree, cpus: list[Cpu]) -> list[str]:
    """Return sentences on what the online CPUs do not report."""
    online = [cpu for cpu in cpus if cpu.online]
    has_topology = any(tree.is_dir(f"{CPU_ROOT}/cpu{cpu.number}/topology") for cpu in online)
    has_cache = any(tree.is_dir(f"{CPU_ROOT}/cpu{cpu.number}/cache") for cpu in online)
    found = []
    if not has_topology:
        found.append("no topology directory: sockets and dies unknown, each CPU taken as a core of its own")
    else:
        no_socket = [cpu.number for cpu in online if cpu.socket is None]
        if no_socket:
            found.append(f"no socket number for CPUs {format_list(no_socket)}: taken as socket 0")
        if all(cpu.die is None for cpu in online):
            found.append("no die numbers: dies unknown")
    no_l3 = [cpu.number for cpu in online if cpu.l3 is None]
    if not has_cache:
        found.append("no cache directory: L3 domains unknown")
    elif len(no_l3) == len(online):
        found.append("no level-3 cache listed: L3 domains unknown")
    elif no_l3:
        found.append(f"no level-3 cache listed for CPUs {format_list(no_l3)}")
    return found
