# SPDX-License-Identifier: Apache-2.0
"""Build the sdist and from it the wheel, install the wheel in a clean environment and use it from there.

The wheel must be abi3 and hold every tracked file of pybench/ and the core. Outside the checkout the installed
program runs sweep, launch, show, report, compare, fit, export, simulate, machine, reproduce and the pytest plugin.
Takes about three minutes, most of them the download and unpacking of what pybench needs.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
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


def run(*words: str | Path, folder: Path, environment: dict[str, str] | None = None) -> str:
    """Run a command to its end and return its output. Exit with the output if it fails."""
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
        sys.exit(f"failed with {ran.returncode}: {' '.join(map(str, words))}\n{ran.stdout}")
    return ran.stdout


def tracked(folder: str = ".") -> list[str]:
    listed = run("git", "ls-files", "-co", "--exclude-standard", "--", folder, folder=ROOT)
    return [name for name in listed.split("\n") if name and (ROOT / name).is_file()]


def build(work: Path) -> Path:
    """Return the wheel that is built from the sdist that is built from the tracked files."""
    source = work / "source"
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    make = "import setuptools.build_meta as backend; backend.build_sdist('../dist')"
    run(sys.executable, "-c", make, folder=source)
    (sdist,) = (work / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(work / "unpacked", filter="data")
    (unpacked,) = (work / "unpacked").iterdir()
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-build-isolation", "--no-deps", "-w", work / "dist", unpacked, folder=work)
    (wheel,) = (work / "dist").glob("*.whl")
    return wheel


def contents(wheel: Path) -> None:
    """Check the wheel's tag and its files."""
    if not re.fullmatch(r"pybench_locks-[^-]+-cp311-abi3-linux_\w+\.whl", wheel.name):
        sys.exit(f"the wheel is not for every Python from 3.11 on: {wheel.name}")
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {*tracked("pybench"), "pybench/native/_core.abi3.so"}
    if inside != expected:
        sys.exit(f"missing in the wheel: {sorted(expected - inside)}; not expected: {sorted(inside - expected)}")
    print(f"{wheel.name}: {len(inside)} files, {wheel.stat().st_size / 1e6:.2f} MB")


def use(wheel: Path, python: str, work: Path) -> None:
    """Install the wheel for `python` and run the commands in an empty folder."""
    venv, folder = work / "venv", work / "elsewhere"
    run(python, "-m", "venv", venv, folder=work)
    pip = (venv / "bin/python", "-m", "pip", "--disable-pip-version-check", "-q", "install", "--no-compile")
    run(*pip, f"pybench-locks[{EXTRAS}] @ {wheel.as_uri()}", folder=work)
    folder.mkdir()
    (folder / "test_own.py").write_text(TEST)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    environment["PATH"] = f"{venv / 'bin'}:{environment['PATH']}"
    where = run("python", "-c", "import pybench; print(pybench.__file__)", folder=folder, environment=environment)
    if not where.startswith(str(venv)):
        sys.exit(f"the commands would use {where}")
    for line in COMMANDS.strip().split("\n"):
        run("sh", "-c", line, folder=folder, environment=environment)
        print(f"ok: {line}", flush=True)
    made = {path.name for path in folder.iterdir()}
    if missing := {"a.jsonl", "b.jsonl", "c.jsonl", "report.html", "a.parquet"} - made:
        sys.exit(f"not written: {sorted(missing)}")


def main() -> None:
    """Build, check and use the wheel."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="interpreter to install for [the running one]")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pybench-wheel-", dir="/var/tmp") as folder:
        wheel = build(Path(folder))
        contents(wheel)
        use(wheel, given.python, Path(folder))


if __name__ == "__main__":
    main()
