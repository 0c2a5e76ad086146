# SPDX-License-Identifier: Apache-2.0
"""Adding to the core: a lock is a header and a line, a workload is a C file and a Python file."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pybench import native, workloads

ROOT = Path(__file__).parents[2]
LINE = '    LOCK(spare, "spare", "spin", exclusive, plain, "none", "spin", 0, 0, "4 bytes", "a test") \\\n'


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_a_lock_is_two_places_and_a_workload_one_c_file(tmp_path: Path) -> None:
    """Build a copy of the core with one lock and one workload more, and run trials of that lock."""
    csrc = tmp_path / "csrc"
    shutil.copytree(ROOT / "csrc", csrc)
    (csrc / "locks/spare.h").write_text((csrc / "locks/tas.h").read_text().replace("tas_", "spare_"))
    table = csrc / "locks/locks.def"
    table.write_text(table.read_text().replace("    LOCK(tas,", f"{LINE}    LOCK(tas,", 1))
    stat = (csrc / "workloads/stat.c").read_text()
    (csrc / "workloads/spare.c").write_text(
        stat.replace('"stat",\n', '"spare",\n', 1).replace("(stat, w", "(spare, w")
    )

    def compiled(source: Path) -> Path:
        target = tmp_path / f"{source.stem}.o"
        command = ["gcc", "-std=gnu11", "-O0", "-pthread", "-Wall", "-Wextra", "-Werror", f"-I{csrc}", "-c"]
        subprocess.run([*command, source, "-o", target], check=True)
        return target

    sources = [*csrc.rglob("*.c"), *(ROOT / "tests/native").glob("core_check*.c")]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, sources))
    program = tmp_path / "core_check"
    subprocess.run(["gcc", "-pthread", *objects, "-lm", "-o", program], check=True)
    ran = subprocess.run([program, "-d", "2", "lock=spare "], text=True, capture_output=True)
    assert ran.returncode == 0, ran.stdout
    assert " 0 failed" in ran.stdout
    assert "no trials here: workload spare" in ran.stdout


def test_a_workload_is_one_python_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "pybench/workloads/stat.py").read_text()
    (tmp_path / "spare.py").write_text(text.replace('name="stat"', 'name="spare"'))
    monkeypatch.setattr(workloads, "__path__", [*workloads.__path__, str(tmp_path)])
    assert set(workloads._registered()) == {*workloads.WORKLOADS, "spare"}


def test_every_workload_has_both_its_halves() -> None:
    assert set(workloads.WORKLOADS) == set(native.workloads())
