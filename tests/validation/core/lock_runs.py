# SPDX-License-Identifier: Apache-2.0
"""Runs of the programs around one lock: how often, with how many members, on models how large."""

import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from tests.validation.core.lock_programs import LockPrograms, LockTraits

LONGEST_S = 1800
TOO_LARGE, RACE = 3, 66  # exit statuses of a model that is not searched to its end, and of ThreadSanitizer
ALL_WRITERS = 16


@dataclass(frozen=True)
class Size:
    """The length of runs, and the sizes of models that are searched."""

    ms: int
    long_ms: int
    millions: int
    """States at which a search is given up."""
    models: tuple[str, ...]
    spin: tuple[str, ...]
    ends: tuple[str, ...]


WHOLE = Size(
    ms=150,
    long_ms=3000,
    millions=20,
    models=(
        *("-t 2 -n 2", "-t 2 -n 2 -w", "-t 2 -n 3", "-t 2 -n 3 -w"),
        *("-t 3 -n 1", "-t 3 -n 1 -w", "-t 3 -n 2", "-t 4 -n 1"),
    ),
    spin=("-t 2 -n 2", "-t 2 -n 2 -w", "-t 2 -n 3", "-t 2 -n 3 -w", "-t 3 -n 1", "-t 3 -n 1 -w", "-t 3 -n 2"),
    ends=("-t 2 -n 2", "-t 2 -n 3", "-t 3 -n 1"),
)
SHORT = Size(
    ms=15,
    long_ms=250,
    millions=4,
    models=("-t 2 -n 2", "-t 2 -n 2 -w", "-t 3 -n 1", "-t 3 -n 1 -w"),
    spin=("-t 2 -n 2", "-t 2 -n 2 -w", "-t 3 -n 1"),
    ends=("-t 2 -n 2",),
)


def ended(command: list[str], folder: Path, longest_s: float) -> tuple[int | None, str]:
    """Run a program in the folder; return its exit status, None if it takes too long, and its output."""
    try:
        ran = subprocess.run(
            command,
            cwd=folder,
            timeout=longest_s,
            text=True,
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, f"no end within {longest_s:g} s"
    return ran.returncode, ran.stdout.strip()


@dataclass
class Checks:
    """The checks of a lock, and the tally of their runs."""

    programs: LockPrograms
    size: Size
    held: int = 0
    undecided: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Begin the tally again."""
        self.held, self.undecided, self.wrong = 0, [], []

    def _run(self, lock: LockTraits, what: str, kind: str, words: str) -> None:
        program = [str(self.programs.program(lock, kind)), *words.split()]
        if kind == "tsan":
            program = ["env", f"TSAN_OPTIONS=exitcode={RACE}", *self.programs.addresses, *program]
        status, printed = ended(program, self.programs.work, LONGEST_S)
        line = f"{lock.name}, {what}, {words}: {printed}"
        with self._guard:
            if status == 0:
                self.held += 1
            elif status == TOO_LARGE and kind in ("model", "spin", "spin.ends"):
                self.undecided.append(line)
                print(f"  undecided: {line}", flush=True)
            else:
                self.wrong.append(line)

    def exclusion(self, lock: LockTraits) -> None:
        """Hammer the lock with threads and processes, up to more members than CPUs, which then yield."""
        for crew in ("", " -p"):
            for members in (2, 3, 4):
                kind = "plain" if members == 2 else "points"
                words = f"-m {members} -d {self.size.ms}"
                self._run(lock, "excludes", kind, words + crew)
                if lock.reads:
                    self._run(lock, "excludes with readers", kind, f"{words} -w 1{crew}")

    def order(self, lock: LockTraits) -> None:
        """Check the order of service of a FIFO lock."""
        for members in (2, 4) if lock.fifo else ():
            for words in ("-f", "-f -a"):
                self._run(lock, "serves in order", "points", f"{words} -m {members} -d {2 * self.size.ms}")

    def adversary(self, lock: LockTraits) -> None:
        """Hammer the lock with delays at random points."""
        for members in (2, 3, 4):
            self._run(lock, "excludes, delayed", "points", f"-a -m {members} -d {2 * self.size.ms}")
            if lock.reads:
                words = f"-a -w 2 -m {members + 1} -d {2 * self.size.ms}"
                self._run(lock, "excludes with readers, delayed", "points", words)

    def sanitizer(self, lock: LockTraits) -> None:
        """Look for data races; not in seqlock, whose readers race by design (sanitize knows how)."""
        if lock.name != "seqlock":
            writers = 1 if lock.reads else ALL_WRITERS
            self._run(lock, "has no data race", "tsan", f"-a -m 3 -w {writers} -d {2 * self.size.ms}")

    def wake_ups(self, lock: LockTraits) -> None:
        """Let 8 members fall asleep and be woken."""
        for crew in ("", " -p") if lock.sleeps else ():
            for delays in ("", "-a "):
                self._run(lock, "wakes all of 8", "points", f"{delays}-m 8 -d {self.size.long_ms}{crew}")

    def _search(self, lock: LockTraits, kind: str, sizes: tuple[str, ...]) -> None:
        for readers in (0, 1, 2) if lock.reads else (0,):
            for size in sizes:
                # Readers are the first of the threads: as many readers as threads add nothing.
                if not readers or f"-t {readers} " not in size:
                    self._run(lock, "model", kind, f"{size} -r {readers} -l {self.size.millions}")

    def models(self, lock: LockTraits) -> None:
        """Search the lock's model with our own checker."""
        if lock.modelled:
            self._search(lock, "model", self.size.models)

    def spin_models(self, lock: LockTraits) -> None:
        """Search the lock's model with Spin."""
        if self.programs.by_spin(lock):
            self._search(lock, "spin", self.size.spin)

    def endings(self, lock: LockTraits) -> None:
        """Check with Spin that all members end under weak fairness."""
        if self.programs.by_spin(lock):
            self._search(lock, "spin.ends", self.size.ends)
