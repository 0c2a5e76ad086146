"""Two threads against what they did on a virtual machine (AMD EPYC 7003), at two distances between its CPUs.

Medians of trials of 10 ms (129 to 151 near, 5 to 14 far), siblings at work for others, that stood between two
measurements of a transfer by compare-and-swap: ns an operation, and the 99th percentile of an operation. Another
engine may be further off here or there; not twice.
"""

import pytest

from pybench.simulator.engine import EngineSpec, Latency, Seat, Spin, run
from pybench.sweep.figures import figures

CORE = {
    "local_ns": 0.47,
    "atomic_ns": 2.26,
    "drain_ns": 0.25,
    "exit_ns": 6.39,
    "pause_ns": 27.0,
    "migratory": 1.0,
    "late": 0.55,
    "service": "cluster",
}
MEASURED = {
    ("ticket", 28.9): (84.1, 254),
    ("mcs", 28.8): (88.0, 282),
    ("cna", 28.8): (91.2, 334),
    ("tas", 28.7): (31.9, 314),
    ("ttas", 29.2): (40.5, 382),
    ("ttas-backoff", 28.7): (18.1, 322),
    ("qspinlock", 28.7): (52.9, 354),
    ("ticket", 125.6): (262.7, 980),
    ("mcs", 120.5): (307.6, 1012),
    ("cna", 122.4): (315.1, 1224),
    ("tas", 119.4): (49.9, 996),
    ("ttas", 124.8): (64.2, 1144),
    ("ttas-backoff", 122.5): (43.1, 1000),
    ("qspinlock", 122.4): (74.5, 1032),
}
NEAR, MOST_NEAR, MOST_FAR = 50, 1.25, 1.6
# Measured, they run on longer; simulated, whoever waits is handed the lock more often.
FURTHER_OFF = {
    ("tas", 28.7): 1.65,
    ("qspinlock", 28.7): 1.55,
    ("ttas-backoff", 122.5): 1.75,
    ("qspinlock", 122.4): 3.5,
}


def simulated(lock: str, transfer_ns: float, guard: str = "apart") -> tuple[float, float]:
    spec = EngineSpec(
        seats=(Seat(cpu=0, core=0), Seat(cpu=1, core=1)),
        workload=Spin(lock=lock, loop_ns=0.73, sample_ns=70.0, guard=guard),
        transfer={"l3": Latency(transfer_ns, transfer_ns, transfer_ns)},
        service_ns=0.3 * transfer_ns,
        duration_ns=5e6,
        warmup_ns=1e5,
        **CORE,
    )
    outcome = run(spec).outcome
    found = figures(outcome.members, outcome.phases, "operation")
    return 1e9 / found.throughput, found.p99_ns


@pytest.mark.parametrize(("lock", "transfer_ns"), MEASURED)
def test_two_threads_are_as_on_a_virtual_machine(lock, transfer_ns):
    for what, mine, seen in zip(
        ("ns an operation", "p99"), simulated(lock, transfer_ns), MEASURED[lock, transfer_ns], strict=True
    ):
        usual = MOST_NEAR if transfer_ns < NEAR else MOST_FAR
        most = FURTHER_OFF.get((lock, transfer_ns), usual)
        assert seen / most < mine < seen * most, what


def test_what_a_lock_guards_is_taken_from_its_holder_by_who_runs_ahead():
    """Measured: 42 ns an operation with a line of its own, 11 on the lock's, where a steal takes both."""
    apart, shared = (simulated("tas", 120.0, guard)[0] for guard in ("apart", "shared"))
    assert apart > 2 * shared
