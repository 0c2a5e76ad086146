# SPDX-License-Identifier: Apache-2.0
"""Run the examples of README, CONTRIBUTING and docs/: every command parses, and those that measure nothing run."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from pybench import native
from pybench.cli import cli
from pybench.run.checks import CHECKS
from tests.cli.cli_runs import here

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
PAGES = [
    path
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
    if not {"verbs", "generated"} & set(path.parts)
]
# The files that examples read, and what they stand for here.
FILES = {
    "format-1-measured.jsonl": "hold locks before after a1 a2 a3 b1 b2 b3 measured quiet",
    "format-1-launch.jsonl": "storm two mine",
    "format-1-simulated.jsonl": "simulated there",
}
# Sweeps run with --dry-run, planned for a machine of two sockets with SMT and 96 CPUs.
RUN = ("show", "compare", "report", "export", "machine list", "machine show")


def blocks(language: str) -> list[tuple[Path, str]]:
    found = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [(path, text) for path in PAGES for text in found.findall(path.read_text())]


COMMANDS = sorted(
    {
        tuple(shlex.split(line[2:], comments=True)[1:])
        for _, text in blocks("console")
        for line in text.split("\n")
        if line.startswith("$ pybench ")
    }
)


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    for stored, names in FILES.items():
        for name in names.split():
            shutil.copy(DATA / "results" / stored, tmp_path / f"{name}.jsonl")
    (tmp_path / "curve.csv").write_text(
        "threads,throughput\n" + "".join(f"{n},{n / (1 + n / 9)}\n" for n in range(1, 9))
    )
    return tmp_path


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_command_parses_and_runs_if_it_measures_nothing(words: tuple[str, ...], examples: Path) -> None:
    left, command, names = list(words), click.Command("pybench"), []
    context = click.Context(cli, info_name="pybench")
    group: click.Command | None = cli
    while isinstance(group, click.Group) and left and not left[0].startswith("-"):
        names.append(left.pop(0))
        group = group.get_command(context, names[-1])
        assert group is not None, f"no verb {' '.join(names)}"
        command = group
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(examples)
        command.make_context(names[-1], list(left), parent=context)
    verb = " ".join(names)
    other = ["--sysroot", str(DATA / "topologies" / "two-sockets-96.tar.gz")]
    if verb == "topology":
        assert here(*words, *other, cwd=examples).returncode == 0
    elif verb == "sweep" and "list" not in left and "--resume" not in left:
        dry = [] if "--dry-run" in left else ["--dry-run"]
        ran = here(*words, *dry, *other, cwd=examples)
        assert ran.returncode == 0, ran.stderr
    elif verb in RUN:
        ran = here(*words, cwd=examples)
        assert ran.returncode in (0, 1 if "--fail-if" in left else 0), ran.stderr
        assert ran.stdout or "-o" in left


def test_the_architecture_names_every_package_in_the_order_of_its_layer() -> None:
    text = (ROOT / "docs/architecture/index.md").read_text()
    table = text[text.index("| package |") : text.index("The C core")]
    with (ROOT / "pyproject.toml").open("rb") as file:
        layers = tomllib.load(file)["tool"]["importlinter"]["contracts"][0]["layers"]
    first = " ".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE))
    named = re.findall(r"`(\w+)/?`", first)
    every = {name for layer in layers for name in re.split(r" [|:] ", layer)} - {"__main__", "_version"}
    assert set(named) == every
    place = {name: -index for index, layer in enumerate(layers) for name in re.split(r" [|:] ", layer)}
    assert sorted(named, key=lambda name: place[name]) == named
    for folder in (path.name for path in (ROOT / "csrc").iterdir() if path.is_dir()):
        assert f"`{folder}/`" in text


def test_readme_counts_locks_and_checks_right() -> None:
    text = (ROOT / "README.md").read_text()
    locks = [one for one in native.locks().values() if one.family != "control"]
    assert re.findall(r"(\d+) (locks|checks)\b", text) == [
        (str(len(locks)), "locks"),
        (str(len(CHECKS)), "checks"),
    ]


def test_python_blocks_run_on_stored_files(examples: Path) -> None:
    ran = 0
    for path, text in blocks("python"):
        if path.name == "CONTRIBUTING.md":  # test_contributing.py applies these
            continue
        compile(text, str(path), "exec")
        if ("pybench.load" in text or "read_json" in text) and path.name != "python.md":
            done = subprocess.run(
                [sys.executable, "-c", text], cwd=examples, text=True, capture_output=True, timeout=60
            )
            assert done.returncode == 0, f"{path}: {done.stderr[-2000:]}"
            ran += 1
    assert ran >= 3


def test_the_python_guide_runs(tmp_path: Path) -> None:
    guide = ROOT / "docs" / "guides" / "python.md"
    sources = [text for path, text in blocks("python") if path == guide]
    assert len(sources) >= 6
    # No assertion here is of speed; but six valid trials cannot be expected of a busy machine.
    prelude = "from pybench.run import checked_trial\nchecked_trial.flags = lambda cell, seen: []\n"
    script = prelude + "\n".join(sources)
    script = script.replace("threads=[1, 2]", "threads=[1]").replace("threads=2", "threads=1")
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, text=True, capture_output=True, timeout=100)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "<pybench.Run" in ran.stdout or "<pybench." in ran.stdout
    assert (tmp_path / "a.csv").read_text().startswith("file,source,cell,")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(
        r"\]\(([^)#\s]+)", re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)
    ):
        if "://" not in target and "reference/verbs" not in target and "verbs/" not in target:
            assert (page.parent / target).exists(), target
