# SPDX-License-Identifier: Apache-2.0
"""From axes to cells, and the seeded, interleaved order in which their trials run."""

import itertools
import random
from collections.abc import Container, Iterator, Mapping, Sequence

import msgspec

from pybench.errors import UnsupportedError, UsageError
from pybench.host.switches.files import HostState, off_in
from pybench.host.topology import Cpu, Topology
from pybench.placement import Placement, place
from pybench.plan.lists import thread_counts
from pybench.results.records import Cell, Plan
from pybench.text import counted, format_list
from pybench.workloads import Params, Workload, workload

KERNEL_OFF = "off:kernel"
"""The value of --smt that turns SMT off by the kernel's switch, rather than leave siblings idle."""

# What the sweep without arguments measures; launches have a verb of their own.
REPRESENTATIVE = ("mount", "spin", "stat")

# A cell costs its trials' set-up and clean-up too; measured 5 to 70 ms, for most 10.
TRIAL_OVERHEAD_NS = 15_000_000


class Axes(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep varies. Every combination is a cell."""

    workloads: tuple[str, ...]
    params: Mapping[str, tuple[str, ...]] = {}
    """Parameter -> values as text; `mount.children` names one workload's."""
    threads: str = "1,2,4..max"
    places: tuple[str, ...] = ("single-socket",)
    smt: tuple[str, ...] = ("on",)
    crews: tuple[str, ...] = ("threads",)
    offline: tuple[tuple[int, ...], ...] = ((),)
    """Sets of CPUs that are turned off."""
    oversubscribe: bool = False
    """Allow more threads than CPUs."""
    elsewhere: bool = False
    """The plan is for a machine that is not here: this host's limits do not hold, placements that the machine has
    not and thread counts beyond their CPUs are left out."""


def default_axes(topology: Topology) -> Axes:
    """The representative sweep of this host: each workload, each socket and SMT setting that it has."""
    sockets = {cpu.socket for cpu in topology.usable}
    siblings = any(cpu.smt for cpu in topology.usable)
    return Axes(
        workloads=REPRESENTATIVE,
        places=("single-socket", "dual-socket") if len(sockets) > 1 else ("single-socket",),
        smt=("on", "off") if siblings else ("on",),
    )


def make_cells(axes: Axes, topology: Topology) -> tuple[list[Cell], list[str]]:
    """All cells, and the combinations left out, each with its reason.

    Raises UsageError for what cannot be meant, and if no cell is left.
    """
    cells: list[Cell] = []
    left_out: dict[str, None] = {}
    for kind, values in _workloads_and_values(axes):
        for place_text, smt, crew, offline in itertools.product(axes.places, axes.smt, axes.crews, axes.offline):
            state = HostState(smt_off=smt == KERNEL_OFF, offline=offline)
            here = with_switches(topology, state) if state.turned else topology
            try:
                placement = place(here, place_text, None if state.smt_off else smt)
            except UnsupportedError as error:
                if not axes.elsewhere:
                    raise
                left_out[str(error)] = None
                continue
            for threads in _threads(axes, placement, left_out):
                for params in _products(kind, values):
                    reason = kind.conflict(params, threads)
                    if reason is None and not axes.elsewhere:
                        reason = kind.host_conflict(params, threads)
                    if reason:
                        left_out[f"{kind.name}, threads={threads}: {reason}"] = None
                    else:
                        cell = _cell(here, kind, params, threads, placement, crew)
                        cells.append(_switched(cell, state) if state.turned else cell)
    unique = list({msgspec.json.encode(cell): cell for cell in cells}.values())
    if not unique:
        raise UsageError("; ".join(left_out) or "the axes leave nothing to measure")
    return unique, list(left_out)


def _workloads_and_values(axes: Axes) -> Iterator[tuple[Workload, dict[str, tuple[str, ...]]]]:
    kinds = [workload(name) for name in axes.workloads]
    for name in axes.params:
        owner, dot, parameter = name.rpartition(".")
        if dot and owner not in axes.workloads:
            raise UsageError(f"{name}: {owner!r} is not among the workloads ({', '.join(axes.workloads)})")
        owners = [kind for kind in kinds if kind.name == owner or not dot]
        if not any(p.name == parameter for kind in owners for p in kind.parameters):
            owners[0].parameter(parameter)
    for kind in kinds:
        own = {p.name for p in kind.parameters}
        general = {n: v for n, v in axes.params.items() if n in own}
        special = {
            n.removeprefix(f"{kind.name}."): v for n, v in axes.params.items() if n.startswith(f"{kind.name}.")
        }
        yield kind, general | special


def _products(kind: Workload, values: Mapping[str, tuple[str, ...]]) -> Iterator[Params]:
    parsed = [[kind.parameter(name).parse(text) for text in texts] for name, texts in values.items()]
    for combination in itertools.product(*parsed):
        yield kind.complete(dict(zip(values, combination, strict=True)))


def _threads(axes: Axes, placement: Placement, left_out: dict[str, None]) -> list[int]:
    most = len(placement.cpus)
    counts = thread_counts(axes.threads, most)
    if axes.elsewhere and not axes.oversubscribe and (beyond := [count for count in counts if count > most]):
        left_out[
            f"threads {format_list(beyond)}: {placement.text!r} has {most} CPUs (--oversubscribe shares them)"
        ] = None
        return [count for count in counts if count <= most]
    if counts[-1] > most and not axes.oversubscribe:
        raise UsageError(
            f"{counts[-1]} threads on the {counted(most, 'CPU')} of {placement.text!r}: "
            "lower --threads, or share CPUs with --oversubscribe"
        )
    return counts


def _cell(
    topology: Topology, kind: Workload, params: Params, threads: int, placement: Placement, crew: str
) -> Cell:
    cpus = tuple(itertools.islice(itertools.cycle(placement.cpus), threads))
    for role in kind.bystanders:
        text = str(params[role.place])
        where = place(topology, text, placement.smt) if text else placement
        cpus += tuple(itertools.islice(itertools.cycle(where.cpus), int(params[role.count])))
    by = kind.domain(params)
    domains = {"domains": member_domains(topology, cpus, by)} if by else {}
    return msgspec.convert(
        {
            "workload": kind.name,
            "params": dict(params),
            "threads": threads,
            # SMT is an axis of its own.
            "place": " ".join(word for word in placement.text.split() if not word.startswith("smt:")),
            "smt": placement.smt,
            "cpus": cpus,
            "memory": placement.memory.kind,
            "nodes": placement.memory.nodes,
            "crew": crew,
            "oversubscribed": threads > len(placement.cpus),
            **domains,
        },
        Cell,
    )


def _switched(cell: Cell, state: HostState) -> Cell:
    """The cell with the switches that it wants, which tell it from others wherever cells are told apart."""
    smt = KERNEL_OFF if state.smt_off else cell.smt
    if not state.offline:
        return msgspec.structs.replace(cell, smt=smt)
    place_text = f"{cell.place} offline:{format_list(state.offline)}"
    return msgspec.structs.replace(cell, smt=smt, place=place_text, offline=state.offline)


def with_switches(topology: Topology, state: HostState) -> Topology:
    """The topology as it will be in a state: CPUs that it takes are off. Which sibling of a core stays is the
    kernel's choice; it is the first."""
    siblings = tuple(cpu.number for cpu in topology.online if cpu.smt)
    off = set(off_in(state, siblings))
    return msgspec.structs.replace(
        topology, cpus=tuple(_off(cpu) if cpu.number in off else cpu for cpu in topology.cpus)
    )


def _off(cpu: Cpu) -> Cpu:
    return msgspec.structs.replace(cpu, online=False, allowed=False, smt=None)


def member_domains(topology: Topology, cpus: Sequence[int], by: str) -> tuple[int, ...]:
    """The domain of each member by its CPU's `socket`, `node` or `l3`, counted from 0 in the order of the members.

    By socket where the host does not say for all of them; a host that tells no sockets apart is one domain.
    """
    known = topology.by_number()
    for level in (by, "socket"):
        numbers = [getattr(known[cpu], level) for cpu in cpus]
        if None not in numbers:
            order = {number: index for index, number in enumerate(dict.fromkeys(numbers))}
            return tuple(order[number] for number in numbers)
    return (0,) * len(cpus)


def round_order(plan: Plan, round_number: int, cells: Sequence[int]) -> list[int]:
    """The order of one round: each cell once, shuffled by seed and round, so that drift of the host over time
    spreads over all cells alike."""
    order = sorted(cells)
    random.Random(f"{plan.seed}:{round_number}").shuffle(order)
    return order


def expected_ns(plan: Plan) -> tuple[int, int]:
    """Least and most time that a plan takes, ns, without its budget."""
    one_round = sum(trial_ns(plan, cell) for cell in plan.cells)
    return one_round * plan.min_trials, one_round * plan.max_trials


def trial_ns(plan: Plan, cell: Cell) -> int:
    """About how long one trial of a cell takes, ns."""
    typical = workload(cell.workload).typical_ns
    own = typical(cell.params, cell.threads) if typical else plan.duration_ns + plan.warmup_ns
    return own + TRIAL_OVERHEAD_NS


def check_supported(cells: Sequence[Cell], locks: Container[str]) -> None:
    """Raise UnsupportedError if the core lacks a lock that a cell asks for."""
    for cell in cells:
        lock = cell.params.get("lock")
        if lock is not None and lock not in locks:
            raise UnsupportedError(f"the native core has no lock {lock!r}; build it again: pip install -e .")
