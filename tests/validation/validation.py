# SPDX-License-Identifier: Apache-2.0
"""The parts of a validation: what it shows, its options, how to run it, and the findings it returns."""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was asked of pybench, what was found, and whether that is as asked."""

    asked: str
    found: str
    holds: bool


def no_options(parser: argparse.ArgumentParser) -> None:
    """Add no options."""


@dataclass(frozen=True)
class Validation:
    """A validation.

    `run` prints details as they come and returns the findings. It raises UnsupportedError where the host lacks
    something that it needs.
    """

    shows: str
    """What it shows, in one line."""
    run: Callable[[argparse.Namespace], Iterable[Finding]]
    seconds: float
    """How long a whole run takes on 2 CPUs, roughly."""
    quick_seconds: float
    """The same for a run with --quick."""
    options: Callable[[argparse.ArgumentParser], None] = no_options
    """Adds options of its own to the parser; --quick is there for all."""
