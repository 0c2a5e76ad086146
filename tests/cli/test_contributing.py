# SPDX-License-Identifier: Apache-2.0
"""Apply the recipes of CONTRIBUTING.md to a copy of the tree: what each adds is there, and works."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STORED = ROOT / "tests/data/results/format-1-measured.jsonl"


def recipes() -> list[str]:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return re.findall(r"^```(?:c|python|diff)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


class Tree:
    """A copy of the tree with every recipe applied, and its core built."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "80"}
        for name in ("csrc", "pybench"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, folder)

    def apply(self, text: str) -> None:
        """Apply one recipe: a new file, or lines below a line of a table."""
        if named := re.match(r"(?:#|/\*) ((?:csrc|pybench)/\S+)\n", text):
            assert not (self.folder / named[1]).exists()
            (self.folder / named[1]).write_text(text)
            return
        head, *added = text.splitlines(keepends=True)
        assert head.startswith(" ") and all(line.startswith("+") for line in added)
        path = self.folder / ("csrc/locks/locks.def" if "LOCK" in head else "pybench/run/checks.py")
        source = path.read_text()
        assert source.count(head[1:]) == 1
        path.write_text(source.replace(head[1:], head[1:] + "".join(line[1:] for line in added)))

    def python(self, *words: str | Path) -> str:
        """Run Python in the copy and return its output."""
        command = [sys.executable, *map(str, words)]
        ran = subprocess.run(
            command, cwd=self.folder, env=self.environment, text=True, capture_output=True, timeout=110
        )
        assert ran.returncode == 0, ran.stderr[-3000:]
        return ran.stdout

    def pybench(self, *words: str | Path) -> str:
        """Run the copy's `pybench WORDS` and return its output."""
        return self.python("-m", "pybench", *words)


def the_lock_is_listed_and_measured(tree: Tree) -> None:
    assert "polite" in tree.pybench("sweep", "spin", "--lock", "list")
    how = ("--threads", "1", "--duration", "2ms", "--max-trials", "1", "--min-trials", "1", "--max-invalid", "1")
    assert "polite" in tree.pybench("sweep", "spin", "--lock", "polite", *how, "--output", "lock.jsonl")


def the_workload_is_measured(tree: Tree) -> None:
    how = ("--threads", "1", "--duration", "2ms", "--max-trials", "1", "--min-trials", "1", "--max-invalid", "1")
    assert "ops are calls" in tree.pybench("sweep", "getppid", *how, "--output", "workload.jsonl")


def the_machine_is_listed_and_simulated(tree: Tree) -> None:
    assert "spare" in tree.pybench("machine", "list")
    assert "SIMULATED" in tree.pybench(
        "simulate", "--machine", "spare", "spin", "--threads", "1", "--draws", "1", "-o", "m.jsonl"
    )


def the_model_is_fitted(tree: Tree) -> None:
    curve = tree.folder / "curve.csv"
    curve.write_text(
        "threads,throughput\n" + "".join(f"{n},{n / (1 + 0.2 * (n - 1) ** 0.5)}\n" for n in range(1, 9))
    )
    assert "square-root law" in tree.pybench("fit", "--csv", curve)


def the_chart_is_in_the_report(tree: Tree) -> None:
    tree.pybench("report", STORED, "-o", tree.folder / "report.html")
    assert "Trials of each workload" in (tree.folder / "report.html").read_text()


def the_verb_is_listed_and_runs(tree: Tree) -> None:
    assert "Count the cells of a result file." in tree.pybench("--help")
    assert tree.pybench("cells", STORED).strip().isdecimal()


def the_check_judges_trials(tree: Tree) -> None:
    code = """
from pybench.results.records import Evidence
from pybench.run.checks import CHECKS
quiet = Evidence(start_skew_ns=0, overlap=1, off_cpu=0, steal=0, load=0)
print(CHECKS[0].name, CHECKS[0].flags(None, quiet))
quiet = Evidence(start_skew_ns=0, overlap=1, off_cpu=0, steal=0, load=0, pressure=0.9)
print(CHECKS[0].flags(None, quiet))
"""
    assert tree.python("-c", code).split() == ["pressure", "False", "True"]


@pytest.mark.timeout(300)
def test_what_each_recipe_adds_is_there_and_works(tmp_path: Path) -> None:
    """One test, as the copy is built once."""
    tree, listed = Tree(tmp_path), recipes()
    assert len(listed) == 8
    for text in listed:
        tree.apply(text)
    machines = tree.folder / "pybench/simulator/machines"
    spare = (machines / "r5.metal.toml").read_text().replace('"r5.metal"', '"spare"', 1)
    (machines / "spare.toml").write_text(spare)
    recipe = tree.folder / "csrc/build_core.py"
    recipe.write_text(recipe.read_text().replace('"-O2"', '"-O0"'))  # optimising takes most of the build
    tree.python("setup.py", "-q", "build_ext", "--inplace")
    the_lock_is_listed_and_measured(tree)
    the_workload_is_measured(tree)
    the_check_judges_trials(tree)
    the_model_is_fitted(tree)
    the_machine_is_listed_and_simulated(tree)
    the_chart_is_in_the_report(tree)
    the_verb_is_listed_and_runs(tree)
