# SPDX-License-Identifier: Apache-2.0
"""Differences between the hosts and plans of two sides that could explain a difference of their results."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from pybench.results.records import Header

# Facts in the order in which they are listed: those with the most effect on locks first.
FACTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("kernel", ("host", "kernel", "release")),
    ("kernel build", ("host", "kernel", "version")),
    ("kernel command line", ("host", "kernel", "cmdline")),
    ("CPU", ("host", "cpu", "model")),
    ("microcode", ("host", "cpu", "microcode")),
    ("governor", ("host", "frequency", "governors")),
    ("frequency driver", ("host", "frequency", "driver")),
    ("boost", ("host", "frequency", "boost")),
    ("virtual machine", ("host", "hypervisor", "virtual")),
    ("emulated machine", ("host", "hypervisor", "emulated")),
    ("hypervisor vendor", ("host", "hypervisor", "vendor")),
    ("hypervisor product", ("host", "hypervisor", "product")),
    ("clock source", ("host", "clock", "source")),
    ("memory", ("host", "memory", "total_bytes")),
    ("huge pages", ("host", "memory", "huge_pages")),
    ("fs.mount-max", ("host", "limits", "mount_max")),
    ("mounts beforehand", ("host", "limits", "mounts")),
    ("run as root", ("host", "user", "root")),
    ("host name", ("host", "name")),
    ("Python", ("host", "software", "python")),
)
PLAN = (("trial length", "duration_ns"), ("warm-up", "warmup_ns"), ("operations per trial", "operations"))
# Contained in the facts above, or different at every start without a meaning.
_PASSED_OVER = {path[1:] for _, path in FACTS} | {("load",), ("software", "pybench"), ("simulated",)}
UNRECORDED = "not recorded"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that differs between the sides; it has several values on a side whose files differ."""

    what: str
    a: list[str]
    b: list[str]


def differences(a: Sequence[Header], b: Sequence[Header]) -> list[Difference]:
    """Return the facts whose values differ between the sides, those that explain most first.

    Facts that this version does not know are included.
    """
    rows: list[Difference] = []

    def add(what: str, one: Iterable[Any], other: Iterable[Any]) -> None:
        left, right = (list(dict.fromkeys(_text(value) for value in side)) for side in (one, other))
        if set(left) != set(right):
            rows.append(Difference(what=what, a=left, b=right))

    add("source", (source_words(h) for h in a), (source_words(h) for h in b))
    for what, path in FACTS:
        add(what, (_at(h, path) for h in a), (_at(h, path) for h in b))
    add("pybench", (h.pybench for h in a), (h.pybench for h in b))
    add("topology", (_shape(h) for h in a), (_shape(h) for h in b))
    for what, name in PLAN:
        add(what, (_plan(h, name) for h in a), (_plan(h, name) for h in b))
    others = dict.fromkeys(path for h in (*a, *b) for path in _paths(h.host) if path not in _PASSED_OVER)
    for path in others:
        add(".".join(path), (_at(h, ("host", *path)) for h in a), (_at(h, ("host", *path)) for h in b))
    return rows


def source_words(header: Header) -> str:
    """Return `measured`, or the machine file that the file is simulated on."""
    model = header.simulated
    return f"SIMULATED: {model.machine}, {model.draws} draws, machine file {model.digest}" if model else "measured"


def _text(value: Any) -> str:
    if value is None:
        return UNRECORDED
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _at(header: Header, path: Sequence[str]) -> Any:
    value: Any = header.host
    for word in path[1:]:
        value = value.get(word) if isinstance(value, dict) else None
    return value


def _plan(header: Header, name: str) -> str:
    value = getattr(header.plan, name)
    return f"{value / 1e6:g} ms" if name.endswith("_ns") else str(value)


def _paths(facts: Any, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(facts, dict):
        return [before]
    return [path for name, value in facts.items() for path in _paths(value, (*before, str(name)))]


def _shape(header: Header) -> str | None:
    """Return `2 sockets, 4 nodes, 96 of 96 CPUs usable`, from a header's topology."""
    cpus = header.topology.get("cpus")
    if not isinstance(cpus, list) or not all(isinstance(cpu, dict) for cpu in cpus):
        return None
    online = [cpu for cpu in cpus if cpu.get("online")]
    usable = [cpu for cpu in online if cpu.get("allowed", True)]

    def number(name: str) -> int:
        return len({str(cpu.get(name)) for cpu in online})

    words = [
        f"{number(name)} {name}s" for name in ("socket", "node", "l3", "core") if any(name in c for c in online)
    ]
    siblings = "SMT siblings" if any(cpu.get("smt") for cpu in online) else "no SMT siblings"
    return ", ".join([f"{len(online)} CPUs, {len(usable)} usable", *words, siblings])


def facts_of(header: Header) -> list[tuple[str, str]]:
    """Return name and value of every fact that a header records, those that explain most first."""
    rows = [("source", source_words(header)), *((what, _text(_at(header, path))) for what, path in FACTS)]
    rows += [("pybench", header.pybench), ("topology", _shape(header) or UNRECORDED)]
    rows += [(what, _plan(header, name)) for what, name in PLAN]
    others = dict.fromkeys(path for path in _paths(header.host) if path not in _PASSED_OVER)
    return rows + [(".".join(path), _text(_at(header, ("host", *path)))) for path in others]
