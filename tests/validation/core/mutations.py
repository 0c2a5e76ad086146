# SPDX-License-Identifier: Apache-2.0
"""Locks broken on purpose (tests/locks/mutations), and which of four means notices each break."""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pybench import native
from tests.validation.core.lock_programs import LOCKS, LockPrograms, LockTraits, traits
from tests.validation.core.lock_runs import ALL_WRITERS, RACE, TOO_LARGE, ended
from tests.validation.programs import CSRC

# The means, as the table names them, by the kind of program.
KINDS = {"Spin": "spin", "own model": "model", "adversary": "points", "TSan": "tsan"}
SIZES = (
    *("-n 2", "-n 2 -w", "-t 3 -n 1", "ends -n 2", "ends -t 3 -n 1"),
    *("-t 3 -n 1 -w", "ends -t 4 -n 1", "-t 4 -n 1", "-t 3 -n 2"),
)
LONGEST_S = 60


@dataclass(frozen=True)
class Mutation:
    """A sed script that breaks a lock's header."""

    lock: str
    name: str
    script: str


def planted(locks: list[str], every: int = 1) -> list[Mutation]:
    """Return the mutations of the locks, or each `every`-th of them."""
    lines = [line for line in (LOCKS / "mutations").read_text().splitlines() if not line.startswith("#")]
    mutations = [Mutation(*line.split(" | ", 2)) for line in lines]
    return [one for one in mutations if one.lock in locks][::every]


class Mutations:
    """Breaks copies of locks, one by one. `quick`: until one of the means notices."""

    def __init__(self, programs: LockPrograms, quick: bool) -> None:
        self.programs, self.quick = programs, quick
        self._traits = traits(native.locks())

    def notice(self, mutation: Mutation) -> dict[str, str]:
        """Return what each means that was tried reports, "" for nothing; {} if the script changes nothing."""
        seen: dict[str, str] = {}
        with tempfile.TemporaryDirectory(prefix="mutant-", dir=self.programs.work) as folder:
            copy = Path(folder)
            shutil.copytree(CSRC, copy / "csrc")
            header = copy / "csrc" / "locks" / f"{mutation.lock}.h"
            before = header.read_bytes()
            subprocess.run(["sed", "-i", mutation.script, header], check=True)
            if header.read_bytes() == before:
                return {}
            lock = self._traits[mutation.lock]
            for name, kind in KINDS.items():
                tried = kind != "spin" or self.programs.by_spin(lock)
                if tried and not (self.quick and any(seen.values())):
                    seen[name] = self._caught(kind, lock, copy)
        return seen

    def _caught(self, kind: str, lock: LockTraits, copy: Path) -> str:
        """Return in a word how the programs of this kind notice that the copy is broken, or ""."""
        if (kind in ("spin", "model") and not lock.modelled) or (kind == "tsan" and lock.name == "seqlock"):
            return ""
        program = copy / kind
        self.programs.build(kind, lock, program, copy / "csrc")
        for words in self._words(kind, lock):
            command = [f"{program}.ends" if words.startswith("ends ") else str(program)]
            command += words.removeprefix("ends ").split()
            if kind == "tsan":
                command = ["env", f"TSAN_OPTIONS=exitcode={RACE}", *self.programs.addresses, *command]
            status, printed = ended(command, copy, LONGEST_S)
            if status in (0, TOO_LARGE, None):
                continue
            if status == RACE:
                return "race"
            return "crash" if status < 0 else printed.partition(": ")[2].partition(":")[0]
        return ""

    def _words(self, kind: str, lock: LockTraits) -> list[str]:
        """Return the arguments of the runs to try, in order."""
        if kind == "points":
            words = ["-a -m 3 -d 300", "-a -m 4 -w 2 -d 300"]
            return [*words, "-a -f -m 4 -d 300"] if lock.fifo else words
        if kind == "tsan":
            return [f"-a -m 3 -w {1 if lock.reads else ALL_WRITERS} -d 300"]
        sizes = [size for size in SIZES if kind == "spin" or not size.startswith("ends ")]
        readers = ("", " -r 1") if lock.reads else ("",)
        return [f"{size}{more} -l 3" for size in sizes for more in readers]
