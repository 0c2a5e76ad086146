# SPDX-License-Identifier: Apache-2.0
"""Byte code of what guests import, made on this machine: in a guest, making it would take most of a short run.

Python keeps byte code beside each source and knows by itself when one is out of date. But checkouts are fresh,
what pip installs may never have been imported, and PYTHONDONTWRITEBYTECODE is set in many an automatic build.
"""

import os
from collections.abc import Iterator
from pathlib import Path

# What runs in guests: tests, and the verbs with what they import late.
MODULES = (
    "_pytest",
    "lab.pytest_lab",
    "pybench.cli.run_sweep",
    "pybench.cli.measure.equal",
    "pybench.cli.read.show",
    "pybench.cli.read.report",
    "pybench.cli.host.restore",
    "pybench.cli.host.topology",
    "pybench.analysis.comparison.equal",
    "pybench.present.compare",
    "pybench.present.equal",
    "pybench.present.html",
    "pybench.present.machine",
)
STAMP = "lab-bytecode"
_MAKE = """
import importlib, pathlib, pkgutil, sys
stamp, *names = sys.argv[1:]
for name in names:
    try:
        package = importlib.import_module(name)
        if name == "_pytest":
            for module in pkgutil.iter_modules(package.__path__, "_pytest."):
                importlib.import_module(module.name)
    except ImportError:
        continue
pathlib.Path(sys.prefix, stamp).touch()
"""


def missing(checkout: Path) -> bool:
    """Whether there is an environment whose packages, or pybench's sources, changed since `make`'s last run."""
    environment = checkout / ".venv"
    stamp = environment / STAMP
    if not os.access(environment, os.W_OK):
        return False
    try:
        made = stamp.stat().st_mtime_ns
    except OSError:
        return True
    return any(path.stat().st_mtime_ns > made for path in _sources(checkout))


def command(checkout: Path) -> tuple[list[str], dict[str, str]]:
    """The command that makes it, and its environment."""
    python = str(checkout / ".venv" / "bin" / "python")
    variables = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return [python, "-c", _MAKE, STAMP, *MODULES], variables


def _sources(checkout: Path) -> Iterator[Path]:
    yield from (checkout / ".venv").glob("lib/python*/site-packages")
    for folder in ("pybench", "lab"):
        yield from (checkout / folder).rglob("*.py")
