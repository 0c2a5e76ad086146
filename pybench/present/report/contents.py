# SPDX-License-Identifier: Apache-2.0
"""The contents of a report: the conclusions first, then the chart and the hosts, then sections of evidence."""

from collections.abc import Sequence

import msgspec

from pybench.host.topology import Topology
from pybench.present.charts import DrawnChart, drawn, kinds
from pybench.present.charts.cells import scaling_lines
from pybench.present.document import Block, ChartReference, Section
from pybench.present.host_shape import title as shape
from pybench.present.labels import SIMULATED, banner, describe_host
from pybench.present.loaded import Loaded, load
from pybench.present.report.conclusions import Conclusion, conclude
from pybench.present.report.sections import compare_all, sections
from pybench.present.views.transfers import host_of
from pybench.results.latency_file import TransferFile
from pybench.results.records import Cell, Header
from pybench.results.store import EMULATED, EMULATED_NOTE, Results, is_emulated, text_of

# Of more files from one host only the first and the last date are shown.
MOST_DATES = 3


class UsedHost(msgspec.Struct, frozen=True, kw_only=True):
    """A host, and the cells that ran on it."""

    title: str
    topology: Topology
    cells: list[Cell]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a page shows."""

    title: str
    hosts: list[str]
    banner: list[str]
    """That files are simulated; empty if all were measured."""
    conclusions: list[Conclusion]
    hero: DrawnChart | None
    """The chart of the first screen."""
    machines: list[UsedHost]
    sections: list[Section]
    charts: list[DrawnChart]
    """Every chart that a section refers to."""
    sources: str

    @property
    def views(self) -> list[DrawnChart]:
        """Every chart, in the order of the page."""
        by_id = {one.id: one for one in self.charts}
        return [*([self.hero] if self.hero else []), *(by_id[name] for name in _chart_ids(self.sections))]


def _chart_ids(blocks: Sequence[Block]) -> list[str]:
    found: list[str] = []
    for block in blocks:
        if isinstance(block, ChartReference):
            found.append(block.id)
        if isinstance(block, Section):
            found += _chart_ids(block.blocks)
    return found


def make_report(results: Sequence[Results], transfers: Sequence[TransferFile] = ()) -> Report:
    """Return a report on result files. ValueError if there is no file."""
    if not results and not transfers:
        raise ValueError("a report needs a file")
    files = load(results)
    compared = compare_all(files)
    paths = [text_of(one.path) for one in results]
    parts, charts = sections(files, transfers, compared, paths)
    ids = _chart_ids(parts)
    hero = _hero(files) or next((one for name in ids for one in charts if one.id == name), None)
    facts = [*(one.header.host for one in results), *(one.header.host for one in transfers)]
    caution = [Conclusion(text=EMULATED_NOTE, kind="caveat")] if any(map(is_emulated, facts)) else []
    measured = [(describe_host(one.header), one.header.created) for one in results] or [
        (host_of(one.header), one.header.created) for one in transfers
    ]
    return Report(
        title=_title(results, transfers),
        hosts=_dated(measured),
        banner=[line for one in results for line in _banner(one, len(results) > 1)],
        conclusions=[*caution, *(conclude(files, compared[0]) if files else _transfer_words(transfers))],
        hero=hero,
        machines=_machines(files),
        sections=_without(parts, hero),
        charts=charts,
        sources=", ".join(paths) or "latency files",
    )


def _without(parts: Sequence[Section], hero: DrawnChart | None) -> list[Section]:
    """Return the sections without the chart that the first screen shows, and without sections left empty."""
    if hero is None:
        return list(parts)
    kept = [
        msgspec.structs.replace(
            part,
            blocks=[one for one in part.blocks if not (isinstance(one, ChartReference) and one.id == hero.id)],
        )
        for part in parts
    ]
    return [part for part in kept if part.blocks]


def _dated(measured: Sequence[tuple[str, str]]) -> list[str]:
    """Return each host once, with the times when its files were begun."""
    dates: dict[str, set[str]] = {}
    for host, created in measured:
        dates.setdefault(host, set()).add(created[:16].replace("T", " "))
    times = {host: sorted(own) for host, own in dates.items()}
    return [
        f"{host} ({', '.join(own) if len(own) <= MOST_DATES else f'{own[0]} to {own[-1]}'} UTC)"
        for host, own in times.items()
    ]


def _banner(one: Results, several: bool) -> list[str]:
    lines = banner(one.header).splitlines()
    return [f"{one.path.name}: {lines[0]}", *lines[1:]] if several and lines else lines


def _title(results: Sequence[Results], transfers: Sequence[TransferFile]) -> str:
    hosts = [*(one.header.host for one in results), *(one.header.host for one in transfers)]
    names = dict.fromkeys(str(host.get("name") or "host") for host in hosts)
    what = dict.fromkeys(cell.workload for one in results for cell in one.header.plan.cells)
    label = f" ({EMULATED})" if any(map(is_emulated, hosts)) else ""
    words = f"{', '.join(what) or 'latency'} on {', '.join(names)}{label}"
    return f"{SIMULATED}: {words}" if results and all(one.header.simulated for one in results) else words


def _transfer_words(transfers: Sequence[TransferFile]) -> list[Conclusion]:
    return [Conclusion(text=f"Line transfers between CPUs: {host_of(one.header)}.") for one in transfers]


def _hero(files: Sequence[Loaded]) -> DrawnChart | None:
    """Return the chart of the first screen: scaling where there is a curve, else launches."""
    several = len({line.workload for line in scaling_lines(files)}) > 1
    for name in ("scaling", "launch") if files else ():
        kind = kinds()[name]
        title = "Speedup over threads" if name == "scaling" and several else kind.title
        if found := drawn(name, title, lambda kind=kind: kind.draw(files), kind.note):  # type: ignore[misc]
            return found[0]
    return None


def _machines(files: Sequence[Loaded]) -> list[UsedHost]:
    found: dict[bytes, tuple[Header, list[Cell]]] = {}
    for one in files:
        header = one.results.header
        found.setdefault(msgspec.json.encode(header.topology), (header, []))[1].extend(one.cells)
    machines = []
    for header, cells in found.values():
        try:
            topology = msgspec.convert(header.topology, Topology)
        except msgspec.ValidationError:
            continue  # an older or a foreign file; the rest of it can be shown
        machines.append(UsedHost(title=shape(topology), topology=topology, cells=cells))
    return machines
