"""Two threads against what they did on a virtual machine (AMD EPYC 7003), at two distances between its CPUs.

Medians of trials of 10 ms (26 to 59 near, 3 to 5 far) that stood between two measurements of a transfer by
compare-and-swap: ns an operation, and the 99th percentile of an operation. Another engine may be further off here
or there; not twice.
"""

import pytest

from pybench.simulator.engine import EngineSpec, Latency, Seat, Spin, run
from pybench.sweep.figures import figures

CORE = {
    "local_ns": 0.53,
    "atomic_ns": 2.16,
    "drain_ns": 0.13,
    "exit_ns": 6.1,
    "pause_ns": 24.8,
    "migratory": 1.0,
    "service": "cluster",
}
MEASURED = {
    ("ticket", 27.7): (81.0, 244),
    ("mcs", 27.9): (80.2, 266),
    ("cna", 27.3): (79.6, 322),
    ("tas", 27.5): (31.3, 306),
    ("ttas", 28.4): (40.1, 366),
    ("ttas-backoff", 28.0): (19.8, 314),
    ("qspinlock", 27.6): (52.6, 338),
    ("ticket", 118.5): (252.7, 900),
    ("mcs", 118.8): (260.5, 900),
    ("cna", 118.4): (302.0, 1096),
    ("tas", 119.2): (53.1, 1022),
    ("ttas", 116.7): (51.9, 876),
    ("ttas-backoff", 120.7): (52.2, 1112),
    ("qspinlock", 118.5): (75.4, 1020),
}
MOST = 1.65
# Measured, it runs on as tas does; simulated, whoever waits is handed the lock half of the time.
FAR_OFF = {("qspinlock", 118.5): 3.0}


def simulated(lock: str, transfer_ns: float, guard: str = "apart") -> tuple[float, float]:
    spec = EngineSpec(
        seats=(Seat(cpu=0, core=0), Seat(cpu=1, core=1)),
        workload=Spin(lock=lock, loop_ns=0.39, sample_ns=66.7, guard=guard),
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
        most = FAR_OFF.get((lock, transfer_ns), MOST)
        assert seen / most < mine < seen * most, what


def test_what_a_lock_guards_is_taken_from_its_holder_by_who_runs_ahead():
    """Measured: 42 ns an operation with a line of its own, 11 on the lock's, where a steal takes both."""
    apart, shared = (simulated("tas", 120.0, guard)[0] for guard in ("apart", "shared"))
    assert apart > 2 * shared
