# SPDX-License-Identifier: Apache-2.0
"""Write the reference pages that come from the code: verbs, workloads, locks, checks, metrics, models, records."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import click
import msgspec

from pybench import native
from pybench.analysis.scaling.models import MODELS
from pybench.cli import cli
from pybench.native import outcome
from pybench.results import latency_file, records
from pybench.results.columns import METRICS
from pybench.run.checks import CHECKS
from pybench.workloads import WORKLOADS

SWEEP_RECORDS = (
    ("header", records.Header),
    ("plan", records.Plan),
    ("cell", records.Cell),
    ("simulated", records.Simulated),
    ("input", records.InputRange),
    ("trial", records.Trial),
    ("figures", records.Figures),
    ("evidence", records.Evidence),
    ("handoffs", records.HandoffFigure),
    ("outcome", outcome.Outcome),
    ("outcome.members", outcome.Members),
    ("outcome.phases", outcome.Phase),
    ("outcome.handoffs", outcome.Handoffs),
    ("end", records.End),
)
LATENCY_RECORDS = (
    ("header", latency_file.TransferHeader),
    ("plan", latency_file.TransferPlan),
    ("pair", latency_file.PairTrial),
)


def escaped(text: str) -> str:
    """Return text for a table cell: one line, no column or HTML signs outside of `code`."""
    parts = re.split(r"(``?.*?``?)", " ".join(text.split()).replace("|", "\\|"))
    return "".join(p if p.startswith("`") else re.sub(r"([*<>\[\]])", r"\\\1", p) for p in parts)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([escaped(value) for value in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def code(name: str) -> str:
    return f"`{name}`" if name else ""


def prose(text: str) -> str:
    """Return a command's help as Markdown: paragraphs that click must not wrap become code blocks."""
    made = []
    for paragraph in re.split(r"\n\s*\n", dedent(inspect.cleandoc(text))):
        if paragraph.startswith("\b\n"):
            made.append(f"```text\n{dedent(paragraph[2:]).strip()}\n```")
        else:
            made.append(paragraph.replace("*", "\\*").replace("<", "\\<"))
    return "\n\n".join(made)


def verb_page(words: str, command: click.Command, parent: click.Context) -> str:
    context = click.Context(command, info_name=words.rsplit(" ", 1)[-1], parent=parent)
    usage = " ".join([words, *command.collect_usage_pieces(context)])
    page = f"# pybench {words}\n\n```text\npybench {usage}\n```\n\n{prose(command.help or '')}\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            page += "\n" + verb_page(f"{words} {name}", child, context).replace("# ", "## ", 1)
        return page
    own = [p for p in command.get_params(context) if not (p.name or "").startswith("param_")]
    options = [r for p in own if isinstance(p, click.Option) and (r := p.get_help_record(context))]
    page += "\n".join(f"\n{code(names)}\n: {escaped(text)}\n" for names, text in options)
    if len(own) < len(command.params):
        page += "\nEach parameter of a [workload](../workloads.md) is an option, and an axis, too.\n"
    if command.epilog:
        page += f"\n{prose(command.epilog)}\n"
    return page


def verbs() -> dict[str, str]:
    context = click.Context(cli, info_name="pybench")
    pages = {}
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        pages[f"verbs/{name}.md"] = verb_page(name, command, context)
    return pages


def workloads() -> str:
    page = ""
    for kind in WORKLOADS.values():
        rows = [(code(p.name), code(p.metavar), code(str(p.default)), p.help) for p in kind.parameters]
        page += f"\n## {kind.name}\n\n{kind.summary[0].upper()}{kind.summary[1:]}. Counts {kind.operation}.\n\n"
        page += table(("parameter", "values", "default", "meaning"), rows)
    return page


def locks() -> str:
    rows = [(code(k.name), k.family, k.space, k.fairness, k.waiting, k.source) for k in native.locks().values()]
    return table(("lock", "family", "memory", "fairness", "waits by", "source"), rows)


def checks() -> str:
    page = f"There are {len(CHECKS)} checks.\n"
    for check in CHECKS:
        blind = f"\n\n  Does not cover: {escaped(check.blind)}." if check.blind else ""
        keys = ", ".join(map(code, check.evidence))
        text = f"Fails if {escaped(check.reason)}. Reads {keys}. Next step: {escaped(check.next_step)}.{blind}"
        page += f"\n{code(check.name)}\n: {text}\n"
    return page


def metrics() -> str:
    units = {"rate": "operations/s", "share": "share, 0 to 1"}
    rows = [
        (code(m.name), units.get(m.unit, m.unit), code(m.header), f"{m.better}, {m.worse}")
        for m in METRICS.values()
    ]
    return table(("metric", "unit", "column in exports", "verdicts"), rows)


def models() -> str:
    rows = [(code(m.name), code(m.formula), m.source) for m in MODELS.values()]
    return table(("model", "curve", "source"), rows)


def described(struct: type) -> dict[str, str]:
    """Return the text below each field of a struct."""
    (made,) = ast.parse(dedent(inspect.getsource(struct))).body
    assert isinstance(made, ast.ClassDef)
    texts, waiting = dict[str, str](), list[str]()
    for node in made.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            waiting = [node.target.id]
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and waiting:
            texts[waiting.pop()] = str(node.value.value)
    return texts


def typed(annotation: Any) -> str:
    names = str(annotation).replace("typing.", "").replace("pybench.", "").replace(" | msgspec.UnsetType", "")
    return re.sub(r"<class '(?:\w+\.)*(\w+)'>|(?:\w+\.)+(\w+)", lambda found: found[1] or found[2], names)


def structs(listed: Sequence[tuple[str, type]]) -> str:
    page = ""
    for name, struct in listed:
        texts = described(struct)
        rows = [
            (code(f.encode_name), code(typed(f.type)), texts.get(f.name, ""))
            for f in msgspec.structs.fields(struct)
        ]
        page += f"\n### {name}\n\n{inspect.cleandoc(struct.__doc__ or '')}\n\n" + table(
            ("key", "type", "meaning"), rows
        )
    return page


def write(app: Any) -> None:
    """Write every generated page that changed."""
    folder = Path(app.srcdir) / "reference"
    pages = verbs() | {
        "generated/workloads.md": workloads(),
        "generated/locks.md": locks(),
        "generated/checks.md": checks(),
        "generated/metrics.md": metrics(),
        "generated/models.md": models(),
        "generated/sweep-records.md": structs(SWEEP_RECORDS),
        "generated/latency-records.md": structs(LATENCY_RECORDS),
    }
    for old in {*folder.glob("verbs/*.md")} - {folder / name for name in pages}:
        old.unlink()
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
