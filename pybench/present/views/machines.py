# SPDX-License-Identifier: Apache-2.0
"""Simulated machines for the terminal: the list, and one machine's numbers with their sources."""

from collections.abc import Iterable, Mapping

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pybench.present.terminal.machine import picture, title
from pybench.simulator.launch_steps import STEPS
from pybench.simulator.machine import Machine, Number

# What a number is, for people, where its name does not say it all.
MEANING = {
    "core.clock_ghz": "clock; for the reader, times are in ns already",
    "core.local_ns": "a load that hits in the core's own cache",
    "core.atomic_ns": "an atomic on a line that the core owns",
    "core.atomic_overlap": "share of atomics that the next accesses do not wait for",
    "core.migratory": "share of reads that take a modified line away",
    "core.drain_ns": "what an atomic takes longer behind a store",
    "core.exit_ns": "leaving a spin loop: a mispredicted branch",
    "core.pause_ns": "one PAUSE of a waiting loop",
    "core.loop_ns": "one turn of the benchmark's loop, beside its memory",
    "core.sample_ns": "timing one operation",
    "core.smt_slowdown": "factor on a CPU's own work while its sibling is busy",
    "core.jitter": "spread of one transfer around its pair's own",
    "core.late": "how much later one transfer in twenty is, in transfers",
    "core.speed": "factor on the launch steps measured elsewhere",
    "service.service_ns": "a line's home taken up by one request",
    "service.retry_ns": "until a rejected request comes again",
    "scheduler.timeslice_ns": "time slice where threads share a CPU",
    "scheduler.switch_ns": "one context switch",
    "scheduler.wake_ns": "from waking a sleeper to its running",
}
SERVICE_WORDS = {
    "none": "requests for one line do not queue",
    "central": "one queue a line: one request in service, others rejected and retried",
    "cluster": "by L3 cluster, nearest first",
}


def machines_table(machines: Mapping[str, Machine]) -> RenderableType:
    """One row a machine: its shape, its transfers, and how much of it is assumed."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("machine", no_wrap=True)
    table.add_column("shape")
    table.add_column("L3\nns", justify="right")
    table.add_column("socket\nns", justify="right")
    table.add_column("other\nns", justify="right")
    table.add_column("queue")
    table.add_column("assumed", justify="right")
    for name, machine in machines.items():
        numbers = machine.numbers()
        assumed = sum(number.assumed for number in numbers.values())
        medians = {key: f"{spread.median.value:.0f}" for key, spread in machine.transfer.items()}
        table.add_row(
            name,
            Text(title(machine.topology()).partition(", ")[0]),
            *(medians.get(key, "-") for key in ("l3", "socket", "cross-socket")),
            machine.service,
            f"{assumed} of {len(numbers)}",
        )
    return table


def machine_report(machine: Machine, width: int) -> Iterable[RenderableType]:
    """The machine drawn as `pybench topology` draws hosts, then its numbers."""
    yield Text(machine.title, style="bold")
    yield Text(f"a description to simulate, not this host; CPU model {machine.cpu_model}", style="dim")
    yield picture(machine.topology(), None, width)
    yield Text(f"\nshape: {machine.shape.source}", style="dim")
    for note in machine.notes:
        yield Text(f"note: {note}")
    numbers = machine.numbers()
    sources = _sources(numbers, machine.service_source)
    yield Text()
    yield _transfers(machine, sources)
    for group in dict.fromkeys(name.partition(".")[0] for name in machine.times | machine.launch):
        own = {n: number for n, number in numbers.items() if n.partition(".")[0] == group}
        yield _numbers(group, own, sources)
    yield Text(f"\nservice: {machine.service}, {SERVICE_WORDS[machine.service]}")
    yield Text("* assumed: nobody measured it; simulations draw it from its range. Sources:")
    for index, source in enumerate(sources, 1):
        yield Text(f" [{index}] {source}")


def _plain_table(heading: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(heading, min_width=16, no_wrap=True)
    return table


def _transfers(machine: Machine, sources: list[str]) -> Table:
    table = _plain_table("transfer, ns")
    for name in ("p5 of pairs", "median", "p95"):
        table.add_column(name)
    table.add_column("")
    for distance, spread in machine.transfer.items():
        parts = (spread.p5, spread.median, spread.p95)
        marks = dict.fromkeys(_mark(part, sources) for part in parts)
        told = [f"{_digits(n.value)} ({_digits(n.low)} to {_digits(n.high)})" for n in parts]
        table.add_row(distance, *told, Text(" ".join(marks)))
    return table


def _numbers(group: str, numbers: Mapping[str, Number], sources: list[str]) -> Table:
    table = _plain_table(group)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("range", no_wrap=True)
    table.add_column("")
    table.add_column("")
    for name, number in numbers.items():
        span = "exact" if number.exact else f"{_digits(number.low)} to {_digits(number.high)}"
        words = MEANING.get(name) or STEPS[name.removeprefix("launch.")]
        table.add_row(
            name.partition(".")[2], _digits(number.value), span, Text(_mark(number, sources)), Text(words)
        )
    return table


def _mark(number: Number, sources: list[str]) -> str:
    return f"[{sources.index(number.source) + 1}]{'*' if number.assumed else ''}"


def _sources(numbers: Mapping[str, Number], service: str) -> list[str]:
    return list(dict.fromkeys([*(number.source for number in numbers.values()), service]))


def _digits(value: float) -> str:
    return f"{value / 1000:.4g}k" if value >= 1000 else f"{value:.4g}"


def machine_document(machine: Machine) -> dict[str, object]:
    """Everything as plain data: for --json."""
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
