# SPDX-License-Identifier: Apache-2.0
"""Compare hold and think time of `spin` as asked with what trials achieve, at one thread and at two.

Each trial corrects the times again; the table has the median over trials with the smallest and the largest, as
shares of the time asked for. Medians of fixed times must be within 2 %.
"""

import argparse
import os
import statistics
from collections.abc import Iterator

from pybench import native
from pybench.errors import MeasurementError
from pybench.native.outcome import TrialSpec
from pybench.workloads import workload
from tests.validation.validation import Finding, Validation

TIMES_NS = (20, 30, 50, 100, 200, 500, 1_000, 10_000, 100_000)
DISTRIBUTIONS = ("fixed", "exponential", "bimodal")
MOST_OFF = 0.02


def options(parser: argparse.ArgumentParser) -> None:
    """Add how many trials, and how long."""
    parser.add_argument("--trials", type=int, help="trials for each time [7; 3 with --quick]")
    parser.add_argument("--seconds", type=float, help="length of a trial, s [0.2; 0.05 with --quick]")


def shares(ns: int, distribution: str, cpus: tuple[int, ...], trials: int, seconds: float) -> list[float]:
    """Return achieved over asked, of hold and think time of every member and trial."""
    params = workload("spin").complete(
        {"lock": "mcs", "hold_ns": ns, "think_ns": ns, "hold_dist": distribution, "think_dist": distribution}
    )
    found = []
    for seed in range(trials):
        spec = TrialSpec(
            workload="spin",
            params=params,
            cpus=cpus,
            duration_ns=int(seconds * 1e9),
            warmup_ns=20_000_000,
            seed=seed,
        )
        outcome = native.run_trial(spec)
        members = outcome.members
        if members is None:
            raise MeasurementError(f"the trial failed: {outcome.reason}")
        for got, asked in ((members.hold_ns, members.hold_asked_ns), (members.think_ns, members.think_asked_ns)):
            found += [a / b for a, b in zip(got, asked, strict=True)]
    return found


def run(asked: argparse.Namespace) -> Iterator[Finding]:
    """Measure, print, judge."""
    trials, seconds = asked.trials or (3 if asked.quick else 7), asked.seconds or (0.05 if asked.quick else 0.2)
    allowed = sorted(os.sched_getaffinity(0))
    print(f"{'asked':>9} threads  " + "  ".join(f"{name:^26}" for name in DISTRIBUTIONS))
    worst = dict.fromkeys((1, 2)[: len(allowed)], 0.0)
    for ns in TIMES_NS:
        for threads in worst:
            row = []
            for distribution in DISTRIBUTIONS:
                seen = shares(ns, distribution, tuple(allowed[:threads]), trials, seconds)
                middle = statistics.median(seen)
                if distribution == "fixed":
                    worst[threads] = max(worst[threads], abs(middle - 1))
                row.append(f"{middle:.4f} [{min(seen):.4f}, {max(seen):.4f}]")
            print(f"{ns:>6} ns {threads:>7}  " + "  ".join(row), flush=True)
    for threads, off in worst.items():
        asks = f"{threads} threads: medians of fixed times are within {MOST_OFF:.0%}"
        yield Finding(asks, f"the worst is off by {off:.1%}", off <= MOST_OFF)


VALIDATION = Validation(
    shows="hold and think time are as asked",
    run=run,
    seconds=90,
    quick_seconds=15,
    options=options,
)
