# SPDX-License-Identifier: Apache-2.0
"""Build the core for AArch64 and run tests/native/core_check.c under QEMU's user-mode emulation.

This shows that the code and its system calls work there. It does not show that the memory order is right: the
emulator keeps this machine's order.
"""

import argparse
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pybench.errors import UnsupportedError
from tests.validation.programs import CSRC, ROOT, WARNINGS, compile_c, compiler, installed
from tests.validation.validation import Finding, Validation

COMPILER = "aarch64-linux-gnu-gcc"
PACKAGES = ("gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "qemu-user")


def emulator() -> str | None:
    """Return QEMU's user-mode emulator, or None."""
    return shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")


def run(options: argparse.Namespace) -> Iterator[Finding]:
    """Build and run."""
    if platform.machine() == "aarch64":
        raise UnsupportedError("this host is AArch64; scripts/validate sanitize runs the same checks")
    if why := installed(lambda: bool(shutil.which(COMPILER) and emulator()), *PACKAGES):
        raise UnsupportedError(why)
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "core_check"
        sources = [*sorted(CSRC.rglob("*.c")), *sorted((ROOT / "tests" / "native").glob("core_check*.c"))]
        flags = ["-std=gnu11", "-O2", "-g", "-static", "-pthread", *WARNINGS, f"-I{CSRC}"]
        compile_c([compiler(COMPILER, " ".join(PACKAGES)), *flags, *sources, "-o", program, "-lm"])
        ran = subprocess.run([str(emulator()), program, "-d", "8"], text=True, stdout=subprocess.PIPE, check=False)
    print(ran.stdout, end="")
    yield Finding(
        "core_check holds on AArch64", (ran.stdout.splitlines() or ["no output"])[-1], ran.returncode == 0
    )


VALIDATION = Validation(shows="the core works on AArch64, under QEMU", run=run, seconds=40, quick_seconds=40)
