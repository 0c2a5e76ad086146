# SPDX-License-Identifier: Apache-2.0
"""Machine files: where they are, and how they are read, checked and written."""

import difflib
import hashlib
import json
import math
import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any, get_args

import msgspec

from pybench.errors import UsageError
from pybench.simulator.launch_steps import STEPS
from pybench.simulator.machine import (
    MOST_CPUS,
    CpuPlace,
    Machine,
    Number,
    Numbering,
    ServiceKind,
    Shape,
    Spread,
    grid,
)

FORMAT = 1
HEAD = "# Written by pybench machine calibrate. Format: docs/reference/machine-files.md. Numbers have a source.\n"
DISTANCES = ("smt", "l3", "socket", "cross-socket")
# The keys of each table, and the bounds of each number.
CORE = {
    "clock_ghz": (0.1, 10.0),
    "local_ns": (0.0, 1e4),
    "atomic_ns": (0.0, 1e4),
    "atomic_overlap": (0.0, 1.0),
    "migratory": (0.0, 1.0),
    "drain_ns": (0.0, 1e4),
    "exit_ns": (0.0, 1e4),
    "pause_ns": (0.0, 1e5),
    "loop_ns": (0.0, 1e4),
    "sample_ns": (0.0, 1e5),
    "smt_slowdown": (1.0, 10.0),
    "jitter": (0.0, 1.0),
    "late": (0.0, 100.0),
    "speed": (0.05, 20.0),
}
SCHEDULER = {"timeslice_ns": (1e3, 1e10), "switch_ns": (0.0, 1e9), "wake_ns": (0.0, 1e9)}
SERVICE = {
    "none": dict[str, tuple[float, float]](),
    "central": {"service_ns": (0.0, 1e6), "retry_ns": (0.0, 1e6)},
    "cluster": {"service_ns": (0.0, 1e6)},
}
TRANSFER_NS = (0.1, 1e6)
STEP_NS = (0.0, 1e10)
GRID_KEYS = ("sockets", "nodes_per_socket", "l3_per_socket", "cores_per_socket", "threads_per_core", "numbering")
# A longer file is not a machine file.
MOST_BYTES = 4 << 20


def shipped() -> dict[str, Path]:
    """Return the machines that come with pybench: name -> file."""
    folder = Path(str(package_files("pybench.simulator"))) / "machines"
    return {path.name.removesuffix(".toml"): path for path in sorted(folder.glob("*.toml"))}


def load_machine(text: str | Path) -> Machine:
    """Read a shipped machine by its name, or a file. Raises UsageError, in one line."""
    name, known = str(text), shipped()
    if name in known:
        return read_machine(known[name])
    path = Path(text)
    if path.suffix == ".toml" or path.exists() or "/" in name:
        return read_machine(path)
    hint = _did_you_mean(name, known) or f"; there are {', '.join(known)}"
    raise UsageError(f"no machine {name!r}{hint} (or a file ending in .toml)")


def read_machine(path: Path) -> Machine:
    """Read and check a machine file. Raises UsageError naming the key that is wrong, and what it must be."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    if len(raw) > MOST_BYTES:
        raise UsageError(f"{path}: {len(raw)} bytes is not a machine file; it has a few thousand")
    try:
        data = tomllib.loads(raw.decode())
    except ValueError as error:  # a number of too many digits included
        raise UsageError(f"{path} is not TOML: {error}") from None
    except RecursionError:
        raise UsageError(f"{path} is not a machine file: it is nested too deep") from None
    machine = _Reader(str(path), data).machine()
    return msgspec.structs.replace(machine, digest=hashlib.sha256(raw).hexdigest()[:12])


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


class _Reader:
    """Turns a file's tables into a machine; every error names the file and the dotted key."""

    def __init__(self, path: str, data: Mapping[str, Any]) -> None:
        self._path = path
        self._data = data

    def _wrong(self, key: str, what: str) -> UsageError:
        return UsageError(f"{self._path}: {key} {what}")

    def machine(self) -> Machine:
        data = self._data
        top = ("format", "name", "title", "cpu_model", "architecture", "notes")
        tables = ("shape", "cpus", "service", "transfer", "core", "scheduler", "launch")
        self._known("", data, (*top, *tables))
        if data.get("format") != FORMAT:
            raise self._wrong("format", f"is {data.get('format')!r}; this pybench reads format = {FORMAT}")
        shape = self._shape()
        kind, source, service = self._service()
        self._check_transfers(shape)
        times = {f"core.{k}": n for k, n in self._numbers("core", CORE).items()}
        times |= {f"service.{k}": n for k, n in service.items()}
        times |= {f"scheduler.{k}": n for k, n in self._numbers("scheduler", SCHEDULER).items()}
        return Machine(
            name=self._words("name"),
            title=self._words("title"),
            cpu_model=self._words("cpu_model"),
            architecture=self._words("architecture"),
            shape=shape,
            service=kind,
            service_source=source,
            transfer=self._transfer(),
            times=times,
            launch=self._launch(),
            notes=self._notes(),
        )

    # ------------------------------------------------------------------------------------------------- words

    def _words(self, key: str) -> str:
        value = self._data.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(key, "is missing: it is a text")
        if any(ord(c) < 32 for c in value) or len(value) > 300:
            raise self._wrong(key, "must be one line of at most 300 characters")
        return value.strip()

    def _notes(self) -> tuple[str, ...]:
        notes = self._data.get("notes", [])
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            raise self._wrong("notes", "must be a list of texts")
        return tuple(notes)

    def _table(self, key: str, required: bool = True) -> dict[str, Any]:
        value = self._data
        for word in key.split("."):
            value = value.get(word) if isinstance(value, dict) else None  # type: ignore[assignment]
        if value is None and not required:
            return {}
        if value is None:
            raise self._wrong(key, f"is missing: a table [{key}]")
        if not isinstance(value, dict):
            raise self._wrong(key, f"must be a table [{key}]")
        return value

    def _known(self, where: str, table: Mapping[str, Any], keys: Iterable[str]) -> None:
        known = tuple(keys)
        for key in table:
            if key not in known:
                dotted = f"{where}.{key}" if where else key
                hint = _did_you_mean(key, known) or f"; {where or 'a machine file'} has {', '.join(known)}"
                raise self._wrong(dotted, f"is not known{hint}")

    # ------------------------------------------------------------------------------------------------- shape

    def _shape(self) -> Shape:
        table = self._table("shape")
        listed = "cpus" in self._data
        own = ("source", "l3_mib", "memory_gib")
        self._known("shape", table, own if listed else (*GRID_KEYS, *own))
        source = self._source("shape", table, None)
        return Shape(
            cpus=self._listed() if listed else self._grid(table),
            source=source,
            l3_mib=self._plain("shape.l3_mib", table.get("l3_mib", 0), 0, 1e6),
            memory_gib=self._plain("shape.memory_gib", table.get("memory_gib", 0), 0, 1e7),
        )

    def _grid(self, table: Mapping[str, Any]) -> tuple[CpuPlace, ...]:
        sockets = self._count(table, "sockets")
        nodes = self._count(table, "nodes_per_socket", 1)
        l3s = self._count(table, "l3_per_socket", 1)
        cores = self._count(table, "cores_per_socket")
        threads = self._count(table, "threads_per_core", 1)
        total = sockets * cores * threads
        if total > MOST_CPUS:
            raise self._wrong("shape", f"makes {total:,} CPUs; at most {MOST_CPUS:,} are possible")
        for name, parts in (("nodes_per_socket", nodes), ("l3_per_socket", l3s)):
            if cores % parts:
                raise self._wrong(f"shape.{name}", f"= {parts} does not divide cores_per_socket = {cores}")
        numbering = table.get("numbering", "cores-first")
        if numbering not in get_args(Numbering):
            hint = _did_you_mean(str(numbering), get_args(Numbering))
            choice = ", ".join(get_args(Numbering))
            raise self._wrong("shape.numbering", f"is {numbering!r}{hint or f'; choose from {choice}'}")
        return grid(sockets, nodes, l3s, cores, threads, numbering)

    def _count(self, table: Mapping[str, Any], key: str, default: int | None = None) -> int:
        value = table.get(key, default)
        if value is None:
            raise self._wrong(f"shape.{key}", "is missing: a whole number, 1 or more")
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self._wrong(f"shape.{key}", f"is {value!r}; it must be a whole number, 1 or more")
        return value

    def _listed(self) -> tuple[CpuPlace, ...]:
        rows = self._data["cpus"]
        if not isinstance(rows, list) or not rows:
            raise self._wrong("cpus", "must be a list of [number, socket, node, l3, core]")
        if len(rows) > MOST_CPUS:
            raise self._wrong("cpus", f"lists {len(rows):,} CPUs; at most {MOST_CPUS:,} are possible")
        places = []
        for index, row in enumerate(rows):
            whole = isinstance(row, list) and all(isinstance(n, int) and not isinstance(n, bool) for n in row)
            if not whole or len(row) != 5 or min(row[0], row[1], row[2], row[4]) < 0 or row[3] < -1:
                raise self._wrong(f"cpus[{index}]", "must be [number, socket, node, l3 (-1: none), core], from 0")
            places.append(CpuPlace(*row))
        if len({place.number for place in places}) != len(places):
            raise self._wrong("cpus", "lists a CPU number twice")
        homes: dict[int, int] = {}
        for place in places:
            if homes.setdefault(place.core, place.socket) != place.socket:
                raise self._wrong("cpus", f"puts core {place.core} on two sockets; number cores over the machine")
        return tuple(sorted(places, key=lambda place: place.number))

    # ----------------------------------------------------------------------------------------------- numbers

    def _plain(self, key: str, value: Any, least: float, most: float) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self._wrong(key, f"is {value!r}; it must be a number")
        if not least <= value <= most:
            bound = f"{least:g} or more" if value < least else f"at most {most:g}"
            raise self._wrong(key, f"is {value:g}; it must be {bound}")
        return float(value)

    def _source(self, key: str, table: Mapping[str, Any], inherited: str | None) -> str:
        source = table.get("source", inherited)
        if not isinstance(source, str) or not source.strip():
            raise self._wrong(f"{key}.source", "is missing: say where it is from, or 'assumed: why'")
        source = " ".join(source.split())
        if source.startswith("assumed") and not source.partition(":")[2].strip():
            raise self._wrong(f"{key}.source", "says assumed without a reason; write 'assumed: why'")
        return source

    def _number(self, key: str, table: Any, bounds: tuple[float, float], inherited: str | None = None) -> Number:
        if not isinstance(table, dict):
            raise self._wrong(key, "must be { value, low, high, source }" if table is not None else "is missing")
        self._known(key, table, ("value", "low", "high", "source"))
        for part in ("value", "low", "high"):
            if part not in table:
                raise self._wrong(f"{key}.{part}", "is missing; a number has value, low, high and source")
        value, low, high = (self._plain(f"{key}.{p}", table[p], *bounds) for p in ("value", "low", "high"))
        if not low <= value <= high:
            raise self._wrong(key, f"has low={low:g} value={value:g} high={high:g}; they must ascend")
        source = self._source(key, table, inherited)
        if source.startswith("assumed") and low == high:
            raise self._wrong(key, "is assumed without a range; low must be below high")
        return Number(value=value, low=low, high=high, source=source)

    def _numbers(self, name: str, known: Mapping[str, tuple[float, float]]) -> dict[str, Number]:
        table = self._table(name)
        self._known(name, table, (*known, "source"))
        inherited = table.get("source")
        return {key: self._number(f"{name}.{key}", table.get(key), known[key], inherited) for key in known}

    def _service(self) -> tuple[ServiceKind, str, dict[str, Number]]:
        table = self._table("service")
        kind = table.get("kind")
        if kind not in tuple(SERVICE):
            hint = _did_you_mean(str(kind), SERVICE) or f"; choose from {', '.join(SERVICE)}"
            raise self._wrong("service.kind", f"is {kind!r}{hint}")
        known = SERVICE[kind]
        self._known("service", table, ("kind", "source", *known))
        source = self._source("service", table, None)
        numbers = {k: self._number(f"service.{k}", table.get(k), known[k], source) for k in known}
        return kind, source, numbers

    def _transfer(self) -> dict[str, Spread]:
        table = self._table("transfer")
        self._known("transfer", table, DISTANCES)
        return {name: self._spread(name) for name in DISTANCES if name in table}

    def _spread(self, name: str) -> Spread:
        key = f"transfer.{name}"
        table = self._table(key)
        self._known(key, table, ("p5", "median", "p95", "source"))
        parts = {
            p: self._number(f"{key}.{p}", table.get(p), TRANSFER_NS, table.get("source"))
            for p in ("p5", "median", "p95")
        }
        for part in ("value", "low", "high"):
            p5, median, p95 = (getattr(parts[p], part) for p in ("p5", "median", "p95"))
            if not p5 <= median <= p95:
                raise self._wrong(key, f"has {part}s p5={p5:g} median={median:g} p95={p95:g}; they must ascend")
        return Spread(**parts)

    def _check_transfers(self, shape: Shape) -> None:
        """Raise UsageError if a distance that two CPUs have is without a time."""
        given = self._table("transfer")
        cores: dict[int, set[int]] = {}
        for place in shape.cpus:
            cores.setdefault(place.socket, set()).add(place.core)
        need = []
        if len({place.core for place in shape.cpus}) < len(shape.cpus):
            need.append("smt")
        if len(cores) > 1:
            need.append("cross-socket")
        clusters = {(place.socket, place.l3) for place in shape.cpus}
        apart = any(place.l3 < 0 for place in shape.cpus) or len(clusters) > len(cores)
        shared = len({(p.socket, p.l3, p.core) for p in shape.cpus if p.l3 >= 0}) > len(
            {(p.socket, p.l3) for p in shape.cpus if p.l3 >= 0}
        )
        if apart and any(len(some) > 1 for some in cores.values()):
            need.append("socket")
        if shared and ("socket" in need or "socket" not in given):
            need.append("l3")
        for name in need:
            if name not in given:
                raise self._wrong(f"transfer.{name}", "is missing: the machine has CPUs that far apart")

    def _launch(self) -> dict[str, Number]:
        table = self._table("launch", required=False)
        if not table:
            return {}
        self._known("launch", table, (*STEPS, "source"))
        inherited = table.get("source")
        return {
            f"launch.{key}": self._number(f"launch.{key}", table.get(key), STEP_NS, inherited) for key in STEPS
        }


def to_toml(machine: Machine) -> str:
    """Return the text; reading it gives the same machine but for its digest. CPUs are listed one by one."""
    lines = [HEAD + f"format = {FORMAT}"]
    for key in ("name", "title", "cpu_model", "architecture"):
        lines.append(f"{key} = {_quoted(getattr(machine, key))}")
    if machine.notes:
        lines += ["notes = [", *(f"  {_quoted(note)}," for note in machine.notes), "]"]
    lines += ["# [number, socket, node, L3 (-1: unknown), core]", "cpus = ["]
    lines += [f"  [{c.number}, {c.socket}, {c.node}, {c.l3}, {c.core}]," for c in machine.shape.cpus]
    lines += ["]", "", "[shape]", f"source = {_quoted(machine.shape.source)}"]
    lines += [f"l3_mib = {machine.shape.l3_mib!r}", f"memory_gib = {machine.shape.memory_gib!r}"]
    lines += ["", "[service]", f'kind = "{machine.service}"', f"source = {_quoted(machine.service_source)}"]
    lines += _group(machine.times, "service")
    for distance, spread in machine.transfer.items():
        lines += ["", f"[transfer.{distance}]"]
        lines += [f"{part} = {_number_text(getattr(spread, part))}" for part in ("p5", "median", "p95")]
    for name in ("core", "scheduler"):
        lines += ["", f"[{name}]", *_group(machine.times, name)]
    if machine.launch:
        lines += ["", "[launch]", *_group(machine.launch, "launch")]
    return "\n".join(lines) + "\n"


def _group(numbers: dict[str, Number], name: str) -> list[str]:
    own = {key.partition(".")[2]: number for key, number in numbers.items() if key.partition(".")[0] == name}
    return [f"{key} = {_number_text(number)}" for key, number in own.items()]


def _number_text(number: Number) -> str:
    parts = (f"{part} = {getattr(number, part)!r}" for part in ("value", "low", "high"))
    return f"{{ {', '.join(parts)}, source = {_quoted(number.source)} }}"


def _quoted(text: str) -> str:
    """Return a TOML basic string: JSON's escapes are TOML's too, and DEL needs one."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
