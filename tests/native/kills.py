"""Kills crews, members and callers at random moments, and tells what came of it.

    scripts/kill-test [N] [SEED]

The tests run a few of these; the script any number, with a tally. Exits 1 if any ended other than it must.
"""

import collections
import functools
import os
import random
import signal
import sys
import time
from collections.abc import Callable

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

# Far beyond any kill, so that a trial that ends by itself is no excuse.
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


def main(arguments: list[str]) -> int:
    """Run the kills and print the tally."""
    count = int(arguments[0]) if arguments else 100
    seed = int(arguments[1]) if len(arguments) > 1 else time.time_ns() % 1_000_000
    chance = random.Random(seed)
    tally: collections.Counter[tuple[str, str]] = collections.Counter()
    for i in range(count):
        name = list(KILLS)[i % len(KILLS)]
        tally[name, KILLS[name](chance)] += 1
    print(f"{count} kills, seed {seed}")
    for (name, result), times in sorted(tally.items()):
        print(f"{times:6} {name}: {result}")
    return any("WRONG" in result for _, result in tally)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
