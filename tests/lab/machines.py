# SPDX-License-Identifier: Apache-2.0
"""Topologies to emulate, by description and by name, and their form for QEMU and for the firmware."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from tests.lab import LabError

# The emulated interrupt controllers have 8-bit CPU ids, and the last id means "all".
MOST_APIC_IDS = 255
LOCAL_DISTANCE = 10
# Between nodes of one socket, and between a CPU's node and one of memory alone.
NEAR_DISTANCE, MEMORY_DISTANCE = 12, 17


@dataclass(frozen=True)
class Machine:
    """An emulated machine. CPUs are equal over sockets, cores and nodes; so is memory over nodes.

    `adjacent` numbers siblings next to each other; `server` all first threads, socket by socket, before all second
    ones, as most two-socket servers do. `memory_nodes` are nodes without CPUs, numbered after the others.
    """

    name: str
    sockets: int = 2
    cores: int = 2  # of each socket
    threads: int = 2  # of each core
    nodes_per_socket: int = 1
    memory_nodes: int = 0
    numbering: Literal["adjacent", "server"] = "adjacent"
    memory_mib: int = 2048
    distance: int = 21  # between sockets

    def __post_init__(self) -> None:
        if min(self.sockets, self.cores, self.threads, self.nodes_per_socket) < 1 or self.memory_nodes < 0:
            raise LabError("a machine has at least one socket, core, thread and node", 2)
        if self.cores % self.nodes_per_socket:
            raise LabError(f"{self.cores} cores cannot be shared evenly by {self.nodes_per_socket} nodes", 2)
        if self.memory_mib // self.nodes < 128:
            raise LabError(f"{self.nodes} nodes need {128 * self.nodes} MiB at least; give --memory", 2)
        if max(apic for apic, _ in self.apic_ids()) >= MOST_APIC_IDS:
            raise LabError(
                "the emulated machine has room for 255 CPU ids; take fewer sockets, cores or threads", 2
            )
        if not LOCAL_DISTANCE < self.distance < MOST_APIC_IDS:
            raise LabError("a distance between nodes is 11 to 254", 2)

    @property
    def cpus(self) -> int:
        """Return the number of CPUs."""
        return self.sockets * self.cores * self.threads

    @property
    def cpu_nodes(self) -> int:
        """Return the number of nodes with CPUs."""
        return self.sockets * self.nodes_per_socket

    @property
    def nodes(self) -> int:
        """Return the number of all nodes."""
        return self.cpu_nodes + self.memory_nodes

    def apic_ids(self) -> Iterator[tuple[int, int]]:
        """Return (hardware id, index among the threads of its core) of each CPU, in QEMU's order.

        Ids are socket, core and thread in bit fields just wide enough for each.
        """
        core_bits, thread_bits = (self.cores - 1).bit_length(), (self.threads - 1).bit_length()
        for socket in range(self.sockets):
            for core in range(self.cores):
                for thread in range(self.threads):
                    yield ((socket << core_bits | core) << thread_bits) | thread, thread

    def node_distance(self, one: int, other: int) -> int:
        """Return the firmware's distance between two nodes."""
        if one == other:
            return LOCAL_DISTANCE
        if max(one, other) >= self.cpu_nodes:
            return MEMORY_DISTANCE
        same = one // self.nodes_per_socket == other // self.nodes_per_socket
        return NEAR_DISTANCE if same else self.distance

    def describe(self) -> str:
        """Return a description in one line."""
        cpus = f"{self.cpus} CPU{'s' if self.cpus > 1 else ''}"
        nodes = f"{self.cpu_nodes} node{'s' if self.cpu_nodes > 1 else ''}"
        more = f" and {self.memory_nodes} of memory alone" if self.memory_nodes else ""
        second = self.cpus // self.threads if self.numbering == "server" else 1
        siblings = f", siblings 0 and {second}" if self.threads > 1 else ""
        shape = f"{self.sockets} x {self.cores} x {self.threads} (sockets, cores, threads)"
        return f"{cpus}: {shape}, {nodes}{more}{siblings}"


PRESETS = {
    machine.name: machine
    for machine in (
        Machine("2x2x2"),
        Machine("server", numbering="server"),
        Machine("four-nodes", nodes_per_socket=2),
        Machine("four-sockets", sockets=4, numbering="server"),
        Machine("no-smt", cores=4, threads=1),
        Machine("single", sockets=1, cores=1, threads=1, memory_mib=1024),
        Machine("memory-only", memory_nodes=1),
        Machine("r5.metal", cores=24, numbering="server", memory_mib=4096),
    )
}


def machine(preset: str, **changes: int | str | None) -> Machine:
    """Return the preset of that name, with the changes that are not None. Raises LabError."""
    if preset not in PRESETS:
        raise LabError(f"no preset {preset!r}; there are {', '.join(PRESETS)}", 2)
    changed = {name: value for name, value in changes.items() if value is not None}
    if not changed:
        return PRESETS[preset]
    return replace(PRESETS[preset], name=f"{preset}-changed", **changed)  # type: ignore[arg-type]


def qemu_arguments(this: Machine) -> list[str]:
    """Return QEMU's arguments for CPUs, memory and nodes; the file server needs the memory to be shared."""
    shape = f"{this.cpus},sockets={this.sockets},cores={this.cores},threads={this.threads}"
    arguments = ["-smp", shape, "-m", f"{this.memory_mib}M"]
    each, rest = divmod(this.memory_mib, this.nodes)
    a_node = this.cpus // this.cpu_nodes
    for node in range(this.nodes):
        size = each + (rest if node == 0 else 0)
        arguments += ["-object", f"memory-backend-memfd,id=memory{node},size={size}M,share=on"]
        cpus = f",cpus={node * a_node}-{node * a_node + a_node - 1}" if node < this.cpu_nodes else ""
        arguments += ["-numa", f"node,nodeid={node}{cpus},memdev=memory{node}"]
    for one in range(this.nodes):
        for other in range(one + 1, this.nodes):
            arguments += ["-numa", f"dist,src={one},dst={other},val={this.node_distance(one, other)}"]
    return arguments


def apic_table(this: Machine) -> bytes:
    """Return the ACPI table (MADT) that numbers the CPUs: Linux counts them in the order of this table.

    Apart from order and revision it is what QEMU's firmware gives a q35 machine, which it replaces (ACPI
    specification, 5.2.12; Linux, Documentation/admin-guide/acpi/initrd_table_override.rst).
    """
    cpus = [(thread, apic, uid) for uid, (apic, thread) in enumerate(this.apic_ids())]
    if this.numbering == "server":
        cpus.sort()
    entries = [struct.pack("<BBBBI", 0, 8, uid, apic, 1) for _, apic, uid in cpus]
    entries.append(struct.pack("<BBBBII", 1, 12, 0, 0, 0xFEC00000, 0))  # the I/O interrupt controller
    entries.append(struct.pack("<BBBBIH", 2, 10, 0, 0, 2, 0))  # the timer arrives at input 2
    entries += [struct.pack("<BBBBIH", 2, 10, 0, irq, irq, 0xD) for irq in (5, 9, 10, 11)]  # level, active high
    entries.append(struct.pack("<BBBHB", 4, 6, 0xFF, 0, 1))  # non-maskable interrupts of all CPUs
    body = struct.pack("<II", 0xFEE00000, 1) + b"".join(entries)
    revision = 2  # the kernel takes a replacement only if it is newer than the firmware's, which says 1
    header = struct.pack(
        "<4sIBB6s8sI4sI", b"APIC", 36 + len(body), 1, 0, b"BOCHS ", b"BXPC    ", revision, b"BXPC", 1
    )
    table = bytearray(header + body)
    table[9] = -sum(table) & 0xFF
    return bytes(table)
