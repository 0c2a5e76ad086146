# SPDX-License-Identifier: Apache-2.0
"""A matrix of line transfers from Python: how long a cache line takes from each CPU to each other one."""

import random
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pybench.errors import MeasurementError, UsageError
from pybench.host.topology import Topology, read_topology
from pybench.placement import parse_placements
from pybench.placement import place as placed
from pybench.plan.request import duration_ns
from pybench.results.latency_file import Pair, TransferFile, why_invalid
from pybench.results.latency_summary import Transfers, summarize
from pybench.run.line_transfers import (
    BUDGET_NS,
    DURATION_NS,
    TransferRun,
    measure_matrix,
    pairs_by_class,
    plan_transfers,
)
from pybench.run.loop import Observer

# Pairs per class, and rounds, of a quick measurement.
QUICK_PAIRS, QUICK_ROUNDS = 3, 3


def latency(
    place: str = "all",
    *,
    methods: str | Sequence[str] = ("cas", "store"),
    rounds: int | None = None,
    duration: str | None = None,
    budget: str | None = None,
    every_pair: bool = False,
    seed: int | None = None,
    output: str | Path | None = None,
    observer: Observer | None = None,
) -> TransferFile:
    """Measure the one-way line transfer between the CPUs of a placement, and keep it in `output` if one is named.

    Measures all pairs if they fit the budget ("1m") or `every_pair` is set, else a sample of each distance class.
    Raises UsageError for what cannot be meant, UnsupportedError on a host with one usable CPU, MeasurementError if
    no trial is valid, and Interrupted (a KeyboardInterrupt), with the trials so far, on Ctrl-C.
    """
    if every_pair and budget:
        raise UsageError("--all measures however long it takes, --budget does not; keep one of the two")
    texts = parse_placements(place)
    if len(texts) != 1:
        raise UsageError(f"--place {place!r} is {len(texts)} placements; a matrix is of one")
    topology = read_topology()
    placement = placed(topology, texts[0])
    plan = plan_transfers(
        topology,
        placement.cpus,
        place=placement.text,
        methods=[word.strip() for word in methods.split(",")] if isinstance(methods, str) else methods,
        rounds=rounds,
        duration_ns=duration_ns(duration) if duration else DURATION_NS,
        budget_ns=duration_ns(budget) if budget else BUDGET_NS,
        every_pair=every_pair,
        seed=random.SystemRandom().randrange(2**32) if seed is None else seed,
    )
    return measure_matrix(plan, topology, path=Path(output) if output else None, observer=observer)


def measure_transfers(
    topology: Topology, cpus: Sequence[int], method: str = "cas", duration_ns: int = 10_000_000
) -> Transfers:
    """Measure the line transfer by distance on these CPUs, which is the limit of any lock's handoff.

    Measures at most three pairs per distance class, three times for `duration_ns` each: about 60 ms per pair.
    Raises UnsupportedError or UsageError if there are no two CPUs, MeasurementError if no trial is valid.
    """
    plan = plan_transfers(
        topology, cpus, methods=(method,), rounds=QUICK_ROUNDS, duration_ns=duration_ns, every_pair=True
    )
    few = [pair for pairs in pairs_by_class(topology, cpus).values() for pair in _spread(pairs, QUICK_PAIRS)]
    trials = list(TransferRun(msgspec.structs.replace(plan, pairs=tuple(few)), topology).trials())
    if not any(trial.valid for trial in trials):
        raise MeasurementError(
            "no valid transfer between CPUs", reason=why_invalid(trials), fix="measure on an idle host"
        )
    return summarize(trials, method)


def _spread(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """Return `count` of the pairs, evenly spread from the first to the last."""
    if len(pairs) <= count:
        return list(pairs)
    return [pairs[i * (len(pairs) - 1) // (count - 1)] for i in range(count)]
