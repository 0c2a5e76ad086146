# SPDX-License-Identifier: Apache-2.0
"""Compare launch storms with a bare C program that makes the same system calls and nothing else.

Both run in turn. The ratio of the medians of containers/s is pybench's own cost: 1 says that measuring costs
nothing. With --bare-verify the bare program too reads a file of each root; without it, pybench's check of each
root is part of the ratio. Needs root, as the bare program has no user namespace of its own.
"""

import argparse
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pybench.errors import MeasurementError, UnsupportedError
from pybench.native import TrialSpec, run_trial
from pybench.present.numbers import counted
from pybench.stats.estimate import median_interval
from pybench.stats.ratios import ratio_interval
from pybench.workloads import workload
from tests.validation.programs import bare_program
from tests.validation.validation import Finding, Validation

LONGEST_NS = 60 * 10**9
LEAST_RATIO = 0.95


def options(parser: argparse.ArgumentParser) -> None:
    """Add the storm's parameters."""
    parser.add_argument("--strategy", default="parent,binds", help="strategies, by commas [parent,binds]")
    parser.add_argument("--threads", default="1,2", help="thread counts, by commas [1,2]")
    parser.add_argument("--pairs", type=int, help="pairs of runs for each row [15; 6 with --quick]")
    parser.add_argument("--containers", type=int, help="containers of a storm [100; 30 with --quick]")
    parser.add_argument("--layers", type=int, default=50, help="layers of a container [50]")
    parser.add_argument("--bare-verify", action="store_true", help="let the bare program check each root too")


def bare_rate(program: Path, strategy: str, cpus: tuple[int, ...], asked: argparse.Namespace) -> float:
    """Return containers/s of one run of the bare program."""
    words = [strategy, asked.containers, asked.layers, "verify" if asked.bare_verify else "plain", *cpus]
    ran = subprocess.run([program, *map(str, words)], text=True, capture_output=True, check=False)
    done, ns = map(int, ran.stdout.split() or (0, 0))
    if done != asked.containers:
        raise MeasurementError(f"the bare program launched {done} containers: {ran.stderr.strip()}")
    return done / ns * 1e9


def pybench_rate(strategy: str, cpus: tuple[int, ...], asked: argparse.Namespace) -> float:
    """Return containers/s of one trial."""
    axes = {"strategy": strategy, "containers": asked.containers, "layers": asked.layers, "arrival": "closed"}
    params = workload("launch").complete(axes)
    outcome = run_trial(TrialSpec(workload="launch", params=params, cpus=cpus, duration_ns=LONGEST_NS))
    if outcome.members is None or outcome.counters.get("launched") != asked.containers:
        raise MeasurementError(f"{outcome.status}: {outcome.reason or outcome.note}")
    return float(asked.containers / max(outcome.members.stop_ns) * 1e9)


def compare(program: Path, strategy: str, cpus: tuple[int, ...], asked: argparse.Namespace) -> Finding:
    """Run both in turn; the first pair warms up and is left out."""
    pairs = [
        (bare_rate(program, strategy, cpus, asked), pybench_rate(strategy, cpus, asked))
        for _ in range(asked.pairs + 1)
    ][1:]
    bare, ours = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    ratio = ratio_interval(ours, bare)
    interval = f" [{ratio.low:.3f}, {ratio.high:.3f}]" if ratio.known else " (an interval needs 6 pairs)"
    rates = "".join(f"{counted(median_interval(rate)):>15}" for rate in (bare, ours))
    print(f"{strategy:<8}{len(cpus):>8}{rates}", flush=True)
    asks = f"{strategy}, {len(cpus)} threads: pybench's rate is at least {LEAST_RATIO:g} of the bare program's"
    return Finding(asks, f"{ratio.value:.3f}{interval}", not ratio.known or ratio.high >= LEAST_RATIO)


def run(asked: argparse.Namespace) -> Iterator[Finding]:
    """Compare every strategy at every number of threads."""
    if os.geteuid():
        raise UnsupportedError("needs root, as the bare program has no user namespace of its own")
    asked.pairs = asked.pairs or (6 if asked.quick else 15)
    asked.containers = asked.containers or (30 if asked.quick else 100)
    allowed = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        program = bare_program("launch", Path(folder))
        print(f"{asked.containers} containers of {asked.layers} layers, {asked.pairs} pairs of runs in turn")
        print(f"{'strategy':<8}{'threads':>8}{'bare/s':>15}{'pybench/s':>15}")
        for strategy in asked.strategy.split(","):
            for threads in map(int, asked.threads.split(",")):
                if threads > len(allowed):
                    print(f"{strategy:<8}{threads:>8}  left out: {len(allowed)} CPUs")
                else:
                    yield compare(program, strategy, tuple(allowed[:threads]), asked)


VALIDATION = Validation(
    shows="storms run as fast as a bare C program",
    run=run,
    seconds=60,
    quick_seconds=12,
    options=options,
)
