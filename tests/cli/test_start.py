# SPDX-License-Identifier: Apache-2.0
"""The program's first moments."""

import os
import subprocess
import sys
from pathlib import Path

SLOW_IMPORT = """
import os, signal, sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)

sys.meta_path.insert(0, Slow())
"""


def test_ctrl_c_while_libraries_load_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW_IMPORT)
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    environment = os.environ | {"PYTHONPATH": paths}
    ran = subprocess.run(
        [sys.executable, "-m", "pybench", "--help"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stderr) == (130, "pybench: interrupted\n")


def test_it_runs_as_a_module() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "pybench", "--version"], capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stdout.split(",")[0]) == (0, "pybench"), ran.stderr
