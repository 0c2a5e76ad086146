# SPDX-License-Identifier: Apache-2.0
"""Synthetic result files with histograms, members and handoffs as large as real ones."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pybench.host.topology import Cpu, Node, Topology
from pybench.native.outcome import Handoffs, Members, Outcome, Phase
from pybench.results.records import Cell, End, Evidence, Figures, HandoffFigure, Header, Plan, Trial
from pybench.results.store import Writer
from pybench.workloads import WORKLOADS

LOCKS = ("ticket", "mcs", "ttas", "clh", "qspinlock", "pthread", "futex", "anderson")


@dataclass(frozen=True)
class Shape:
    """The size of a result file, and of its page."""

    cpus: int
    locks: int
    holds_ns: tuple[int, ...]
    threads: tuple[int, ...]
    places: tuple[str, ...]
    trials: int
    most_mb: float


def topology(cpus: int) -> Topology:
    """Return a topology: one socket of cores without siblings, from 8 CPUs on two sockets with siblings."""
    if cpus < 8:
        every = [Cpu(number=i, online=True, socket=0, node=0, l3=0, core=i, smt=0) for i in range(cpus)]
        return Topology(cpus=tuple(every), nodes=(Node(number=0, cpus=tuple(range(cpus))),))
    half, quarter, every = cpus // 2, cpus // 4, []
    for i in range(cpus):
        core, sibling = i % half, i // half
        socket = core // quarter
        every.append(Cpu(number=i, online=True, socket=socket, node=socket, l3=socket, core=core, smt=sibling))
    nodes = tuple(Node(number=n, cpus=tuple(c.number for c in every if c.node == n)) for n in (0, 1))
    return Topology(cpus=tuple(every), nodes=nodes)


def placed(cpus: int, place: str, threads: int) -> tuple[int, ...] | None:
    """Return the CPUs of a placement, siblings last: one socket, or both in turn. None if there are too few."""
    if cpus < 8:
        return tuple(range(threads)) if threads <= cpus else None
    half, quarter = cpus // 2, cpus // 4
    if place == "single-socket":
        order = [*range(quarter), *range(half, half + quarter)]
    else:
        order = [core + base for base in (0, half) for i in range(quarter) for core in (i, i + quarter)]
    return tuple(order[:threads]) if threads <= len(order) else None


def cells_of(shape: Shape) -> list[Cell]:
    """Return all combinations that the CPUs allow."""
    kind = WORKLOADS["spin"]
    found = []
    for place, lock, hold in itertools.product(shape.places, LOCKS[: shape.locks], shape.holds_ns):
        params = kind.complete({"lock": lock, "hold_ns": hold})
        for threads in shape.threads:
            if (used := placed(shape.cpus, place, threads)) is not None:
                cell = Cell(workload="spin", params=params, threads=threads, place=place, smt="on", cpus=used)
                found.append(cell)
    return found


def histogram(rng: np.random.Generator, middle_ns: float, buckets: int, calls: int) -> list[int]:
    """Return flat pairs of `buckets` buckets around a latency, and a tail of single ones."""
    first = max(1, int(64 * np.log2(max(middle_ns, 2))) - 320 - buckets // 2)
    counts = np.maximum(rng.poisson(calls / buckets, buckets), 1)
    flat = np.column_stack((np.ones(buckets, dtype=int), counts))
    flat[0, 0] = first
    return [*flat.ravel().tolist(), 40, 2, 17, 1, 30, 1]


def outcome_of(rng: np.random.Generator, cell: Cell, rate: float) -> Outcome:
    """Return an outcome as the core would report it for this cell."""
    n = cell.threads
    shares = rng.dirichlet(np.full(n, 40.0))
    operations = np.maximum((shares * rate * 0.2).astype(int), 1)
    pair = np.round(rng.normal(6700, 40, (n, 2)), 1).tolist()
    members = Members(
        cpu=list(cell.cpus),
        operations=operations.tolist(),
        start_ns=rng.integers(0, 900, n).tolist(),
        stop_ns=rng.integers(200_000_000, 200_000_900, n).tolist(),
        cpu_ns=rng.integers(199_000_000, 200_000_000, n).tolist(),
        voluntary_switches=[0] * n,
        involuntary_switches=rng.integers(0, 9, n).tolist(),
        node=[0] * n,
        hold_ns=np.round(rng.normal(100, 1, n), 2).tolist(),
        hold_asked_ns=[100.0] * n,
        work_ns=pair,
        clock_offset_ns=np.round(rng.normal(0, 40, (n, 2)), 1).tolist(),
        waited_ns=rng.integers(0, 90_000, n).tolist(),
        longest_wait_ns=rng.integers(10_000, 900_000, n).tolist(),
        longest_gap_ns=rng.integers(10_000, 900_000, n).tolist(),
        longest_streak=rng.integers(1, 90, n).tolist(),
    )
    each = 1e9 * n / rate
    calls = 6000
    phases = {
        name: Phase(calls=calls, operations=calls, wall_ns=int(share * each * calls), max_ns=int(50 * each),
                    histogram=histogram(rng, share * each, buckets, calls))
        for name, share, buckets in (("acquire", 0.7, 110), ("hold", 0.2, 24), ("operation", 1.0, 110))
    }  # fmt: skip
    handoffs = None
    if 1 < n <= 32:
        giver, taker = (a.tolist() for a in np.nonzero(~np.eye(n, dtype=bool)))
        count = rng.integers(10, 2000, len(giver))
        handoffs = Handoffs(
            giver=giver, taker=taker, count=count.tolist(), timed=(count // 10).tolist(), ns=(count * 12).tolist()
        )
    return Outcome(status="ok", members=members, phases=phases, handoffs=handoffs, timer_ns=22.1, timer_step_ns=0.4,  # noqa: E501
                   ns_per_tick=0.4, setup_ns=2_000_000, teardown_ns=90_000, line_node=0, line_node_after=0)  # fmt: skip  # noqa: E501


EVIDENCE = Evidence(
    start_skew_ns=400, overlap=0.9999, off_cpu=0.004, off_cpu_sum=0.01, steal=0.0, load=1.5, running=1, pressure=0.01,  # noqa: E501
    interrupts={"TIMER": 21.3, "SCHED": 17.7, "RCU": 60.3, "timer": 290.7, "call": 14.2, "reschedule": 14.2},
    frequency_khz=[3_000_000, 3_000_000], involuntary=21.0, speed_change=0.02, clock_offset_ns=40.0, stall=0.001,
)  # fmt: skip


def rate_of(cell: Cell, rng: np.random.Generator) -> float:
    """Return a throughput in operations/s by the Universal Scalability Law, with noise."""
    lock, n = LOCKS.index(str(cell.params["lock"])), cell.threads
    gamma = 3e7 / (1 + int(cell.params["hold_ns"]) / 50)
    rate = gamma * n / (1 + (0.1 + 0.02 * lock) * (n - 1) + 2e-3 * n * (n - 1))
    socket = 0.8 if cell.place == "dual-socket" and n > 1 else 1.0
    return float(rate * socket * np.exp(0.02 * rng.standard_normal()))


def write_file(path: Path, shape: Shape, seed: int) -> int:
    """Write a result file of one shape; return its number of cells."""
    rng = np.random.default_rng(seed)
    cells = cells_of(shape)
    header = Header(
        pybench="0",
        created="2026-01-01T00:00:00+00:00",
        command=["pybench", "sweep"],
        host={
            "name": "synthetic", "cpu": {"model": "synthetic", "microcode": None},
            "kernel": {"release": "6.1", "version": "#1", "cmdline": []},
            "frequency": {"governors": ["performance"], "driver": None, "boost": None},
            "hypervisor": {"virtual": False, "vendor": None, "product": None},
        },
        topology=topology(shape.cpus).to_dict(),
        plan=Plan(cells=cells, seed=seed, duration_ns=200_000_000, warmup_ns=20_000_000),
    )  # fmt: skip
    with Writer(path) as writer:
        writer.write(header)
        for sequence in range(shape.trials):
            index, repeat = sequence % len(cells), sequence // len(cells)
            cell = cells[index]
            rate, n = rate_of(cell, rng), cell.threads
            each = 1e9 * n / rate
            figures = Figures(
                throughput=rate, p50_ns=0.7 * each, p90_ns=1.5 * each, p99_ns=3 * each, p999_ns=9 * each,
                max_ns=50 * each, jain=0.98, cpu_ns_per_operation=each,
            )  # fmt: skip
            trial = Trial(
                cell=index, repeat=repeat, sequence=sequence, workload="spin", params=cell.params, threads=n,
                place=cell.place, smt="on", crew="threads", started=1.7e9 + sequence / 4, seconds=0.25,
                outcome=outcome_of(rng, cell, rate), figures=figures, evidence=EVIDENCE,
                handoffs=[HandoffFigure(distance="l3", count=1000, timed=100, mean_ns=90.0, transfer_ns=60.0)] * (n > 1),  # noqa: E501
                flags=["steal"] if sequence % 50 == 49 else [],
            )  # fmt: skip
            writer.write(trial)
        writer.write(End(reason="limit", seconds=shape.trials / 4))
    return len(cells)
