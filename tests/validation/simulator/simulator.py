# SPDX-License-Identifier: Apache-2.0
"""Check the simulator's engine against exact queues, SimPy, published curves, and its own speed.

  oracles   the queueing model's assumptions switched on: twelve results of Boyd-Wickizer et al. (2012)
  queues    M/M/1//N and M/D/1//N against their exact throughput
  simpy     the same model in SimPy: the same answer, at least 100 times as fast
  curves    locktorture on 144 CPUs (stock and NUMA-aware), a global lock on 256: one free scale each, fitted on
            thread counts up to 8, judged on the rest, where the median error is at most 20 %
  speed     at least 10 million memory events per second of CPU time, and the cost of a handoff with more waiters

Parts may be named; without names, all run.
"""

import argparse
import csv
import itertools
import math
import random
import statistics
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import msgspec
import simpy
from scipy.stats import t

from pybench.native.engine import run as simulate
from pybench.native.engine_spec import EngineResult, EngineSpec, Latency, QueueingModel, SimThread, Spin
from pybench.simulator.machine import Machine, sim_threads, with_machine
from pybench.simulator.machine_file import load_machine
from tests.queueing import deterministic, repairman
from tests.validation.programs import ROOT
from tests.validation.validation import Finding, Validation

CURVES = ROOT / "tests" / "data" / "curves"
RUNS, SHORT_RUNS = 10, 40
ORACLES = {
    0: {24: 23.69, 32: 31.55, 48: 47.14, 96: 89.83},
    100: {24: 23.32, 32: 9.03, 48: 4.51, 96: 2.11},
    300: {24: 3.31, 32: 2.28, 48: 1.44, 96: 0.70},
}
MOST_ERROR = 0.20
LEAST_EVENTS = 10e6
LEAST_RATIO = 100


def operations(result: EngineResult) -> int:
    """Return how many operations all members did."""
    assert result.outcome.members is not None
    return sum(result.outcome.members.operations)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean, and half the width of its 95 % interval."""
    mean = statistics.mean(values)
    return mean, t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))


def oracle_rates(n: int, work: QueueingModel, length_ns: float, runs: int = RUNS) -> tuple[float, float]:
    """Return mean and half width of the throughput of n members, times their work outside of the lock."""
    places = tuple(SimThread(cpu=i, core=i) for i in range(n))
    specs = [
        EngineSpec(threads=places, workload=work, duration_ns=length_ns, warmup_ns=length_ns / 10, seed=seed)
        for seed in range(runs)
    ]
    return interval([operations(simulate(spec)) / length_ns * work.work_ns for spec in specs])


def verdict(mean: float, half: float, exact: float, digits: int) -> tuple[bool, str]:
    """Return True and a word if the interval holds the exact value, to the digits that it is published with."""
    inside = abs(mean - exact) <= half + 0.5 * 10**-digits
    return inside, "inside" if inside else "OUTSIDE"


def check_oracles() -> Finding:
    """Compare with the published results of the queueing model."""
    print(
        "Queueing model, a = 10000, s = 100: speedup, 95 % interval over 10 seeds (one in 20 is outside by chance)"
    )
    missed = 0
    for home, row in ORACLES.items():
        for n, exact in row.items():
            mean, half = oracle_rates(n, QueueingModel(work_ns=10_000, serial_ns=100, home_ns=home), 2e8)
            inside, word = verdict(mean, half, exact, 2)
            missed += not inside
            print(f"  c={home:3} n={n:2}  exact {exact:6.2f}  simulated {mean:7.3f} +- {half:.3f}  {word}")
    return Finding("at most 2 of the 12 published results are outside", f"{missed} are", missed <= 2)


def check_queues() -> Finding:
    """Compare with exact throughputs of closed queues."""
    print("Closed queues: throughput times a")
    missed = 0
    for n, a, s in ((1, 500, 100), (2, 100, 100), (8, 700, 100), (30, 2000, 100)):
        for name, work, exact in (
            ("M/M/1", QueueingModel(work_ns=a, serial_ns=s, section="exponential"), repairman),
            ("M/D/1", QueueingModel(work_ns=a, serial_ns=s, section="fixed"), deterministic),
        ):
            mean, half = oracle_rates(n, work, 2e7, SHORT_RUNS)
            right = exact(n, a, s)
            inside, word = verdict(mean, half, right, 4)
            missed += not inside
            print(
                f"  {name}//{n:<2} a={a:4} s={s}  exact {right:8.4f}  simulated {mean:8.4f} +- {half:.4f}  {word}"
            )
    return Finding("at most 1 of the 8 exact throughputs is outside", f"{missed} are", missed <= 1)


def simpy_run(n: int, a: float, s: float, length: float, seed: int) -> tuple[int, float]:
    """Simulate M/M/1//n with SimPy; return the operations and the seconds of CPU time."""
    rng, env, done = random.Random(seed), simpy.Environment(), [0]
    lock = simpy.Resource(env)

    def worker() -> Generator[simpy.Event, None, None]:
        while True:
            yield env.timeout(rng.expovariate(1 / a))
            with lock.request() as mine:
                yield mine
                yield env.timeout(rng.expovariate(1 / s))
            done[0] += 1

    for _ in range(n):
        env.process(worker())
    began = time.process_time()
    env.run(until=length)
    return done[0], time.process_time() - began


def check_simpy() -> Finding:
    """Compare the answer and the CPU time with those of SimPy."""
    n, a, s, length = 8, 700.0, 100.0, 2e6
    work = QueueingModel(work_ns=a, serial_ns=s)
    places = tuple(SimThread(cpu=i, core=i) for i in range(n))
    theirs, ours, ratios = [], [], []
    for seed in range(RUNS):
        done, took = simpy_run(n, a, s, length, seed)
        theirs.append(done / length * a)
        spec = EngineSpec(threads=places, workload=work, duration_ns=length * 30, seed=seed)
        began = time.process_time()
        result = simulate(spec)
        each = (time.process_time() - began) / operations(result)
        ours.append(operations(result) / spec.duration_ns * a)
        ratios.append(took / done / each)
    one, other = interval(theirs), interval(ours)
    same = abs(one[0] - other[0]) <= one[1] + other[1]
    print("SimPy, the same closed queue (M/M/1//8): throughput times a")
    print(f"  SimPy {one[0]:.4f} +- {one[1]:.4f}   engine {other[0]:.4f} +- {other[1]:.4f}", end="   ")
    print(f"exact {repairman(n, a, s):.4f}")
    ratios.sort()
    print(
        f"  CPU time an operation: {statistics.median(ratios):.0f} x SimPy ({ratios[0]:.0f} to {ratios[-1]:.0f})"
    )
    ratio = statistics.median(ratios)
    words = f"{'the same' if same else 'another answer'}, {ratio:.0f} times as fast"
    return Finding(f"the same answer as SimPy, {LEAST_RATIO} times as fast", words, same and ratio >= LEAST_RATIO)


def curve(name: str) -> list[tuple[int, float]]:
    """Return (threads, throughput) of a published curve."""
    lines = [line for line in (CURVES / f"{name}.csv").read_text().splitlines() if not line.startswith("#")]
    return [(int(row["threads"]), float(row["throughput"])) for row in csv.DictReader(lines)]


def judge(name: str, rows: Sequence[tuple[int, float, float]]) -> Finding:
    """Judge rows of (threads, published, simulated): thread counts up to 8 give the scale."""
    low = [math.log(published / simulated) for n, published, simulated in rows if n <= 8]
    scale = math.exp(statistics.mean(low))
    errors = {n: simulated * scale / published - 1 for n, published, simulated in rows}
    median = statistics.median(abs(e) for n, e in errors.items() if n > 8)
    print(f"{name}: scale {scale:.4g}; median error beyond 8 threads {median:.1%}")
    for n, published, simulated in rows:
        print(f"  {n:4}  published {published:12.5g}  simulated {simulated * scale:12.5g}  {errors[n]:+6.0%}")
    for which, place in (("published", 1), ("simulated", 2)):
        peak = max(rows, key=lambda row: row[place])
        near = [row[0] for row in rows if row[place] >= 0.97 * peak[place]]
        print(f"  {which}: peak at {peak[0]} threads, within 3 % of it from {min(near)} to {max(near)}")
    return Finding(f"{name}: the median error is at most {MOST_ERROR:.0%}", f"{median:.1%}", median <= MOST_ERROR)


# Draws of the places, and how long each is simulated, ns: the order of a queue lasts, so short draws must be many;
# the NUMA-aware queue takes half of its time to have all of one socket before the others.
PLACES = {"qspinlock": (160, 1.2e6), "qspinlock-cna": (40, 1.2e7)}


def torture_run(spec: EngineSpec) -> float:
    """Return operations per simulated ns."""
    return operations(simulate(spec)) / spec.duration_ns


def locktorture(lock: str, counts: Sequence[int], machine: Machine) -> list[float]:
    """Return operations/s for each number of threads.

    A section draws two random numbers and divides each, one more is drawn outside and not divided (the
    program's source): 70 ns here, and 25, which together are what one thread takes beyond its delays if a run
    is 30 s. The threads draw from one state, which is not modelled, but for the line that the lock guards.
    One in 4 n waits 2 us; a delay of 100 ms is so rare that it stops all members, and is added as its mean,
    500 ns / n per operation. Threads are not pinned; where they ran is not published: cores at random, siblings
    when all cores are taken, the mean of PLACES.
    """
    topology, specs = machine.topology(), []
    draws, length_ns = PLACES[lock]
    for n, seed in itertools.product(counts, range(draws)):
        chance = random.Random(seed)
        order = sorted(topology.cpus, key=lambda cpu: (cpu.smt, chance.random()))[:n]
        spec = EngineSpec(
            threads=sim_threads(topology, [cpu.number for cpu in order], [cpu.socket or 0 for cpu in order]),
            workload=Spin(lock=lock, hold_ns=70, extra_ns=2000, extra_share=1 / (4 * n), loop_ns=25),
            duration_ns=length_ns,
            warmup_ns=length_ns / 2,
            seed=seed,
        )
        specs.append(with_machine(spec, machine, {}))
    with ProcessPoolExecutor() as pool:
        rates = list(pool.map(torture_run, specs))
    means = [statistics.mean(rates[i : i + draws]) for i in range(0, len(rates), draws)]
    return [1e9 / (1 / mean + 500 / n) for n, mean in zip(counts, means, strict=True)]


def global_lock(lock: str, n: int, machine: Machine) -> float:
    """Return increments/s under one lock by n threads in a cpuset of 32 CPUs, which are not published.

    They are assumed to be 16 cores in two L3 clusters, core by core with both siblings: the curve itself has its
    steps where that has its borders, from 2 to 4 threads and from 16 to 32. With 32 cores it is missed.
    """
    topology = machine.topology()
    cpus = [cpu.number for cpu in sorted(topology.cpus, key=lambda cpu: (cpu.socket, cpu.core, cpu.smt))[:32]]
    spec = EngineSpec(
        threads=sim_threads(topology, [cpus[i % 32] for i in range(n)]),
        workload=Spin(lock=lock, loop_ns=0.3),
        duration_ns=3e6 if n <= 32 else 1.5e8,
        warmup_ns=3e5,
    )
    return operations(simulate(with_machine(spec, machine, {}))) / spec.duration_ns * 1e9


def check_curves() -> Iterator[Finding]:
    """Compare with published curves."""
    machine = load_machine("haswell-ex-4s")
    for lock, name in (("qspinlock", "qspinlock-144"), ("qspinlock-cna", "cna-144")):
        counts, published = zip(*curve(name), strict=True)
        rows = list(zip(counts, published, locktorture(lock, counts, machine), strict=True))
        yield judge(f"locktorture, {lock}, 144 CPUs", rows)
    machine = load_machine("epyc-256")
    rows = [(n, published, global_lock("tas", n, machine)) for n, published in curve("global-lock-256")]
    yield judge("one global lock (tas), 256 CPUs, cpuset of 32", rows)


def check_speed() -> Iterator[Finding]:
    """Measure memory events per second, and what a handoff costs with more waiters."""
    print("Speed, in CPU time; memory events: loads, stores, atomics, line transfers, copies invalidated")
    print("  lock        waiters  events/s  accesses/s  CPU ns a handoff")
    transfer = {"socket": Latency(43, 47, 51), "cross-socket": Latency(130, 134, 138)}
    rates: list[float] = []
    costs: dict[tuple[str, int], float] = {}
    for lock in ("mcs", "ticket", "qspinlock", "tas"):
        for n in (2, 8, 24, 48, 96):
            places = tuple(SimThread(cpu=i, core=i, socket=i // 48, l3=i // 48, domain=i // 48) for i in range(n))
            spec = EngineSpec(
                threads=places, transfer=transfer, service="central", service_ns=15, retry_ns=20,
                workload=Spin(lock=lock, hold_ns=20, think_ns=100), duration_ns=1e7,
            )  # fmt: skip
            best = math.inf
            for seed in range(3):
                began = time.process_time()
                result = simulate(msgspec.structs.replace(spec, seed=seed))
                best = min(best, time.process_time() - began)
            facts = result.facts
            rates.append(facts.memory_events / best)
            costs[lock, n] = best / operations(result) * 1e9
            print(f"  {lock:10} {n - 1:8} {rates[-1]:9.3g} {facts.events / best:11.3g} {costs[lock, n]:17.0f}")
    flat = costs["mcs", 96] / costs["mcs", 8]
    print(f"  median {statistics.median(rates):.3g} events a second")
    print(f"  an mcs handoff with 95 waiters costs {flat:.2f} x one with 7")
    events = statistics.median(rates)
    yield Finding(f"at least {LEAST_EVENTS:.0e} memory events/s", f"{events:.3g}", events >= LEAST_EVENTS)
    yield Finding("95 waiters cost an mcs handoff less than 1.5 times 7 waiters", f"{flat:.2f} times", flat < 1.5)


PARTS: dict[str, Callable[[], Finding | Iterator[Finding]]] = {
    "oracles": check_oracles,
    "queues": check_queues,
    "simpy": check_simpy,
    "curves": check_curves,
    "speed": check_speed,
}
QUICK = ("queues", "simpy", "speed")


def options(parser: argparse.ArgumentParser) -> None:
    """Add the parts."""
    which = f"parts to run [all; with --quick {', '.join(QUICK)}]"
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], help=which)


def run(asked: argparse.Namespace) -> Iterator[Finding]:
    """Run the parts asked for."""
    for part in asked.part or (QUICK if asked.quick else PARTS):
        found = PARTS[part]()
        yield from [found] if isinstance(found, Finding) else found


VALIDATION = Validation(
    shows="the engine agrees with queues and curves",
    run=run,
    seconds=180,
    quick_seconds=30,
    options=options,
)
