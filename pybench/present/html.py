# SPDX-License-Identifier: Apache-2.0
"""One self-contained page of result files: everything it needs is inside, and it asks the network for nothing.

What a result file says (host names, parameters, reasons) is anyone's text: the template escapes it, chart
specifications keep it as data, and a Content-Security-Policy admits no script but the two that are inside.
"""

import base64
import csv
import hashlib
import io
import json
import os
from collections.abc import Sequence
from importlib.metadata import version
from importlib.resources import files as package_files
from pathlib import Path

import altair as alt
import msgspec
import vl_convert
from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from pybench._version import VERSION
from pybench.host.topology import Topology
from pybench.present import chart_maps, charts
from pybench.present.conclusions import Conclusion, conclude
from pybench.present.loaded import Loaded, load
from pybench.present.machine_svg import Picture, pictures
from pybench.present.provenance import SIMULATED, banner, describe_host
from pybench.present.sections import Section, View, compare_all, sections, view
from pybench.present.terminal.machine import title as machine_title
from pybench.present.views.transfers import host_of
from pybench.results.emulated import LABEL, NOTE, is_emulated
from pybench.results.names import text_of
from pybench.results.records import Header
from pybench.results.store import Results
from pybench.results.transfers import TransferFile

# More files of a host are told by the first and the last.
MOST_DATES = 3


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A host and the placements used on it."""

    title: str
    pictures: list[Picture]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that a page shows, before it is one."""

    title: str
    hosts: list[str]
    banner: list[str]
    """That it is simulated, or what of it is; empty if all was measured."""
    conclusions: list[Conclusion]
    hero: View | None
    machines: list[Machine]
    sections: list[Section]
    sources: str

    @property
    def views(self) -> list[View]:
        """Every chart, in the order of the page."""
        return [*([self.hero] if self.hero else []), *(one for part in self.sections for one in part.charts)]


def make_report(results: Sequence[Results], transfers: Sequence[TransferFile] = ()) -> Report:
    """Gather what a page of these files shows. ValueError if there is no file."""
    if not results and not transfers:
        raise ValueError("a report needs a file")
    files = load(results)
    compared = compare_all(files)
    paths = [text_of(one.path) for one in results]
    parts = sections(files, transfers, compared, paths)
    hero = _hero(files) or next((one for part in parts for one in part.charts), None)
    # The first screen has it already.
    parts = [
        msgspec.structs.replace(part, charts=[one for one in part.charts if not hero or one.id != hero.id])
        for part in parts
    ]
    parts = [part for part in parts if part.charts or part.groups]
    facts = [*(one.header.host for one in results), *(one.header.host for one in transfers)]
    caution = [Conclusion(text=NOTE, kind="doubt")] if any(map(is_emulated, facts)) else []
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
        sections=parts,
        sources=", ".join(paths) or "latency files",
    )


def _dated(measured: Sequence[tuple[str, str]]) -> list[str]:
    """Each host once, with when its files were begun."""
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
    label = f" ({LABEL})" if any(map(is_emulated, hosts)) else ""
    words = f"{', '.join(what) or 'latency'} on {', '.join(names)}{label}"
    return f"{SIMULATED}: {words}" if results and all(one.header.simulated for one in results) else words


def _transfer_words(transfers: Sequence[TransferFile]) -> list[Conclusion]:
    return [
        Conclusion(text=f"Transfers of a cache line between CPUs: {host_of(one.header)}.") for one in transfers
    ]


def _hero(files: Sequence[Loaded]) -> View | None:
    """The chart of the first screen: scaling where there is a curve, else launches."""
    lines = charts.scaling_lines(files) if files else []
    several = len({line.workload for line in lines}) > 1
    title = "Speedup over threads" if several else "Throughput over threads"
    note = "points: medians, 95 % intervals; lines: best model, dashed where extrapolated"
    found = view("scaling", title, lambda: charts.scaling_chart(files), note) if files else []
    found += view("launch", "Time for each container", lambda: chart_maps.launch_chart(files)) if files else []
    return found[0] if found else None


def _machines(files: Sequence[Loaded]) -> list[Machine]:
    found: dict[bytes, tuple[Header, list[Loaded]]] = {}
    for one in files:
        header = one.results.header
        found.setdefault(msgspec.json.encode(header.topology), (header, []))[1].append(one)
    machines = []
    for header, same in found.values():
        try:
            topology = msgspec.convert(header.topology, Topology)
        except msgspec.ValidationError:
            continue  # an older or a foreign file; the rest of it can be shown
        shown = pictures(topology, [cell for one in same for cell in one.cells])
        machines.append(Machine(title=machine_title(topology), pictures=shown))
    return machines


# --------------------------------------------------------------------------------------------------------- page


def render(report: Report) -> str:
    """The page as one string."""
    charts_there = {one.id: chart_parts(one) for one in report.views}
    return render_page(
        "report.html.j2",
        css=Markup(page_file("report.css")),
        charts=list(charts_there.values()),
        title=report.title,
        hosts=report.hosts,
        banner=report.banner,
        conclusions=report.conclusions,
        hero=charts_there[report.hero.id] if report.hero else None,
        machines=report.machines,
        sections=[
            {
                "id": part.id,
                "title": part.title,
                "lead": part.lead,
                "groups": part.groups,
                "charts": [charts_there[one.id] for one in part.charts],
            }
            for part in report.sections
        ],
        sources=report.sources,
    )


def page_file(name: str) -> str:
    """The text of one of the files that pages are made of."""
    return (package_files("pybench.present") / "page" / name).read_text(encoding="utf-8")


def render_page(template: str, **parts: object) -> str:
    """A page of a template of this package, with the charts' scripts and the policy that admits no others."""
    environment = Environment(
        loader=DictLoader({template: page_file(template)}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    vega, script = (script_text(text) for text in (vega_bundle(), page_file("report.js")))
    return environment.get_template(template).render(
        policy=_policy([vega, script]), version=VERSION, vega=Markup(vega), script=Markup(script), **parts
    )


def chart_parts(one: View) -> dict[str, object]:
    """A chart as templates show it: its words, and its specification as JSON for a script element."""
    with alt.data_transformers.enable(consolidate_datasets=False):
        # Checking every part against Vega-Lite's schema takes longer than making it; the tests do that.
        spec = one.chart.to_dict(validate=False)
    tables: dict[str, dict[str, object]] = {}
    _take_tables(spec, tables)
    spec["tables"] = list(tables.values())
    return {
        "id": one.id,
        "title": one.title,
        "note": one.note,
        "description": spec.get("description", one.title),
        "json": Markup(data_text(spec)),
    }


def _take_tables(node: object, tables: dict[str, dict[str, object]]) -> None:
    """Move a chart's tables out of it, each once, as columns and rows: Vega would need eval to read CSV."""
    if isinstance(node, list):
        for one in node:
            _take_tables(one, tables)
    if not isinstance(node, dict):
        return
    inside = node.get("data")
    if isinstance(inside, dict) and isinstance(inside.get("values"), str):
        text, kinds = inside["values"], inside["format"]["parse"]
        if text not in tables:
            columns, *rows = csv.reader(io.StringIO(text))
            tables[text] = {
                "name": f"table{len(tables)}",
                "columns": columns,
                "rows": [
                    [
                        (_number(cell) if cell else None) if kinds[name] == "number" else cell
                        for name, cell in zip(columns, row, strict=True)
                    ]
                    for row in rows
                ],
            }
        node["data"] = {"name": tables[text]["name"]}
    for one in node.values():
        _take_tables(one, tables)


def _number(text: str) -> float:
    """Whole numbers without a point, which is shorter."""
    value = float(text)
    return int(value) if value.is_integer() else value


def data_text(value: object) -> str:
    """JSON that cannot end the script element it stands in, nor a line of JavaScript."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def script_text(text: str) -> str:
    """Our own scripts, with what would end or confuse their element written otherwise."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _policy(scripts: Sequence[str]) -> str:
    """Only these scripts run, nothing is loaded, nothing sent; no eval: Vega interprets its expressions."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def vega_bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script. Bundling takes seconds, so it is kept in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pybench"
    kept = cache / f"vega-{version('vl-convert-python')}.js"
    try:
        text = kept.read_text(encoding="utf-8")
        if text.endswith(END):
            return text
    except OSError:
        pass
    # Its type asks for a snippet, but any text, even an empty one, stands in the place of Vega-Embed.
    text = str(vl_convert.javascript_bundle()) + END  # type: ignore[call-arg]
    try:
        cache.mkdir(parents=True, exist_ok=True)
        begun = kept.with_name(f"{kept.name}.{os.getpid()}")
        begun.write_text(text, encoding="utf-8")
        begun.replace(kept)
    except OSError:
        pass  # no cache: a few seconds each time
    return text


# Shows that a cached bundle is whole.
END = "\n// end of the bundle\n"
