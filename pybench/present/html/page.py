# SPDX-License-Identifier: Apache-2.0
"""One self-contained page: everything it needs is inside, and it asks the network for nothing.

Text in result files (host names, parameters, reasons) may be anyone's: templates escape it, chart specifications
keep it as data, and a Content-Security-Policy allows no script but the two that are inside.
"""

import base64
import csv
import hashlib
import io
import json
from collections.abc import Sequence
from importlib.resources import files as package_files

import altair as alt
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from pybench._version import VERSION
from pybench.present.charts import DrawnChart
from pybench.present.document import Span, cell_text, spans
from pybench.present.html.bundle import vega_bundle
from pybench.present.html.host_svg import host_picture, placement_pictures
from pybench.present.report.contents import Report


def render(report: Report) -> str:
    """Return the page of a report as one string."""
    return render_page(
        "report.html.j2",
        report.views,
        css=Markup(page_file("report.css")),
        title=report.title,
        hosts=report.hosts,
        banner=report.banner,
        conclusions=report.conclusions,
        hero=report.hero,
        machines=[(one.title, placement_pictures(one.topology, one.cells)) for one in report.machines],
        sections=report.sections,
        sources=report.sources,
    )


def page_file(name: str) -> str:
    """Return the text of one of the files that pages are made of."""
    return (package_files("pybench.present") / "html" / name).read_text(encoding="utf-8")


def render_page(template: str, views: Sequence[DrawnChart], **parts: object) -> str:
    """Return a page of a template in this folder, with its charts' scripts and the policy that allows no others.

    In the template `blocks.show(block)` renders any block of a document, and `blocks.figure(id)` a chart.
    """
    charts = {one.id: chart_parts(one) for one in views}
    environment = Environment(
        loader=FunctionLoader(page_file),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "charts": charts,
        "cell_text": cell_text,
        "tone_of": lambda cell: cell.tone if isinstance(cell, Span) else "",
        "kind_of": lambda block: block.__struct_config__.tag,
        "spans": spans,
        "host_picture": host_picture,
    }
    vega, script = (script_text(text) for text in (vega_bundle(), page_file("report.js")))
    return environment.get_template(template).render(
        policy=_policy([vega, script]), version=VERSION, vega=Markup(vega), script=Markup(script), **parts
    )


def chart_parts(one: DrawnChart) -> dict[str, object]:
    """Return a chart as templates show it: its words, and its specification as JSON for a script element."""
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
    """Return a number, whole ones without a point, which is shorter."""
    value = float(text)
    return int(value) if value.is_integer() else value


def data_text(value: object) -> str:
    """Return JSON that cannot end the script element it stands in, nor a line of JavaScript."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def script_text(text: str) -> str:
    """Return a script of ours without text that would end or confuse its element."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _policy(scripts: Sequence[str]) -> str:
    """Return a policy: only these scripts run, nothing is loaded or sent; no eval, as Vega interprets "
    "expressions."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
