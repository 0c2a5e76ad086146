# SPDX-License-Identifier: Apache-2.0
"""The times of a core, from the operations of one thread that are made of them."""

import os
import statistics

import numpy as np
from scipy.optimize import nnls

from pybench import native
from pybench.native.engine import run
from pybench.native.engine_spec import EngineSpec, Latency, SimThread, Spin
from pybench.native.outcome import Outcome
from pybench.simulator.calibration.trials import measured, ns_an_operation, valid_outcomes
from pybench.simulator.machine import Number

# Their operations by one thread are an iteration of the loop; with an atomic; with three hits; and with an atomic
# after a store, in the model and in fact.
PRIMITIVES = ("empty", "atomic-add", "seqlock", "tas")
# Another lock, which enters no number and shows how well they fit.
CHECK = "ticket"
ROUNDS = 9


def lone(cpu: int) -> tuple[dict[str, Number], dict[str, float]]:
    """Measure loop, hit, atomic and drain by operations of one thread; pause, mispredicts and timer directly.

    Also returns the model's relative error for each primitive and CHECK. Raises MeasurementError on a busy host.
    """
    outcomes: dict[str, list[Outcome]] = {lock: [] for lock in (*PRIMITIVES, CHECK)}
    pauses, exits = [], []
    before = os.sched_getaffinity(0)
    # A core's speed may change within a second: the primitives of one equation system run together.
    for _ in range(ROUNDS):
        for lock in outcomes:
            outcomes[lock] += valid_outcomes("spin", (cpu,), 1, lock=lock)
        os.sched_setaffinity(0, {cpu})
        try:
            pauses.append(native.relax_ns())
            exits.append(native.mispredict_ns())
        finally:
            os.sched_setaffinity(0, before)
    seen = {lock: [ns_an_operation(one) for one in some] for lock, some in outcomes.items()}
    counts = np.array([made_of(lock) for lock in PRIMITIVES])
    solved = [nnls(counts, np.array([seen[lock][i] for lock in PRIMITIVES]))[0] for i in range(ROUNDS)]
    columns = list(zip(*solved, strict=True))
    middle = [statistics.median(column) for column in columns]
    misses = {
        lock: float(np.array(made_of(lock)) @ np.array(middle)) / statistics.median(some) - 1
        for lock, some in seen.items()
    }
    how = f"measured: lone operations of {', '.join(PRIMITIVES)} solved for loop, hits, atomics, drains"
    step = [one.timer_ns for some in outcomes.values() for one in some]
    timer = statistics.median(step)
    return {
        "core.loop_ns": measured([float(x) for x in columns[0]], how),
        "core.local_ns": measured([float(x) for x in columns[1]], how),
        "core.atomic_ns": measured([float(x) for x in columns[2]], how),
        "core.drain_ns": measured([float(x) for x in columns[3]], how),
        "core.pause_ns": measured(pauses, "measured: a loop of nothing else"),
        "core.exit_ns": measured(exits, "measured: branches at random, against branches that never go"),
        "core.sample_ns": Number(
            round(3 * timer, 2), round(2 * timer, 2), round(4 * timer, 2), "measured: two to four timer readings"
        ),
        "core.speed": Number(1.0, 1.0, 1.0, "launch steps were measured on this very host"),
    }, misses


def made_of(lock: str) -> tuple[float, ...]:
    """Return the iterations, hits, atomics and atomics after a store in one thread's operation in the model."""

    def ns(loop: float, local: float, atomic: float, drain: float) -> float:
        spec = EngineSpec(
            threads=(SimThread(cpu=0),),
            workload=Spin(lock=lock, loop_ns=loop),
            transfer={"l3": Latency(50, 50, 50)},
            local_ns=local,
            atomic_ns=atomic,
            drain_ns=drain,
            jitter=0.0,
            duration_ns=20_000,
            warmup_ns=2_000,
        )
        return ns_an_operation(run(spec).outcome)

    base = ns(4.0, 4.0, 4.0, 4.0)
    longer = ((8.0, 4.0, 4.0, 4.0), (4.0, 8.0, 4.0, 4.0), (4.0, 4.0, 8.0, 4.0), (4.0, 4.0, 4.0, 8.0))
    return tuple(max(round((ns(*one) - base) / 4, 2), 0.0) for one in longer)
