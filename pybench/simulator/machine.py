# SPDX-License-Identifier: Apache-2.0
"""A machine as the simulator knows it: its shape, and its times, each a number with a range and a source.

Files are TOML: docs/reference/machine-files.md describes them, and `machine_file` reads and checks them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from pybench.host.topology import Cpu, Node, Topology
from pybench.native.engine_spec import EngineSpec, Latency, SimThread

Numbering = Literal["cores-first", "siblings-adjacent", "sockets-alternate"]
ServiceKind = Literal["none", "central", "cluster"]
MOST_CPUS = 4096
ASSUMED = "assumed"

# NUMA distances as firmware gives them for near and far; only placements' words use them.
NEAR, FAR = 10, 21


class Number(msgspec.Struct, frozen=True):
    """A number, the range it may lie in (low <= value <= high), and where it is from or `assumed: why`."""

    value: float
    low: float
    high: float
    source: str

    @property
    def assumed(self) -> bool:
        """Return True if it is not measured."""
        return self.source.startswith(ASSUMED)

    @property
    def exact(self) -> bool:
        """Return True if there is nothing to draw."""
        return self.low == self.high

    def at(self, share: float) -> float:
        """Return the quantile `share`, 0 to 1, of a triangular distribution on low to high with mode at value."""
        width = self.high - self.low
        if width <= 0:
            return self.value
        turn = (self.value - self.low) / width
        if share < turn:
            return self.low + math.sqrt(share * width * (self.value - self.low))
        return self.high - math.sqrt((1 - share) * width * (self.high - self.value))


class Spread(msgspec.Struct, frozen=True):
    """A one-way line transfer of a distance class, ns: percentiles over pairs of cores, each of them uncertain."""

    p5: Number
    median: Number
    p95: Number

    def at(self, share: float) -> Latency:
        """Return all three at one quantile of their ranges, which keeps their order."""
        return Latency(p5=self.p5.at(share), median=self.median.at(share), p95=self.p95.at(share))

    @property
    def value(self) -> Latency:
        """Return their values in the file."""
        return Latency(p5=self.p5.value, median=self.median.value, p95=self.p95.value)


class CpuPlace(msgspec.Struct, frozen=True):
    """One CPU of a machine that is listed CPU by CPU."""

    number: int
    socket: int
    node: int
    l3: int
    """-1: unknown, or none."""
    core: int


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Sockets, nodes, L3 clusters, cores and siblings, and how the kernel numbers the CPUs."""

    cpus: tuple[CpuPlace, ...]
    source: str
    l3_mib: float = 0.0
    """Of each L3; 0: unknown."""
    memory_gib: float = 0.0
    """Of the whole machine; 0: unknown."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A machine. `numbers()` has every number by its dotted name."""

    name: str
    title: str
    cpu_model: str
    architecture: str
    shape: Shape
    service: ServiceKind
    service_source: str
    transfer: dict[str, Spread]
    times: dict[str, Number]
    """By dotted name: core.*, service.*, scheduler.*."""
    launch: dict[str, Number] = {}
    """Steps of a launch, if the file has them; of a calibrated host it has."""
    notes: tuple[str, ...] = ()
    digest: str = ""
    """Of the file's text: sha256, 12 hex digits."""

    def numbers(self) -> dict[str, Number]:
        """Return every number of the machine by its dotted name, in the order of the file's description."""
        found: dict[str, Number] = {}
        for distance, spread in self.transfer.items():
            for part in ("p5", "median", "p95"):
                found[f"transfer.{distance}.{part}"] = getattr(spread, part)
        return found | self.times | self.launch

    def topology(self) -> Topology:
        """Return the machine as a host, for placements, pictures and distances."""
        return topology_of(self.shape)


def topology_of(shape: Shape) -> Topology:
    """Return a shape as a host's topology, everything online and allowed."""
    l3_order = {key: i for i, key in enumerate(dict.fromkeys(c.l3 for c in shape.cpus if c.l3 >= 0))}
    seen: dict[int, int] = {}
    cpus = []
    for place in shape.cpus:
        rank = seen.get(place.core, 0)
        seen[place.core] = rank + 1
        cpus.append(
            Cpu(
                number=place.number,
                socket=place.socket,
                socket_id=place.socket,
                node=place.node,
                l3=l3_order.get(place.l3),
                core=place.core,
                smt=rank,
            )
        )
    numbers = sorted({place.node for place in shape.cpus})
    each = round(shape.memory_gib * 2**30 / len(numbers)) or None
    nodes = tuple(
        Node(
            number=number,
            cpus=tuple(place.number for place in shape.cpus if place.node == number),
            memory_bytes=each,
            distances=tuple(NEAR if other == number else FAR for other in numbers),
        )
        for number in numbers
    )
    return Topology(
        cpus=tuple(cpus),
        nodes=nodes,
        smt_control="on" if max(seen.values()) > 1 else "notsupported",
        memory_bytes=round(shape.memory_gib * 2**30) or None,
        l3_bytes=tuple(round(shape.l3_mib * 2**20) or None for _ in l3_order),
    )


def grid(
    sockets: int,
    nodes_per_socket: int,
    l3_per_socket: int,
    cores_per_socket: int,
    threads: int,
    numbering: Numbering,
) -> tuple[CpuPlace, ...]:
    """Return the CPUs of a regular machine in the order of their numbers.

    cores-first: all cores, socket after socket, then their siblings in the same order (Linux on most servers);
    siblings-adjacent: 0 and 1 are siblings; sockets-alternate: cores in turn from each socket, then siblings.
    """
    cores = [
        (socket, index) for socket in range(sockets) for index in range(cores_per_socket)
    ]  # by number of the core

    def place(number: int, socket: int, index: int) -> CpuPlace:
        return CpuPlace(
            number=number,
            socket=socket,
            node=socket * nodes_per_socket + index * nodes_per_socket // cores_per_socket,
            l3=socket * l3_per_socket + index * l3_per_socket // cores_per_socket,
            core=socket * cores_per_socket + index,
        )

    if numbering == "siblings-adjacent":
        order = [core for core in cores for _ in range(threads)]
    else:
        if numbering == "sockets-alternate":
            cores.sort(key=lambda core: (core[1], core[0]))
        order = cores * threads
    return tuple(place(number, *core) for number, core in enumerate(order))


def sim_threads(topology: Topology, cpus: Sequence[int], domains: Sequence[int] = ()) -> tuple[SimThread, ...]:
    """Return a simulated thread for each CPU in turn; a CPU may occur several times."""
    known = topology.by_number()
    found = []
    for index, number in enumerate(cpus):
        cpu = known[number]
        socket = cpu.socket or 0
        found.append(
            SimThread(
                cpu=number,
                socket=socket,
                node=cpu.node or 0,
                # A core whose L3 is unknown is in a cluster of its own, by number.
                l3=cpu.l3 if cpu.l3 is not None else 1_000_000 + (cpu.core or 0),
                core=cpu.core or 0,
                sibling=cpu.smt or 0,
                domain=domains[index] if domains else 0,
            )
        )
    return tuple(found)


def with_machine(spec: EngineSpec, machine: Machine, shares: Mapping[str, float]) -> EngineSpec:
    """Return the spec with the machine's numbers, each at its share of its range (`draws.draw`), or at its value
    without a share."""

    def transfer(distance: str, spread: Spread) -> Latency:
        share = shares.get(f"transfer.{distance}")
        return spread.value if share is None else spread.at(share)

    def time(name: str) -> float:
        number = machine.times[name]
        share = shares.get(name)
        return number.value if share is None else number.at(share)

    return msgspec.structs.replace(
        spec,
        transfer={name: transfer(name, spread) for name, spread in machine.transfer.items()},
        service=machine.service,
        **{field: time(name) for name, field in FIELDS.items() if name in machine.times and field != "loop_ns"},
    )


# Dotted name in a machine file -> field of EngineSpec (loop_ns and sample_ns are the workload's).
FIELDS = {
    "core.local_ns": "local_ns",
    "core.atomic_ns": "atomic_ns",
    "core.atomic_overlap": "atomic_overlap",
    "core.migratory": "migratory",
    "core.drain_ns": "drain_ns",
    "core.exit_ns": "exit_ns",
    "core.pause_ns": "pause_ns",
    "core.smt_slowdown": "smt_slowdown",
    "core.jitter": "jitter",
    "core.late": "late",
    "service.service_ns": "service_ns",
    "service.retry_ns": "retry_ns",
    "scheduler.timeslice_ns": "timeslice_ns",
    "scheduler.switch_ns": "switch_ns",
    "scheduler.wake_ns": "wake_ns",
}
# Of the workload's loop.
LOOP_FIELDS = {"core.loop_ns": "loop_ns", "core.sample_ns": "sample_ns"}
