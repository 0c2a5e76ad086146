# SPDX-License-Identifier: Apache-2.0
"""A host in words. Nothing of it is taken for granted, as a file may be anyone's."""

from collections.abc import Mapping
from typing import Any

from pybench.results.emulated import LABEL, is_emulated


def plain(text: object, most: int = 60) -> str:
    """Text from a file as it may be printed: no control characters, and not endless."""
    shown = "".join(c if c.isprintable() else "?" for c in str(text))
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."


def host_words(host: Mapping[str, Any], cpus: int) -> str:
    """One line of a host: its name, CPU, kernel."""

    def fact(topic: str, key: str) -> object:
        facts = host.get(topic)
        return facts.get(key) if isinstance(facts, dict) else None

    words = [host.get("name") or "host", fact("cpu", "model") or "unknown CPU"]
    words += [f"{cpus} CPUs", f"Linux {fact('kernel', 'release') or 'unknown'}"]
    if is_emulated(host):
        words.append(f"{LABEL} machine")
    elif fact("hypervisor", "virtual"):
        words.append("virtual machine")
    return ", ".join(plain(word) for word in words)
