# SPDX-License-Identifier: Apache-2.0
"""Files from emulated machines: where threads and memory were is true there, how long anything took is not."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pybench.errors import UsageError

LABEL = "EMULATED"
NOTE = f"{LABEL}: threads and memory were where it says, but no time or rate here is that of a real machine."


def is_emulated(host: Mapping[str, Any]) -> bool:
    """Whether the facts of a header's `host` say that its CPUs were emulated."""
    facts = host.get("hypervisor")
    return isinstance(facts, Mapping) and facts.get("emulated") is True


def check_emulated(
    files: Iterable[tuple[Path, Mapping[str, Any]]], allowed: bool, how: str = "give --emulated"
) -> bool:
    """Whether any of these files, with their `host` facts, is of an emulated machine; the reader is to be told.

    Raises UsageError if one is and that is not `allowed`; `how` to allow it is in its words.
    """
    found = [path for path, host in files if is_emulated(host)]
    if found and not allowed:
        raise UsageError(
            f"{found[0]} was measured in an emulated machine, whose times say nothing of a real one; "
            f"measure on hardware, or {how} to see them, labelled"
        )
    return bool(found)
