# SPDX-License-Identifier: Apache-2.0
"""The published findings, each as a check with a verdict: a file each, in the order of their numbers."""

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pybench.errors import UsageError

if TYPE_CHECKING:
    from pybench.findings.claim import Claim

# Imported when they are looked at: the machine model and its libraries take their time.
MODULES = (
    "reading",
    "operations",
    "domination",
    "shared_range",
    "machines",
    "nodes",
    "smt",
    "chiplet",
    "ordering",
    "constant",
)


def check_numbers(numbers: Sequence[int]) -> list[int]:
    """These numbers in their order, each once; by default all. Raises UsageError for one that there is not."""
    unknown = sorted(set(numbers) - set(range(1, len(MODULES) + 1)))
    if unknown:
        raise UsageError(f"no finding {unknown[0]}; there are 1 to {len(MODULES)}")
    return sorted(set(numbers)) or list(range(1, len(MODULES) + 1))


def load_claims(numbers: Sequence[int] = ()) -> "list[Claim]":
    """The claims of these numbers, by default all. Raises UsageError for a number that there is not."""
    return [
        importlib.import_module(f"pybench.findings.claims.{MODULES[number - 1]}").CLAIM
        for number in check_numbers(numbers)
    ]
