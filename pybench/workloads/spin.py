# SPDX-License-Identifier: Apache-2.0
"""spin: one lock-protected line hammered by all threads."""

from pybench.workloads.parameter import Parameter, Params, Workload

# The core's table in its order, so that --help need not load the core; a test holds the two together.
LOCKS = (
    "tas",
    "ttas",
    "ttas-backoff",
    "ticket",
    "ticket-proportional",
    "pthread_spin",
    "array",
    "mcs",
    "clh",
    "k42",
    "qspinlock",
    "cna",
    "cohort",
    "hmcs",
    "futex-mutex",
    "mcs-park",
    "pthread_mutex",
    "pthread_adaptive",
    "seqlock",
    "rwsem",
    "pthread_rwlock",
    "brlock",
    "none",
    "atomic-add",
    "empty",
)
DISTRIBUTIONS = ("fixed", "exponential", "bimodal")
READER_WRITER = ("seqlock", "rwsem", "pthread_rwlock", "brlock")
NUMA_AWARE = ("cna", "cohort", "hmcs")
SLEEPING = ("futex-mutex", "mcs-park", "pthread_mutex", "pthread_adaptive", "rwsem", "pthread_rwlock")
# Locks that fill a cache line, or most of it.
LARGE = ("array", "cohort", "hmcs", "pthread_mutex", "pthread_adaptive", "pthread_rwlock", "brlock")
MOST_MEMBERS = {"array": 1024, "brlock": 1024}


def conflict(params: Params, threads: int) -> str | None:
    """Parameters that mean nothing to this lock, and more threads than it takes."""
    lock = str(params["lock"])
    if lock not in READER_WRITER and (params["writers"] != 1 or params["write_think_ns"] != 1000):
        return f"writers and write_think_ns need a reader-writer lock ({', '.join(READER_WRITER)})"
    if lock not in NUMA_AWARE and params["domain"] != "node":
        return f"domain needs a NUMA-aware lock ({', '.join(NUMA_AWARE)})"
    offset = str(params["line_offset"])
    if offset != "vary" and (int(offset) >= 4096 or int(offset) % 128):
        return f"line_offset={offset} must be a multiple of 128 below 4096, or vary"
    most = MOST_MEMBERS.get(lock, threads)
    if threads > most:
        return f"lock={lock} takes at most {most} threads"
    if params["guard"] == "shared" and lock in LARGE:
        return f"guard=shared needs a lock that leaves room on its line; {lock} does not"
    return None


WORKLOAD = Workload(
    name="spin",
    summary="acquire, hold, release and think on one lock; a stand-in for a global kernel lock",
    operation="acquisitions",
    latency="operation",
    parameters=(
        Parameter(
            name="lock", default="ticket", choices=LOCKS, shape="LOCK", help="which lock: see `pybench locks`"
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
            name="think_dist", quiet=True, default="fixed", choices=DISTRIBUTIONS, help="the same of think time"
        ),
        Parameter(
            name="guard",
            quiet=True,
            default="apart",
            choices=("apart", "shared"),
            help="what the lock guards: on a line of its own, or on the lock's (false sharing)",
        ),
        Parameter(
            name="line_offset",
            quiet=True,
            default="0",
            pattern=r"vary|\d{1,4}",
            shape="N|vary",
            help="the lock's place in its page, a multiple of 128, or another in each trial: which slice of the "
            "cache is its home",
        ),
        Parameter(
            name="page", quiet=True, default="small", choices=("small", "huge"), help="page that the lock is on"
        ),
        Parameter(
            name="writers",
            default=1,
            high=4096,
            help="reader-writer locks: how many of the threads write (never all); operations count reads",
        ),
        Parameter(
            name="write_think_ns", default=1000, high=10**9, help="reader-writer locks: a writer's think time, ns"
        ),
        Parameter(
            name="domain",
            default="node",
            choices=("socket", "node", "l3"),
            help="cna, cohort, hmcs: what counts as near",
        ),
    ),
    conflict=conflict,
    domain=lambda params: str(params["domain"]) if params["lock"] in NUMA_AWARE else "",
    sleeps=lambda params: params["lock"] in SLEEPING,
)
