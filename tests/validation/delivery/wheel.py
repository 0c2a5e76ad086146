# SPDX-License-Identifier: Apache-2.0
"""Build the sdist and from it the wheel, install the wheel in a clean environment and use it from there.

The wheel must be abi3 and hold every tracked file of pybench/ and the core. Outside the checkout the installed
program runs the verbs and the pytest plugin. The core must also compile with the musl C library. Most of the time
is the download and unpacking of the libraries that pybench needs. With --quick: build and check the wheel only.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tests.validation.programs import CSRC, ROOT, BuildError, compile_c, installed
from tests.validation.validation import Finding, Validation

EXTRAS = "export,pytest,report"
# Each runs in an empty folder, after those before it. Short trials: nothing here asserts a speed.
COMMANDS = """
pybench --version
pybench topology
pybench sweep spin --lock ticket,mcs --threads 1 --duration 5ms --max-trials 7 --report --output a.jsonl
pybench launch --strategy binds --containers 2 --layers 2 --budget 3s --output b.jsonl
pybench show a.jsonl
pybench report a.jsonl -o report.html
pybench compare a.jsonl --axis lock --base ticket
pybench export a.jsonl -o a.parquet
pybench machine list
pybench simulate --machine r5.metal spin --lock ticket --threads 1,2 --draws 2 --output c.jsonl
pybench reproduce --only 2 --budget 10s
python -m pytest -q --benchmark test_own.py
python -c "import pybench; print(pybench.load('a.jsonl'))"
"""
TEST = """
import pytest

@pytest.mark.sweep(workload="spin", lock=["ticket"], threads=[1], duration="5ms", trials=(6, 7))
def test_lock(sweep):
    assert sweep.cells
"""


def call(*words: str | Path, folder: Path, environment: dict[str, str] | None = None) -> str:
    """Run a command to its end and return its output. Raises BuildError with it if the command fails."""
    ran = subprocess.run(
        words,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if ran.returncode:
        raise BuildError(f"{' '.join(map(str, words))} ends with status {ran.returncode}:\n{ran.stdout}")
    return ran.stdout


def tracked(folder: str = ".") -> list[str]:
    listed = call("git", "ls-files", "-co", "--exclude-standard", "--", folder, folder=ROOT)
    return [name for name in listed.split("\n") if name and (ROOT / name).is_file()]


def build(work: Path) -> Path:
    """Return the wheel that is built from the sdist that is built from the tracked files."""
    source = work / "source"
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    make = "import setuptools.build_meta as backend; backend.build_sdist('../dist')"
    call(sys.executable, "-c", make, folder=source)
    (sdist,) = (work / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(work / "unpacked", filter="data")
    (unpacked,) = (work / "unpacked").iterdir()
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    call(*pip, "wheel", "--no-build-isolation", "--no-deps", "-w", work / "dist", unpacked, folder=work)
    (wheel,) = (work / "dist").glob("*.whl")
    return wheel


def contents(wheel: Path) -> Iterator[Finding]:
    """Check the wheel's tag and its files."""
    tag = r"pybench_locks-[^-]+-cp311-abi3-linux_\w+\.whl"
    yield Finding("the wheel is for every Python from 3.11 on", wheel.name, bool(re.fullmatch(tag, wheel.name)))
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {*tracked("pybench"), "pybench/native/_core.abi3.so"}
    differ = f"missing {sorted(expected - inside)}, extra {sorted(inside - expected)}"
    found = f"{len(inside)} files, {wheel.stat().st_size / 1e6:.2f} MB" if inside == expected else differ
    yield Finding("it holds the core and every tracked file of pybench/", found, inside == expected)


def musl(work: Path) -> Iterator[Finding]:
    """Compile the core with the musl C library, for which wheels are built too."""
    if reason := installed(lambda: shutil.which("musl-gcc") is not None, "musl-tools"):
        print(f"left out: the core with musl: {reason}")
        return
    kernel = [f"-idirafter{path}" for path in ("/usr/include", f"/usr/include/{os.uname().machine}-linux-gnu")]
    sources = sorted(CSRC.rglob("*.c"))
    flags = ["-std=gnu11", "-O1", "-pthread", f"-I{CSRC}", *kernel]
    compile_c(["musl-gcc", *flags, "-fPIC", "-shared", *sources, "-o", work / "musl.so", "-lm"])
    yield Finding("the core compiles with musl", f"{len(sources)} sources", True)


def use(wheel: Path, python: str, work: Path) -> Iterator[Finding]:
    """Install the wheel for `python` and run the commands in an empty folder."""
    venv, folder = work / "venv", work / "elsewhere"
    call(python, "-m", "venv", venv, folder=work)
    pip = (venv / "bin/python", "-m", "pip", "--disable-pip-version-check", "-q", "install", "--no-compile")
    call(*pip, f"pybench-locks[{EXTRAS}] @ {wheel.as_uri()}", folder=work)
    folder.mkdir()
    (folder / "test_own.py").write_text(TEST)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    environment["PATH"] = f"{venv / 'bin'}:{environment['PATH']}"
    where = call("python", "-c", "import pybench; print(pybench.__file__)", folder=folder, environment=environment)
    yield Finding("commands use the installed package", where.strip(), where.startswith(str(venv)))
    for line in COMMANDS.strip().split("\n"):
        call("sh", "-c", line, folder=folder, environment=environment)
        print(f"  {line}", flush=True)
    missing = {"a.jsonl", "b.jsonl", "c.jsonl", "report.html", "a.parquet"} - {p.name for p in folder.iterdir()}
    yield Finding(
        "the verbs and the plugin run, and write their files", f"missing: {sorted(missing)}", not missing
    )


def run(given: argparse.Namespace) -> Iterator[Finding]:
    """Build, check and use the wheel."""
    with tempfile.TemporaryDirectory(prefix="pybench-wheel-", dir="/var/tmp") as folder:
        work = Path(folder)
        wheel = build(work)
        yield from contents(wheel)
        if not given.quick:
            yield from musl(work)
            yield from use(wheel, given.python, work)


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this validation."""
    parser.add_argument("--python", default=sys.executable, help="interpreter to install for [the running one]")


VALIDATION = Validation(
    shows="a wheel runs every verb outside the checkout",
    run=run,
    seconds=90,
    quick_seconds=20,
    options=options,
)
