"""Runs bare.c and pybench in turns on the same CPUs, and prints how their rates compare.

compare.py PROGRAM [--pairs N] [--seconds S] [--cpu C] [ticket] [mount] [transfer] [transfer-cas]
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
    "transfer": ("transfer", {"method": "store", "batch": 500}),
    "transfer-cas": ("transfer", {"method": "cas", "batch": 500}),
}


def bare_rate(program: str, what: str, cpus: tuple[int, ...], seconds: float) -> float:
    """Operations a second of the bare loop."""
    words = [program, what, ",".join(map(str, cpus)), str(seconds)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    operations, ns = map(int, done.stdout.split())
    return operations * 1e9 / ns


def pybench_rate(what: str, cpus: tuple[int, ...], seconds: float) -> float:
    """Operations a second of a trial with a member on each CPU."""
    workload, params = TRIALS[what]
    span = int(seconds * 1e9)
    outcome = run_trial(
        TrialSpec(workload=workload, params=params, cpus=cpus, duration_ns=span, warmup_ns=span // 10)
    )
    if outcome.members is None:
        sys.exit(f"compare-bare: {what}: {outcome.status}: {outcome.reason}")
    return sum(outcome.members.operations) * 1e9 / (outcome.members.stop_ns[0] - outcome.members.start_ns[0])


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


def compare(program: str, what: str, pairs: int, cpus: tuple[int, ...], seconds: float) -> None:
    """Print both rates and their ratio."""
    bare, ours = [], []
    for _ in range(pairs):
        bare.append(bare_rate(program, what, cpus, seconds))
        ours.append(pybench_rate(what, cpus, seconds))
    ratios = [b / a for a, b in zip(bare, ours, strict=True)]
    low, high = median_interval(ratios)
    where = ",".join(map(str, cpus))
    print(
        f"{what:12}  bare {statistics.median(bare):14,.0f}/s  pybench {statistics.median(ours):14,.0f}/s"
        f"  pybench/bare {statistics.median(ratios):.4f} [{low:.4f}, {high:.4f}]"
        f"  min {min(ratios):.4f} max {max(ratios):.4f}  ({pairs} pairs of {seconds:g} s, CPU {where})"
    )


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="compare-bare")
    parser.add_argument("program")
    parser.add_argument("what", nargs="*", metavar="|".join(TRIALS))
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)))
    asked = parser.parse_args()
    if unknown := set(asked.what) - set(TRIALS):
        parser.error(f"{', '.join(unknown)}: choose from {', '.join(TRIALS)}")
    for what in asked.what or TRIALS:
        cpus: tuple[int, ...] = (asked.cpu,)
        if what.startswith("transfer"):
            others = sorted(os.sched_getaffinity(0) - {asked.cpu})
            if not others:
                print(f"{what:12}  left out: it takes two CPUs")
                continue
            cpus = (others[0], asked.cpu)
        compare(asked.program, what, asked.pairs, cpus, asked.seconds)


if __name__ == "__main__":
    main()
