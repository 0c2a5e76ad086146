# SPDX-License-Identifier: Apache-2.0
"""Run validations: studies too long for the test suite that hold pybench against something independent of it.

  scripts/validate --list                  list the validations: name, what it shows, how long it takes
  scripts/validate NAME [OPTION...]        run one; scripts/validate NAME --help lists its options
  scripts/validate NAME NAME... [--quick]  run several, one after the other
  scripts/validate all [--quick]           run all

Exit status: 0: everything is as asked; 1: something is not; 2: wrong usage; 3: this host cannot run it.
"""

import argparse
import importlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from pybench.errors import PybenchError, UnsupportedError
from tests.validation.programs import BuildError
from tests.validation.validation import Finding, Validation

HERE = Path(__file__).parent
HOLDS, FAILS, USAGE, UNSUPPORTED = 0, 1, 2, 3
GROUPS = ("core", "measuring", "analysis", "simulator", "delivery")
SHOWN = {HOLDS: "as asked", FAILS: "NOT as asked", UNSUPPORTED: "not possible here"}


def modules() -> dict[str, str]:
    """Return the module of each validation by its name, in the order of the groups."""
    return {
        path.stem: f"{__package__}.{group}.{path.stem}"
        for group in GROUPS
        for path in sorted((HERE / group).glob("*.py"))
        if "\nVALIDATION = " in path.read_text()
    }


def load(module: str) -> Validation:
    """Import a module and return its validation."""
    found = importlib.import_module(module).VALIDATION
    assert isinstance(found, Validation)
    return found


def show_list() -> None:
    """Print name, duration and subject of every validation."""
    print(f"{'name':<12} {'takes':>7} {'--quick':>8}  shows that")
    for name, module in modules().items():
        one = load(module)
        print(f"{name:<12} {duration(one.seconds):>7} {duration(one.quick_seconds):>8}  {one.shows}")


def duration(seconds: float) -> str:
    """Return seconds as text of one unit."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def report(name: str, findings: Iterable[Finding]) -> int:
    """Print the findings of a validation as they come; return its exit status."""
    held = count = 0
    for finding in findings:
        print(f"{name}: {SHOWN[not finding.holds]}: {finding.asked}: {finding.found}", flush=True)
        held, count = held + finding.holds, count + 1
    print(f"{name}: {held} of {count} as asked")
    return HOLDS if held == count else FAILS


def run_one(name: str, module: str, words: list[str]) -> int:
    """Run one validation with its options; return its exit status."""
    this = load(module)
    parser = argparse.ArgumentParser(
        prog=f"scripts/validate {name}",
        description=importlib.import_module(module).__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="run a shorter version")
    this.options(parser)
    options = parser.parse_args(words)
    try:
        return report(name, this.run(options))
    except UnsupportedError as error:
        print(f"{name}: not possible here: {error}", file=sys.stderr)
        return UNSUPPORTED
    except (BuildError, PybenchError) as error:
        print(f"{name}: NOT as asked: {error}", file=sys.stderr)
        return FAILS
    except KeyboardInterrupt:
        return 130


def run_several(names: list[str], words: list[str]) -> int:
    """Run each validation in a process of its own; print how they ended; return 1 if one is not as asked."""
    ends = {}
    for name in names:
        print(f"== {name}", flush=True)
        began = time.monotonic()
        status = subprocess.run([sys.executable, "-m", __package__, name, *words], check=False).returncode
        ends[name] = status, time.monotonic() - began
    print("== summary")
    for name, (status, seconds) in ends.items():
        print(f"{name:<12} {seconds:5.0f} s  {SHOWN.get(status, f'NOT as asked (exit status {status})')}")
    return HOLDS if all(status in (HOLDS, UNSUPPORTED) for status, _ in ends.values()) else FAILS


def main(words: list[str]) -> int:
    """Do what the command line asks for; return the exit status."""
    known = modules()
    if words == ["--list"]:
        show_list()
        return HOLDS
    names = []
    while words and words[0] in (*known, "all"):
        name = words.pop(0)
        names += list(known) if name == "all" else [name]
    if not names:
        wrong = words and words[0] not in ("-h", "--help")
        text = f"no validation {words[0]!r}; scripts/validate --list shows them" if wrong else __doc__
        print(text, file=sys.stderr if wrong else sys.stdout)
        return USAGE if wrong else HOLDS
    if len(names) == 1:
        return run_one(names[0], known[names[0]], words)
    if [word for word in words if word != "--quick"]:
        print("several validations take no option but --quick", file=sys.stderr)
        return USAGE
    return run_several(names, words)


if __name__ == "__main__":
    # End by an exception, so that processes, mounts and folders are removed.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _: sys.exit(128 + got))
    sys.exit(main(sys.argv[1:]))
