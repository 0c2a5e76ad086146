# SPDX-License-Identifier: Apache-2.0
"""Check that `pybench report` is quick and its page small: 10,000 trials in 5 s and 5 MB, 200 trials in 2 MB.

Result files of several shapes are written, with histograms, members and handoffs as large as real ones, and the
whole command runs on each. Seconds are the best of --runs, after a run that leaves byte code and the charts'
scripts for the others; on a busy machine they depend on its load.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.validation.analysis.report_files import Shape, write_file
from tests.validation.validation import Finding, Validation

ONE, BOTH = ("single-socket",), ("single-socket", "dual-socket")
MANY = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96)
SHAPES = {
    "sweep of a minute": Shape(2, 3, (0,), (1, 2), ONE, 200, 2.0),
    "2 CPUs, many cells": Shape(2, 8, tuple(range(0, 1000, 40)), (1, 2), ONE, 10_000, 5.0),
    "2 CPUs, long": Shape(2, 2, (0,), (1, 2), ONE, 10_000, 5.0),
    "96 CPUs, wide": Shape(96, 8, (0, 200), MANY, BOTH, 10_000, 5.0),
    "96 CPUs, long": Shape(96, 4, (0,), (1, 4, 16, 48, 96), ONE, 10_000, 5.0),
}
QUICK = ("sweep of a minute", "2 CPUs, long")
MOST_SECONDS = 5
PYBENCH = (sys.executable, "-c", "from pybench.cli import main; main()")


def timed(path: Path) -> tuple[float, float, float]:
    """Run the command on a file; return its seconds, CPU seconds, and the most GiB of any child so far."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*PYBENCH, "report", str(path)], check=True, capture_output=True, env=variables)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, after.ru_maxrss / 2**20


def options(parser: argparse.ArgumentParser) -> None:
    """Add the shapes, and how often to run."""
    parser.add_argument("--shape", choices=list(SHAPES), action="append", help="only this; may be repeated")
    parser.add_argument("--runs", type=int, default=2, help="runs per shape [2]")
    parser.add_argument("--seed", type=int, default=1, help="seed of everything random [1]")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the files and the pages here")


def run(asked: argparse.Namespace) -> Iterator[Finding]:
    """Measure the shapes asked for."""
    print(
        f"{'shape':<19}{'cells':>6}{'trials':>8}{'file, MB':>9}{'seconds':>9}{'CPU s':>7}{'GiB':>6}{'page, MB':>9}"
    )
    with tempfile.TemporaryDirectory(prefix="pybench-report-") as scratch:
        folder = asked.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name in asked.shape or (QUICK if asked.quick else SHAPES):
            shape = SHAPES[name]
            path = folder / f"{name.replace(', ', '-').replace(' ', '-')}.jsonl"
            path.unlink(missing_ok=True)
            cells = write_file(path, shape, asked.seed)
            timed(path)
            runs = [timed(path) for _ in range(asked.runs)]
            seconds, cpu, memory = (min(column) for column in zip(*runs, strict=True))
            file, page = (one.stat().st_size / 1e6 for one in (path, path.with_suffix(".html")))
            row = f"{file:>9.0f}{seconds:>9.1f}{cpu:>7.1f}{memory:>6.2f}{page:>9.2f}"
            print(f"{name:<19}{cells:>6}{shape.trials:>8}{row}", flush=True)
            asks = f"{name}: a page of {shape.most_mb:g} MB in {MOST_SECONDS} s"
            good = seconds <= MOST_SECONDS and page <= shape.most_mb
            yield Finding(asks, f"{page:.2f} MB in {seconds:.1f} s", good)
            if not asked.keep:
                path.unlink()


VALIDATION = Validation(
    shows="10,000 trials are a page of 5 MB in 5 s",
    run=run,
    seconds=120,
    quick_seconds=30,
    options=options,
)
