# SPDX-License-Identifier: Apache-2.0
"""Programs around one lock: a hammer (plain, with delays, under ThreadSanitizer) and models for two checkers."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pybench.native.outcome import LockInfo
from tests.validation.programs import (
    CSRC,
    ROOT,
    WARNINGS,
    BuildError,
    compile_c,
    compiler,
    fixed_addresses,
    installed,
    lock_flags,
    on_all_cpus,
)
from tests.validation.validation import Finding

LOCKS = ROOT / "tests" / "locks"
MODEL = LOCKS / "model"
POINTS = ('-DPB_POINTS="points.h"', f"-I{LOCKS / 'adversary'}")
# Small bounds, so that states beyond them are reached.
SMALL = (
    *("-DPB_MODEL", "-DPB_LINE=8", "-DSPIN_MOST_SLOTS=4", "-DSPIN_MOST_DOMAINS=2", "-DMCS_PARK_SPINS=1"),
    *("-DRWSEM_SPINS=1", "-DCOHORT_MOST_PASSES=1", "-DHMCS_THRESHOLD=2", "-DTTAS_BACKOFF_MOST=4"),
    *("-DTICKET_PROPORTIONAL_PAUSES=0", "-DQSPINLOCK_SPINS=1", f"-I{MODEL}", '-DPB_POINTS="placed.h"'),
)
# Searched by Spin in quick runs too.
QUICK_SPIN = frozenset({"mcs", "clh", "qspinlock", "cna", "futex_mutex", "rwsem"})


@dataclass(frozen=True)
class LockTraits:
    """Traits of a lock that the checks depend on; `name` is that of its header."""

    name: str
    fifo: bool
    sleeps: bool
    reads: bool

    @property
    def modelled(self) -> bool:
        """False for the C library's locks, which no model reaches, and seqlock, whose readers race by design."""
        return not self.name.startswith("pthread_") and self.name != "seqlock"


def traits(locks: Mapping[str, LockInfo]) -> dict[str, LockTraits]:
    """Return the traits of every lock of the core but the controls, by the name of its header."""
    return {
        name: LockTraits(name, info.fairness == "FIFO", info.waiting not in ("spin", "none"), info.readers)
        for info in locks.values()
        if info.family != "control"
        for name in [info.name.replace("-", "_")]
    }


def has_spin() -> bool:
    """Return True if the model checker Spin is installed (other programs have its name too)."""
    path = shutil.which("spin")
    return path is not None and "Spin" in subprocess.run([path, "-V"], text=True, capture_output=True).stdout


class LockPrograms:
    """Builds programs in a folder. `by_spin` are the locks whose models Spin searches."""

    def __init__(self, work: Path, quick: bool) -> None:
        self.work, self.quick = work, quick
        self.addresses = fixed_addresses()
        why = installed(has_spin, "spin")
        self.has_spin = not why
        if why:
            print(f"Spin is left out: {why}")
        else:
            on_all_cpus(self._verifier, ["safety", "ends"])

    def by_spin(self, lock: LockTraits) -> bool:
        """Return True if Spin searches this lock's model."""
        return self.has_spin and lock.modelled and (not self.quick or lock.name in QUICK_SPIN)

    def _verifier(self, claim: str) -> None:
        """Compile Spin's verifier, which is the same for all locks, for safety or for the claim that all end."""
        folder = self.work / claim
        folder.mkdir()
        define, flags = ([], ["-DSAFETY", "-DSPIN_CLAIM=0"])
        if claim == "ends":
            define, flags = ["-DENDS"], ["-DNFAIR=3", "-DSPIN_CLAIM=1"]
        made = [*("spin", *define, "-a"), str(MODEL / "lock.pml")]
        subprocess.run(made, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        command = [compiler(), "-O2", "-w", "-DNOREDUCE", "-DMEMLIM=3000", *flags, "-Dmain=spin_main"]
        command += ["-DC_EXIT=spin_exit(errors, nstates)", f"-I{MODEL}", "-include", "spin.h"]
        compile_c([*command, "-c", folder / "pan.c", "-o", self.work / f"{claim}.o"])

    def program(self, lock: LockTraits, kind: str) -> Path:
        """Return where build_all() puts the program of that kind."""
        return self.work / f"{lock.name}.{kind}"

    def build(self, kind: str, lock: LockTraits, program: Path, csrc: Path = CSRC) -> None:
        """Build a program: plain, points (delays), tsan, model, or spin, which also makes PROGRAM.ends."""
        flags = lock_flags(lock.name, csrc)
        # A broken copy may have something unused.
        warnings = WARNINGS if csrc == CSRC else ("-w",)
        command: list[str | Path] = [compiler(), *flags, f"-I{LOCKS}"]
        hammer = LOCKS / "lock_check.c"
        if kind == "plain":
            compile_c([*command, *warnings, hammer, "-o", program])
        elif kind == "points":
            compile_c([*command, *warnings, *POINTS, hammer, "-o", program])
        elif kind == "tsan":
            compile_c([*command, "-w", *POINTS, "-fsanitize=thread", hammer, "-o", program])
        else:
            command += [*warnings, *SMALL, *(["-DMODEL_FIFO"] if lock.fifo else [])]
            if kind == "model":
                compile_c([*command, MODEL / "model.c", "-o", program])
            else:
                part = program.with_name(f"{program.name}.o")
                compile_c([*command, "-DPB_SPIN", "-c", MODEL / "model.c", "-o", part])
                compile_c([compiler(), part, self.work / "ends.o", "-o", f"{program}.ends"])
                compile_c([compiler(), part, self.work / "safety.o", "-o", program])

    def build_all(self, locks: list[LockTraits]) -> list[Finding]:
        """Build every program of the locks; return a finding for each that does not build."""
        wanted = [(kind, lock) for lock in locks for kind in ("plain", "points", "tsan", "model", "spin")]
        wanted = [(kind, lock) for kind, lock in wanted if kind != "model" or lock.modelled]
        wanted = [(kind, lock) for kind, lock in wanted if kind != "spin" or self.by_spin(lock)]

        def build_one(item: tuple[str, LockTraits]) -> list[Finding]:
            kind, lock = item
            try:
                self.build(kind, lock, self.program(lock, kind))
            except BuildError as error:
                return [Finding(f"{lock.name}: {kind} builds", str(error), False)]
            return []

        return [finding for found in on_all_cpus(build_one, wanted) for finding in found]
