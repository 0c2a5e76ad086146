# SPDX-License-Identifier: Apache-2.0
"""The order in which a plan's trials run: seeded, interleaved rounds, in blocks by what they want of the host.

Turning SMT or CPUs takes time and disturbs the host, so cells that want one state run together in a block. Blocks
of all states follow each other again and again, and each turn begins with the state in which the last one ended
(A B, B A, A B for two): that saves a switch a turn, and a host that drifts steadily moves all states alike.
"""

import math
import random
from collections.abc import Sequence

import msgspec

from pybench.host.switches.files import AS_FOUND, HostState, off_in
from pybench.host.topology import Topology
from pybench.plan.request import KERNEL_OFF
from pybench.results.records import Cell, Plan
from pybench.text import format_list, named, plural
from pybench.workloads import workload

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
