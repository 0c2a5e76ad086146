# SPDX-License-Identifier: Apache-2.0
"""Line transfers between pairs of CPUs: which pairs, in which order, and the trials themselves."""

import math
import random
import statistics
from collections.abc import Iterator, Sequence

import msgspec

from pybench import native
from pybench.errors import MeasurementError, UnsupportedError, UsageError
from pybench.host.topology import DISTANCES, Distance, Topology, distance
from pybench.native.outcome import TrialSpec
from pybench.placement import limits
from pybench.results.records import Cell
from pybench.results.transfer_figures import Transfers, summarize, why_invalid
from pybench.results.transfers import Pair, PairTrial, TransferPlan
from pybench.run.trial import RunTrial, StartMeters, measure, start_meters
from pybench.workloads.transfer import METHODS, WORKLOAD

DURATION_NS = 10_000_000
# A core that slept takes some ms to its full clock.
WARMUP_NS = 2_000_000
# Set-up, calibration and clean-up of a trial: measured 6 ms.
OVERHEAD_NS = 8_000_000
BUDGET_NS = 60 * 10**9
# Six rounds give an interval of 95 %, and one may be lost; with fewer than three nothing tells an outlier.
ROUNDS, LEAST_ROUNDS = 7, 3
TRIES = 4

# Pairs of a class that a quick look measures.
QUICK_PAIRS, QUICK_ROUNDS = 3, 3


def pairs_by_class(topology: Topology, cpus: Sequence[int]) -> dict[Distance, list[Pair]]:
    """Every pair of these CPUs, each once, by distance class from near to far; classes without one left out."""
    known = topology.by_number()
    found: dict[Distance, list[Pair]] = {name: [] for name in DISTANCES}
    for i, a in enumerate(cpus):
        for b in cpus[i + 1 :]:
            found[distance(known[a], known[b])].append((a, b))
    return {name: pairs for name, pairs in found.items() if pairs}


def sample(classes: dict[Distance, list[Pair]], most: int, chance: random.Random) -> list[Pair]:
    """At most so many pairs, but one of each class: as many of every class, and what small ones leave over goes
    to the larger."""
    left, picked = most, []
    ordered = sorted(classes.values(), key=len)
    for index, pairs in enumerate(ordered):
        share = max(1, left // (len(ordered) - index))
        chosen = pairs if len(pairs) <= share else chance.sample(pairs, share)
        left -= len(chosen)
        picked += chosen
    return picked


def trial_ns(duration_ns: int) -> int:
    """About how long one trial takes, ns."""
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

    Rounds not asked for are as many as fit, three to seven. Raises UsageError for fewer than two CPUs or an
    unknown method; UnsupportedError where this host has no second CPU to use.
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
    """About how long a plan takes, ns, if nothing is invalid."""
    return len(plan.pairs) * len(plan.methods) * plan.rounds * trial_ns(plan.duration_ns)


def order_of_round(plan: TransferPlan, round_number: int) -> list[tuple[str, Pair]]:
    """Every method of every pair once, shuffled by seed and round, so that drift of the host spreads alike."""
    order = [(method, pair) for pair in plan.pairs for method in plan.methods]
    random.Random(f"{plan.seed}:{round_number}").shuffle(order)
    return order


class TransferRun:
    """A plan under way. Iterate over `trials()`."""

    def __init__(
        self,
        plan: TransferPlan,
        topology: Topology,
        run_trial: RunTrial = native.run_trial,
        meters: StartMeters = start_meters,
    ) -> None:
        self.plan = plan
        self.done = 0
        self._known = topology.by_number()
        self._run_trial = run_trial
        self._meters = meters
        self._sequence = 0

    def trials(self) -> Iterator[PairTrial]:
        """Run all rounds; a invalid or failed trial is followed by another try, up to the plan's limit."""
        for round_number in range(self.plan.rounds):
            for method, pair in order_of_round(self.plan, round_number):
                for attempt in range(self.plan.tries):
                    trial = self._trial(method, pair, round_number, attempt)
                    yield trial
                    if trial.valid:
                        break
                self.done += 1

    def progress(self) -> float:
        """Share of the work done, 0 to 1."""
        return self.done / (len(self.plan.pairs) * len(self.plan.methods) * self.plan.rounds)

    def _trial(self, method: str, pair: Pair, round_number: int, attempt: int) -> PairTrial:
        plan = self.plan
        spec = TrialSpec(
            workload="transfer",
            params=WORKLOAD.complete({"method": method}),
            cpus=pair,
            duration_ns=plan.duration_ns,
            warmup_ns=plan.warmup_ns,
            seed=plan.seed,
        )
        measured = measure(_cell(spec), spec, self._run_trial, self._meters)
        outcome = measured.outcome
        trial = PairTrial(
            cpus=pair,
            distance=distance(self._known[pair[0]], self._known[pair[1]]),
            method=method,
            round=round_number,
            attempt=attempt,
            sequence=self._sequence,
            started=measured.started,
            seconds=measured.seconds,
            status=outcome.status,
            reason=outcome.reason,
        )
        self._sequence += 1
        if outcome.members is None:
            return trial
        # The core's timeline holds the mean of each batch, in ps.
        low, middle, high = spread([ps / 1000 for _, ps in outcome.timeline])
        return msgspec.structs.replace(
            trial,
            transfer_ns=round(middle, 3),
            p5_ns=round(low, 3),
            p95_ns=round(high, 3),
            batches=outcome.phases["transfer"].calls,
            transfers=sum(outcome.members.operations),
            evidence=measured.evidence,
            flags=measured.flags,
        )


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """The 5th, 50th and 95th percentile, linear between values; NaN of none.

    As numpy.percentile, which loads half of NumPy at its first call: here that would be between two trials.
    """
    if len(values) < 2:
        return (values[0] if values else math.nan,) * 3
    twentieths = statistics.quantiles(values, n=20, method="inclusive")
    return twentieths[0], twentieths[9], twentieths[18]


def _cell(spec: TrialSpec) -> Cell:
    """A pair as a sweep's cell: what the validity checks ask about."""
    params = dict(spec.params)
    return Cell(workload=spec.workload, params=params, threads=2, place="", smt="on", cpus=spec.cpus)


def quick_look(
    topology: Topology,
    cpus: Sequence[int],
    run_trial: RunTrial = native.run_trial,
    meters: StartMeters = start_meters,
) -> dict[Distance, float]:
    """What one transfer takes now between a pair of each distance among these CPUs, ns; about 20 ms a distance.

    By stores and loads, as waiters of a lock learn of their turn. What did not come out valid is left out.
    """
    plan = plan_transfers(topology, cpus, methods=("store",), rounds=LEAST_ROUNDS, every_pair=True)
    pairs = tuple(some[0] for some in pairs_by_class(topology, cpus).values())
    run = TransferRun(msgspec.structs.replace(plan, pairs=pairs, rounds=1, tries=2), topology, run_trial, meters)
    return {t.distance: t.transfer_ns for t in run.trials() if t.valid and t.transfer_ns}


def measure_transfers(
    topology: Topology, cpus: Sequence[int], method: str = "cas", duration_ns: int = 10_000_000
) -> Transfers:
    """Measure the limit on the CPUs at hand: a few pairs of each distance class, thrice for `duration_ns` each.

    Takes about 60 ms a pair, and at most three pairs a class. Raises UnsupportedError or UsageError if there
    are no two CPUs, MeasurementError if no trial came out valid.
    """
    plan = plan_transfers(
        topology, cpus, methods=(method,), rounds=QUICK_ROUNDS, duration_ns=duration_ns, every_pair=True
    )
    few = [pair for pairs in pairs_by_class(topology, cpus).values() for pair in _spread(pairs, QUICK_PAIRS)]
    trials = list(TransferRun(msgspec.structs.replace(plan, pairs=tuple(few)), topology).trials())
    if not any(trial.valid for trial in trials):
        raise MeasurementError(f"no valid transfer between CPUs: {why_invalid(trials)}")
    return summarize(trials, method)


def _spread(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """So many of them, evenly spread from the first to the last."""
    if len(pairs) <= count:
        return list(pairs)
    return [pairs[i * (len(pairs) - 1) // (count - 1)] for i in range(count)]
