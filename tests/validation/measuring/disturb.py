# SPDX-License-Identifier: Apache-2.0
"""Disturb trials, and count how many of the disturbances that matter are flagged.

15 kinds are planted N times each, at a random moment of a trial of 120 ms, for 10 to 60 % of it; 9 more, which
no host can be made to do on command, are edited into the records of real trials and marked * in the table. After
every second planting a trial of the same cell runs undisturbed. A planting matters if its throughput is more
than 5 % outside that of all four valid undisturbed trials nearest to it in time; an edited record always
matters. The cells have a stable throughput, so that 5 % means something: spin with an mcs lock held for 200 ns
(without hold time it swings from trial to trial), and mount. In virtual machines even this one halves and
doubles for tens of seconds at a time, when the hypervisor moves CPUs nearer or farther: only the nearest
trials are compared.

At least 95 % of what matters of each kind must be flagged, and at most 2 % of the undisturbed trials, N of which
run per cell before the first planting. Run it on a quiet machine, as root for all kinds.
"""

import argparse
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from pybench import native
from pybench.errors import UnsupportedError
from pybench.host.meters import HostCounts
from pybench.native import Outcome, TrialSpec
from pybench.results.records import Cell, Plan, Trial
from pybench.run.checked_trial import start_meters
from pybench.run.sweep import Sweep
from pybench.workloads import workload
from tests.validation.measuring.disturbances import MS, Kind, Moment, kinds
from tests.validation.validation import Finding, Validation

DURATION_NS, WARMUP_NS, SETUP_NS = 120 * MS, 10 * MS, 6 * MS
MATTERS, LEAST_FLAGGED, MOST_FALSE = 0.05, 0.95, 0.02
NEAREST = 4
Trials = dict[str, list[Trial]]


def cells(cpus: tuple[int, int]) -> dict[str, Cell]:
    """Return the cells whose trials are disturbed, by the names that kinds use."""

    def cell(name: str, count: int, crew: str = "threads", **params: int | str) -> Cell:
        complete = workload(name).complete(params)
        return Cell(
            workload=name,
            params=complete,
            threads=count,
            place="all",
            smt="on",
            cpus=cpus[:count],
            crew=crew,  # type: ignore[arg-type]
        )

    return {
        "spin": cell("spin", 2, lock="mcs", hold_ns=200),
        "processes": cell("spin", 2, crew="processes", lock="mcs", hold_ns=200),
        "spin alone": cell("spin", 1, lock="mcs", hold_ns=200),
        "mount": cell("mount", 2),
        "mount alone": cell("mount", 1),
    }


class Bench:
    """Runs trials of one cell, each with a disturbance or none."""

    def __init__(self, cell: Cell, rng: random.Random) -> None:
        self.rng = rng
        self.kind: Kind | None = None
        self.missed = False
        plan = Plan(
            cells=[cell],
            seed=rng.randrange(2**32),
            duration_ns=DURATION_NS,
            warmup_ns=WARMUP_NS,
            target=1e-12,
            max_trials=10**9,
            max_invalid=10**9,
        )
        self._trials = Sweep(plan, run_trial=self._run, meters=self._meters).trials()

    def trial(self, kind: Kind | None) -> Trial:
        """Run one trial; plant again if there was no crew to disturb."""
        self.kind = kind
        while True:
            trial = next(self._trials)
            if not self.missed:
                return trial

    def _meters(self, cpus: Sequence[int]) -> Callable[[], HostCounts]:
        stop = start_meters(cpus)
        return lambda: self.kind.count(stop(), self.rng) if self.kind else stop()

    def _run(self, spec: TrialSpec) -> Outcome:
        self.missed = False
        if self.kind is None:
            return native.run_trial(spec)
        begin = time.monotonic_ns() + SETUP_NS + WARMUP_NS + round(DURATION_NS * self.rng.uniform(0.0, 0.4))
        moment = Moment(begin, begin + round(DURATION_NS * self.rng.uniform(0.1, 0.6)))
        with ThreadPoolExecutor(1) as thread:
            disturbed = thread.submit(self.kind.disturb, moment, self.rng)
            outcome = native.run_trial(spec)
            self.missed = not disturbed.result()
        return self.kind.report(outcome, self.rng) if outcome.status == "ok" else outcome


def possible(cpus: tuple[int, int]) -> list[Kind]:
    """Return the kinds that this host and user can do; print why not the others."""
    able = []
    for name, make in kinds(cpus).items():
        try:
            able.append(make())
        except OSError as error:
            print(f"{name}: left out: {error}")
    return able


def study(
    able: list[Kind], benches: dict[str, Bench], count: int, rng: random.Random
) -> tuple[Trials, Trials, Trials]:
    """Plant; return the disturbed trials by kind, and the undisturbed ones by cell, in the study and before."""
    planted, quiet = defaultdict[str, list[Trial]](list), defaultdict[str, list[Trial]](list)
    names = {kind.cell for kind in able}
    before = {name: [benches[name].trial(None) for _ in range(count)] for name in names}
    order = [kind for kind in able for _ in range(count)]
    rng.shuffle(order)
    for name in names:
        for _ in range(NEAREST):
            quiet[name].append(benches[name].trial(None))
    for number, kind in enumerate(order):
        planted[kind.name].append(benches[kind.cell].trial(kind))
        if number % 2:
            quiet[kind.cell].append(benches[kind.cell].trial(None))
    return planted, quiet, before


def flags_of(trials: list[Trial], most: int = 3) -> str:
    """Return the commonest flags of the trials; one that failed counts as "failed"."""
    counts = Counter(flag for trial in trials for flag in (trial.flags or ([] if trial.figures else ["failed"])))
    return ", ".join(f"{name} {n}" for name, n in counts.most_common(most))


def throughput(trial: Trial) -> float:
    """Return a trial's operations/s, nan if it failed."""
    return trial.figures.throughput if trial.figures else float("nan")


def moved(trial: Trial, valid: list[Trial]) -> bool:
    """Return True if the throughput is outside that of the nearest valid trials, or if there are none to tell."""
    others = [other for other in valid if other is not trial]
    near = [throughput(t) for t in sorted(others, key=lambda t: abs(t.started - trial.started))[:NEAREST]]
    return not near or not min(near) * (1 - MATTERS) <= throughput(trial) <= max(near) * (1 + MATTERS)


def judge_kinds(able: list[Kind], planted: Trials, valid: Trials) -> Finding:
    """Print the table of disturbances, and return the finding on what is flagged."""
    low = []
    print(f"{'disturbance':<21}{'on':<12}{'planted':>8}{'matter':>8}{'flagged':>9}  by")
    for kind in able:
        trials = planted[kind.name]
        # A trial that failed has no throughput, and is flagged by that.
        matter = [t for t in trials if kind.edited or not t.figures or moved(t, valid[kind.cell])]
        # An edited record must be flagged by its check; a real disturbance may show in any way.
        flagged = [t for t in matter if (kind.edited in t.flags if kind.edited else not t.valid)]
        share = f"{len(flagged) / len(matter):.0%}" if matter else "-"
        if len(flagged) < LEAST_FLAGGED * len(matter):
            low.append(f"{kind.name} {share}")
        name = f"{kind.name}*" if kind.edited else kind.name
        print(f"{name:<21}{kind.cell:<12}{len(trials):>8}{len(matter):>8}{share:>9}  {flags_of(matter)}"[:110])
    print("* edited into the record of a real trial")
    words = ", ".join(low) or f"all {len(able)}"
    return Finding(f"of each kind, at least {LEAST_FLAGGED:.0%} of what matters is flagged", words, not low)


def judge_quiet(quiet: Trials, before: Trials, valid: Trials) -> Finding:
    """Print the table of undisturbed trials, and return the finding on false flags before the first planting."""
    print(f"\n{'undisturbed':<33}{'trials':>8}{'moved':>8}{'flagged':>9}  by")
    for name, trials in quiet.items():
        flagged = [t for t in trials if t.flags]
        went = sum(moved(t, valid[name]) for t in trials if t.figures)
        print(f"{name:<33}{len(trials):>8}{went:>8}{len(flagged) / len(trials):>9.0%}  {flags_of(flagged)}")
    print("(between plantings, which may leave something behind)")
    calm = [trial for trials in before.values() for trial in trials]
    wrong = [trial for trial in calm if trial.flags]
    words = f"{len(wrong)} of {len(calm)}: {len(wrong) / len(calm):.1%} {flags_of(wrong, 4)}".rstrip()
    asks = f"before the first planting, at most {MOST_FALSE:.0%} of the undisturbed trials are flagged"
    return Finding(asks, words, len(wrong) <= MOST_FALSE * len(calm))


def options(parser: argparse.ArgumentParser) -> None:
    """Add how often to plant, and the seed."""
    parser.add_argument(
        "count", metavar="N", nargs="?", type=int, help="plantings of each kind [100; 5 with --quick]"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of moments and order [1]")


def run(asked: argparse.Namespace) -> Iterator[Finding]:
    """Run the study."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise UnsupportedError("needs two CPUs")
    cpus = (allowed[0], allowed[-1])
    rng = random.Random(asked.seed)
    able = possible(cpus)
    try:
        benches = {name: Bench(cell, rng) for name, cell in cells(cpus).items()}
        planted, quiet, before = study(able, benches, asked.count or (5 if asked.quick else 100), rng)
    finally:
        # The last first: helpers are in the cgroup that a kind before them may have made.
        for kind in reversed(able):
            kind.close()
    valid = {name: [t for t in trials if t.valid] for name, trials in quiet.items()}
    yield judge_kinds(able, planted, valid)
    yield judge_quiet(quiet, before, valid)
    if unknown := [name for name, trials in valid.items() if not trials]:
        yield Finding(
            "undisturbed trials are valid", f"none of {', '.join(unknown)}: the machine is not quiet", False
        )


VALIDATION = Validation(
    shows="checks flag disturbances, and little else",
    run=run,
    seconds=540,
    quick_seconds=45,
    options=options,
)
