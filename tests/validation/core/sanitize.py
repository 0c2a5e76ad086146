# SPDX-License-Identifier: Apache-2.0
"""Run the core without Python under sanitizers, then break it in copies and check that each break is noticed.

tests/native/core_check.c runs as plain C, under AddressSanitizer with UndefinedBehaviorSanitizer, and under
ThreadSanitizer; with gcc, and as plain C with clang too. With --quick: the sanitizers alone, shorter trials and
fewer broken copies.
"""

import argparse
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.validation.programs import (
    CPUS,
    CSRC,
    ROOT,
    WARNINGS,
    BuildError,
    compile_c,
    compiler,
    fixed_addresses,
    on_all_cpus,
)
from tests.validation.validation import Finding, Validation

BASE = ("-std=gnu11", "-g", "-pthread")
# ThreadSanitizer does not know seqlock's fences, and -Wtsan warns of that; what they order is atomic anyway.
FLAGS = {
    "gcc-asan": ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"],
    "gcc-tsan": ["-O1", "-fsanitize=thread", "-Wno-tsan"],
    "gcc-plain": ["-O2"],
    "clang-plain": ["-O2"],
}
TRIES = 3  # most breaks are caught at once; a torn read takes luck
LONGEST_S = 60


@dataclass(frozen=True)
class Break:
    """A sed script that breaks a source of the core, and the trials of core_check that must notice it."""

    name: str
    file: str
    script: str
    trials: str
    quick: bool = True
    two_cpus: bool = False


TAS = "s/atomic_exchange_explicit(&lock->held, 1, memory_order_acquire)/(lock->held || (lock->held = 1, 0))/"
BREAKS = (
    Break("tas: release is relaxed", "tas.h", "/held, 0/s/_order_release/_order_relaxed/", "lock=tas "),
    Break("ttas: acquire is not atomic", "ttas.h", TAS, "lock=ttas "),
    Break("ticket: release is relaxed", "ticket.h", "/mine + 1/s/_release/_relaxed/", "lock=ticket "),
    Break("mcs: hand-over is relaxed", "mcs.h", "/next->waiting, 0/s/_release/_relaxed/", "lock=mcs "),
    Break(
        "seqlock: readers do not look again",
        "seqlock.h",
        "s/return atomic_load.*begin;/return true;/",
        "lock=seqlock ",
        two_cpus=True,
    ),
    Break(
        "barrier: orders no memory",
        "barrier.h",
        "s/_acq_rel/_relaxed/; /round + 1/s/_release/_relaxed/",
        "lock=tas ",
    ),
    Break(
        "mount: an unmount is left out",
        "mount.c",
        r"s/if (\(pb_umount2(target, config->umount_flags)\))/if (operations \&\& \1)/",
        "umount=sync",
    ),
    Break(
        "transfer: an answer is not counted",
        "transfer.c",
        "s/scratch->made += operations/scratch->made += operations - (uint64_t)index/",
        "method=store",
    ),
    Break("tas: acquire is not atomic", "tas.h", TAS, "lock=tas ", quick=False),
    Break(
        "ttas: release is relaxed",
        "ttas.h",
        "/held, 0/s/_order_release/_order_relaxed/",
        "lock=ttas ",
        quick=False,
    ),
    Break("ticket: acquire is relaxed", "ticket.h", "/!= mine/s/_acquire/_relaxed/", "lock=ticket ", quick=False),
    Break("ticket: two are let in", "ticket.h", "s/) != mine/) + 1 < mine/", "lock=ticket ", quick=False),
    Break(
        "mcs: no member waits",
        "mcs.h",
        "s/while (atomic_load_explicit(&self->waiting.*)$/while (0)/",
        "lock=mcs ",
        quick=False,
    ),
    Break(
        "pthread_mutex: lock only tries",
        "pthread_mutex.h",
        r"s/mutex_lock(&/mutex_trylock(\&/",
        "lock=pthread_mutex ",
        quick=False,
    ),
    Break(
        "seqlock: writers do not exclude each other",
        "seqlock.h",
        "/ttas_acquire(/d",
        "lock=seqlock ",
        quick=False,
        two_cpus=True,
    ),
    Break(
        "seqlock: the count never turns odd",
        "seqlock.h",
        "/count + 1, memory_order_relaxed/s/ + 1//; /count + 1, memory_order_release/s/ + 1/ + 2/",
        "lock=seqlock ",
        quick=False,
        two_cpus=True,
    ),
)


class Sanitize:
    """The builds, in a folder of their own."""

    def __init__(self, work: Path, quick: bool) -> None:
        self.work, self.quick = work, quick
        self.names = ["gcc-asan", "gcc-tsan"]
        if not quick:
            self.names.insert(0, "gcc-plain")
            if shutil.which("clang"):
                self.names.insert(0, "clang-plain")
            else:
                print("clang-plain: left out, there is no clang")
        self.addresses = fixed_addresses()

    def command(self, name: str) -> list[str]:
        """Return the compiler of a build, with its flags."""
        flags = list(FLAGS[name])
        if self.quick and flags[0] == "-O1":
            flags[0] = "-O0"  # optimising takes two thirds of the build
        return [compiler(name.partition("-")[0]), *flags, *BASE]

    def build(self) -> dict[str, str]:
        """Compile core_check in every way; return what the compiler printed, by the builds that failed."""
        # The locks first: they take as long as all the others.
        sources = sorted(CSRC.rglob("*.c"), key=lambda path: path.name != "locks.c")
        sources += sorted((ROOT / "tests" / "native").glob("core_check*.c"))
        failed = {}

        def build_object(item: tuple[Path, str]) -> None:
            source, name = item
            try:
                target = self.work / name / f"{source.stem}.o"
                compile_c([*self.command(name), *WARNINGS, "-Wpedantic", f"-I{CSRC}", "-c", source, "-o", target])
            except BuildError as error:
                failed[name] = str(error)

        for name in self.names:
            (self.work / name).mkdir()
        on_all_cpus(build_object, [(source, name) for source in sources for name in self.names], 2 * CPUS)
        for name in self.names:
            if name not in failed:
                objects = sorted((self.work / name).glob("*.o"))
                compile_c([*self.command(name), *objects, "-lm", "-o", self.work / name / "core_check"])
        return failed

    def watched(self, folder: Path, words: list[str], tsan: bool) -> tuple[int | None, str, list[str]]:
        """Run the folder's core_check; return its exit status (None: no end), its output and sanitizers' reports.

        Sanitizers write to files below the folder, from the processes of crews too.
        """
        logs = folder / "logs"
        logs.mkdir(exist_ok=True)
        variables = {
            "ASAN_OPTIONS": f"log_path={logs}/asan",
            "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={logs}/ubsan",
            "TSAN_OPTIONS": f"log_path={logs}/tsan",
        }
        limit = ["timeout", "-k", "5", str(LONGEST_S)] if tsan and "-x" in words else []
        command = [*limit, *(self.addresses if tsan else []), str(folder / "core_check"), *words]
        ran = subprocess.run(
            ["env", *(f"{name}={text}" for name, text in variables.items()), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        reports = [path.read_text(errors="replace") for path in sorted(logs.iterdir())]
        return None if limit and ran.returncode == 124 else ran.returncode, ran.stdout, reports

    def check(self, name: str) -> Finding:
        """Run one build as it is: nothing may fail, and no sanitizer may report anything."""
        began = time.monotonic()
        status, printed, reports = self.watched(
            self.work / name, ["-d", "8" if self.quick else "30"], "tsan" in name
        )
        print(printed, *reports, sep="", end="", flush=True)
        words = (printed.splitlines() or ["no output"])[-1]
        if reports:
            words += f"; sanitizers wrote {len(reports)} reports"
        seconds = time.monotonic() - began
        return Finding(f"{name}: core_check holds", f"{words} ({seconds:.0f} s)", status == 0 and not reports)

    def break_copy(self, broken: Break) -> Path | None:
        """Break a copy of the core and build it for ThreadSanitizer; return its folder, None if that fails."""
        copy = Path(tempfile.mkdtemp(prefix="broken-", dir=self.work))
        shutil.copytree(CSRC, copy / "csrc")
        shutil.copytree(
            self.work / "gcc-tsan", copy / "objects", ignore=shutil.ignore_patterns("logs", "core_check")
        )
        (file,) = (copy / "csrc").rglob(broken.file)
        before = file.read_bytes()
        subprocess.run(["sed", "-i", broken.script, file], check=True)
        if file.read_bytes() == before:
            return None
        units = {"barrier.h": "member.c"}
        (unit,) = (copy / "csrc").rglob(file.name if file.suffix == ".c" else units.get(file.name, "locks.c"))
        try:
            command = [*self.command("gcc-tsan"), "-w"]
            compile_c([*command, f"-I{copy / 'csrc'}", "-c", unit, "-o", copy / "objects" / f"{unit.stem}.o"])
            compile_c([*command, *sorted((copy / "objects").glob("*.o")), "-lm", "-o", copy / "core_check"])
        except BuildError:
            return None
        return copy

    def notice(self, broken: Break, copy: Path | None) -> Finding | None:
        """Run a broken copy; None if this host does not support its trials."""
        asked = f"caught: {broken.name}"
        if copy is None:
            return Finding(
                asked, f"nothing changed in {broken.file}, or it does not build: update the break", False
            )
        caught, printed = "", ""
        for _ in range(TRIES):
            words = ["-x", "-d", "100", "-g", "2000", broken.trials]
            status, printed, reports = self.watched(copy, words, tsan=True)
            if status is None:
                caught = f"no end within {LONGEST_S} s"
            elif status:
                found = re.search(
                    r"^FAIL .* members=[^:]*: (?:status [0-9]: )?(.*?)(?: \([-0-9]*\))?$", printed, re.M
                )
                caught = found[1] if found else f"exit status {status}"
            kinds = sorted(set(re.findall(r"^SUMMARY: ([A-Za-z]*: [a-z ]*[a-z]) ", "\n".join(reports), re.M)))
            caught = "; ".join([*kinds[:1], *([caught] if caught else [])]) or ("a report" if reports else "")
            if caught:
                return Finding(asked, caught, True)
        if re.search(r"^0 checks held, [1-9][0-9]* unsupported, 0 failed", printed, re.M):
            return None
        print(printed, end="")
        return Finding(asked, "NOT CAUGHT", False)


def run(options: argparse.Namespace) -> Iterator[Finding]:
    """Build, check, break."""
    compiler()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        study = Sanitize(Path(folder), options.quick)
        failed = study.build()
        print(f"built in {time.monotonic() - began:.0f} s", flush=True)
        sound = True
        for name in study.names:
            finding = Finding(f"{name}: builds", failed[name], False) if name in failed else study.check(name)
            sound &= finding.holds
            yield finding
        if not sound:
            return
        began = time.monotonic()
        breaks = [one for one in BREAKS if (one.quick or not options.quick) and (CPUS > 1 or not one.two_cpus)]
        copies = on_all_cpus(study.break_copy, breaks)
        print(f"broken copies built in {time.monotonic() - began:.0f} s", flush=True)
        for broken, copy in zip(breaks, copies, strict=True):
            noticed = study.notice(broken, copy)
            if noticed is None:
                print(f"{broken.name}: left out: this host does not support its trials")
            else:
                yield noticed
        print(f"broken copies took {time.monotonic() - began:.0f} s")


VALIDATION = Validation(
    shows="sanitizers find nothing but planted bugs",
    run=run,
    seconds=600,
    quick_seconds=75,
)
