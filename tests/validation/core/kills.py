# SPDX-License-Identifier: Apache-2.0
"""Kill members, crews and callers at random moments of random trials: each trial fails, and nothing is left.

The test suite runs a few kills; this runs any number and prints a tally.
"""

import argparse
import collections
import functools
import os
import random
import signal
import time
from collections.abc import Callable, Iterator

from pybench import native
from pybench.native import TrialSpec, run_trial
from tests.native.crew_tools import (
    Meddler,
    crew_of,
    group_of,
    in_child,
    pick_leader,
    pick_process,
    pick_thread,
    request,
    wait_for,
    wait_gone,
)
from tests.validation.validation import Finding, Validation

# Far beyond any kill, so that no trial ends by itself.
LONG_MS = 60_000
LATEST = 0.15


@functools.cache
def workloads() -> tuple[str, ...]:
    """Workloads whose crew is members only, and that this host can do."""
    here = (min(os.sched_getaffinity(0)),)
    return tuple(name for name in ("spin", "mount", "stat") if run_trial(request(name, here, 1)).status == "ok")


def random_spec(chance: random.Random, crew: str) -> TrialSpec:
    """Any workload, any lock, small parameters."""
    cpus = sorted(os.sched_getaffinity(0))
    placement = tuple(chance.choice(cpus) for _ in range(chance.choice((1, 2, 2, 3))))
    workload = chance.choice(workloads())
    params: dict[str, int | str] = {}
    if workload == "spin":
        params = {"lock": chance.choice(list(native.locks())), "hold_ns": chance.choice((0, 500))}
    elif workload == "mount":
        params = {
            "umount": chance.choice(("sync", "detach", "batch:20")),
            "api": chance.choice(("mount", "open_tree")),
            "table": chance.choice((0, 0, 500)),
            "peers": chance.choice((0, 0, 3)),
        }
    warmup_ns = chance.choice((0, 20_000_000))
    return request(workload, placement, LONG_MS, crew=crew, warmup_ns=warmup_ns, **params)


def _judge(status: str, reason: str, leader: int) -> str:
    if status != "failed" or not reason:
        return f"WRONG: {status} ({reason})"
    # Orphans whose end of the pipe is closed may still be on their way out, as the kernel tears them down.
    return "failed, as it must" if wait_gone(leader, 1.0) else f"WRONG: left {group_of(leader)}"


def kill_crew(chance: random.Random, crew: str, pick: Callable[[int], int]) -> str:
    """Kill a part of a crew of our own."""
    spec = random_spec(chance, crew)
    meddler = Meddler(pick, signal.SIGKILL, chance.uniform(0, LATEST))
    begin = time.monotonic()
    outcome = run_trial(spec)
    took = time.monotonic() - begin
    if took > LONG_MS / 2000:
        return f"WRONG: it took {took:.1f} s to see"
    return _judge(outcome.status, outcome.reason, meddler.done())


def kill_caller(chance: random.Random, crew: str) -> str:
    """Kill the process that runs a trial: its crew must go with it."""
    spec = random_spec(chance, crew)
    caller = in_child(lambda: run_trial(spec))
    try:
        leader = wait_for(lambda: crew_of(caller))[0]
        time.sleep(chance.uniform(0, LATEST))
    finally:
        os.kill(caller, signal.SIGKILL)
        os.waitpid(caller, 0)
    return "crew gone, as it must" if wait_gone(leader) else f"WRONG: left {group_of(leader)}"


KILLS: dict[str, Callable[[random.Random], str]] = {
    "a member thread": lambda chance: kill_crew(chance, "threads", pick_thread),
    "a member process": lambda chance: kill_crew(chance, "processes", pick_process),
    "the leader of threads": lambda chance: kill_crew(chance, "threads", pick_leader),
    "the leader of processes": lambda chance: kill_crew(chance, "processes", pick_leader),
    "the caller, of threads": lambda chance: kill_caller(chance, "threads"),
    "the caller, of processes": lambda chance: kill_caller(chance, "processes"),
}


def options(parser: argparse.ArgumentParser) -> None:
    """Add how often to kill, and the seed."""
    parser.add_argument("count", nargs="?", type=int, metavar="N", help="number of kills [100; 12 with --quick]")
    parser.add_argument("seed", nargs="?", type=int, metavar="SEED", help="seed of everything random [the time]")


def run(asked: argparse.Namespace) -> Iterator[Finding]:
    """Kill, and print the tally."""
    count = asked.count or (12 if asked.quick else 100)
    seed = time.time_ns() % 1_000_000 if asked.seed is None else asked.seed
    chance = random.Random(seed)
    tally: collections.Counter[tuple[str, str]] = collections.Counter()
    for i in range(count):
        name = list(KILLS)[i % len(KILLS)]
        tally[name, KILLS[name](chance)] += 1
    for (name, result), times in sorted(tally.items()):
        print(f"{times:6} {name}: {result}")
    wrong = sum(times for (_, result), times in tally.items() if "WRONG" in result)
    asks = "every kill fails its trial and leaves nothing"
    yield Finding(asks, f"{count - wrong} of {count}, seed {seed}", not wrong)


VALIDATION = Validation(
    shows="killed crews leave nothing, their trials fail",
    run=run,
    seconds=30,
    quick_seconds=5,
    options=options,
)
