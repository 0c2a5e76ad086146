# SPDX-License-Identifier: Apache-2.0
"""Test properties of every simulation on any machine: lock programs exclude, queue, count and repeat."""

from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pybench import native
from pybench.errors import MeasurementError, UsageError
from pybench.native.engine import run
from pybench.native.engine_spec import (
    EngineResult,
    EngineSpec,
    Latency,
    Launch,
    QueueingModel,
    SimThread,
    Spin,
    Step,
)
from tests.native.crew_tools import members_in

FIFO = ("ticket", "mcs", "qspinlock")
WRITERS_ALONE = ("tas", "ttas", "ttas-backoff", "ticket", "mcs", "qspinlock", "cna")


def placed(
    count: int, cores: int = 64, per_socket: int = 4, per_l3: int = 2, threads: int = 1
) -> tuple[SimThread, ...]:
    """Return `count` threads over the CPUs of a machine; those beyond its CPUs share them."""
    places = []
    for i in range(count):
        cpu = i % (cores * threads)
        core = cpu // threads
        socket = core // per_socket
        places.append(
            SimThread(cpu=cpu, core=core, socket=socket, l3=core // per_l3, domain=socket, sibling=cpu % threads)
        )
    return tuple(places)


machines = st.fixed_dictionaries(
    {
        "transfer": st.builds(
            lambda near, ratio, spread: {
                "smt": Latency(near / 4, near / 4, near / 4),
                "l3": Latency(near * (1 - spread), near, near * (1 + spread)),
                "socket": Latency(near * ratio * (1 - spread), near * ratio, near * ratio * (1 + spread)),
                "cross-socket": Latency(
                    near * ratio**2 * (1 - spread), near * ratio**2, near * ratio**2 * (1 + spread)
                ),
            },
            st.floats(5, 80),
            st.floats(1, 3),
            st.floats(0, 0.3),
        ),
        "service": st.sampled_from(["none", "central", "cluster"]),
        "service_ns": st.floats(0, 50),
        "retry_ns": st.floats(0, 60),
        "atomic_overlap": st.floats(0, 1),
        "migratory": st.floats(0, 1),
        "drain_ns": st.floats(0, 5),
        "exit_ns": st.floats(0, 10),
        "pause_ns": st.floats(1, 60),
        "atomic_ns": st.floats(1, 12),
        "jitter": st.floats(0, 0.2),
        "late": st.floats(0, 1),
        "smt_slowdown": st.floats(1, 2),
        "timeslice_ns": st.floats(2_000, 50_000),
        "switch_ns": st.floats(0, 2_000),
        "seed": st.integers(0, 2**64 - 1),
    }
)
places = st.builds(
    placed,
    st.integers(1, 12),
    cores=st.sampled_from([3, 6, 64]),
    per_socket=st.sampled_from([2, 4]),
    threads=st.sampled_from([1, 2]),
)


@settings(max_examples=60, deadline=None)
@given(
    lock=st.sampled_from(native.simulated_locks()),
    where=places,
    machine=machines,
    hold=st.sampled_from([0, 20, 300]),
    think=st.sampled_from([0, 50, 1000]),
    guard=st.sampled_from(["apart", "shared", "none"]),
    writers=st.integers(1, 3),
)
def test_programs_exclude_count_and_repeat(
    lock: str, where: Any, machine: Any, hold: float, think: float, guard: Any, writers: int
) -> None:
    """The engine itself fails a run in which two are in a section, a count is lost, or all wait for ever."""
    work = Spin(lock=lock, hold_ns=hold, think_ns=think, guard=guard, writers=writers, think_dist="exponential")
    spec = EngineSpec(threads=where, workload=work, duration_ns=60_000, **machine)
    first, again = run(spec), run(spec)
    assert first.outcome == again.outcome
    assert msgspec.structs.replace(first.facts, wall_s=0) == msgspec.structs.replace(again.facts, wall_s=0)
    members, phases = members_in(first.outcome), first.outcome.phases
    main = sum(count for i, count in enumerate(members.operations) if members.is_main(i))
    assert phases["operation"].calls == main if main else "operation" not in phases
    if first.outcome.handoffs:
        assert sum(first.outcome.handoffs.count) <= sum(members.operations) + len(where)
        pairs = zip(first.outcome.handoffs.giver, first.outcome.handoffs.taker, strict=True)
        assert all(giver != taker for giver, taker in pairs)


@settings(max_examples=20, deadline=None)
@given(lock=st.sampled_from(FIFO), count=st.integers(3, 12), machine=machines)
def test_fair_locks_serve_all_alike(lock: str, count: int, machine: Any) -> None:
    spec = EngineSpec(
        threads=placed(count),
        workload=Spin(lock=lock, hold_ns=400, loop_ns=0.5),
        duration_ns=120_000,
        **machine,
    )
    operations = members_in(run(spec).outcome).operations
    assume(min(operations) > 3)
    # qspinlock lets its first waiter pass by the queue, so one may be a turn ahead.
    assert max(operations) - min(operations) <= 2


@settings(max_examples=12, deadline=None)
@given(
    lock=st.sampled_from(["ticket", "mcs"]),
    count=st.integers(3, 10),
    near=st.floats(10, 80),
    seed=st.integers(0, 99),
)
def test_more_distance_is_never_faster(lock: str, count: int, near: float, seed: int) -> None:
    """All threads queue; two alone may do several sections before the other's request arrives."""

    def throughput(factor: float) -> int:
        latency = Latency(near * factor, near * factor, near * factor)
        spec = EngineSpec(
            threads=placed(count, per_socket=64, per_l3=64),
            transfer={"l3": latency},
            jitter=0,
            workload=Spin(lock=lock, hold_ns=400),
            duration_ns=100_000,
            seed=seed,
        )
        return sum(members_in(run(spec).outcome).operations)

    assert throughput(2) <= throughput(1)


def waiters(lock: str, count: int, **changes: Any) -> EngineResult:
    near, far = Latency(40, 45, 50), Latency(120, 130, 140)
    spec = EngineSpec(
        threads=placed(count, per_socket=24, per_l3=24),
        transfer={"socket": near, "cross-socket": far},
        workload=Spin(lock=lock),
        duration_ns=300_000,
    )
    return run(msgspec.structs.replace(spec, **changes))


def test_local_spinning_costs_no_events_and_a_storm_does() -> None:
    """Events of a handoff: flat in the number of waiters with MCS, growing with it where all spin on one line."""

    def events(lock: str, count: int) -> float:
        result = waiters(lock, count)
        return result.facts.scheduled / sum(members_in(result.outcome).operations)

    assert events("mcs", 96) < 1.3 * events("mcs", 8)
    assert events("ticket", 96) > 5 * events("ticket", 8)


def test_a_numa_aware_lock_stays_in_its_socket() -> None:
    shares = {}
    for lock in ("mcs", "cna"):
        work = Spin(lock=lock, think_ns=500, think_dist="exponential")
        result = waiters(lock, 48, workload=work)
        handoffs = result.outcome.handoffs
        assert handoffs is not None
        pairs = zip(handoffs.giver, handoffs.taker, handoffs.count, strict=True)
        shares[lock] = sum(c for giver, taker, c in pairs if giver // 24 != taker // 24) / sum(handoffs.count)
    assert shares["cna"] < 0.05 < shares["mcs"]


def test_a_preempted_holder_stalls_all() -> None:
    """Twice as many threads as CPUs: while the holder is off its CPU no thread makes progress."""
    latency = {"l3": Latency(40, 45, 50)}
    alone = EngineSpec(
        threads=placed(8, cores=8, per_socket=8, per_l3=8),
        transfer=latency,
        workload=Spin(lock="ttas", hold_ns=100),
        timeslice_ns=20_000,
        switch_ns=500,
        duration_ns=3e6,
    )
    crowded = msgspec.structs.replace(alone, threads=placed(16, cores=8, per_socket=8, per_l3=8))
    single, double = run(alone), run(crowded)
    assert double.facts.preemptions > 500
    assert single.facts.preemptions == 0
    assert sum(members_in(double.outcome).operations) < 0.8 * sum(members_in(single.outcome).operations)


def test_a_sibling_at_work_slows() -> None:
    work = Spin(lock="empty", think_ns=100)
    one = run(EngineSpec(threads=placed(1, threads=2), workload=work, smt_slowdown=1.5, duration_ns=1e5))
    two = run(EngineSpec(threads=placed(2, threads=2), workload=work, smt_slowdown=1.5, duration_ns=1e5))
    alone, beside = members_in(one.outcome).operations[0], members_in(two.outcome).operations[0]
    assert beside == pytest.approx(alone / 1.5, rel=0.02)


def test_launches_queue_for_the_namespace() -> None:
    """With n threads and a namespace section that is most of the work, the last of n containers waits for all."""
    work = Launch(containers=8, layers=4, steps=(Step(kind="namespace", ns=10_000, phase="build"),))
    result = run(
        EngineSpec(
            threads=placed(8, per_socket=64, per_l3=64), transfer={"l3": Latency(40, 45, 50)}, workload=work
        )
    )
    assert len(result.launches_ns) == 8
    assert max(result.launches_ns) >= 8 * 4 * 10_000
    assert min(result.launches_ns) >= 4 * 10_000
    assert result.outcome.phases["launch"].calls == result.outcome.phases["build"].calls == 8


def test_a_walk_waits_for_the_mount_lock_and_is_done_again() -> None:
    quiet = Launch(containers=4, layers=10, steps=(Step(kind="walk", ns=200, count=8),))
    stormy = Launch(containers=4, layers=10, steps=(*quiet.steps, Step(kind="mount-lock", ns=400)))
    spec = EngineSpec(
        threads=placed(4, per_socket=64, per_l3=64), transfer={"l3": Latency(40, 45, 50)}, workload=quiet
    )
    calm = max(run(spec).launches_ns)
    assert calm == pytest.approx(10 * 8 * 200, rel=0.05)
    stirred = max(run(msgspec.structs.replace(spec, workload=stormy)).launches_ns)
    assert stirred > calm + 10 * 4 * 400


def test_sleepers_leave_the_cpu_to_others() -> None:
    work = Launch(containers=4, layers=5, steps=(Step(kind="compute", ns=1e5), Step(kind="sleep", ns=1e5)))
    spec = EngineSpec(threads=placed(4, cores=1), workload=work, switch_ns=0, wake_ns=0)
    took = max(run(spec).launches_ns)
    assert 4 * 5 * 1e5 <= took < 4 * 5 * 1e5 * 1.3


@pytest.mark.parametrize(("each", "times"), [(True, 10), (False, 1)])
def test_what_follows_a_launch_is_run_once_or_for_each_layer(each: bool, times: int) -> None:
    work = Launch(containers=3, layers=10, after=(Step(kind="compute", ns=1000, phase="clean"),), after_each=each)
    outcome = run(EngineSpec(threads=placed(1), workload=work)).outcome
    assert outcome.phases["clean"].wall_ns == 3 * times * 1000
    assert members_in(outcome).stop_ns == [3 * times * 1000]


def test_limits_are_told() -> None:
    with pytest.raises(UsageError, match="ticket"):
        run(EngineSpec(threads=placed(1), workload=Spin(lock="clh")))
    with pytest.raises(UsageError, match="4096"):
        run(EngineSpec(threads=(), workload=Spin()))
    with pytest.raises(MeasurementError, match="shorter"):
        run(EngineSpec(threads=placed(4), workload=Spin(), duration_ns=1e9, max_events=10_000))
    free = EngineSpec(threads=placed(1), workload=Spin(loop_ns=0), local_ns=0, atomic_ns=0, max_events=10_000)
    empty = EngineSpec(threads=placed(1), workload=Spin(lock="empty", loop_ns=0), max_events=10_000)
    queue = EngineSpec(threads=placed(4), workload=QueueingModel(work_ns=10, serial_ns=10), max_events=10_000)
    for endless in (free, empty, queue):
        with pytest.raises(MeasurementError, match="max_events"):
            run(endless)


@pytest.mark.parametrize(("field", "value"), [("pause_ns", -1.0), ("smt_slowdown", 0.5), ("duration_ns", 0.0)])
def test_impossible_numbers_are_refused(field: str, value: Any) -> None:
    with pytest.raises(UsageError, match=field):
        run(EngineSpec(threads=placed(2), workload=QueueingModel(work_ns=1000, serial_ns=10), **{field: value}))
