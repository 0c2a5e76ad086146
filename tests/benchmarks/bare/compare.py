"""Runs bare.c and pybench in turns on one CPU, and prints how their rates compare.

compare.py PROGRAM [--pairs N] [--seconds S] [--cpu C] [ticket] [mount]
"""

import argparse
import math
import os
import statistics
import subprocess
import sys

from pybench.native import TrialSpec, run_trial
from pybench.workloads import workload

TRIALS: dict[str, tuple[str, dict[str, int | str]]] = {
    "ticket": (
        "spin",
        workload("spin").complete({"lock": "ticket"}),
    ),
    "mount": (
        "mount",
        {
            "api": "mount",
            "idmap": "no",
            "umount": "sync",
            "children": 0,
            "peers": 0,
            "table": 0,
            "fs": "tmpfs",
        },
    ),
}


def bare_rate(program: str, what: str, cpu: int, seconds: float) -> float:
    """Operations a second of the bare loop."""
    done = subprocess.run([program, what, str(cpu), str(seconds)], check=True, stdout=subprocess.PIPE, text=True)
    operations, ns = map(int, done.stdout.split())
    return operations * 1e9 / ns


def pybench_rate(what: str, cpu: int, seconds: float) -> float:
    """Operations a second of a trial with one member."""
    workload, params = TRIALS[what]
    span = int(seconds * 1e9)
    outcome = run_trial(
        TrialSpec(workload=workload, params=params, cpus=(cpu,), duration_ns=span, warmup_ns=span // 10)
    )
    if outcome.members is None:
        sys.exit(f"compare-bare: {what}: {outcome.status}: {outcome.reason}")
    return outcome.members.operations[0] * 1e9 / (outcome.members.stop_ns[0] - outcome.members.start_ns[0])


def median_interval(values: list[float], confidence: float = 0.95) -> tuple[float, float]:
    """Order statistics that enclose the median with at least this confidence, whatever the distribution."""
    ranked, count = sorted(values), len(values)
    below, rank = 0.0, 0
    while rank < count // 2:
        below += math.comb(count, rank) / 2**count
        if 2 * below > 1 - confidence:
            break
        rank += 1
    rank = max(rank, 1)
    return ranked[rank - 1], ranked[count - rank]


def compare(program: str, what: str, pairs: int, cpu: int, seconds: float) -> None:
    """Print both rates and their ratio."""
    bare, ours = [], []
    for _ in range(pairs):
        bare.append(bare_rate(program, what, cpu, seconds))
        ours.append(pybench_rate(what, cpu, seconds))
    ratios = [b / a for a, b in zip(bare, ours, strict=True)]
    low, high = median_interval(ratios)
    print(
        f"{what:6}  bare {statistics.median(bare):14,.0f}/s  pybench {statistics.median(ours):14,.0f}/s"
        f"  pybench/bare {statistics.median(ratios):.4f} [{low:.4f}, {high:.4f}]"
        f"  min {min(ratios):.4f} max {max(ratios):.4f}  ({pairs} pairs of {seconds:g} s, CPU {cpu})"
    )


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="compare-bare")
    parser.add_argument("program")
    parser.add_argument("what", nargs="*", metavar="ticket|mount")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)))
    asked = parser.parse_args()
    if unknown := set(asked.what) - set(TRIALS):
        parser.error(f"{', '.join(unknown)}: choose from {', '.join(TRIALS)}")
    for what in asked.what or TRIALS:
        compare(asked.program, what, asked.pairs, asked.cpu, asked.seconds)


if __name__ == "__main__":
    main()
