# SPDX-License-Identifier: Apache-2.0
"""Compare each lock of `spin` with the limits of this host.

One thread: the cost of an operation in a trial and in a bare C loop over the same lock, in turn, and the
difference, which may be 1 ns (it is more only if its whole interval is). Two threads: the cost of a handoff in
line transfers between the two CPUs, by stores and loads, measured right before each trial: at most 2.5 for mcs
and clh.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pybench import native
from pybench.errors import MeasurementError, UsageError
from pybench.host.topology import Topology, distance, read_topology
from pybench.native.outcome import Outcome, TrialSpec
from pybench.present.numbers import between
from pybench.run.line_transfers import quick_look
from pybench.stats.estimate import Interval, median_interval
from pybench.workloads import workload
from tests.validation.programs import BARE, compile_c, compiler, lock_flags
from tests.validation.validation import Finding, Validation

MOST_OWN_NS = 1.0
MOST_TRANSFERS = {"mcs": 2.5, "clh": 2.5}


def options(parser: argparse.ArgumentParser) -> None:
    """Add the locks, how many runs, and how long."""
    parser.add_argument("locks", nargs="*", metavar="LOCK", help="measure only these locks")
    parser.add_argument("--pairs", type=int, help="pairs of runs for each lock [15; 6 with --quick]")
    parser.add_argument("--seconds", type=float, help="length of each run, s [0.15; 0.05 with --quick]")


def trial(lock: str, cpus: tuple[int, ...], seconds: float) -> Outcome:
    """Run one trial of a lock without hold or think time."""
    span = int(seconds * 1e9)
    params = workload("spin").complete({"lock": lock})
    outcome = native.run_trial(
        TrialSpec(workload="spin", params=params, cpus=cpus, duration_ns=span, warmup_ns=span // 10)
    )
    if outcome.members is None:
        raise MeasurementError(f"{lock}: {outcome.status}: {outcome.reason}")
    return outcome


def own_cost(program: Path, lock: str, cpu: int, pairs: int, seconds: float) -> tuple[float, float, Interval]:
    """Return the ns of an operation in the bare loop and in pybench, and the difference, measured in turn."""
    bare, ours = [], []
    for _ in range(pairs):
        done = subprocess.run([program, str(cpu), str(seconds)], check=True, stdout=subprocess.PIPE, text=True)
        operations, ns = map(int, done.stdout.split())
        bare.append(ns / operations)
        members = trial(lock, (cpu,), seconds).members
        assert members is not None
        ours.append((members.stop_ns[0] - members.start_ns[0]) / members.operations[0])
    apart = [b - a for a, b in zip(bare, ours, strict=True)]
    return statistics.median(bare), statistics.median(ours), median_interval(apart)


def handoff(
    lock: str, topology: Topology, pair: tuple[int, int], trials: int, seconds: float
) -> tuple[Interval, Interval] | None:
    """Return a handoff between the two CPUs in ns, and in line transfers measured right before each trial."""
    kind = distance(*(topology.by_number()[cpu] for cpu in pair))
    means, ratios = [], []
    for _ in range(trials):
        transfer_ns = quick_look(topology, pair).get(kind)
        seen = trial(lock, pair, seconds).handoffs
        if seen and sum(seen.timed):
            means.append(sum(seen.ns) / sum(seen.timed))
            ratios += [means[-1] / transfer_ns] if transfer_ns else []
    return (median_interval(means), median_interval(ratios)) if ratios else None


def run(asked: argparse.Namespace) -> Iterator[Finding]:
    """Measure, print, judge."""
    pairs, seconds = asked.pairs or (6 if asked.quick else 15), asked.seconds or (0.05 if asked.quick else 0.15)
    known = [name for name, info in native.locks().items() if info.family != "control"]
    if unknown := set(asked.locks) - set(known):
        raise UsageError(f"{', '.join(unknown)}: choose from {', '.join(known)}")
    topology, allowed = read_topology(), sorted(os.sched_getaffinity(0))
    pair = (allowed[0], allowed[1]) if len(allowed) > 1 else None
    print(f"{'lock':20} {'bare':>6} {'pybench':>7}  {'own cost, ns':23} {'handoff, ns':20} line transfers")
    slow, far = [], []
    with tempfile.TemporaryDirectory() as folder:
        for lock in asked.locks or known:
            name = lock.replace("-", "_")
            program = Path(folder) / name
            compile_c([compiler(), *lock_flags(name), BARE / "lock.c", "-o", program])
            bare, ours, apart = own_cost(program, lock, allowed[-1], pairs, seconds)
            over = handoff(lock, topology, pair, pairs, seconds) if pair else None
            slow += [lock] if apart.low > MOST_OWN_NS else []
            far += [lock] if over and over[1].value > MOST_TRANSFERS.get(lock, float("inf")) else []
            handed, transfers = map(between, over) if over else ("-", "-")
            words = f"{lock:20} {bare:6.2f} {ours:7.2f}  {between(apart):23} {handed:20} {transfers}"
            print(f"{words}{'  too slow' if lock in slow + far else ''}", flush=True)
    asks = f"a trial adds at most {MOST_OWN_NS:g} ns to a lock's operation"
    yield Finding(asks, f"more with {', '.join(slow)}" if slow else "with all locks", not slow)
    if pair:
        asks = "mcs and clh hand over in at most 2.5 line transfers"
        yield Finding(asks, f"more with {', '.join(far)}" if far else "both do, where measured", not far)


VALIDATION = Validation(
    shows="a trial adds under 1 ns to a lock's cost",
    run=run,
    seconds=240,
    quick_seconds=60,
    options=options,
)
