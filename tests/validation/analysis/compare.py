# SPDX-License-Identifier: Apache-2.0
"""Check `pybench compare` against planted differences: coverage, wrong verdicts, power, speed and memory.

Ratios, noise and sweep-to-sweep variance are planted in synthetic records. 93 to 97 % of the 95 % intervals must
hold the planted ratio, and under 5 % of families of 50 equal cells may get any wrong verdict; the table shows
how often a 5 % difference is found too. The part `scale` writes 100,000 trials and runs the command on them: 10
s, 1 GiB.

Of a hundred shares of 1,000 draws whose true coverage is 95 %, one is outside by chance now and then. So a row
that is outside is drawn again, once, with five times as many new draws of another seed, and only those count:
5,000 draws tell 93 % from 94 % almost surely. Both rows are printed.
"""

import argparse
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from pybench.analysis.comparison.compare import compare
from pybench.native.outcome import Outcome, Phase
from pybench.results.columns import BUCKETS, FIGURES, CellColumns, FileColumns, metrics
from pybench.results.records import Cell, Figures, Header, Plan, Trial
from pybench.results.store import Writer
from pybench.stats.estimate import Floats
from pybench.workloads import WORKLOADS
from tests.validation.analysis.bounds import coverage_bounds
from tests.validation.validation import Finding, Validation

MOST_WRONG = 0.05
CALLS = 400
MOST_SECONDS, MOST_GIB = 10, 1
PLACE: dict[str, Any] = {"place": "all", "smt": "on", "cpus": (0,)}
Ints = npt.NDArray[np.int64]
Shape = int | tuple[int, ...]
Design = tuple[tuple[int, int], tuple[int, int], float]
"""Trials per cell and number of sweeps, of both sides; sweep-to-sweep noise."""
Row = tuple[list[str], bool]
"""The lines of a row, and whether it is as asked."""


def noise(kind: str, rng: np.random.Generator, shape: Shape) -> Floats:
    """Return the logarithm of each trial's factor."""
    if kind == "lognormal 3%":
        return 0.03 * rng.standard_normal(shape)
    if kind == "lognormal 25%":
        return 0.25 * rng.standard_normal(shape)
    if kind == "skewed":
        return np.log1p(0.2 * rng.exponential(size=shape))
    if kind == "heavy-tailed":
        return 0.03 * rng.standard_t(2, size=shape)
    if kind == "bimodal":
        return np.where(rng.random(shape) < 0.3, -0.3, 0.0) + 0.03 * rng.standard_normal(shape)
    raise ValueError(kind)


KINDS = ("lognormal 3%", "lognormal 25%", "skewed", "heavy-tailed", "bimodal")


def bucket(ns: Floats) -> Ints:
    """Return the core's histogram bucket of each latency, as docs/reference/results.md has it."""
    whole = np.rint(ns).astype(np.int64)
    shift = np.maximum(np.floor(np.log2(np.maximum(whole, 1))).astype(np.int64) - 6, 0)
    return np.where(whole < 128, whole, (whole >> shift) + 64 * shift)


def histograms(rng: np.random.Generator, factors: Floats) -> tuple[Ints, Ints]:
    """Return flat pairs and lengths of each trial's histogram: CALLS skewed latencies, 5 us times its factor."""
    latencies = 5000 * np.exp(0.4 * rng.standard_normal((factors.size, CALLS)))
    at = bucket(latencies * np.exp(factors)[:, None]) + BUCKETS * np.arange(factors.size)[:, None]
    keys, counts = np.unique(at, return_counts=True)
    trial, index = np.divmod(keys, BUCKETS)
    first = np.diff(trial, prepend=-1) > 0
    distances = np.where(first, index, np.diff(index, prepend=0))
    return np.column_stack((distances, counts)).ravel(), np.bincount(trial, minlength=factors.size)


def columns(
    rng: np.random.Generator, kind: str, trials: int, sweep_noise: float, ratio: float, latencies: bool
) -> CellColumns:
    """Return one cell of one sweep: throughput times `ratio`, latencies times `1 / ratio`."""
    own = sweep_noise * rng.standard_normal(2)
    figures = np.ones((trials, len(FIGURES)))
    figures[:, FIGURES.index("throughput")] = 1e6 * ratio * np.exp(own[0] + noise(kind, rng, trials))
    figures[:, FIGURES.index("max_ns")] = 1e12
    pairs, lengths = np.zeros(0, dtype=np.int64), np.zeros(trials, dtype=np.int64)
    if latencies:
        pairs, lengths = histograms(rng, own[1] + noise(kind, rng, trials) - np.log(ratio))
    return CellColumns(
        trials=trials,
        flagged=0,
        failed=0,
        figures=figures,
        pairs=pairs,
        lengths=lengths,
        calls=CALLS * trials if latencies else 0,
        timer_step_ns=0.5,
        launched=np.zeros(0),
    )


def header(cells: int) -> Header:
    """Return a header whose plan has `cells` cells that differ in hold_ns alone."""
    params = WORKLOADS["spin"].complete({})
    plan = [Cell(workload="spin", params={**params, "hold_ns": i}, threads=1, **PLACE) for i in range(cells)]
    return Header(
        pybench="0",
        created="2026-01-01T00:00:00+00:00",
        command=[],
        host={},
        topology={"cpus": []},
        plan=Plan(cells=plan, seed=1, duration_ns=1, warmup_ns=0),
    )


def sides(
    rng: np.random.Generator, cells: int, kind: str, design: Design, ratios: Floats, latencies: bool = True
) -> list[list[FileColumns]]:
    """Return two sides of a comparison, each with its sweeps, by the design."""
    trials, sweeps, sweep_noise = design
    head = header(cells)
    return [
        [
            FileColumns(
                path=Path(f"{side}{sweep}.jsonl"),
                header=head,
                cells={
                    i: columns(rng, kind, trials[side], sweep_noise, ratios[i] if side else 1.0, latencies)
                    for i in range(cells)
                },
            )
            for sweep in range(sweeps[side])
        ]
        for side in (0, 1)
    ]


DESIGNS: tuple[Design, ...] = (
    ((6, 6), (1, 1), 0.0),
    ((10, 10), (1, 1), 0.0),
    ((30, 30), (1, 1), 0.0),
    ((6, 30), (1, 1), 0.0),
    ((10, 10), (2, 2), 0.05),
    ((10, 10), (3, 3), 0.05),
    ((20, 20), (5, 5), 0.05),
    ((10, 10), (1, 4), 0.05),
    ((10, 10), (2, 5), 0.05),
    ((20, 20), (3, 3), 0.0),
)


MORE = 5


def covered(draws: int, seed: int, kind: str, design: Design, latencies: bool = True) -> list[float]:
    """Return the share of draws whose interval holds the planted ratio: throughput, and p99 if `latencies`."""
    trials, sweeps, _ = design
    rng = np.random.default_rng([seed, KINDS.index(kind), *trials, *sweeps])
    ratios = np.exp(rng.uniform(-np.log(2), np.log(2), draws))
    both = sides(rng, draws, kind, design, ratios, latencies)
    names = "throughput,p99" if latencies else "throughput"
    found = compare(both, metrics=metrics(names), distributions=False).pairs[0].cells
    planted = [ratios, 1 / ratios][: 1 + latencies]
    return [
        np.mean(
            [
                c.comparisons[m].ratio.low <= r <= c.comparisons[m].ratio.high
                for c, r in zip(found, of, strict=True)
            ]
        )
        for m, of in enumerate(planted)
    ]


def outside(shares: Sequence[float], draws: int) -> list[float]:
    """Return the shares that are not as asked."""
    low, high = coverage_bounds(draws)
    return [share for share in shares if not low <= share <= high]


def row(kind: str, design: Design, shares: Sequence[float], draws: int) -> str:
    """Return one line of the table."""
    trials, sweeps, sweep_noise = design
    words = "".join(
        f"{s:>{w}.1%}{'!' if outside([s], draws) else ' '}" for s, w in zip(shares, (11, 7), strict=False)
    )
    return f"{kind:<14}{trials[0]:>5},{trials[1]:<2}{sweeps[0]:>6},{sweeps[1]:<1}{sweep_noise:>12.0%}{words}"


def coverage_row(draws: int, seed: int, structure: tuple[str, Design]) -> Row:
    """Return the row of a noise and design; if it is not as asked at first, new and more draws decide."""
    kind, design = structure
    shares = covered(draws, seed, kind, design)
    lines = [row(kind, design, shares, draws)]
    if outside(shares, draws):
        shares = covered(MORE * draws, seed + 1, kind, design, latencies=bool(outside(shares[1:], draws)))
        lines += [f"{'':<14}  outside: {MORE} times as many new draws", row(kind, design, shares, MORE * draws)]
        draws *= MORE
    return lines, not outside(shares, draws)


def rows(pool: Pool, make: Callable[[Any], Row], structures: Sequence[Any]) -> tuple[str, bool]:
    """Print the rows in order as they come; return in words how many are as asked, and True if all are."""
    good = 0
    for lines, fine in pool.imap(make, structures):
        print(*lines, sep="\n", flush=True)
        good += fine
    return f"{good} of {len(structures)} rows", good == len(structures)


def coverage(pool: Pool, draws: int, seed: int, kinds: Sequence[str]) -> Finding:
    """Print the share of draws whose interval holds the planted ratio, by noise and design."""
    print(f"coverage of 95 % intervals, {draws} draws each, ratios of 0.5 to 2 (log-uniform)")
    print(f"{'noise':<14}{'trials':>8}{'sweeps':>8}{'sweep noise':>12}{'throughput':>12}{'p99':>11}")
    structures = [(kind, design) for kind in kinds for design in DESIGNS]
    words, good = rows(pool, partial(coverage_row, draws, seed), structures)
    rng = np.random.default_rng(seed)
    both = sides(rng, draws, KINDS[0], ((10, 10), (1, 1), 0.05), np.ones(draws), latencies=False)
    found = compare(both, metrics=metrics("throughput"), distributions=False).every
    blind = np.mean([one.ratio.low <= 1 <= one.ratio.high for one in found])
    print(f"not counted: with one sweep per side, sweep noise of 5 % is not seen, and {blind:.0%} are covered;")
    print("the caveat of a comparison of two files names this")
    low, high = coverage_bounds(draws)
    return Finding(f"{low:.0%} to {high:.0%} of the intervals cover", words, good)


FAMILIES: tuple[tuple[str, Design, str], ...] = (
    ("lognormal 3%", ((6, 6), (1, 1), 0.0), "throughput"),
    ("lognormal 3%", ((10, 10), (1, 1), 0.0), "throughput"),
    ("lognormal 3%", ((30, 30), (1, 1), 0.0), "throughput"),
    ("skewed", ((10, 10), (1, 1), 0.0), "throughput"),
    ("heavy-tailed", ((10, 10), (1, 1), 0.0), "throughput"),
    ("bimodal", ((6, 6), (1, 1), 0.0), "throughput"),
    ("bimodal", ((10, 10), (1, 1), 0.0), "throughput"),
    ("bimodal", ((6, 30), (1, 1), 0.0), "throughput"),
    ("lognormal 3%", ((10, 10), (3, 3), 0.02), "throughput"),
    ("lognormal 3%", ((10, 10), (1, 1), 0.0), "p99"),
    ("bimodal", ((10, 10), (1, 1), 0.0), "p99"),
)


def family_row(count: int, seed: int, structure: tuple[str, Design, str]) -> Row:
    """Return the row of a structure: how many families of 50 equal cells get a wrong verdict."""
    kind, design, name = structure
    trials, sweeps, _ = design
    rng = np.random.default_rng([seed, *trials, *sweeps])

    def verdicts(ratio: float) -> list[str]:
        both = sides(rng, 50, kind, design, np.full(50, ratio), latencies=name == "p99")
        return [one.verdict for one in compare(both, metrics=metrics(name), distributions=False).every]

    faster = wrong = detected = 0
    number = count if name == "throughput" else max(count // 5, 1)
    for family in range(number):
        said = verdicts(1.0)
        faster += "better" in said
        wrong += "better" in said or "worse" in said
        if family < 20:
            detected += verdicts(0.95).count("worse")
    fine = faster / number < MOST_WRONG
    line = (
        f"{kind:<14}{trials[0]:>5},{trials[1]:<2}{sweeps[0]:>6},{sweeps[1]:<1}{name:>12}"
        f"{faster / number:>9.1%}{wrong / number:>8.1%}"
        f"{detected / 50 / min(20, number):>8.0%}{'' if fine else '  !'}"
    )
    return [line], fine


def families(pool: Pool, count: int, seed: int, kinds: Sequence[str]) -> Finding:
    """Print how many families of 50 equal cells get a wrong verdict, and how often a 5 % difference is found."""
    print(f"\n50 cells at once, {count} families: a wrong 'faster', or any wrong difference, where none differs;")
    print("and the share of cells found if throughput falls by 5 %")
    print(f"{'noise':<14}{'trials':>8}{'sweeps':>8}{'metric':>12}{'faster':>9}{'any':>8}{'power':>8}")
    chosen = [one for one in FAMILIES if one[0] in kinds]
    words, good = rows(pool, partial(family_row, count, seed), chosen)
    return Finding(f"under {MOST_WRONG:.0%} of the families of equal cells get a wrong verdict", words, good)


def write_file(path: Path, seed: int, cells: int, trials: int) -> None:
    """Write a result file of `cells` cells with `trials` trials each, with realistic histograms."""
    rng = np.random.default_rng(seed)
    head = header(cells)
    with Writer(path) as writer:
        writer.write(head)
        sequence = 0
        for index, cell in enumerate(head.plan.cells):
            factors = noise("lognormal 3%", rng, trials)
            pairs, lengths = histograms(rng, factors)
            ends = np.cumsum(lengths) * 2
            for repeat in range(trials):
                flat = pairs[ends[repeat] - 2 * lengths[repeat] : ends[repeat]].tolist()
                phase = Phase(calls=CALLS, operations=CALLS, wall_ns=10**9, max_ns=10**6, histogram=flat)
                short = Phase(calls=CALLS, operations=CALLS, wall_ns=10**9, max_ns=10**6, histogram=flat[:80])
                figures = Figures(
                    throughput=1e6 * np.exp(factors[repeat]).item(),
                    p50_ns=5e3,
                    p90_ns=8e3,
                    p99_ns=12e3,
                    p999_ns=2e4,
                    max_ns=1e6,
                    jain=1.0,
                    cpu_ns_per_operation=1e3,
                )
                trial = Trial(
                    cell=index,
                    repeat=repeat,
                    sequence=sequence,
                    workload=cell.workload,
                    params=cell.params,
                    threads=cell.threads,
                    place=cell.place,
                    smt=cell.smt,
                    crew=cell.crew,
                    started=1.0,
                    seconds=0.2,
                    outcome=Outcome(status="ok", phases={"acquire": phase, "hold": short, "operation": phase}),
                    figures=figures,
                )
                writer.write(trial)
                sequence += 1


def scale(trials: int, cells: int, seed: int) -> Finding:
    """Write two files of `trials` trials in all, and measure the command on them."""
    with tempfile.TemporaryDirectory(prefix="pybench-scale-") as folder:
        paths = [Path(folder) / name for name in ("a.jsonl", "b.jsonl")]
        for number, path in enumerate(paths):
            write_file(path, seed + number, cells, trials // cells // 2)
        size = sum(path.stat().st_size for path in paths)
        command = [sys.executable, "-c", "from pybench.cli import main; main()", "compare", *map(str, paths)]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        ran = subprocess.run([*command, "--json"], capture_output=True, check=True)
        seconds = time.perf_counter() - start
        said = msgspec.json.decode(ran.stdout)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak, cpu = used.ru_maxrss / 2**20, used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    words = f"{seconds:.1f} s ({cpu:.1f} s of a CPU), {peak:.2f} GiB at most, {size / 2**20:.0f} MiB of files"
    compared = sum(sum(c["valid"]) for c in said["pairs"][0]["cells"])
    asked = f"{trials} trials in {cells} cells are compared in {MOST_SECONDS} s and {MOST_GIB} GiB"
    return Finding(asked, words, seconds < MOST_SECONDS and peak < MOST_GIB and compared == trials)


def options(parser: argparse.ArgumentParser) -> None:
    """Add the parts and their sizes."""
    parser.add_argument("--draws", type=int, help="draws per row of coverage [1000; 200 with --quick]")
    parser.add_argument("--families", type=int, help="families per row [500; 50 with --quick]")
    parser.add_argument("--seed", type=int, default=1, help="seed of everything random [1]")
    parser.add_argument("--part", choices=["coverage", "families", "scale"], help="run only this part")
    parser.add_argument("--noise", choices=KINDS, help="coverage and families of this noise only")
    parser.add_argument("--trials", type=int, help="trials of the part scale [100000; 10000 with --quick]")
    parser.add_argument("--cells", type=int, default=100, help="their cells [100]")


def run(asked: argparse.Namespace) -> Iterator[Finding]:
    """Run the part asked for, or all."""
    kinds = [asked.noise] if asked.noise else KINDS
    with multiprocessing.get_context("fork").Pool(len(os.sched_getaffinity(0))) as pool:
        if asked.part in (None, "coverage"):
            yield coverage(pool, asked.draws or (200 if asked.quick else 1000), asked.seed, kinds)
        if asked.part in (None, "families"):
            yield families(pool, asked.families or (50 if asked.quick else 500), asked.seed, kinds)
    if asked.part in (None, "scale"):
        yield scale(asked.trials or (10_000 if asked.quick else 100_000), asked.cells, asked.seed)


VALIDATION = Validation(
    shows="comparisons find planted ratios, quickly",
    run=run,
    seconds=660,
    quick_seconds=120,
    options=options,
)
