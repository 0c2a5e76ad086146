# SPDX-License-Identifier: Apache-2.0
"""The provenance of results: a host, an emulated machine, or a simulation. Every output names it.

Facts come from files, which anyone may have written: no fact is taken for granted.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pybench.results.emulated import LABEL, is_emulated
from pybench.results.records import Header

SIMULATED = "SIMULATED"
"""Stands in every table, chart, page and export made of a simulation."""


def bounded(text: object, most: int = 60) -> str:
    """Return text from a file on one line: no control characters, and at most `most` characters."""
    shown = "".join(c if c.isprintable() else "?" for c in str(text))
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."


def host_words(host: Mapping[str, Any], cpus: int) -> str:
    """Return one line on a host: its name, CPU, number of CPUs and kernel."""

    def fact(topic: str, key: str) -> object:
        facts = host.get(topic)
        return facts.get(key) if isinstance(facts, dict) else None

    words = [host.get("name") or "host", fact("cpu", "model") or "unknown CPU"]
    words += [f"{cpus} CPUs", f"Linux {fact('kernel', 'release') or 'unknown'}"]
    if is_emulated(host):
        words.append(f"{LABEL} machine")
    elif fact("hypervisor", "virtual"):
        words.append("virtual machine")
    return ", ".join(bounded(word) for word in words)


def describe_host(header: Header) -> str:
    """Return one line on the host that ran a sweep, or on the machine that was simulated."""
    cpus = sum(cpu["online"] for cpu in header.topology["cpus"])
    if header.simulated:
        return f"{SIMULATED}, not measured: {header.simulated.title}, {cpus} CPUs"
    return host_words(header.host, cpus)


def banner(header: Header) -> str:
    """Return the two lines that stand above everything made of a simulation; `` for a measured file."""
    model = header.simulated
    if model is None:
        return ""
    assumed = [name for name, one in model.inputs.items() if one.source.startswith("assumed")]
    drawn = (
        f"{model.draws} draws of {len(model.drawn)} uncertain inputs"
        if model.draws > 1
        else "one draw: every input at its nominal value, so there is no interval"
    )
    steps = f"; launch steps of {model.steps}" if model.steps else ""
    return (
        f"{SIMULATED}, not measured: {model.title}\n"
        f"{drawn} ({len(assumed)} of {len(model.inputs)} numbers are assumed); "
        f"seed {model.seed}, engine {model.engine}, machine file {model.digest}{steps}"
    )


def chart_title(headers: Iterable[Header]) -> str:
    """Return a chart's title where some files are simulated: `SIMULATED, not measured: r5.metal`; else ``."""
    every = list(headers)
    names = list(dict.fromkeys(h.simulated.machine for h in every if h.simulated))
    if not names:
        return ""
    mixed = "" if all(h.simulated for h in every) else " and measured files"
    return f"{SIMULATED}, not measured: {', '.join(names)}{mixed}"
