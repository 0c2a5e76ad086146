# SPDX-License-Identifier: Apache-2.0
"""Line transfers between pairs of CPUs: which pairs, how often and in which order; their measurement as a backend
of the run loop; and quick looks at the limit."""

import math
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from pybench import native
from pybench.errors import MeasurementError, UnsupportedError, UsageError
from pybench.host.switches.journal import undisturbed
from pybench.host.topology import DISTANCES, Distance, Topology, distance
from pybench.native.outcome import TrialSpec
from pybench.placement import limits
from pybench.results.latency_file import Pair, PairTrial, TransferFile, TransferHeader, TransferPlan, why_invalid
from pybench.results.records import Cell, End
from pybench.run.checked_trial import RunTrial, StartMeters, measure, start_meters
from pybench.run.loop import Interrupted, Observer, Ran, origin, run
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


class TransferRun:
    """The measuring backend of the run loop for line transfers. Iterate over `trials()`."""

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
        self._started = time.monotonic()

    def trials(self) -> Iterator[PairTrial]:
        """Run all rounds; after an invalid or failed trial try again, up to the plan's limit."""
        for round_number in range(self.plan.rounds):
            for method, pair in order_of_round(self.plan, round_number):
                for attempt in range(self.plan.tries):
                    trial = self._trial(method, pair, round_number, attempt)
                    yield trial
                    if trial.valid:
                        break
                self.done += 1

    def progress(self) -> float:
        """Return the share of the work done, 0 to 1."""
        return self.done / (len(self.plan.pairs) * len(self.plan.methods) * self.plan.rounds)

    def end(self, interrupted: bool = False) -> End:
        """Return the record of why the run stopped."""
        seconds = round(time.monotonic() - self._started, 3)
        return End(reason="interrupted" if interrupted else "limit", seconds=seconds)

    def raise_if_nothing(self, trials: Sequence[PairTrial]) -> None:
        """Raise MeasurementError if there are trials, and none is valid."""
        if trials and not any(trial.valid for trial in trials):
            raise MeasurementError(
                "no pair gave a valid measurement", reason=why_invalid(trials), fix="measure on an idle host"
            )

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
    """Return the 5th, 50th and 95th percentile, linear between values; NaN without values.

    numpy.percentile gives the same, but loads half of NumPy at its first call, which would be between two trials.
    """
    if len(values) < 2:
        return (values[0] if values else math.nan,) * 3
    twentieths = statistics.quantiles(values, n=20, method="inclusive")
    return twentieths[0], twentieths[9], twentieths[18]


def _cell(spec: TrialSpec) -> Cell:
    """Return a pair as a cell of a sweep, for the validity checks."""
    params = dict(spec.params)
    return Cell(workload=spec.workload, params=params, threads=2, place="", smt="on", cpus=spec.cpus)


def measure_matrix(
    plan: TransferPlan, topology: Topology, *, path: Path | None = None, observer: Observer | None = None
) -> TransferFile:
    """Run a plan, into a new file if `path` names one.

    Raises UsageError if the file cannot be made, MeasurementError if no trial is valid, and Interrupted, with the
    file so far, on Ctrl-C.
    """
    header = TransferHeader(**origin(topology), plan=plan)

    def made(of: Ran[PairTrial]) -> TransferFile:
        return TransferFile(header=header, topology=topology, trials=of.trials, ends=[of.end])

    try:
        return made(run(TransferRun(plan, topology), header, path=path, host=undisturbed(), observer=observer))
    except Interrupted as stop:
        raise Interrupted(made(stop.results)) from None


def quick_look(
    topology: Topology,
    cpus: Sequence[int],
    run_trial: RunTrial = native.run_trial,
    meters: StartMeters = start_meters,
) -> dict[Distance, float]:
    """Return what one transfer takes now between a pair of each distance among these CPUs, in ns.

    Takes about 20 ms per distance. The line is passed by stores and loads, as waiters of a lock learn of their
    turn. Distances without a valid trial are left out.
    """
    plan = plan_transfers(topology, cpus, methods=("store",), rounds=LEAST_ROUNDS, every_pair=True)
    pairs = tuple(some[0] for some in pairs_by_class(topology, cpus).values())
    run = TransferRun(msgspec.structs.replace(plan, pairs=pairs, rounds=1, tries=2), topology, run_trial, meters)
    return {t.distance: t.transfer_ns for t in run.trials() if t.valid and t.transfer_ns}
