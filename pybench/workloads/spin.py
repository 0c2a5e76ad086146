# SPDX-License-Identifier: Apache-2.0
"""spin: all threads hammer one lock-protected line."""

from pybench import native
from pybench.native import LockInfo
from pybench.workloads.definition import Parameter, Params, SimulationTraits, Workload

DISTRIBUTIONS = ("fixed", "exponential", "bimodal")


def _locks() -> tuple[str, ...]:
    return tuple(native.locks())


def _lock(params: Params) -> LockInfo:
    return native.locks()[str(params["lock"])]


def _names(trait: str) -> str:
    return ", ".join(name for name, lock in native.locks().items() if getattr(lock, trait))


def conflict(params: Params, threads: int) -> str | None:
    """Return why the lock has no use for these parameters, or cannot take this number of threads; else None."""
    lock, offset = _lock(params), str(params["line_offset"])
    if not lock.readers and (params["writers"] != 1 or params["write_think_ns"] != 1000):
        return f"writers and write_think_ns need a reader-writer lock ({_names('readers')})"
    if not lock.numa and params["domain"] != "node":
        return f"domain needs a NUMA-aware lock ({_names('numa')})"
    if offset != "vary" and (int(offset) >= 4096 or int(offset) % 128):
        return f"line_offset={offset} must be a multiple of 128 below 4096, or vary"
    if lock.most_members and threads > lock.most_members:
        return f"lock={lock.name} takes at most {lock.most_members} threads"
    if params["guard"] == "shared" and not lock.shares_line:
        return f"guard=shared needs a lock that leaves room on its line; {lock.name} does not"
    return None


def _not_simulated(params: Params) -> str | None:
    lock, known = str(params["lock"]), native.simulated_locks()
    return None if lock in known else f"lock {lock} is not modelled; there are {', '.join(known)}"


WORKLOAD = Workload(
    name="spin",
    summary="acquire, hold, release and think on one lock; a stand-in for a global kernel lock",
    operation="acquisitions",
    latency="operation",
    parameters=(
        Parameter(
            name="lock", default="ticket", choices=_locks, shape="LOCK", help="which lock; `list` prints them"
        ),
        Parameter(name="hold_ns", default=0, high=10**9, help="work while holding the lock, ns"),
        Parameter(name="think_ns", default=0, high=10**9, help="work between two operations, ns"),
        Parameter(
            name="hold_dist",
            quiet=True,
            default="fixed",
            choices=DISTRIBUTIONS,
            help="bimodal: one in ten is 5.5 times the mean, the others about half of it",
        ),
        Parameter(
            name="think_dist", quiet=True, default="fixed", choices=DISTRIBUTIONS, help="the same for think time"
        ),
        Parameter(
            name="guard",
            quiet=True,
            default="apart",
            choices=("apart", "shared"),
            help="the data that the lock guards: on a line of its own, or on the lock's (false sharing)",
        ),
        Parameter(
            name="line_offset",
            quiet=True,
            default="0",
            pattern=r"vary|\d{1,4}",
            shape="N|vary",
            help="the lock's place in its page, a multiple of 128, or a new one in each trial: it selects the "
            "cache slice that is the line's home",
        ),
        Parameter(
            name="page", quiet=True, default="small", choices=("small", "huge"), help="page that holds the lock"
        ),
        Parameter(
            name="writers",
            default=1,
            high=4096,
            help="reader-writer locks: number of threads that write (never all); operations count reads",
        ),
        Parameter(
            name="write_think_ns", default=1000, high=10**9, help="reader-writer locks: a writer's think time, ns"
        ),
        Parameter(
            name="domain",
            default="node",
            choices=("socket", "node", "l3"),
            help="NUMA-aware locks: what counts as near",
        ),
    ),
    conflict=conflict,
    domain=lambda params: str(params["domain"]) if _lock(params).numa else "",
    sleeps=lambda params: _lock(params).waiting in ("sleep", "spin then park"),
    hands_over=True,
    by_default=True,
    simulation=SimulationTraits(model="lock", fixed=("line_offset", "page"), refusal=_not_simulated),
)
