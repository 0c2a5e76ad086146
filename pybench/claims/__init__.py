"""The published findings, each as a check with a verdict: a file each, in the order of their numbers."""

import importlib
from collections.abc import Sequence

from pybench.claims.claim import Claim
from pybench.errors import UsageError

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


def load_claims(numbers: Sequence[int] = ()) -> list[Claim]:
    """The claims of these numbers in their order, by default all.

    Raises UsageError for a number that there is not.
    """
    unknown = sorted(set(numbers) - set(range(1, len(MODULES) + 1)))
    if unknown:
        raise UsageError(f"no finding {unknown[0]}; there are 1 to {len(MODULES)}")
    wanted = sorted(set(numbers)) or range(1, len(MODULES) + 1)
    return [importlib.import_module(f"pybench.claims.{MODULES[number - 1]}").CLAIM for number in wanted]
