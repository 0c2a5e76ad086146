# SPDX-License-Identifier: Apache-2.0
"""Files from emulated machines: their placement of threads and memory is real, their times are not."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pybench.errors import UsageError

LABEL = "EMULATED"
NOTE = f"{LABEL}: threads and memory were where it says, but no time or rate here is that of a real machine."


def is_emulated(host: Mapping[str, Any]) -> bool:
    """Return whether the facts of a header's `host` describe emulated CPUs."""
    facts = host.get("hypervisor")
    return isinstance(facts, Mapping) and facts.get("emulated") is True


def check_emulated(
    files: Iterable[tuple[Path, Mapping[str, Any]]], allowed: bool, how: str = "give --emulated"
) -> bool:
    """Return whether any file, given with its `host` facts, is of an emulated machine, so that output is marked.

    Raises UsageError if one is and `allowed` is false; the message names `how` to allow it.
    """
    found = [path for path, host in files if is_emulated(host)]
    if found and not allowed:
        raise UsageError(
            f"{found[0]} was measured in an emulated machine, whose times say nothing of a real one; "
            f"measure on hardware, or {how} to see them, labelled"
        )
    return bool(found)
