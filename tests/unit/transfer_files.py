# SPDX-License-Identifier: Apache-2.0
"""Latency files of hosts that are not here: each pair takes about what public tables say of its class."""

import random
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from pybench.host.meters import HostCounts
from pybench.host.topology import Distance, Topology, distance, read_topology
from pybench.native.outcome import Members, Outcome, Phase, TrialSpec
from pybench.results.latency_file import PairTrial, TransferFile, TransferHeader
from pybench.results.records import End
from pybench.run.line_transfers import TransferRun, plan_transfers
from tests.unit.topologies import MACHINES, SCRATCH, Host, write

NS: dict[Distance, float] = {"same-cpu": 900, "smt": 7.6, "l3": 47, "socket": 110, "cross-socket": 134}


def calm(_: Sequence[int]) -> Callable[[], HostCounts]:
    """Meters of a host on which nothing else goes on."""
    return HostCounts


@cache
def topology_of(machine: str | Callable[[], Host]) -> Topology:
    """A host of topologies.py, read back."""
    with TemporaryDirectory(dir=SCRATCH) as folder:
        host = MACHINES[machine]() if isinstance(machine, str) else machine()
        return read_topology(write(Path(folder), host))


def outcome(cpus: Sequence[int], ns: float, *, off_cpu: float = 0.0, batches: int = 20) -> Outcome:
    """Return the outcome of a trial of 10 ms in which every batch took `ns` per transfer."""
    span, transfers = 10_000_000, round(10_000_000 / ns)
    return Outcome(
        status="ok",
        members=Members(
            cpu=list(cpus),
            operations=[transfers // 2] * 2,
            start_ns=[0, 15],
            stop_ns=[span, span],
            cpu_ns=[span, round(span * (1 - off_cpu))],
            voluntary_switches=[0, 0],
            involuntary_switches=[0, 0],
        ),
        phases={
            "transfer": Phase(
                calls=batches, operations=batches, wall_ns=round(ns) * batches, max_ns=round(ns), histogram=[]
            )
        },
        timeline=[[i * span // batches, round(ns * 1000)] for i in range(batches)],
    )


def true_ns(topology: Topology, a: int, b: int, method: str) -> float:
    """Return the time of a pair: its class's time within 5 %, the same each time."""
    known = topology.by_number()
    near = random.Random(f"{a} {b}").uniform(0.95, 1.05)
    return NS[distance(known[a], known[b])] * near * (1 if method == "cas" else 1.8)


def machine_of(topology: Topology) -> Callable[[TrialSpec], Outcome]:
    """A run_trial() of such a host."""
    return lambda spec: outcome(
        spec.cpus, true_ns(topology, spec.cpus[0], spec.cpus[1], str(spec.params["method"]))
    )


def header_of(topology: Topology, **how: object) -> TransferHeader:
    """The header of a file of all this host's CPUs; `how` goes to plan_transfers()."""
    cpus = [cpu.number for cpu in topology.usable]
    plan = plan_transfers(topology, cpus, place="all", **({"seed": 7} | how))  # type: ignore[arg-type]
    return TransferHeader(
        pybench="0.1.0",
        created="2026-11-26T09:00:00+00:00",
        command=["pybench", "latency"],
        host={"name": "elsewhere", "cpu": {"model": "Imagined CPU"}, "kernel": {"release": "6.18"}},
        topology=topology.to_dict(),
        plan=plan,
    )


def file_of(topology: Topology, **how: object) -> TransferFile:
    """A whole file of this host."""
    header = header_of(topology, **how)
    trials = list(TransferRun(header.plan, topology, machine_of(topology), calm).trials())
    return TransferFile(header=header, topology=topology, trials=trials, ends=[End(reason="limit", seconds=60.0)])


def write_file(path: Path, header: TransferHeader, trials: Sequence[PairTrial], *, ended: bool = True) -> Path:
    """Write records as the verb does."""
    records = [header, *trials, *([End(reason="limit", seconds=1.0)] if ended else [])]
    path.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    return path
