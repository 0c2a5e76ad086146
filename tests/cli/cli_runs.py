# SPDX-License-Identifier: Apache-2.0
"""The command line as tests run it: in a process of its own, or within this one where nothing is measured."""

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pybench.cli import main


def python(code: str) -> list[str]:
    """The words that run `code`."""
    return [sys.executable, "-c", code]


MAIN = "from pybench.cli import main; main()"
# Every trial is valid then: tests that need valid trials must not depend on the host's load.
SKIP_CHECKS = "from pybench.run import checked_trial; checked_trial.flags = lambda *_: []"
PYBENCH, ALL_VALID = python(MAIN), python(f"{SKIP_CHECKS}; {MAIN}")
ENVIRONMENT = os.environ | {"COLUMNS": "80"}


def pybench(
    *words: str | Path, start: list[str] | None = None, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run `pybench WORDS` as a process; `start` is what runs it, if other than PYBENCH."""
    command = [*(start or PYBENCH), *map(str, words)]
    return subprocess.run(command, cwd=cwd, text=True, capture_output=True, timeout=100, env=ENVIRONMENT)


def here(*words: str | Path, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """The same within this process, which spares a start."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        patch.setattr(sys, "argv", ["pybench", *map(str, words)])
        patch.setenv("COLUMNS", "80")
        if cwd:
            patch.chdir(cwd)
        main()
    return subprocess.CompletedProcess(words, int(ended.value.code or 0), out.getvalue(), err.getvalue())


def said(text: str) -> str:
    """The words of a text, however its lines are broken."""
    return " ".join(text.split())


def skip_without_mounts(ran: "subprocess.CompletedProcess[str]") -> None:
    """Skip, with what the kernel refused in sight, if it grants no mount namespace; all else must work."""
    refused = [line for line in (ran.stdout + ran.stderr).splitlines() if re.search("CLONE_NEW|uid_map", line)]
    if ran.returncode == 3 and refused:
        pytest.skip(f"no mounts here: {refused[-1].strip()}")
