# SPDX-License-Identifier: Apache-2.0
"""Result files made up for comparisons: what differs is planted, everything else is alike."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pybench.native.outcome import Outcome, Phase
from pybench.results.columns import FileColumns, columns_of
from pybench.results.records import Cell, Figures, Header, Plan, Trial, trial_of
from pybench.results.store import Results, Writer
from pybench.workloads import WORKLOADS


def cell(workload: str = "spin", **changes: Any) -> Cell:
    """A cell with the workload's defaults; `changes` are of its fields or its parameters."""
    fields: dict[str, Any] = {"threads": 1, "place": "all", "smt": "on", "cpus": (0,)}
    fields |= {name: changes.pop(name) for name in list(changes) if name in Cell.__struct_fields__}
    return Cell(workload=workload, params=WORKLOADS[workload].complete(changes), **fields)


def histogram(latencies_ns: Sequence[int]) -> list[int]:
    """The core's flat pairs, for whole latencies, one at a time as docs/reference/results.md has it."""
    counts: dict[int, int] = {}
    for ns in latencies_ns:
        shift = max(int(ns).bit_length() - 7, 0)
        bucket = ns if ns < 128 else (ns >> shift) + 64 * shift
        counts[bucket] = counts.get(bucket, 0) + 1
    flat, before = [], 0
    for bucket in sorted(counts):
        flat += [bucket - before, counts[bucket]]
        before = bucket
    return flat


def trial(
    index: int,
    of: Cell,
    throughput: float = 1e6,
    latencies_ns: Sequence[int] = (1000,),
    repeat: int = 0,
    flags: Sequence[str] = (),
    **counters: int,
) -> Trial:
    calls = [int(ns) for ns in latencies_ns]
    phase = Phase(
        calls=len(calls), operations=len(calls), wall_ns=1, max_ns=max(calls), histogram=histogram(calls)
    )
    p50, p90, p99, p999 = (float(np.quantile(calls, q)) for q in (0.5, 0.9, 0.99, 0.999))
    return trial_of(
        of,
        index,
        repeat=repeat,
        sequence=repeat,
        started=1.0,
        seconds=0.1,
        outcome=Outcome(status="ok", phases={WORKLOADS[of.workload].latency: phase}, counters=counters),
        figures=Figures(
            throughput=throughput,
            p50_ns=p50,
            p90_ns=p90,
            p99_ns=p99,
            p999_ns=p999,
            max_ns=float(max(calls)),
            jain=1.0,
            cpu_ns_per_operation=1e9 / throughput,
        ),
        flags=list(flags),
    )


def header(cells: Sequence[Cell], **host: Any) -> Header:
    facts = {
        "name": "one",
        "kernel": {"release": "6.1", "version": "#1", "cmdline": []},
        "cpu": {"model": "CPU", "microcode": "0x1"},
        "frequency": {"governors": ["performance"], "driver": None, "boost": None},
        "hypervisor": {"virtual": False, "vendor": None, "product": None},
    }
    return Header(
        pybench="1.0",
        created="2026-01-01T00:00:00+00:00",
        command=["pybench"],
        host=facts | host,
        topology={"cpus": [{"online": True, "socket": 0, "node": 0, "l3": 0, "core": 0, "smt": 0}]},
        plan=Plan(cells=list(cells), seed=1, duration_ns=200_000_000, warmup_ns=20_000_000),
    )


def results(name: str, cells: Sequence[Cell], trials: Sequence[Trial], **host: Any) -> Results:
    return Results(
        path=Path(name), header=header(cells, **host), trials=list(trials), ends=[], truncated=False, good_bytes=0
    )


def noisy(
    name: str,
    cells: Sequence[Cell],
    *,
    factors: Sequence[float] | float = 1.0,
    trials: int = 10,
    noise: float = 0.01,
    seed: int = 1,
    calls: int = 300,
    **host: Any,
) -> Results:
    """A file whose throughput is 1e6 times the cell's factor, and whose latencies are 1 to 10 us over it."""
    rng = np.random.default_rng(seed)
    each = [factors] * len(cells) if isinstance(factors, float) else factors
    made = []
    for index, (of, factor) in enumerate(zip(cells, each, strict=True)):
        for repeat in range(trials):
            own = factor * float(np.exp(noise * rng.standard_normal()))
            latencies = rng.uniform(1000, 10_000, calls) / own
            made.append(trial(index, of, 1e6 * own, latencies.astype(int).tolist(), repeat))
    return results(name, cells, made, **host)


def columns(*files: Results) -> list[FileColumns]:
    return [columns_of(file) for file in files]


def write(path: Path, file: Results) -> Path:
    with Writer(path) as writer:
        writer.write(file.header)
        for one in file.trials:
            writer.write(one)
    return path
