# SPDX-License-Identifier: Apache-2.0
"""Test the runner of the validations; what they show takes longer than a test may."""

import subprocess
import sys
from pathlib import Path

import pytest

from pybench.errors import UnsupportedError
from tests.validation import __main__ as runner
from tests.validation.analysis.bounds import coverage_bounds
from tests.validation.validation import Finding, Validation

ROOT = Path(__file__).parents[2]
GOOD, BAD = Finding("one is one", "it is", True), Finding("one is two", "it is not", False)


def plan_validation(monkeypatch: pytest.MonkeyPatch, *findings: Finding, lacks: str = "") -> None:
    """Let every validation return these findings, or lack something."""

    def run(_: object) -> list[Finding]:
        if lacks:
            raise UnsupportedError(lacks)
        return list(findings)

    validation = Validation(shows="something", run=run, seconds=1, quick_seconds=1)
    monkeypatch.setattr(runner, "load", lambda module: validation)


@pytest.mark.parametrize(("findings", "status"), [((GOOD,), 0), ((GOOD, BAD), 1), ((), 0)])
def test_the_exit_status_says_whether_all_is_as_asked(
    findings: tuple[Finding, ...], status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan_validation(monkeypatch, *findings)
    assert runner.run_one("hold", "tests.validation.measuring.hold", ["--quick"]) == status
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == f"hold: {sum(finding.holds for finding in findings)} of {len(findings)} as asked"
    assert [line for line in printed if "NOT as asked" in line] == [
        "hold: NOT as asked: one is two: it is not" for _ in findings[1:]
    ]


def test_a_host_that_cannot_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan_validation(monkeypatch, lacks="needs root")
    assert runner.run_one("hold", "tests.validation.measuring.hold", []) == 3
    assert capsys.readouterr() == ("", "hold: not possible here: needs root\n")


@pytest.mark.parametrize("words", [["nothing"], ["hold", "mounts", "--crew", "threads"]])
def test_what_cannot_be_meant_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_several_run_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = []

    def run(command: list[str], check: bool) -> "subprocess.CompletedProcess[bytes]":
        ran.append(command[3:])
        return subprocess.CompletedProcess(command, {"mounts": 3, "hold": 1}.get(command[3], 0))

    monkeypatch.setattr(subprocess, "run", run)
    assert runner.main(["kills", "mounts", "--quick"]) == 0
    assert runner.main(["kills", "hold", "--quick"]) == 1
    assert ran[:2] == [["kills", "--quick"], ["mounts", "--quick"]]
    assert "mounts           0 s  not possible here" in capsys.readouterr().out
    runner.main(["all"])
    assert {words[0] for words in ran} == set(runner.modules())


def test_the_list_names_all_in_80_columns() -> None:
    command = [sys.executable, "-m", "tests.validation", "--list"]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(runner.modules())
    assert {"aarch64", "locks", "sanitize", "disturb", "simulator"} <= set(runner.modules())
    assert max(map(len, lines)) <= 80


def test_fewer_draws_have_wider_bounds() -> None:
    assert coverage_bounds(1000) == (0.93, 0.97)
    low, high = coverage_bounds(100)
    assert 0.8 < low < 0.9
    assert 0.97 < high <= 1
