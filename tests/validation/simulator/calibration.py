# SPDX-License-Identifier: Apache-2.0
"""Compare this host, calibrated and simulated, with itself measured: throughput and p99 by lock and threads.

Each round calibrates (or takes --machine), simulates spin with that file's values as they are, for ticket, ttas,
mcs and seqlock at one thread and at two, and measures the same cells for some seconds. The table has the medians
of the rounds and how far each is off. Rounds whose line transfer is not within 15 % of most rounds' are left
out.

A hypervisor moves virtual CPUs between cores, whose siblings may be at work for another guest: what a transfer
costs, and how fast a core is, change with that from one second to the next. So each trial stands between short
measurements of an empty loop and, for two threads, of a transfer. It counts if both times the loop is within 30
% of the machine file's (a busy sibling doubles it), and the transfer within 12 %.

Each value may be off by 15 %, or a latency by a reading of the clock or two of its steps. Run it on an idle
host. Of the cells, calibration itself measures only seqlock's single reader.
"""

import argparse
import itertools
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pybench.analysis.summary.cell_table import summaries
from pybench.errors import MeasurementError
from pybench.host.topology import read_topology
from pybench.native import Outcome, run_trial
from pybench.native.outcome import TrialSpec
from pybench.results.records import Cell
from pybench.results.store import read
from pybench.run.checked_trial import figures, measure, start_meters
from pybench.simulator.calibration.trials import ns_an_operation
from pybench.simulator.machine import Machine
from pybench.simulator.machine_file import load_machine
from pybench.workloads import workload
from tests.validation.validation import Finding, Validation

LOCKS = ("ticket", "ttas", "mcs", "seqlock")
MOST_OFF = 0.15
SAME_TRANSFER, SAME_CORE, SAME_ROUND = 0.12, 0.3, 0.15
ENOUGH, LEAST = 25, 3  # trials per cell
SHOWN = {"throughput": 1e-6, "p99_ns": 1.0}  # the values compared, and the unit they are shown in
TRIAL_NS, WARMUP_NS = 10_000_000, 1_000_000
# A file's ranges hold all states seen while it was made; trials count that ran in the state of its values.
AS_IT_IS = ("--draws", "1", "--duration", "30ms")
PYBENCH = (sys.executable, "-c", "from pybench.cli import main; main()")
Pairs = dict[tuple[int, str, str], tuple[float, float]]
"""(threads, lock, value) -> measured, simulated."""


def pybench(*words: str) -> None:
    """Run pybench. Raises MeasurementError if it fails."""
    ran = subprocess.run([*PYBENCH, *words], check=False, capture_output=True, text=True)
    if ran.returncode:
        raise MeasurementError(f"pybench {words[0]}: {(ran.stderr.strip().splitlines() or [''])[-1]}")


def short_trial(name: str, params: dict[str, int | str], cpus: tuple[int, ...]) -> Outcome:
    """Run one trial of 2 ms."""
    complete = workload(name).complete(params)
    return run_trial(
        TrialSpec(workload=name, params=complete, cpus=cpus, duration_ns=2_000_000, warmup_ns=500_000)
    )


def transfer_ns(cpus: tuple[int, ...]) -> float:
    """Return a line transfer in ns, as calibration measures it; nan if that failed."""
    points = short_trial("transfer", {"method": "cas"}, cpus).timeline
    return statistics.median(ps for _, ps in points) / 1000 if points else float("nan")


def loop_ns(cpus: tuple[int, ...]) -> float:
    """Return the ns of an empty loop on the first CPU; nan if that failed."""
    outcome = short_trial("spin", {"lock": "empty"}, cpus[:1])
    return ns_an_operation(outcome) if outcome.members else float("nan")


def measured(
    cpus: tuple[int, ...], machine: Machine, seconds: float
) -> tuple[dict[tuple[str, int], list[tuple[float, float]]], float, int]:
    """Measure for some seconds.

    Return (lock, threads) -> throughputs and p99s of valid trials, the ns of a reading of the clock, and how many
    trials are left out.
    """
    kind, moved, step = workload("spin"), 0, 0.0
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    cells = [(lock, threads) for lock in LOCKS for threads in range(1, len(cpus) + 1)]
    transfer = next(iter(machine.transfer.values())).median.value

    def as_calibrated(threads: int) -> bool:
        same_core = abs(loop_ns(cpus) / machine.times["core.loop_ns"].value - 1) <= SAME_CORE
        return same_core and (threads < 2 or abs(transfer_ns(cpus) / transfer - 1) <= SAME_TRANSFER)

    end = time.monotonic() + seconds
    while time.monotonic() < end and any(len(found.get(cell, ())) < ENOUGH for cell in cells):
        for lock, threads in random.sample(cells, len(cells)):
            params = kind.complete({"lock": lock})
            cell = Cell(workload="spin", params=params, threads=threads, place="", smt="on", cpus=cpus[:threads])
            spec = TrialSpec(
                workload="spin", params=params, cpus=cell.cpus, duration_ns=TRIAL_NS, warmup_ns=WARMUP_NS
            )
            before = as_calibrated(threads)
            trial = measure(cell, spec, run_trial, start_meters)
            outcome = trial.outcome
            if outcome.members is None or trial.flags:
                continue
            if not (before and as_calibrated(threads)):
                moved += 1
                continue
            one = figures(outcome.members, outcome.phases, kind.latency)
            found.setdefault((lock, threads), []).append((one.throughput, one.p99_ns))
            step = max(step, outcome.timer_ns, 2 * outcome.timer_step_ns)
    return found, step, moved


def one_round(
    number: int, asked: argparse.Namespace, cpus: tuple[int, ...], folder: Path
) -> tuple[float, Pairs, float]:
    """Calibrate, simulate, measure; return the line transfer, the pairs, and a reading of the clock, in ns."""
    file, path = asked.machine or str(folder / f"here-{number}.toml"), folder / f"simulated-{number}.jsonl"
    path.unlink(missing_ok=True)
    if not asked.machine:
        pybench("machine", "calibrate", "-o", file, "--force")
    machine = load_machine(file)
    threads = ",".join(str(n + 1) for n in range(len(cpus)))
    axes = ["--lock", ",".join(LOCKS), "--threads", threads, "--place", "all"]
    pybench("simulate", "--machine", file, "spin", *axes, *AS_IT_IS, "--output", str(path))
    models = {(str(one.cell.params["lock"]), one.cell.threads): one for one in summaries(read(path))}
    seen, step, moved = measured(cpus, machine, asked.seconds or (3.0 if asked.quick else 12.0))
    nearest = next(iter(machine.transfer.values())).median.value
    print(f"round {number}: transfer {nearest:.1f} ns; {moved} trials left out, made in another state", flush=True)
    pairs: Pairs = {}
    for (lock, count), model in models.items():
        trials = seen.get((lock, count), [])
        for place, name in enumerate(SHOWN):
            if len(trials) >= LEAST:
                value = statistics.median(trial[place] for trial in trials)
                pairs[count, lock, name] = value, getattr(model, name).value
    return nearest, pairs, step


def options(parser: argparse.ArgumentParser) -> None:
    """Add the rounds, their length, and where files are."""
    parser.add_argument("--rounds", type=int, help="rounds of all of it [10; 1 with --quick]")
    parser.add_argument("--machine", help="a machine file of this host, instead of calibrating")
    parser.add_argument("--seconds", type=float, help="seconds of trials in a round [12; 3 with --quick]")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the files here")


def run(asked: argparse.Namespace) -> Iterator[Finding]:
    """Run the rounds and print the table."""
    allowed = os.sched_getaffinity(0)
    cpus = tuple(cpu.number for cpu in read_topology().usable if cpu.number in allowed)[:2]
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        count = asked.rounds or (1 if asked.quick else 10)
        rounds = [one_round(i + 1, asked, cpus, folder) for i in range(count)]
    most = statistics.median_low(nearest for nearest, _, _ in rounds)
    kept = [pairs for nearest, pairs, _ in rounds if abs(nearest / most - 1) <= SAME_ROUND]
    step = max(step for _, _, step in rounds)
    print(f"transfer {most:.1f} ns: {len(kept)} of {len(rounds)} rounds; throughput in M/s, p99 in ns")
    print(f"{'threads':7} {'lock':8} {'value':>10} {'rounds':>6} {'measured':>9} {'simulated':>9}    off")
    worst, missing = 0.0, 0
    for threads, lock, name in itertools.product(range(1, len(cpus) + 1), LOCKS, SHOWN):
        both = [pairs[threads, lock, name] for pairs in kept if (threads, lock, name) in pairs]
        if not both:
            print(f"{threads:7} {lock:8} {name:>10} {0:6} too few such trials: unknown")
            missing += 1
            continue
        value, simulated = (statistics.median(pair[i] for pair in both) for i in (0, 1))
        offs = sorted(pair[1] / max(pair[0], 1.0) - 1 for pair in both)
        off = statistics.median(offs)
        hidden = name == "p99_ns" and abs(simulated - value) <= step
        worst = worst if hidden else max(worst, abs(off))
        words = f"within a reading of the clock, {step:.0f} ns" if hidden else f"{offs[0]:+.0%} to {offs[-1]:+.0%}"
        row = f"{value * SHOWN[name]:9.4g} {simulated * SHOWN[name]:9.4g} {off:+6.0%}"
        print(f"{threads:7} {lock:8} {name:>10} {len(both):6} {row}  {words}")
    asks = f"simulated values are off by at most {MOST_OFF:.0%}"
    yield Finding(asks, f"the worst by {worst:.0%}", worst <= MOST_OFF)
    yield Finding("every value is measured", f"{missing} are unknown", not missing)


VALIDATION = Validation(
    shows="this host is simulated as it measures",
    run=run,
    seconds=600,
    quick_seconds=40,
    options=options,
)
