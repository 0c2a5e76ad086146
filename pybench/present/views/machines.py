# SPDX-License-Identifier: Apache-2.0
"""Machines to simulate: the list, and one machine's numbers with their sources."""

from collections.abc import Mapping

from pybench.present.document import Column, Content, Document, Heading, HostPicture, Paragraph, Table, note
from pybench.present.host_shape import title
from pybench.present.numbers import UNKNOWN, four_digits
from pybench.simulator.launch_steps import STEPS
from pybench.simulator.machine import Machine, Number

# The meaning of each number.
MEANING = {
    "core.clock_ghz": "clock frequency; times are in ns already",
    "core.local_ns": "a load that hits in the core's own cache",
    "core.atomic_ns": "an atomic on a line that the core owns",
    "core.atomic_overlap": "share of atomics that the next accesses do not wait for",
    "core.migratory": "share of reads that take a modified line away from its owner",
    "core.drain_ns": "what an atomic takes longer after a store",
    "core.exit_ns": "leaving a spin loop: a mispredicted branch",
    "core.pause_ns": "one PAUSE of a waiting loop",
    "core.loop_ns": "one iteration of the benchmark's loop, without its memory accesses",
    "core.sample_ns": "timing one operation",
    "core.smt_slowdown": "slowdown of a CPU's own work while its sibling is busy",
    "core.jitter": "spread of one transfer around its pair's median",
    "core.late": "delay of one transfer in twenty, in transfers",
    "core.speed": "factor on the launch steps measured elsewhere",
    "service.service_ns": "time a line's home is busy with one request",
    "service.retry_ns": "time until a rejected request is retried",
    "scheduler.timeslice_ns": "time slice where threads share a CPU",
    "scheduler.switch_ns": "one context switch",
    "scheduler.wake_ns": "from waking a sleeper to its running",
}
SERVICE_WORDS = {
    "none": "requests for one line do not queue",
    "central": "one queue a line: one request in service, others rejected and retried",
    "cluster": "by L3 cluster, nearest first",
}


COLUMNS = (
    Column("machine"),
    Column("shape"),
    Column("L3 ns", "nanoseconds"),
    Column("socket ns", "nanoseconds"),
    Column("other ns", "nanoseconds"),
    Column("queue"),
    Column("assumed"),
)


def machines_table(machines: Mapping[str, Machine]) -> Document:
    """Return one row per machine: its shape, its line transfers in ns, and how many of its numbers are assumed."""
    rows: list[list[Content]] = []
    for name, machine in machines.items():
        numbers = machine.numbers()
        medians = {key: spread.median.value for key, spread in machine.transfer.items()}
        rows.append(
            [
                name,
                title(machine.topology()).partition(", ")[0],
                *(medians.get(key, UNKNOWN) for key in ("l3", "socket", "cross-socket")),
                machine.service,
                f"{sum(number.assumed for number in numbers.values())} of {len(numbers)}",
            ]
        )
    legend = "ns: median one-way line transfer between CPUs of one L3, of one socket, and of two sockets."
    return Document([Table("machines", COLUMNS, rows), note(legend)])


def machine_view(machine: Machine) -> Document:
    """Return the machine drawn as `pybench topology` draws hosts, then its numbers with their sources."""
    numbers = machine.numbers()
    sources = list(dict.fromkeys([*(number.source for number in numbers.values()), machine.service_source]))
    groups = dict.fromkeys(name.partition(".")[0] for name in machine.times | machine.launch)
    return Document(
        [
            Heading(machine.title),
            note(f"A description to simulate, not this host. CPU model: {machine.cpu_model}"),
            HostPicture(machine.topology()),
            note(f"shape: {machine.shape.source}"),
            *(Paragraph(f"note: {line}") for line in machine.notes),
            _transfers(machine, sources),
            *(
                _numbers(
                    group, {n: number for n, number in numbers.items() if n.partition(".")[0] == group}, sources
                )
                for group in groups
            ),
            Paragraph(f"service: {machine.service}, {SERVICE_WORDS[machine.service]}"),
            Paragraph("* assumed, not measured: simulations draw it from its range. Sources:"),
            *(Paragraph(f"[{index}] {source}", indent=1) for index, source in enumerate(sources, 1)),
        ],
        title=machine.title,
    )


def _transfers(machine: Machine, sources: list[str]) -> Table:
    rows: list[list[Content]] = []
    for distance, spread in machine.transfer.items():
        parts = (spread.p5, spread.median, spread.p95)
        marks = dict.fromkeys(_mark(part, sources) for part in parts)
        values = [f"{four_digits(n.value)} ({four_digits(n.low)} to {four_digits(n.high)})" for n in parts]
        rows.append([distance, *values, " ".join(marks)])
    columns = [Column(name) for name in ("line transfer, ns", "p5 of pairs", "median", "p95", "source")]
    return Table("transfer", columns, rows)


def _numbers(group: str, numbers: Mapping[str, Number], sources: list[str]) -> Table:
    rows: list[list[Content]] = [
        [
            name.partition(".")[2],
            number.value,
            "exact" if number.exact else f"{four_digits(number.low)} to {four_digits(number.high)}",
            _mark(number, sources),
            MEANING.get(name) or STEPS[name.removeprefix("launch.")],
        ]
        for name, number in numbers.items()
    ]
    columns = [Column(group), Column("value", "digits"), Column("range"), Column("source"), Column("meaning")]
    return Table(group, columns, rows)


def _mark(number: Number, sources: list[str]) -> str:
    return f"[{sources.index(number.source) + 1}]{'*' if number.assumed else ''}"


def machine_document(machine: Machine) -> dict[str, object]:
    """Return everything about a machine as plain data, for --json."""
    numbers = {
        name: {"value": n.value, "low": n.low, "high": n.high, "source": n.source, "assumed": n.assumed}
        for name, n in machine.numbers().items()
    }
    return {
        "name": machine.name,
        "title": machine.title,
        "cpu_model": machine.cpu_model,
        "architecture": machine.architecture,
        "digest": machine.digest,
        "service": machine.service,
        "service_source": machine.service_source,
        "shape_source": machine.shape.source,
        "notes": list(machine.notes),
        "numbers": numbers,
        "topology": machine.topology().to_dict(),
    }
