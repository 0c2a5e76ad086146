# SPDX-License-Identifier: Apache-2.0
"""pybench reproduce and advise as they are called."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from pybench.cli import cli
from pybench.errors import UsageError
from pybench.findings.account import Account
from tests.cli.cli_runs import skip_without_mounts

PYBENCH = [sys.executable, "-c", "from pybench.cli import main; main()"]


def pybench(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*PYBENCH, *words],
        text=True,
        capture_output=True,
        timeout=100,
        check=False,
        env=os.environ | {"COLUMNS": "80"},
    )


def test_a_finding_is_counted_for_real_kept_and_leaves_nothing(tmp_path: Path) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    ran = pybench("reproduce", "--only", "2", "--quick", "--details", "-o", str(tmp_path / "out"))
    skip_without_mounts(ran)
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "reproduced" in ran.stdout
    assert "4,040" in ran.stdout  # 20 x 2 x (1 + 50 + 50)
    assert all(len(line.rstrip()) <= 80 for line in ran.stdout.splitlines())
    account = msgspec.json.decode((tmp_path / "out" / "findings.json").read_bytes(), type=Account)
    assert [one.verdict for one in account.findings] == ["reproduced"]
    assert Path("/proc/self/mountinfo").read_text() == before
    instances = Path("/sys/kernel/tracing/instances")
    with contextlib.suppress(OSError):  # not mounted, or not ours to look into
        assert not [one for one in instances.iterdir() if one.name.startswith("pybench")]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("reproduce", "--only", "11"), "no finding 11; choose from 1 to 10"),
        (("reproduce", "--only", "two"), "invalid numbers of findings"),
        (("reproduce", "--budget", "1s"), "too short for any interval"),
        (("reproduce", "-o", "."), "exists; name a new folder"),
        (("advise",), "name result files with launches, or --machine"),
        (("advise", "--machine", "r5.metl"), "r5.metal"),
        (("advise", "--machine", "r5.metal", "--strategy", "bind"), "choose from"),
        (("advise", "none.jsonl"), "cannot read none.jsonl"),
    ],
)
def test_what_cannot_be_meant_is_one_line(words: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError) as refused:
        cli.main(list(words), standalone_mode=False)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_advice_on_a_simulated_machine_says_that_it_is() -> None:
    ran = pybench(
        "advise", "--machine", "graviton3", "--containers", "20", "--layers", "5", "--strategy", "binds,parent",
        "--budget", "1s", "--deadline", "1s",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    said = " ".join(ran.stdout.split())
    assert "strategy binds -> parent" in said
    assert "simulated" in said
    assert "measured," not in said
    assert all(len(line.rstrip()) <= 80 for line in ran.stdout.splitlines())
