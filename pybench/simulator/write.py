# SPDX-License-Identifier: Apache-2.0
"""A machine as the text of a machine file."""

import json

from pybench.simulator.load import FORMAT
from pybench.simulator.machine import Machine, Number

HEAD = "# Written by `pybench calibrate`. Format: docs/reference/machine-files.md. Every number has a source.\n"


def to_toml(machine: Machine) -> str:
    """The text; reading it back gives the same machine, but for its digest. CPUs are listed one by one."""
    lines = [HEAD + f"format = {FORMAT}"]
    for key in ("name", "title", "cpu_model", "architecture"):
        lines.append(f"{key} = {_text(getattr(machine, key))}")
    if machine.notes:
        lines += ["notes = [", *(f"  {_text(note)}," for note in machine.notes), "]"]
    lines += ["# [number, socket, node, L3 (-1: unknown), core]", "cpus = ["]
    lines += [f"  [{c.number}, {c.socket}, {c.node}, {c.l3}, {c.core}]," for c in machine.shape.cpus]
    lines += ["]", "", "[shape]", f"source = {_text(machine.shape.source)}"]
    lines += [f"l3_mib = {machine.shape.l3_mib!r}", f"memory_gib = {machine.shape.memory_gib!r}"]
    lines += ["", "[service]", f'kind = "{machine.service}"', f"source = {_text(machine.service_source)}"]
    lines += _group(machine.times, "service")
    for distance, spread in machine.transfer.items():
        lines += ["", f"[transfer.{distance}]"]
        lines += [f"{part} = {_number(getattr(spread, part))}" for part in ("p5", "median", "p95")]
    for name in ("core", "scheduler"):
        lines += ["", f"[{name}]", *_group(machine.times, name)]
    if machine.launch:
        lines += ["", "[launch]", *_group(machine.launch, "launch")]
    return "\n".join(lines) + "\n"


def _group(numbers: dict[str, Number], name: str) -> list[str]:
    own = {key.partition(".")[2]: number for key, number in numbers.items() if key.partition(".")[0] == name}
    return [f"{key} = {_number(number)}" for key, number in own.items()]


def _number(number: Number) -> str:
    parts = (f"{part} = {getattr(number, part)!r}" for part in ("value", "low", "high"))
    return f"{{ {', '.join(parts)}, source = {_text(number.source)} }}"


def _text(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's too, and DEL needs one."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
