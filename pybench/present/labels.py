# SPDX-License-Identifier: Apache-2.0
"""Words for cells, distances, models and provenance: the host, emulated machine or simulation that
results are from.

Facts come from files, which anyone may have written: no fact is taken for granted."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pybench.host.topology import Distance
from pybench.present.document import Column
from pybench.present.numbers import count, time_ns
from pybench.results.records import Cell, Header, label, settings
from pybench.results.store import EMULATED, is_emulated
from pybench.text import plural
from pybench.workloads import workload

if TYPE_CHECKING:
    # The libraries of the fits take longer to load than a short sweep.
    from pybench.analysis.scaling.curve_fits import FittedParameter, ModelFit


DISTANCE_WORDS: Mapping[Distance, str] = {
    "same-cpu": "same CPU",
    "smt": "SMT siblings",
    "l3": "same L3",
    "socket": "same socket",
    "cross-socket": "other socket",
}
# Values that are clear without the setting's name.
BARE = ("lock", "strategy", "place")


def threads_word(threads: int) -> str:
    """Return `1 thread`, `2 threads`."""
    return plural(threads, "thread")


def with_threads(cell: Cell) -> dict[str, str]:
    """Return a cell's settings, and its threads."""
    return settings(cell) | {"threads": str(cell.threads)}


def is_storm(cell: Cell) -> bool:
    """Return whether a cell launches a storm, which ends by itself, rather than scales over threads."""
    return workload(cell.workload).ends_by_itself


def where(cell: Cell, names: Sequence[str]) -> str:
    """Return a cell in a sentence: `spin lock=mcs, 2 threads`."""
    words = label(cell, names)
    return f"{cell.workload}{' ' if words else ''}{words}, {threads_word(cell.threads)}"


def group_columns(names: Sequence[str]) -> list[Column]:
    """Return the table columns of settings that stand above their rows; `group_cells` has a row's values."""
    return [Column(name, group=True) for name in names]


def group_cells(cell: Cell, names: Sequence[str]) -> list[str]:
    """Return a cell's values of the named settings, `` for one that its workload has not."""
    own = with_threads(cell)
    return [own.get(name, "") for name in names]


def model_words(fit: "ModelFit") -> list[str]:
    """Return a line of parameters and what they mean, then a line per caveat."""
    values = "; ".join(parameter(one) for one in fit.parameters if one.unit != "ops/s")
    words = f"{capital(fit.title)}: {values}. {' '.join(fit.says)}"
    return [words, *(f"caveat: {caveat}" for caveat in fit.caveats)]


def parameter(one: "FittedParameter") -> str:
    """Return `alpha 3.0 % [2.7, 3.2]`, `gamma 1.01M ops/s [0.99M, 1.02M]`, `c 39.6ns [31.4ns, 50ns]`."""
    values = (one.interval.value, one.interval.low, one.interval.high)
    if one.unit == "share":
        value, low, high = (f"{100 * part:.3g}" for part in values)
        return f"{one.name} {value} % [{low}, {high}]"
    value, low, high = (count(v) if one.unit == "ops/s" else time_ns(v) for v in values)
    return f"{one.name} {value}{' ops/s' if one.unit == 'ops/s' else ''} [{low}, {high}]"


def capital(title: str) -> str:
    """Return a title with a capital first letter."""
    return title[0].upper() + title[1:]


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
        words.append(f"{EMULATED} machine")
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
