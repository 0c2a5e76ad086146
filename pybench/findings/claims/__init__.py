# SPDX-License-Identifier: Apache-2.0
"""The published findings as claims, one module per finding."""

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pybench import UsageError

if TYPE_CHECKING:
    from pybench.findings.claim import Claim

# In the order of their numbers. Imported when they are examined, as the simulator takes time to import.
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
    """Return the numbers ascending, each once; all numbers for none. Raises UsageError for an unknown number."""
    unknown = sorted(set(numbers) - set(range(1, len(MODULES) + 1)))
    if unknown:
        raise UsageError(f"no finding {unknown[0]}", fix=f"choose from 1 to {len(MODULES)}")
    return sorted(set(numbers)) or list(range(1, len(MODULES) + 1))


def load_claims(numbers: Sequence[int] = ()) -> "list[Claim]":
    """Return the claims by their numbers, by default all. Raises UsageError for an unknown number."""
    return [
        importlib.import_module(f"pybench.findings.claims.{MODULES[number - 1]}").CLAIM
        for number in check_numbers(numbers)
    ]
