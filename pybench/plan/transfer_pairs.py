# SPDX-License-Identifier: Apache-2.0
"""The plan of a matrix of line transfers: which pairs of CPUs pass a line, and in which order."""

import random
from collections.abc import Sequence

from pybench.errors import UnsupportedError, UsageError
from pybench.host.topology import DISTANCES, Distance, Topology, distance
from pybench.placement import limits
from pybench.results.latency_file import Pair, TransferPlan
from pybench.workloads.transfer import METHODS

DURATION_NS = 10_000_000
# A core that slept takes some ms to its full clock.
WARMUP_NS = 2_000_000
# Set-up, calibration and clean-up of a trial: measured 6 ms.
OVERHEAD_NS = 8_000_000
BUDGET_NS = 60 * 10**9
# Six rounds give an interval of 95 %, and one may be lost; with fewer than three nothing tells an outlier.
ROUNDS, LEAST_ROUNDS = 7, 3
TRIES = 4


def pairs_by_class(topology: Topology, cpus: Sequence[int]) -> dict[Distance, list[Pair]]:
    """Return every pair of the CPUs, each once, by distance class from near to far; without empty classes."""
    known = topology.by_number()
    found: dict[Distance, list[Pair]] = {name: [] for name in DISTANCES}
    for i, a in enumerate(cpus):
        for b in cpus[i + 1 :]:
            found[distance(known[a], known[b])].append((a, b))
    return {name: pairs for name, pairs in found.items() if pairs}


def sample(classes: dict[Distance, list[Pair]], most: int, chance: random.Random) -> list[Pair]:
    """Return at most `most` pairs, but at least one of each class: an equal share of every class, and what small
    classes leave over goes to larger ones."""
    left, picked = most, []
    ordered = sorted(classes.values(), key=len)
    for index, pairs in enumerate(ordered):
        share = max(1, left // (len(ordered) - index))
        chosen = pairs if len(pairs) <= share else chance.sample(pairs, share)
        left -= len(chosen)
        picked += chosen
    return picked


def trial_ns(duration_ns: int) -> int:
    """Return about how long one trial takes, in ns."""
    return duration_ns + WARMUP_NS + OVERHEAD_NS


def plan_transfers(
    topology: Topology,
    cpus: Sequence[int],
    *,
    place: str = "",
    methods: Sequence[str] = ("cas", "store"),
    rounds: int | None = None,
    duration_ns: int = DURATION_NS,
    budget_ns: int = BUDGET_NS,
    every_pair: bool = False,
    seed: int = 0,
) -> TransferPlan:
    """Plan all pairs if three rounds of them fit the budget (or `every_pair` is set), or else a sample of every
    distance class.

    Without `rounds`, plan as many as fit, three to seven. Raises UsageError for fewer than two CPUs or an unknown
    method, UnsupportedError where this host has no second CPU to use.
    """
    if len(topology.usable) < 2:
        raise UnsupportedError(
            "a matrix of transfers needs two CPUs, and this process may use one: "
            f"{limits(topology)}, of {len(topology.online)} online"
        )
    if len(set(cpus)) < 2:
        raise UsageError(f"a matrix of transfers needs two CPUs, and placement {place!r} gives one: add another")
    unknown = [name for name in methods if name not in METHODS]
    if unknown or not methods:
        raise UsageError(f"--method {','.join(unknown)!r} is not known; choose from {', '.join(METHODS)}")
    methods = tuple(dict.fromkeys(methods))
    classes = pairs_by_class(topology, cpus)
    there = {name: len(pairs) for name, pairs in classes.items()}
    one_round = sum(there.values()) * len(methods) * trial_ns(duration_ns)
    fitting = min(ROUNDS, budget_ns // one_round)
    wanted = rounds or (ROUNDS if every_pair and not budget_ns else max(LEAST_ROUNDS, int(fitting)))
    pairs = [pair for one in classes.values() for pair in one]
    if not every_pair and one_round * wanted > budget_ns:
        most = int(budget_ns // (wanted * len(methods) * trial_ns(duration_ns)))
        pairs = sample(classes, most, random.Random(f"{seed}:pairs"))
    order = {cpu: place for place, cpu in enumerate(cpus)}
    return TransferPlan(
        place=place,
        cpus=tuple(cpus),
        methods=methods,
        pairs=tuple(sorted(pairs, key=lambda pair: (order[pair[0]], order[pair[1]]))),
        pairs_there=there,
        rounds=wanted,
        duration_ns=duration_ns,
        warmup_ns=WARMUP_NS,
        tries=TRIES,
        seed=seed,
        budget_ns=0 if every_pair else budget_ns,
    )


def expected_ns(plan: TransferPlan) -> int:
    """Return about how long a plan takes, in ns, if no trial is invalid."""
    return len(plan.pairs) * len(plan.methods) * plan.rounds * trial_ns(plan.duration_ns)


def order_of_round(plan: TransferPlan, round_number: int) -> list[tuple[str, Pair]]:
    """Return every method of every pair once, shuffled by seed and round, so that drift spreads over all alike."""
    order = [(method, pair) for pair in plan.pairs for method in plan.methods]
    random.Random(f"{plan.seed}:{round_number}").shuffle(order)
    return order
