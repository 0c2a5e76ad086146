# SPDX-License-Identifier: Apache-2.0
"""A sweep as it is asked for: from a TOML file, from options, or both (options win)."""

import random
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from pybench.errors import UnsupportedError, UsageError
from pybench.host.switches.files import why_no_smt_switch
from pybench.host.topology import Topology
from pybench.placement import parse_placements
from pybench.plan.cells import KERNEL_OFF, Axes, default_axes, expected_ns, make_cells
from pybench.plan.lists import duration_ns, warmup_ns
from pybench.results.records import Plan
from pybench.text import format_list, parse_list

# The sweep that runs without arguments fits into a minute, but never gets so few trials that none has an interval.
DEFAULT_BUDGET_NS = 45 * 10**9


# Of what is a number, from and to; the command line's own options have them too.
RANGES: dict[str, tuple[float, float]] = {
    "operations": (0, 2**53),
    "target": (0.001, 1),
    "min_trials": (1, 10**6),
    "max_trials": (1, 10**6),
    "max_invalid": (1, 10**6),
    "seed": (0, 2**53),
}


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the user asked for; None and empty mean the default. The keys of a TOML file are these names."""

    workloads: tuple[str, ...] = ()
    threads: str | None = None
    place: tuple[str, ...] = ()
    smt: tuple[str, ...] = ()
    crew: tuple[str, ...] = ()
    param: dict[str, tuple[str, ...]] = {}
    duration: str = "200ms"
    warmup: str = "20ms"
    operations: int = 0
    target: float = 0.03
    min_trials: int = 6
    max_trials: int = 30
    max_invalid: int = 20
    budget: str | None = None
    seed: int | None = None
    oversubscribe: bool = False
    offline: tuple[str, ...] = ()
    allow_host_changes: bool = False
    output: Path | None = None
    dry_run: bool = False
    sysroot: Path | None = None


def read_config(path: Path) -> Request:
    """A sweep from a TOML file. Lists may be written as lists or as on the command line; [param] is a table.

    Raises UsageError naming the key that is wrong.
    """
    try:
        data = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    if "offline" in data:
        sets = data["offline"] if isinstance(data["offline"], list) else [data["offline"]]
        data["offline"] = [str(one) for one in sets]
    for key in ("workloads", "smt", "crew"):
        if key in data:
            data[key] = words(data[key])
    if "place" in data:
        data["place"] = place_texts(data["place"])
    if isinstance(threads := data.get("threads"), (int, list)):
        data["threads"] = ",".join(map(str, threads)) if isinstance(threads, list) else str(threads)
    if isinstance(data.get("param"), dict):
        data["param"] = {name: words(value) for name, value in data["param"].items()}
    return checked(data, f"{path}: ")


def checked(data: Mapping[str, Any], source: str = "") -> Request:
    """The request with these fields. Raises UsageError, `source` first, naming the one that is none."""
    try:
        return msgspec.convert(data, Request, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise UsageError(f"{source}{error}") from None


def _path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise ValueError(f"Expected `str`, got `{type(value).__name__}`")


def from_options(request: Request, workloads: tuple[str, ...], options: Mapping[str, Any]) -> Request:
    """The request with what the command line says on top. Raises UsageError."""
    given = {name: value for name, value in options.items() if is_given(value)}
    params = dict(request.param)
    for name in [name for name in given if name.startswith("param_")]:
        params[name.removeprefix("param_")] = words(given.pop(name))
    for text in given.pop("params", ()):
        name, equals, values = text.partition("=")
        if not equals or not values:
            raise UsageError(f"--param {text!r}: write NAME=VALUE,...")
        params[name.strip()] = words(values)
    for key in ("smt", "crew"):
        if key in given:
            given[key] = words(given[key])
    if "places" in given:
        given["place"] = tuple(place for text in given.pop("places") for place in place_texts(text))
    if workloads:
        given["workloads"] = tuple(name for word in workloads for name in words(word))
    return msgspec.structs.replace(request, param=params, **given)


def is_given(value: Any) -> bool:
    """Whether an option was written at all: a number may be 0."""
    return value is not None and value is not False and value != ()


def words(value: Any) -> tuple[str, ...]:
    """A list as it may be written: a list, or words with commas between."""
    values = value if isinstance(value, (list, tuple)) else str(value).split(",")
    return tuple(str(one).strip() for one in values)


def place_texts(value: Any) -> tuple[str, ...]:
    """Placements as they may be written: a list of texts, or one; each may have several."""
    texts = value if isinstance(value, (list, tuple)) else [str(value)]
    return tuple(place for text in texts for place in parse_placements(str(text)))


def _offline(request: Request, topology: Topology) -> tuple[tuple[int, ...], ...]:
    """The sets of CPUs to turn off; those that are off already need no turning, and stay off."""
    sets: dict[tuple[int, ...], None] = {}
    there = {cpu.number for cpu in topology.cpus}
    for text in request.offline:
        try:
            cpus = () if text == "none" else tuple(sorted(set(parse_list(text))))
            if not cpus and text != "none":
                raise ValueError("no CPU is named")
        except ValueError as error:
            raise UsageError(f"--offline {text!r}: {error}; write a list such as 4-7,12, or none") from None
        if strange := sorted(set(cpus) - there):
            raise UsageError(
                f"--offline {text!r}: CPU {strange[0]} does not exist; this host has {format_list(sorted(there))}"
            )
        sets[cpus] = None
    return tuple(sets) or ((),)


def check_values(request: Request) -> None:
    """Raise UsageError for a number out of its range, or a word that is not known."""
    for name, (low, high) in RANGES.items():
        if (value := getattr(request, name)) is not None and not low <= value <= high:
            raise UsageError(f"{name}: {value} is out of range; write {low} to {high}")
    if request.max_trials < request.min_trials:
        raise UsageError(f"--max-trials {request.max_trials} is below --min-trials {request.min_trials}")
    for name, allowed in (("smt", ("on", "off", KERNEL_OFF)), ("crew", ("threads", "processes"))):
        for word in getattr(request, name):
            if word not in allowed:
                raise UsageError(f"--{name} {word!r} is not known; choose from {', '.join(allowed)}")


def make_plan(request: Request, topology: Topology) -> Plan:
    """The plan of a request on a host: cells, seed, times. Raises UsageError or UnsupportedError."""
    check_values(request)
    if KERNEL_OFF in request.smt and (why := why_no_smt_switch(topology.smt_control)):
        raise UnsupportedError(f"--smt {KERNEL_OFF}: {why}")
    default = default_axes(topology)
    cells, left_out = make_cells(
        Axes(
            workloads=request.workloads or default.workloads,
            params=request.param,
            threads=default.threads if request.threads is None else request.threads,
            places=request.place or default.places,
            smt=request.smt or default.smt,
            crews=request.crew or default.crews,
            offline=_offline(request, topology),
            oversubscribe=request.oversubscribe,
        ),
        topology,
    )
    plan = Plan(
        cells=cells,
        seed=random.SystemRandom().randrange(2**32) if request.seed is None else request.seed,
        duration_ns=duration_ns(request.duration),
        warmup_ns=warmup_ns(request.warmup),
        operations=request.operations,
        target=request.target,
        min_trials=request.min_trials,
        max_trials=request.max_trials,
        max_invalid=request.max_invalid,
        budget_ns=0 if request.budget is None else duration_ns(request.budget),
        left_out=left_out,
    )
    if not request.budget and not request.workloads:
        budget = max(DEFAULT_BUDGET_NS, expected_ns(plan)[0] * 5 // 4)
        plan = msgspec.structs.replace(plan, budget_ns=budget)
    return plan
