# SPDX-License-Identifier: Apache-2.0
"""Check each lock alone, without the core, then break copies of the locks and check that each break is noticed.

Each lock must exclude, serve in order where it is FIFO, wake every sleeper, and have the memory orders that it
needs: hammered by threads and processes, with random delays around every atomic operation, under ThreadSanitizer,
and in models compiled from the same headers. The models are searched twice: by a checker of our own
(tests/locks/model/explore.h) and by Spin, from Debian (tests/locks/model/lock.pml), which also looks for members
that wait for ever under weak fairness. With --quick: shorter runs, smaller models, a fifth of the breaks.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pybench import native
from pybench.errors import UsageError
from tests.validation.core.lock_programs import LockPrograms, traits
from tests.validation.core.lock_runs import SHORT, WHOLE, Checks
from tests.validation.core.mutations import KINDS, Mutations, planted
from tests.validation.programs import CPUS, compiler, on_all_cpus
from tests.validation.validation import Finding, Validation


def options(parser: argparse.ArgumentParser) -> None:
    """Add the locks to check."""
    parser.add_argument("locks", nargs="*", metavar="LOCK", help="check only these locks")


def run(asked: argparse.Namespace) -> Iterator[Finding]:
    """Build, hammer, search, break."""
    compiler()
    every = traits(native.locks())
    locks = [every[name.replace("-", "_")] for name in asked.locks if name.replace("-", "_") in every]
    if len(locks) < len(asked.locks):
        raise UsageError(f"choose from {', '.join(every)}")
    locks = locks or list(every.values())
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        programs = LockPrograms(Path(folder), asked.quick)
        yield from programs.build_all(locks)
        print(f"built in {time.monotonic() - began:.0f} s", flush=True)
        checks = Checks(programs, SHORT if asked.quick else WHOLE)

        def part(asks: str, check: Callable[..., None], at_once: bool = False) -> Finding:
            began = time.monotonic()
            checks.start()
            on_all_cpus(check, locks, CPUS if at_once else 1)
            words = f"{checks.held} runs hold"
            words += f", {len(checks.undecided)} models too large" if checks.undecided else ""
            words += "".join(f"\n  WRONG: {line}" for line in checks.wrong)
            return Finding(asks, f"{words}, {time.monotonic() - began:.0f} s", not checks.wrong)

        # One lock after the other where times matter.
        yield part("sections exclude each other", checks.exclusion)
        yield part("FIFO locks serve in order", checks.order)
        yield part("sections exclude each other with delays at random points", checks.adversary)
        yield part("ThreadSanitizer finds no data race", checks.sanitizer)
        yield part("8 members fall asleep and all are woken", checks.wake_ups)
        yield part("our model checker finds no wrong state", checks.models, at_once=True)
        if programs.has_spin:
            yield part("Spin finds no wrong state", checks.spin_models, at_once=True)
            yield part("Spin finds no member that waits for ever", checks.endings, at_once=True)
        yield from broken(programs, [lock.name for lock in locks], asked.quick)


def broken(programs: LockPrograms, locks: list[str], quick: bool) -> Iterator[Finding]:
    """Break copies of the locks, and print which means notices each."""
    began = time.monotonic()
    print(
        "broken copies, and what each means sees (-: nothing, blank: not tried). exclusion: two inside; stale: a"
    )
    print("memory order is missing; order: the first is not served first; asleep, stuck, endless: a member never")
    print("gets the lock; race: ThreadSanitizer's")
    print("{:<20} {:<44} {:<10} {:<10} {:<10} {}".format("lock", "what is broken", *KINDS))
    study = Mutations(programs, quick)
    missed = []
    count = 0
    for one, seen in zip(
        chosen := planted(locks, 5 if quick else 1), on_all_cpus(study.notice, chosen), strict=True
    ):
        count += 1
        cells = [seen.get(kind, "") or ("-" if kind in seen else "") for kind in KINDS]
        print("{:<20} {:<44} {:<10} {:<10} {:<10} {}".format(one.lock, one.name, *cells).rstrip())
        if not any(seen.values()):
            missed.append(
                f"\n  NOT CAUGHT: {one.lock}: {one.name}{'' if seen else ' (changes nothing: update it)'}"
            )
    words = f"{count - len(missed)} of {count} caught, {time.monotonic() - began:.0f} s" + "".join(missed)
    yield Finding("every broken copy is noticed", words, not missed)


VALIDATION = Validation(
    shows="locks exclude and are fair; planted bugs show",
    run=run,
    seconds=3000,
    quick_seconds=90,
    options=options,
)
