"""spin: one lock-protected line hammered by all threads."""

from pybench.workloads.parameter import Parameter, Params, Workload

LOCKS = ("tas", "ttas", "ticket", "mcs", "pthread_mutex", "seqlock")


def conflict(params: Params, threads: int) -> str | None:
    """Readers and writers are the seqlock's alone."""
    if params["lock"] != "seqlock" and (params["writers"] != 1 or params["write_think_ns"] != 1000):
        return "writers and write_think_ns need lock=seqlock"
    return None


WORKLOAD = Workload(
    name="spin",
    summary="acquire, hold, release and think on one lock; a stand-in for a global kernel lock",
    operation="acquisitions",
    latency="operation",
    parameters=(
        Parameter(name="lock", default="ticket", choices=LOCKS, help="which lock"),
        Parameter(name="hold_ns", default=0, high=10**9, help="work while holding the lock, ns"),
        Parameter(name="think_ns", default=0, high=10**9, help="work between two operations, ns"),
        Parameter(
            name="writers",
            default=1,
            high=4096,
            help="seqlock: how many of the threads write (never all); operations count reads",
        ),
        Parameter(name="write_think_ns", default=1000, high=10**9, help="seqlock: a writer's think time, ns"),
    ),
    conflict=conflict,
    sleeps=lambda params: params["lock"] == "pthread_mutex",
)
