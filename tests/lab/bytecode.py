# SPDX-License-Identifier: Apache-2.0
"""Compile on this machine what guests import: compiling in a guest would take most of a short run.

Python keeps byte code next to each source and detects when it is out of date. But checkouts are fresh, packages
that pip installed may never have been imported, and automatic builds often set PYTHONDONTWRITEBYTECODE.
"""

import os
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("_pytest", "tests.lab", "pybench")
STAMP = "lab-bytecode"
_COMPILE = """
import contextlib, importlib, pathlib, pkgutil, sys
stamp, *names = sys.argv[1:]
for name in names:
    with contextlib.suppress(ImportError):
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, name + "."):
            if ".test_" not in module.name:
                with contextlib.suppress(ImportError):
                    importlib.import_module(module.name)
pathlib.Path(sys.prefix, stamp).touch()
"""


def missing(checkout: Path) -> bool:
    """Return True if the checkout has an environment that changed since byte code was last made of it."""
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
    """Return the command that makes the byte code, to be run in the checkout, and its environment."""
    python = str(checkout / ".venv" / "bin" / "python")
    variables = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    variables["PYTHONPATH"] = str(checkout)
    return [python, "-c", _COMPILE, STAMP, *PACKAGES], variables


def _sources(checkout: Path) -> Iterator[Path]:
    yield from (checkout / ".venv").glob("lib/python*/site-packages")
    for folder in ("pybench", "tests/lab"):
        yield from (checkout / folder).rglob("*.py")
