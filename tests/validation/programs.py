# SPDX-License-Identifier: Apache-2.0
"""C programs of validations: compiling the core and its locks in many ways, and running work on all CPUs."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pybench.errors import UnsupportedError

T = TypeVar("T")
R = TypeVar("R")
ROOT = Path(__file__).parents[2]
CSRC = ROOT / "csrc"
BARE = Path(__file__).parent / "bare"
WARNINGS = ("-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wstrict-prototypes", "-Werror")
CPUS = len(os.sched_getaffinity(0))


class BuildError(Exception):
    """A program does not compile. The text is the compiler's."""


def compiler(name: str = "gcc", packages: str = "gcc libc6-dev") -> str:
    """Return the path of a compiler. Raises UnsupportedError if it is not there."""
    found = shutil.which(name)
    if found is None:
        raise UnsupportedError(f"needs {name}; run: sudo apt-get install -y {packages}")
    return found


def installed(present: Callable[[], bool], *packages: str) -> str:
    """Install Debian packages unless `present()`; return why that failed, in one line, or an empty string."""
    if present():
        return ""
    command = [str(ROOT / "scripts" / "setup"), "--packages", *packages]
    ran = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return "" if present() else (ran.stdout.strip().splitlines() or ["cannot be installed"])[-1]


def compile_c(command: Iterable[str | Path]) -> None:
    """Run a compiler. Raises BuildError with what it printed."""
    ran = subprocess.run(
        [*map(str, command)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, cwd=ROOT
    )
    if ran.returncode:
        raise BuildError(ran.stdout)


def bare_program(name: str, folder: Path) -> Path:
    """Compile bare/NAME.c into the folder and return the program."""
    program = folder / name
    command = [compiler(), "-std=gnu11", "-O2", "-pthread", *WARNINGS]
    compile_c([*command, BARE / f"{name}.c", "-o", program])
    return program


def lock_flags(lock: str, csrc: Path = CSRC) -> list[str]:
    """Return what a program around one lock is compiled with: the lock's header, and what that header offers."""
    header = csrc / "locks" / f"{lock}.h"
    text, flags = (
        header.read_text(),
        ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-pthread", f"-I{csrc}", f"-DLOCK={lock}"],
    )
    for word, flag in (("place", "HAS_PLACE"), ("join", "HAS_JOIN"), ("read_acquire", "HAS_READERS")):
        flags += [f"-D{flag}"] if f"{lock}_{word}(" in text else []
    flags += ["-DREADERS_RETRY"] if re.search(rf"bool {lock}_read_release", text) else []
    return [*flags, "-include", str(csrc / "locks" / "common.h"), "-include", str(header)]


def on_all_cpus(function: Callable[[T], R], items: Sequence[T], workers: int = CPUS) -> list[R]:
    """Call the function with each item, on as many threads as there are CPUs; return the results in order."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, items))


def fixed_addresses() -> list[str]:
    """Return the words before a program that switch address randomisation off, which old sanitizers need."""
    words = ["setarch", "-R"]
    works = (
        shutil.which("setarch")
        and subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
    )
    return words if works else []
