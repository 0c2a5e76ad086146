# SPDX-License-Identifier: Apache-2.0
"""Compare trials with a bare C loop that does the same and nothing else: the difference is pybench's own cost.

Both run in turn on the same CPUs, for the ticket lock, for mount and umount (as root), and for a line
transferred between two CPUs. A ratio of 1 says that measuring costs nothing; it may be 0.95 (it is less only if
its whole interval is).
"""

import argparse
import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pybench.errors import MeasurementError, UsageError
from pybench.native import TrialSpec, run_trial
from pybench.stats.estimate import median_interval
from pybench.workloads import workload
from tests.validation.programs import bare_program
from tests.validation.validation import Finding, Validation

LEAST_RATIO = 0.95
TRIALS: dict[str, tuple[str, dict[str, int | str]]] = {
    "ticket": ("spin", {"lock": "ticket"}),
    "mount": ("mount", {"api": "mount", "idmap": "no", "umount": "sync", "fs": "tmpfs"}),
    "transfer": ("transfer", {"method": "store", "batch": 500}),
    "transfer-cas": ("transfer", {"method": "cas", "batch": 500}),
}


def bare_rate(program: Path, what: str, cpus: tuple[int, ...], seconds: float) -> float:
    """Return the bare loop's rate in operations/s."""
    words = [str(program), what, ",".join(map(str, cpus)), str(seconds)]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise MeasurementError(f"the bare program failed: {ran.stderr.strip()}")
    operations, ns = map(int, ran.stdout.split())
    return operations * 1e9 / ns


def pybench_rate(what: str, cpus: tuple[int, ...], seconds: float) -> float:
    """Return the rate in operations/s of a trial with a member on each CPU."""
    name, params = TRIALS[what]
    span = int(seconds * 1e9)
    outcome = run_trial(
        TrialSpec(
            workload=name,
            params=workload(name).complete(params),
            cpus=cpus,
            duration_ns=span,
            warmup_ns=span // 10,
        )
    )
    if outcome.members is None:
        raise MeasurementError(f"{what}: {outcome.status}: {outcome.reason}")
    return sum(outcome.members.operations) * 1e9 / (outcome.members.stop_ns[0] - outcome.members.start_ns[0])


def compare(program: Path, what: str, pairs: int, cpus: tuple[int, ...], seconds: float) -> Finding:
    """Run both in turn; print both rates and return the finding on their ratio."""
    bare, ours = [], []
    for _ in range(pairs):
        bare.append(bare_rate(program, what, cpus, seconds))
        ours.append(pybench_rate(what, cpus, seconds))
    ratios = [b / a for a, b in zip(bare, ours, strict=True)]
    middle = median_interval(ratios)
    rates = f"bare {statistics.median(bare):14,.0f}/s  pybench {statistics.median(ours):14,.0f}/s"
    span = f"ratios {min(ratios):.4f} to {max(ratios):.4f}"
    where = ",".join(map(str, cpus))
    print(f"{what:12}  {rates}  {span}  ({pairs} pairs of {seconds:g} s, CPU {where})", flush=True)
    known = f" [{middle.low:.4f}, {middle.high:.4f}]" if middle.known else ""
    asked = f"{what}: pybench's rate is at least {LEAST_RATIO:g} of the bare loop's"
    return Finding(asked, f"{middle.value:.4f}{known}", middle.high >= LEAST_RATIO)


def options(parser: argparse.ArgumentParser) -> None:
    """Add what to compare, and how often."""
    parser.add_argument("what", nargs="*", metavar="|".join(TRIALS), help="compare only these")
    parser.add_argument("--pairs", type=int, help="pairs of runs for each [15; 6 with --quick]")
    parser.add_argument("--seconds", type=float, help="length of each run, s [0.3; 0.1 with --quick]")
    parser.add_argument(
        "--cpu", type=int, default=max(os.sched_getaffinity(0)), help="CPU of one member [the last]"
    )


def run(asked: argparse.Namespace) -> Iterator[Finding]:
    """Compare each."""
    if unknown := set(asked.what) - set(TRIALS):
        raise UsageError(f"{', '.join(unknown)}: choose from {', '.join(TRIALS)}")
    pairs, seconds = asked.pairs or (6 if asked.quick else 15), asked.seconds or (0.1 if asked.quick else 0.3)
    others = sorted(os.sched_getaffinity(0) - {asked.cpu})
    with tempfile.TemporaryDirectory() as folder:
        program = bare_program("operations", Path(folder))
        for what in asked.what or TRIALS:
            if what == "mount" and os.geteuid():
                print(f"{what:12}  left out: the bare program needs root")
            elif not what.startswith("transfer"):
                yield compare(program, what, pairs, (asked.cpu,), seconds)
            elif others:
                yield compare(program, what, pairs, (others[0], asked.cpu), seconds)
            else:
                print(f"{what:12}  left out: it takes two CPUs")


VALIDATION = Validation(
    shows="trials run as fast as a bare C loop",
    run=run,
    seconds=45,
    quick_seconds=8,
    options=options,
)
