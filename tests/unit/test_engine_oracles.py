# SPDX-License-Identifier: Apache-2.0
"""The engine against exact results and against SimPy, on queues that are solved."""

import math
import statistics
from collections.abc import Iterator
from typing import Any

import pytest

from pybench.native.engine import run
from pybench.native.engine_spec import EngineSpec, QueueingModel, SimThread
from tests.native.crew_tools import members_in
from tests.queueing import deterministic, repairman


def interval(n: int, work: QueueingModel, runs: int = 6, length_ns: float = 2e7) -> tuple[float, float]:
    """Throughput in operations a ns times a: mean over seeds, and four standard errors of it."""
    threads = tuple(SimThread(cpu=i, core=i) for i in range(n))
    rates = []
    for seed in range(runs):
        spec = EngineSpec(
            threads=threads, workload=work, duration_ns=length_ns, warmup_ns=length_ns / 5, seed=seed
        )
        rates.append(sum(members_in(run(spec).outcome).operations) / length_ns * work.work_ns)
    return statistics.mean(rates), 4 * statistics.stdev(rates) / math.sqrt(runs)


@pytest.mark.parametrize(
    ("home", "threads", "speedup"),
    [
        (0, 24, 23.69),
        (0, 96, 89.83),
        (100, 32, 9.03),
        (100, 48, 4.51),
        (100, 96, 2.11),
        (300, 32, 2.28),
        (300, 96, 0.70),
    ],
)
def test_the_queueing_model(home: float, threads: int, speedup: float) -> None:
    """Oracles of Boyd-Wickizer et al. for a = 10,000 and s = 100 (arrivals and sections exponential)."""
    mean, half = interval(threads, QueueingModel(work_ns=10_000, serial_ns=100, home_ns=home))
    assert abs(mean - speedup) <= half + 0.006


@pytest.mark.parametrize(("n", "a", "s"), [(2, 100, 100), (8, 700, 100), (30, 2000, 100)])
def test_closed_queues(n: int, a: float, s: float) -> None:
    mean, half = interval(n, QueueingModel(work_ns=a, serial_ns=s), length_ns=3e6)
    assert abs(mean - repairman(n, a, s)) <= half + 0.002
    mean, half = interval(n, QueueingModel(work_ns=a, serial_ns=s, section="fixed"), length_ns=3e6)
    assert abs(mean - deterministic(n, a, s)) <= half + 0.002


def test_simpy_gives_the_same() -> None:
    import random

    simpy = pytest.importorskip("simpy")
    n, a, s, length = 6, 500.0, 100.0, 2e5
    rates = []
    for seed in range(6):
        rng, env = random.Random(seed), simpy.Environment()
        done: list[float] = []
        lock = simpy.Resource(env)

        def worker(
            env: Any = env, lock: Any = lock, rng: random.Random = rng, done: list[float] = done
        ) -> Iterator[Any]:
            while True:
                yield env.timeout(rng.expovariate(1 / a))
                with lock.request() as mine:
                    yield mine
                    yield env.timeout(rng.expovariate(1 / s))
                done.append(env.now)

        for _ in range(n):
            env.process(worker())
        env.run(until=length * 1.2)
        rates.append(sum(t > length * 0.2 for t in done) / length * a)
    mean, half = interval(n, QueueingModel(work_ns=a, serial_ns=s), length_ns=3e6)
    spread = 4 * statistics.stdev(rates) / math.sqrt(len(rates))
    assert abs(mean - statistics.mean(rates)) <= half + spread
