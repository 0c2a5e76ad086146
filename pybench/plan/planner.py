# SPDX-License-Identifier: Apache-2.0
"""The planner: from a request to a plan, for this host, for any host, or for a machine of the simulator; and the
order in which a plan's trials run: seeded, interleaved rounds, in blocks by what they want of the host.

Turning SMT or CPUs takes time and disturbs the host, so cells that want one state run together in a block. Blocks
of all states follow each other again and again, and each turn begins with the state in which the last one ended
(A B, B A, A B for two): that saves a switch a turn, and a host that drifts steadily moves all states alike.
"""

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from pybench.errors import UnsupportedError, UsageError
from pybench.host.switches.journal import AS_FOUND, HostState, off_in, why_no_smt_switch
from pybench.host.topology import Cpu, Topology
from pybench.placement import Placement, place
from pybench.plan.request import (
    KERNEL_OFF,
    Request,
    check_count,
    check_values,
    duration_ns,
    thread_counts,
    warmup_ns,
    with_host_defaults,
)
from pybench.results.records import Cell, Plan
from pybench.text import format_list, named, parse_list, plural
from pybench.workloads import Params, Workload, workload

# Set-up and clean-up of a trial: measured 5 to 70 ms, mostly 10.
TRIAL_OVERHEAD_NS = 15_000_000
# About what a switch takes: one to three seconds on a host of 96 CPUs.
SHORTEST_BLOCK_NS = 5 * 10**9
# Turns of each state within the minimum of trials, so that no state is measured in one piece.
LEAST_TURNS = 4


def round_order(plan: Plan, round_number: int, cells: Sequence[int]) -> list[int]:
    """Return each cell once, shuffled by seed and round, so that drift spreads over all cells alike."""
    order = sorted(cells)
    random.Random(f"{plan.seed}:{round_number}").shuffle(order)
    return order


def trial_ns(plan: Plan, cell: Cell) -> int:
    """Return about how long one trial of a cell takes, in ns."""
    typical = workload(cell.workload).typical_ns
    own = typical(cell.params, cell.threads) if typical else plan.duration_ns + plan.warmup_ns
    return own + TRIAL_OVERHEAD_NS


def expected_ns(plan: Plan) -> tuple[int, int]:
    """Return the shortest and longest time that a plan takes, in ns, without its budget."""
    one_round = sum(trial_ns(plan, cell) for cell in plan.cells)
    return one_round * plan.min_trials, one_round * plan.max_trials


def host_state(cell: Cell) -> HostState:
    """Return the state of the host that a cell wants."""
    offline = () if cell.offline is msgspec.UNSET else cell.offline
    return HostState(smt_off=cell.smt == KERNEL_OFF, offline=offline)


def states_of(cells: Sequence[Cell]) -> list[HostState]:
    """Return the states that these cells want, each once, in their order."""
    return list(dict.fromkeys(map(host_state, cells)))


def turns_switches(plan: Plan) -> bool:
    """Return True if a plan turns any switch of the host."""
    return any(state.turned for state in states_of(plan.cells))


def rounds_in_block(plan: Plan) -> int:
    """Return how many trials of each of its cells a block holds: enough to be worth a switch, and few enough that
    every state gets `LEAST_TURNS` turns within the minimum of trials."""
    states = states_of(plan.cells)
    if len(states) < 2:
        return 1
    shortest = min(sum(trial_ns(plan, c) for c in plan.cells if host_state(c) == state) for state in states)
    return max(1, min(math.ceil(SHORTEST_BLOCK_NS / max(shortest, 1)), plan.min_trials // LEAST_TURNS))


def block_order(plan: Plan, turn: int, states: Sequence[HostState]) -> list[HostState]:
    """Return the order of the states in one turn: seeded, but beginning where the turn before ended."""
    order: list[HostState] = []
    for number in range(turn + 1):
        shuffled = sorted(states, key=lambda state: (state.smt_off, state.offline))
        random.Random(f"{plan.seed}:blocks:{number}").shuffle(shuffled)
        if order:
            last = order[-1]
            shuffled.sort(key=lambda state: state != last)
        order = shuffled
    return order


def switch_words(plan: Plan, topology: Topology) -> list[str]:
    """Return lines that say what a plan switches, when, and that it is put back; none if it switches nothing."""
    states = states_of(plan.cells)
    if not any(state.turned for state in states):
        return []
    siblings = tuple(cpu.number for cpu in topology.online if cpu.smt)
    online = {cpu.number for cpu in topology.online}
    lines = ["This plan turns switches of the host, and puts them back:"]
    for state in states:
        gone = sorted(set(off_in(state, siblings)) & online)
        cells = plural(sum(host_state(cell) == state for cell in plan.cells), "cell")
        what = "the host as it is" if state == AS_FOUND else state.words()
        if state != AS_FOUND:
            what += f" ({named('CPU', gone)} to turn)" if gone else " already, nothing to turn"
        lines.append(f"  {cells}: {what}")
    turn = block_order(plan, 0, states)
    if len(states) > 1:
        a_block = rounds_in_block(plan)
        per_turn = len(states) - 1
        least, most = (math.ceil(n / a_block) * per_turn + 1 for n in (plan.min_trials, plan.max_trials))
        words = f"{least} switches" if least == most else f"{least} to {most} switches"
        lines.append(
            f"  in blocks of {plural(a_block, 'trial')} per cell, first {' | '.join(s.words() for s in turn)}, "
            f"the next turn from where it ends: {words}"
        )
    woken = [cpu.number for cpu in topology.cpus if not cpu.online]
    if woken and any(state.smt_off for state in states) and siblings:
        lines.append(f"  CPUs off already ({format_list(woken)}): turning SMT on wakes them for a moment")
    return lines


# The sweep without arguments fits into a minute, unless each cell then got too few trials for an interval.
DEFAULT_BUDGET_NS = 45 * 10**9

Absent = Literal["refuse", "leave out", "leave out of machine"]
"""What to do about a value of an axis that the host does not have: raise, or leave it out and name it in the plan.
`leave out of machine` plans for a machine of the simulator, which the limits of this kernel do not bind."""


class Missing(msgspec.Struct, frozen=True):
    """A value of an axis that the host does not have."""

    axis: str
    value: str
    reason: str


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, and what of the request it leaves out."""

    plan: Plan
    missing: list[Missing]
    aliases: dict[str, str]
    """A placement as it was written -> as cells have it."""


def make_plan(request: Request, topology: Topology, absent: Absent = "refuse") -> Planned:
    """Plan a request on a host: cells, seed, times.

    Raises UsageError for what cannot be meant on any host and if no cell is left, and UnsupportedError for what
    this host cannot do; with `absent` other than `refuse` only if that is all of the request.
    """
    leave_out = absent != "refuse"
    check_values(request, ("on", "off") if leave_out else ("on", "off", KERNEL_OFF))
    if KERNEL_OFF in request.smt and (why := why_no_smt_switch(topology.smt_control)):
        raise UnsupportedError(f"--smt {KERNEL_OFF}: {why}")
    cells = _Cells(with_host_defaults(request, topology), topology, absent)
    plan = Plan(
        cells=cells.made(),
        seed=random.SystemRandom().randrange(2**32) if request.seed is None else request.seed,
        duration_ns=duration_ns(request.duration),
        warmup_ns=warmup_ns(request.warmup),
        operations=request.operations,
        target=request.target,
        min_trials=request.min_trials,
        max_trials=request.max_trials,
        max_invalid=request.max_invalid,
        budget_ns=0 if request.budget is None else duration_ns(request.budget),
        left_out=cells.left_out(),
    )
    if not request.budget and not request.workloads:
        budget = max(DEFAULT_BUDGET_NS, expected_ns(plan)[0] * 5 // 4)
        plan = msgspec.structs.replace(plan, budget_ns=budget)
    return Planned(plan=plan, missing=list(cells.missing), aliases=cells.aliases)


class _Cells:
    """The cells of a request on a host, and what had to be left out."""

    def __init__(self, request: Request, topology: Topology, absent: Absent) -> None:
        self.request = request
        self.topology = topology
        self.absent = absent
        self.missing: dict[Missing, None] = {}
        self.aliases: dict[str, str] = {}
        self._conflicts: dict[str, None] = {}

    def made(self) -> list[Cell]:
        """Make all cells, each once. Raises UsageError or UnsupportedError if none is left."""
        request, offline = self.request, _offline(self.request, self.topology)
        unique: dict[bytes, Cell] = {}
        for kind, values in _workloads_and_values(request):
            axes = [*values.values(), request.place, request.smt, request.crew, offline]
            check_count(math.prod(map(len, axes)), kind.name)
            for text, smt, crew, off in itertools.product(request.place, request.smt, request.crew, offline):
                state = HostState(smt_off=smt == KERNEL_OFF, offline=off)
                here = with_switches(self.topology, state) if state.turned else self.topology
                if placement := self._placement(here, text, smt, state):
                    for cell in self._cells_of(here, kind, values, placement, crew):
                        self.aliases.setdefault(text, cell.place)
                        one = _switched(cell, state) if state.turned else cell
                        unique[msgspec.json.encode(one)] = one
                    check_count(len(unique), kind.name)
        if not unique:
            words = "; ".join(self.left_out()) or "the axes leave nothing to measure"
            raise (UnsupportedError if self.absent == "leave out" and self.missing else UsageError)(words)
        return list(unique.values())

    def left_out(self) -> list[str]:
        """Return a line for each thing left out, with the reason."""
        grouped: dict[tuple[str, str], list[str]] = {}
        for one in self.missing:
            grouped.setdefault((one.axis, one.reason), []).append(one.value)
        lines = []
        for (axis, reason), values in grouped.items():
            if axis == "place":
                # The reason names the placement.
                lines.append(reason)
            else:
                listed = format_list(map(int, values)) if axis == "threads" else ", ".join(values)
                lines.append(f"{axis} {listed}: {reason}")
        return [*lines, *self._conflicts]

    def _placement(self, topology: Topology, text: str, smt: str, state: HostState) -> Placement | None:
        """Return the CPUs of a placement; None if they are left out."""
        try:
            found = place(topology, text, None if state.smt_off else smt)
        except UnsupportedError as error:
            if self.absent == "refuse":
                raise
            self.missing[Missing("place", text, str(error))] = None
            return None
        if self.absent != "refuse":
            for other in self.request.smt[: self.request.smt.index(smt)]:
                twin = place(topology, text, other)
                if twin.cpus == found.cpus and twin.smt != smt:
                    why = f"no SMT siblings in {text}, so it is the same as smt={twin.smt}"
                    self.missing[Missing("smt", smt, why)] = None
                    return None
        return found

    def _cells_of(
        self,
        topology: Topology,
        kind: Workload,
        values: Mapping[str, tuple[str, ...]],
        placement: Placement,
        crew: str,
    ) -> Iterator[Cell]:
        for threads in self._thread_counts(placement):
            for params in _products(kind, values):
                reason = kind.conflict(params, threads)
                if reason is None and self.absent != "leave out of machine":
                    reason = kind.host_conflict(params, threads)
                if reason:
                    self._conflicts[f"{kind.name}, threads={threads}: {reason}"] = None
                else:
                    yield _cell(topology, kind, params, threads, placement, crew)

    def _thread_counts(self, placement: Placement) -> list[int]:
        most = len(placement.cpus)
        counts = thread_counts(self.request.threads or "", most)
        if self.request.oversubscribe or counts[-1] <= most:
            return counts
        if self.absent == "refuse":
            raise UsageError(
                f"{counts[-1]} threads on the {plural(most, 'CPU')} of {placement.text!r}: "
                "lower --threads, or share CPUs with --oversubscribe"
            )
        for count in counts:
            if count > most:
                why = f"{placement.text!r} has {most} CPUs (--oversubscribe shares them)"
                self.missing[Missing("threads", str(count), why)] = None
        return [count for count in counts if count <= most]


def _offline(request: Request, topology: Topology) -> tuple[tuple[int, ...], ...]:
    """Return the sets of CPUs to turn off; those that are off already need no turning, and stay off."""
    sets: dict[tuple[int, ...], None] = {}
    there = {cpu.number for cpu in topology.cpus}
    for text in request.offline:
        try:
            cpus = () if text == "none" else tuple(sorted(set(parse_list(text))))
            if not cpus and text != "none":
                raise ValueError("no CPU is named")
        except ValueError as error:
            raise UsageError(f"--offline {text!r}: {error}; write a list such as 4-7,12, or none") from None
        if strange := sorted(set(cpus) - there):
            raise UsageError(
                f"--offline {text!r}: CPU {strange[0]} does not exist; this host has {format_list(sorted(there))}"
            )
        sets[cpus] = None
    return tuple(sets) or ((),)


def _workloads_and_values(request: Request) -> Iterator[tuple[Workload, dict[str, tuple[str, ...]]]]:
    kinds = [workload(name) for name in request.workloads]
    for name in request.param:
        owner, dot, parameter = name.rpartition(".")
        if dot and owner not in request.workloads:
            raise UsageError(f"{name}: {owner!r} is not among the workloads ({', '.join(request.workloads)})")
        owners = [kind for kind in kinds if kind.name == owner or not dot]
        if not any(p.name == parameter for kind in owners for p in kind.parameters):
            owners[0].parameter(parameter)
    for kind in kinds:
        own = {p.name for p in kind.parameters}
        general = {n: v for n, v in request.param.items() if n in own}
        special = {
            n.removeprefix(f"{kind.name}."): v for n, v in request.param.items() if n.startswith(f"{kind.name}.")
        }
        yield kind, general | special


def _products(kind: Workload, values: Mapping[str, tuple[str, ...]]) -> Iterator[Params]:
    parsed = [[kind.parameter(name).parse(text) for text in texts] for name, texts in values.items()]
    for combination in itertools.product(*parsed):
        yield kind.complete(dict(zip(values, combination, strict=True)))


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
    """Return the cell with the switches that it wants in its settings, which tell it from other cells."""
    smt = KERNEL_OFF if state.smt_off else cell.smt
    if not state.offline:
        return msgspec.structs.replace(cell, smt=smt)
    place_text = f"{cell.place} offline:{format_list(state.offline)}"
    return msgspec.structs.replace(cell, smt=smt, place=place_text, offline=state.offline)


def with_switches(topology: Topology, state: HostState) -> Topology:
    """Return the topology as it will be in a state. The kernel chooses which sibling of a core stays on; the plan
    assumes the first."""
    siblings = tuple(cpu.number for cpu in topology.online if cpu.smt)
    off = set(off_in(state, siblings))
    return msgspec.structs.replace(
        topology, cpus=tuple(_off(cpu) if cpu.number in off else cpu for cpu in topology.cpus)
    )


def _off(cpu: Cpu) -> Cpu:
    return msgspec.structs.replace(cpu, online=False, allowed=False, smt=None)


def member_domains(topology: Topology, cpus: Sequence[int], by: str) -> tuple[int, ...]:
    """Return the domain of each member by its CPU's `socket`, `node` or `l3`, counted from 0 in the order of the
    members; by socket where the host does not know all, and one domain if it does not know sockets."""
    known = topology.by_number()
    for level in (by, "socket"):
        numbers = [getattr(known[cpu], level) for cpu in cpus]
        if None not in numbers:
            order = {number: index for index, number in enumerate(dict.fromkeys(numbers))}
            return tuple(order[number] for number in numbers)
    return (0,) * len(cpus)
