# SPDX-License-Identifier: Apache-2.0
"""A sweep as the user asks for it: from a TOML file, from options, or both (options win); and the words for
lists of thread counts and for durations."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from pybench.errors import UsageError
from pybench.host.topology import Topology
from pybench.placement import parse_placements
from pybench.results.records import MOST_THREADS
from pybench.workloads import WORKLOADS

# More cells than any sweep measures fill the memory before the first trial.
MOST_CELLS = 100_000
# A thousand hours: a longer time is a slip.
LONGEST_NS = 1000 * 3600 * 10**9
UNITS_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def duration_ns(text: str) -> int:
    """`200ms`, `2m`, `1.5s` in ns, from 1 to LONGEST_NS. Raises UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s|m|h)", text.strip())
    if not match or float(match[1]) == 0:
        raise UsageError(f"invalid duration {text!r}; write 200ms, 1.5s or 2m")
    ns = float(match[1]) * UNITS_NS[match[2]]
    if not 1 <= ns <= LONGEST_NS:
        raise UsageError(f"{text!r} is out of range: write 1ns to {LONGEST_NS // UNITS_NS['h']}h")
    return round(ns)


def warmup_ns(text: str) -> int:
    """A duration in ns that may be none: `0`. Raises UsageError."""
    return 0 if text in ("0", "0ms", "0s") else duration_ns(text)


def show_duration(ns: float) -> str:
    """A duration for people: `850 ms`, `12 s`, `2 min 05 s`."""
    if ns < 1e9:
        return f"{ns / 1e6:.0f} ms"
    seconds = round(ns / 1e9)
    return f"{seconds} s" if seconds < 100 else f"{seconds // 60} min {seconds % 60:02d} s"


def thread_counts(text: str, most: int) -> list[int]:
    """Thread counts, ascending, from words such as `1,2,4..max`, `1..8`, `1,3..15`, `max`.

    `a..b` continues what stands before it: three listed counts with one ratio go on doubling (or as that ratio
    says), two or more with one step go on by that step, a lone `a..b` counts by one. `b` itself is always in.
    `max` is `most`, the number of CPUs that the placement gives. Raises UsageError, also beyond MOST_THREADS.
    """
    counts: list[int] = []
    for word in text.replace(" ", "").split(","):
        first, dots, last = word.partition("..")
        counts.append(_count(first, most, text))
        if dots:
            counts += _continue(counts, _count(last, most, text), text)
    return sorted(set(counts))


def _shown(text: str) -> str:
    return f"--threads {text[:40]!r}"


def _count(word: str, most: int, text: str) -> int:
    if word == "max":
        return most
    if not word.isdecimal() or not word.strip("0"):
        raise UsageError(f"invalid thread count {word!r}", subject=_shown(text), fix="write 1,2,4..64")
    # The length first: of very long ones no number is made.
    if len(word) > 9 or int(word) > MOST_THREADS:
        raise UsageError(f"{word[:20]} is too many", subject=_shown(text), fix=f"write 1 to {MOST_THREADS}")
    return int(word)


def _continue(counts: list[int], last: int, text: str) -> list[int]:
    current = counts[-1]
    if last < current:
        if not text.replace(" ", "").endswith("max"):
            raise UsageError(f"{current}..{last} descends", subject=_shown(text), fix=f"write {last}..{current}")
        # `1,2,4..max` where max is small: what is beyond it is not meant.
        counts[:] = [count for count in counts if count <= last]
        return [last]
    step, ratio = 1, 0.0
    if len(counts) >= 2:
        step = counts[-1] - counts[-2]
    if len(counts) >= 3 and counts[-1] * counts[-3] == counts[-2] ** 2 and counts[-1] > counts[-2]:
        ratio = counts[-1] / counts[-2]
    if step < 1:
        raise UsageError("counts must ascend before '..'", subject=_shown(text))
    more = []
    while (current := round(current * ratio) if ratio else current + step) < last:
        more.append(current)
    return [*more, last]


KERNEL_OFF = "off:kernel"
"""The value of --smt that turns SMT off by the kernel's switch, rather than leave siblings idle."""

# Bounds of the numeric fields.
RANGES: dict[str, tuple[float, float]] = {
    "operations": (0, 2**53),
    "target": (0.001, 1),
    "min_trials": (1, 10**6),
    "max_trials": (1, 10**6),
    "max_invalid": (1, 10**6),
    "seed": (0, 2**53),
}


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sweep as it is asked for; None and empty mean the default. The keys of a TOML file are these names.

    `workloads`, `threads`, `place`, `smt`, `crew`, `param` and `offline` are axes: every combination is a cell.
    """

    workloads: tuple[str, ...] = ()
    threads: str | None = None
    place: tuple[str, ...] = ()
    smt: tuple[str, ...] = ()
    crew: tuple[str, ...] = ()
    param: dict[str, tuple[str, ...]] = {}
    """Parameter -> values as text; `mount.children` names one workload's."""
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
    """Allow more threads than CPUs."""
    offline: tuple[str, ...] = ()
    """Sets of CPUs to turn off, each a list such as `4-7,12`, or `none`."""
    allow_host_changes: bool = False
    output: Path | None = None
    dry_run: bool = False
    sysroot: Path | None = None


def read_config(path: Path) -> Request:
    """Read a sweep from a TOML file. Lists may be written as lists or as on the command line; [param] is a table.

    Raises UsageError naming the key that is wrong.
    """
    try:
        data = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:  # a number of too many digits included
        raise UsageError(f"{path} is not TOML: {error}") from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deep") from None
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
    """Return the request with these fields. Raises UsageError, `source` first, naming the field that is wrong."""
    try:
        return msgspec.convert(data, Request, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise UsageError(f"{source}{error}") from None


def _path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        if "\0" in value:
            raise ValueError("a name cannot contain a NUL character")
        return Path(value)
    raise ValueError(f"Expected `str`, got `{type(value).__name__}`")


def from_options(request: Request, workloads: tuple[str, ...], options: Mapping[str, Any]) -> Request:
    """Return the request with the options of the command line on top. Raises UsageError."""
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
    """Return True if an option was written; 0 is a value."""
    return value is not None and value is not False and value != ()


def words(value: Any) -> tuple[str, ...]:
    """Return the words of a list, or of a text with commas between them."""
    values = value if isinstance(value, (list, tuple)) else str(value).split(",")
    return tuple(str(one).strip() for one in values)


def place_texts(value: Any) -> tuple[str, ...]:
    """Return the placements in a text or in a list of texts, of which each may hold several."""
    texts = value if isinstance(value, (list, tuple)) else [str(value)]
    return tuple(place for text in texts for place in parse_placements(str(text)))


def check_count(count: int, name: str) -> None:
    """Raise UsageError for more cells of a workload than a sweep takes."""
    if count > MOST_CELLS:
        raise UsageError(
            f"{name}: {count} combinations of the axes; a sweep takes {MOST_CELLS}",
            fix="vary fewer values at once",
        )


def check_values(request: Request, smt: tuple[str, ...] = ("on", "off", KERNEL_OFF)) -> None:
    """Raise UsageError for a number out of its range, or an unknown word; `smt` are the values of --smt."""
    for name, (low, high) in RANGES.items():
        if (value := getattr(request, name)) is not None and not low <= value <= high:
            raise UsageError(f"{name}: {value} is out of range; write {low} to {high}")
    if request.max_trials < request.min_trials:
        raise UsageError(f"--max-trials {request.max_trials} is below --min-trials {request.min_trials}")
    for name, allowed in (("smt", smt), ("crew", ("threads", "processes"))):
        for word in getattr(request, name):
            if word not in allowed:
                raise UsageError(f"--{name} {word!r} is not known; choose from {', '.join(allowed)}")


def with_host_defaults(request: Request, topology: Topology) -> Request:
    """Return the request with the axes of this host's representative sweep where it names none."""
    sockets = {cpu.socket or 0 for cpu in topology.usable}
    siblings = any(cpu.smt for cpu in topology.usable)
    return msgspec.structs.replace(
        request,
        workloads=request.workloads or tuple(name for name, kind in WORKLOADS.items() if kind.by_default),
        threads="1,2,4..max" if request.threads is None else request.threads,
        place=request.place or (("single-socket", "dual-socket") if len(sockets) > 1 else ("single-socket",)),
        smt=request.smt or (("on", "off") if siblings else ("on",)),
        crew=request.crew or ("threads",),
    )
