# SPDX-License-Identifier: Apache-2.0
"""Measure how many lines run: of the package in the tests that measure nothing, of the C core in core_check.

Both are lower bounds: the tests that measure run the same code in processes that are not traced here.
With --quick: the unit tests alone, and shorter trials.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.validation.programs import CPUS, CSRC, ROOT, compile_c, compiler, on_all_cpus
from tests.validation.validation import Finding, Validation

LEAST_PYTHON, LEAST_C = 0.7, 0.7
# A member ends by _exit(), which writes no counts by itself.
DUMP = """
void __gcov_dump(void);
void __real__exit(int code);
void __wrap__exit(int code);
void __wrap__exit(int code) {
    __gcov_dump();
    __real__exit(code);
}
"""
FLAGS = ("-std=gnu11", "-O0", "-pthread", "--coverage", "-fprofile-update=atomic")


def shown(shares: dict[str, tuple[int, int]]) -> tuple[str, float]:
    """Print covered and all lines by folder; return the total as text and as a share."""
    for folder, (covered, every) in sorted(shares.items()):
        print(f"  {folder:<32} {covered:6d} of {every:6d}  {covered / max(every, 1):4.0%}")
    covered, every = (sum(column) for column in zip(*shares.values(), strict=True))
    return f"{covered / every:.1%} of {every} lines", covered / every


def by_folder(files: dict[str, tuple[int, int]], depth: int) -> dict[str, tuple[int, int]]:
    """Add up files by the first `depth` parts of their names."""
    sums = dict[str, tuple[int, int]]()
    for name, (covered, every) in files.items():
        folder = str(Path(*Path(name).parts[:-1][:depth]))
        before = sums.get(folder, (0, 0))
        sums[folder] = before[0] + covered, before[1] + every
    return sums


def of_python(work: Path, quick: bool) -> Finding:
    """Run tests under coverage.py; the workers of pytest-xdist are traced too."""
    config, data = work / "coveragerc", work / "coverage.json"
    config.write_text(
        f"[run]\nsource_pkgs = pybench\ndata_file = {work}/data\npatch = subprocess\nparallel = true\n"
        "[report]\nexclude_also =\n    if TYPE_CHECKING:\n"
    )
    coverage = [sys.executable, "-m", "coverage"]
    folders = ["tests/unit"] if quick else ["tests/unit", "tests/cli", "tests/report"]
    tests = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-n",
        str(CPUS),
        "-m",
        "not alone",
        "--no-lab",
        *folders,
    ]
    environment = os.environ | {"TMPDIR": str(work)}
    ran = subprocess.run([*coverage, "run", f"--rcfile={config}", *tests], cwd=ROOT, env=environment, check=False)
    for command in (["combine", "-q"], ["json", "-q", "-o", str(data)]):
        subprocess.run([*coverage, command[0], f"--rcfile={config}", *command[1:]], cwd=ROOT, check=True)
    files = {
        name: (one["summary"]["covered_lines"], one["summary"]["num_statements"])
        for name, one in json.loads(data.read_text())["files"].items()
        if name.startswith("pybench/")
    }
    text, share = shown(by_folder(files, 2))
    return Finding(
        f"at least {LEAST_PYTHON:.0%} of pybench/ run in tests that pass",
        text,
        share >= LEAST_PYTHON and not ran.returncode,
    )


def of_core(work: Path, quick: bool) -> Finding:
    """Run core_check, compiled with counters."""
    dump = work / "dump.c"
    dump.write_text(DUMP)
    sources = [dump, *sorted(CSRC.rglob("*.c")), *sorted((ROOT / "tests" / "native").glob("core_check*.c"))]
    gcc: list[str | Path] = [compiler(), *FLAGS, f"-I{CSRC}"]
    objects = [work / f"{source.stem}.o" for source in sources]
    on_all_cpus(
        lambda pair: compile_c([*gcc, "-c", pair[0], "-o", pair[1]]), list(zip(sources, objects, strict=True))
    )
    compile_c([*gcc, *objects, "-Wl,--wrap=_exit", "-lm", "-o", work / "core_check"])
    ran = subprocess.run(
        [work / "core_check", "-d", "4" if quick else "15"], check=False, stdout=subprocess.DEVNULL
    )
    out = work / "gcovr.json"
    # Counters of processes that were killed in the middle of a write can be off.
    gcovr = [sys.executable, "-m", "gcovr", "-r", ROOT, "-f", f"{CSRC}/", "--json-summary", out, work]
    subprocess.run([*map(str, gcovr), "--gcov-ignore-parse-errors=all"], cwd=ROOT, check=True)
    files = {
        one["filename"]: (one["line_covered"], one["line_total"]) for one in json.loads(out.read_text())["files"]
    }
    text, share = shown(by_folder(files, 2))
    return Finding(
        f"at least {LEAST_C:.0%} of csrc/ run in core_check", text, share >= LEAST_C and not ran.returncode
    )


def run(given: argparse.Namespace) -> Iterator[Finding]:
    """Measure both."""
    with tempfile.TemporaryDirectory(prefix="pybench-coverage-") as folder:
        (Path(folder) / "c").mkdir()
        yield of_core(Path(folder) / "c", given.quick)
        yield of_python(Path(folder), given.quick)


VALIDATION = Validation(shows="tests run most lines of package and core", run=run, seconds=300, quick_seconds=120)
