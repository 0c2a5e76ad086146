# SPDX-License-Identifier: Apache-2.0
"""Builders of other hosts: the `sys` and `proc` files a kernel would show, from a short description.

Server shapes whose numbering is not obvious follow what `lscpu -p` prints on such machines.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pybench.text import format_list

# A host is thousands of tiny files: memory holds them sooner than a disk.
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None


@dataclass(frozen=True)
class One:
    """One CPU as the firmware describes it; `core` tells cores apart over the whole host."""

    number: int
    core: int
    package: int = 0
    core_id: int = 0
    die: int | None = 0
    node: int | None = 0
    l3: int | None = 0
    online: bool = True
    capacity: int | None = None


@dataclass(frozen=True)
class Host:
    """A host to write below a root; None for a file or folder that kernel does not have."""

    cpus: Sequence[One]
    memory_gib: Mapping[int, int] | None = None  # by node; None: no node folder at all
    distances: Sequence[Sequence[int]] | None = None  # default: 10 at home, 21 elsewhere
    l3_size: str = "36608K"
    cache: bool = True
    topology: bool = True
    sibling_lists: str | None = "core_cpus_list"  # "thread_siblings_list" before Linux 5.3
    smt_control: str | None = "on"
    isolated: str | None = ""
    nohz_full: str | None = "(null)"
    affinity: str | None = None  # default: every possible CPU, as the kernel prints it
    memory_nodes: str | None = None
    files: Mapping[str, str] | None = None  # more files, or other text for some


def grid(
    sockets: int,
    cores: int,
    threads: int,
    *,
    numbering: str = "server",
    nodes_per_socket: int = 1,
    cores_per_l3: int | None = None,
) -> list[One]:
    """Describe equal sockets of `cores` cores.

    `server`: first threads of socket 0, of socket 1, ..., then the second threads; `interleaved`: first
    threads alternate between sockets; `adjacent`: siblings are neighbours.
    """
    all_cores = sockets * cores
    per_l3, per_node = cores_per_l3 or cores, cores // nodes_per_socket

    def number(socket: int, core: int, thread: int) -> int:
        if numbering == "adjacent":
            return (socket * cores + core) * threads + thread
        first = core * sockets + socket if numbering == "interleaved" else socket * cores + core
        return thread * all_cores + first

    cpus = [
        One(
            number=number(socket, core, thread),
            core=socket * cores + core,
            package=socket,
            core_id=core,
            node=socket * nodes_per_socket + core // per_node,
            l3=socket * (cores // per_l3) + core // per_l3,
        )
        for socket in range(sockets)
        for core in range(cores)
        for thread in range(threads)
    ]
    return sorted(cpus, key=lambda cpu: cpu.number)


def even_memory(cpus: Iterable[One], gib: int) -> dict[int, int]:
    """Give every node of the CPUs `gib` GiB."""
    return dict.fromkeys(sorted({cpu.node for cpu in cpus if cpu.node is not None}), gib)


def write(root: Path, host: Host) -> Path:
    """Write the host's files below `root`, and return it."""
    files = {f"sys/devices/system/cpu/{name}": text for name, text in _cpu_files(host).items()}
    if host.memory_gib is not None:
        files |= {f"sys/devices/system/node/{name}": text for name, text in _node_files(host).items()}
        total = sum(host.memory_gib.values())
        files["proc/meminfo"] = f"MemTotal:       {total << 20} kB\nMemFree:        1024 kB"
    possible = format_list(sorted(cpu.number for cpu in host.cpus))
    nodes = host.memory_nodes or format_list(sorted(host.memory_gib or {0: 0}))
    files["proc/self/status"] = (
        "Name:\tpython\nCpus_allowed:\tffff\n"
        f"Cpus_allowed_list:\t{host.affinity or possible}\nMems_allowed_list:\t{nodes}"
    )
    files |= host.files or {}
    for folder in {(root / name).parent for name in files}:
        folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / name).write_text(f"{text}\n")
    return root


def _cpu_files(host: Host) -> dict[str, str]:
    online = [cpu for cpu in host.cpus if cpu.online]
    files = {
        "online": _list(online),
        "offline": _list(cpu for cpu in host.cpus if not cpu.online),
        "present": _list(host.cpus),
        "possible": _list(host.cpus),
        "kernel_max": "8191",
    }
    optional = {"smt/control": host.smt_control, "isolated": host.isolated, "nohz_full": host.nohz_full}
    files |= {name: text for name, text in optional.items() if text is not None}
    for cpu in host.cpus:
        here = f"cpu{cpu.number}"
        files[f"{here}/online"] = str(int(cpu.online))
        if not cpu.online:
            continue
        if cpu.capacity is not None:
            files[f"{here}/cpu_capacity"] = str(cpu.capacity)
        if host.topology:
            files |= {f"{here}/topology/{n}": t for n, t in _topology(cpu, online, host).items()}
        if host.cache:
            files |= {f"{here}/cache/{n}": t for n, t in _caches(cpu, online, host).items()}
    return files


def _list(cpus: Iterable[One]) -> str:
    return format_list(sorted(cpu.number for cpu in cpus))


def _topology(cpu: One, online: Sequence[One], host: Host) -> dict[str, str]:
    siblings = _list(other for other in online if other.core == cpu.core)
    files = {"physical_package_id": str(cpu.package), "core_id": str(cpu.core_id)}
    if cpu.die is not None:
        files["die_id"] = str(cpu.die)
    if host.sibling_lists:
        files[host.sibling_lists] = siblings
    return files


def _caches(cpu: One, online: Sequence[One], host: Host) -> dict[str, str]:
    core = _list(other for other in online if other.core == cpu.core)
    # The first level is left out: nothing reads it, and a file costs time.
    caches = {2: ("2", "Unified", "1024K", core)}
    if cpu.l3 is not None:
        caches[3] = ("3", "Unified", host.l3_size, _list(c for c in online if c.l3 == cpu.l3))
    names = ("level", "type", "size", "shared_cpu_list")
    return {
        f"index{index}/{name}": text
        for index, cache in caches.items()
        for name, text in zip(names, cache, strict=True)
    }


def _node_files(host: Host) -> dict[str, str]:
    memory = host.memory_gib or {}
    numbers = sorted(memory)
    rows = host.distances or [[10 if a == b else 21 for b in numbers] for a in numbers]
    files = {"online": format_list(numbers)}
    for number, row in zip(numbers, rows, strict=True):
        here = f"node{number}"
        files[f"{here}/cpulist"] = _list(cpu for cpu in host.cpus if cpu.node == number and cpu.online)
        files[f"{here}/distance"] = " ".join(map(str, row))
        kib = memory[number] << 20
        files[f"{here}/meminfo"] = f"Node {number} MemTotal:       {kib} kB\nNode {number} MemFree:  0 kB"
    return files


def server(*shape: int, gib: int = 384, **how: Any) -> Host:
    """Describe an ordinary server: `grid(*shape, **how)` and `gib` GiB on each node."""
    cpus = grid(*shape, **how)
    return Host(cpus, even_memory(cpus, gib))


def r5_metal() -> Host:
    """Two Xeons of 24 cores with SMT; CPU n and n+48 are siblings."""
    return server(2, 24, 2)


def interleaved() -> Host:
    """Two sockets of 8 cores with SMT: even CPUs on socket 0, odd ones on socket 1."""
    return server(2, 8, 2, gib=64, numbering="interleaved")


def small_vm() -> Host:
    """A guest of two CPUs that shows no caches."""
    return replace(server(1, 2, 1, gib=4), cache=False, smt_control="notsupported")


def vm_without_nodes() -> Host:
    """A guest whose kernel has no NUMA support."""
    return replace(server(1, 4, 1), memory_gib=None, smt_control=None, isolated=None, nohz_full=None)


def snc() -> Host:
    """Two sockets of 16 cores, each cut into two nodes; an L3 still spans its socket."""
    near = [[10, 11, 21, 21], [11, 10, 21, 21], [21, 21, 10, 11], [21, 21, 11, 10]]
    return replace(server(2, 16, 2, gib=96, nodes_per_socket=2), distances=near)


def four_sockets() -> Host:
    """Four sockets of 6 cores with SMT."""
    return server(4, 6, 2, gib=128)


def milan() -> Host:
    """Two sockets of 64 cores with SMT, 8 cores to an L3: 256 CPUs, 16 L3 domains."""
    return replace(server(2, 64, 2, gib=512, cores_per_l3=8), l3_size="32768K")


def rome() -> Host:
    """One socket of 32 cores with SMT, 4 cores to an L3."""
    return replace(server(1, 32, 2, gib=256, cores_per_l3=4), l3_size="16384K")


def naples() -> Host:
    """Two EPYC 7451: 24 cores each, 3 to an L3, 4 nodes to a socket; core_id has gaps and repeats."""
    cpus = grid(2, 24, 2, nodes_per_socket=4, cores_per_l3=3)
    gaps = [replace(cpu, core_id=cpu.core_id + cpu.core_id // 3, die=(cpu.node or 0) % 4) for cpu in cpus]
    near = [[10 if a == b else 16 if a // 4 == b // 4 else 32 for b in range(8)] for a in range(8)]
    return Host(gaps, even_memory(gaps, 32), distances=near, l3_size="8192K")


def arm_server() -> Host:
    """Two sockets of 80 cores, no SMT, no die numbers, package numbers far from 0."""
    cpus = [replace(cpu, package=36 + 3144 * cpu.package, die=None) for cpu in grid(2, 80, 1)]
    return Host(cpus, even_memory(cpus, 256), smt_control="notimplemented", l3_size="32768K")


def big_little() -> Host:
    """A phone-like ARM board: three small, four middle, one big core; no nodes."""
    capacities = [250, 250, 250, 700, 700, 700, 700, 1024]
    cpus = [One(n, n, core_id=n, die=None, node=None, capacity=c) for n, c in enumerate(capacities)]
    return Host(cpus, smt_control="notimplemented", l3_size="8192K")


def hybrid() -> Host:
    """A Core Ultra 9 185H: 6 cores with SMT (CPUs 0 and 5 are siblings), 8 without, 2 off the L3."""
    pairs = {0: 0, 5: 0, 1: 1, 2: 1, 3: 2, 4: 2, 6: 3, 7: 3, 8: 4, 9: 4, 10: 5, 11: 5}
    cpus = [One(n, pairs.get(n, n), core_id=pairs.get(n, n)) for n in range(22)]
    cpus = [replace(cpu, l3=None) if cpu.number >= 20 else cpu for cpu in cpus]
    files = {"sys/devices/cpu_core/cpus": "0-11", "sys/devices/cpu_atom/cpus": "12-21"}
    return Host(cpus, {0: 32}, l3_size="24576K", files=files)


def memory_only_node() -> Host:
    """Two sockets of 4 cores, and a third node that is memory alone."""
    cpus = grid(2, 4, 2)
    return Host(cpus, {0: 64, 1: 64, 2: 128}, distances=[[10, 21, 14], [21, 10, 24], [14, 24, 10]])


def sparse() -> Host:
    """CPU numbers with gaps: 0, 2, 4, 6 on socket 0, and 100, 102, 104, 106 on socket 1."""
    cpus = [replace(cpu, number=cpu.package * 100 + cpu.core_id * 2) for cpu in grid(2, 4, 1)]
    return Host(cpus, even_memory(cpus, 8))


def offline() -> Host:
    """r5_metal with SMT switched off: CPUs 48-95 are there, without any topology."""
    cpus = [replace(cpu, online=cpu.number < 48) for cpu in grid(2, 24, 2)]
    return Host(cpus, even_memory(cpus, 384), smt_control="off")


def isolated() -> Host:
    """One socket of 8 cores; CPUs 4-7 isolated, 6-7 without the tick as well."""
    return replace(server(1, 8, 1, gib=16), isolated="4-7", nohz_full="6-7")


def cpuset_v2() -> Host:
    """A container under cgroup v2 on 2x4x2: CPUs 0-3 and 8-11 (socket 0) and memory of node 0 left."""
    mounts = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
    files = {
        "proc/self/cgroup": "0::/machine.slice/box.scope/inner",
        "proc/self/mountinfo": mounts,
        "sys/fs/cgroup/cpuset.cpus.effective": "0-15",
        "sys/fs/cgroup/machine.slice/box.scope/cpuset.cpus.effective": "0-3,8-11",
        # The cpuset controller is not handed down to `inner`: that folder has no such file.
        "sys/fs/cgroup/machine.slice/box.scope/inner/cgroup.procs": "1",
    }
    return replace(server(2, 4, 2, gib=32), files=files, memory_nodes="0")


def cpuset_v1() -> Host:
    """A container under cgroup v1 (seen from inside: the mount's root is its own cgroup); affinity 0-5."""
    mounts = (
        "34 31 0:31 /docker/abc /sys/fs/cgroup/cpuset ro,relatime - cgroup cgroup rw,cpuset\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw"
    )
    files = {
        "proc/self/cgroup": "9:name=systemd:/docker/abc\n3:cpuset:/docker/abc\n0::/docker/abc",
        "proc/self/mountinfo": mounts,
        "sys/fs/cgroup/cpuset/cpuset.cpus": "0-7",
        "sys/fs/cgroup/cpuset/cpuset.effective_cpus": "2-7",
    }
    return replace(server(1, 8, 1, gib=16), files=files, affinity="0-5")


def power7() -> Host:
    """A POWER7 guest: 4 cores of 4 threads, package -1, core_id counting in fours, no L3, no die."""
    cpus = [One(n, n // 4, package=-1, core_id=n // 4 * 4, die=None, l3=None) for n in range(16)]
    return Host(cpus, {0: 16})


def power8() -> Host:
    """Two sockets of 10 cores with SMT8, nodes 0 and 16."""
    cpus = grid(2, 10, 8, numbering="adjacent", cores_per_l3=1)
    cpus = [replace(cpu, package=cpu.package * 16, node=16 * (cpu.node or 0), die=None) for cpu in cpus]
    return Host(cpus, {0: 256, 16: 256}, distances=[[10, 40], [40, 10]], l3_size="8192K")


def older_kernel() -> Host:
    """old_kernel with a sibling list under its old name, and core numbers that tell nothing."""
    cpus = [replace(cpu, core_id=0) for cpu in grid(2, 2, 2)]
    return Host(cpus, even_memory(cpus, 8), sibling_lists="thread_siblings_list")


def one_cpu() -> Host:
    """The smallest guest: one CPU."""
    return replace(server(1, 1, 1, gib=1), smt_control="notsupported")


def bare() -> Host:
    """A kernel that shows CPU folders and nothing about them."""
    cpus = [One(n, n) for n in range(2)]
    return Host(cpus, cache=False, topology=False, smt_control=None)


def old_kernel() -> Host:
    """Two sockets of 2 cores with SMT whose kernel lists no siblings: only socket and core numbers."""
    return replace(server(2, 2, 2, gib=8), sibling_lists=None)


def swapped() -> Host:
    """CPU 0 sits in the package numbered 1, as some boards boot."""
    cpus = [replace(cpu, package=1 - cpu.package) for cpu in grid(2, 4, 1, numbering="interleaved")]
    return Host(cpus, even_memory(cpus, 12))


def _table(*machines: Callable[[], Host]) -> dict[str, Callable[[], Host]]:
    return {machine.__name__: machine for machine in machines}


MACHINES = _table(
    r5_metal, interleaved, small_vm, vm_without_nodes, snc, four_sockets, milan, rome, naples, arm_server,
    big_little, hybrid, memory_only_node, sparse, offline, isolated, cpuset_v2, cpuset_v1, power7, power8,
    one_cpu, bare, old_kernel, older_kernel, swapped,
)  # fmt: skip
