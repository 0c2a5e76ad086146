# SPDX-License-Identifier: Apache-2.0
"""Cells that want different states of the host: in which blocks they are measured, and what is switched when.

Turning SMT or CPUs costs time and disturbs the host, so cells of one state run together in a block. Blocks of all
states follow each other again and again, the next turn beginning with the state in which the last one ended (A B,
B A, A B for two): that saves a switch a turn, and a host that drifts steadily moves all states alike.
"""

import math
import random
from collections.abc import Sequence

import msgspec

from pybench.host.switches.files import AS_FOUND, HostState, off_in
from pybench.host.topology import Topology
from pybench.plan.cells import KERNEL_OFF, trial_ns
from pybench.results.records import Cell, Plan
from pybench.text import counted, format_list, named

# What a switch costs in all, about: on a host of 96 CPUs the kernel takes one to three seconds.
SHORTEST_BLOCK_NS = 5 * 10**9
# Of the trials that every cell gets at the least, so that no state is measured in one piece.
LEAST_TURNS = 4


def host_state(cell: Cell) -> HostState:
    """What a cell wants of the host."""
    offline = () if cell.offline is msgspec.UNSET else cell.offline
    return HostState(smt_off=cell.smt == KERNEL_OFF, offline=offline)


def states_of(cells: Sequence[Cell]) -> list[HostState]:
    """The states that these cells want, each once, in their order."""
    return list(dict.fromkeys(map(host_state, cells)))


def turns_switches(plan: Plan) -> bool:
    """True if a plan asks for any switch of the host."""
    return any(state.turned for state in states_of(plan.cells))


def rounds_in_block(plan: Plan) -> int:
    """How many trials of each of its cells a block holds: as many as make a switch worth its time, and few enough
    that every state gets `LEAST_TURNS` turns within the least trials."""
    states = states_of(plan.cells)
    if len(states) < 2:
        return 1
    shortest = min(sum(trial_ns(plan, c) for c in plan.cells if host_state(c) == state) for state in states)
    return max(1, min(math.ceil(SHORTEST_BLOCK_NS / max(shortest, 1)), plan.min_trials // LEAST_TURNS))


def block_order(plan: Plan, turn: int, states: Sequence[HostState]) -> list[HostState]:
    """The order of the states in one turn: by the plan's seed, but beginning where the turn before ended."""
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
    """What a plan switches, when, and that it is put back: lines for people; none if it switches nothing."""
    states = states_of(plan.cells)
    if not any(state.turned for state in states):
        return []
    siblings = tuple(cpu.number for cpu in topology.online if cpu.smt)
    online = {cpu.number for cpu in topology.online}
    lines = ["This plan turns switches of the host, and puts them back:"]
    for state in states:
        gone = sorted(set(off_in(state, siblings)) & online)
        cells = counted(sum(host_state(cell) == state for cell in plan.cells), "cell")
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
            f"  in blocks of {counted(a_block, 'trial')} a cell, first {' | '.join(s.words() for s in turn)}, "
            f"the next turn from where it ends: {words}"
        )
    woken = [cpu.number for cpu in topology.cpus if not cpu.online]
    if woken and any(state.smt_off for state in states) and siblings:
        lines.append(f"  CPUs off already ({format_list(woken)}): turning SMT on wakes them for a moment")
    return lines
