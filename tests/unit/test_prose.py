# SPDX-License-Identifier: Apache-2.0
"""Test that scripts/prose finds phrases in prose, and in nothing else."""

# prose: off
from __future__ import annotations

import importlib.machinery
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def prose() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("prose", str(ROOT / "scripts/prose"))
    spec = importlib.util.spec_from_loader("prose", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("a.py", '"""What the median is."""\n', [(1, "What")]),
        ("a.py", "x = 1  # told by the\n# kernel\n", [(1, "told")]),
        ("a.py", "# one of\n# these\n", [(1, "of these")]),
        ("a.py", "x = f'{x!r} is no duration'\n", [(1, "is no")]),
        (
            "a.py",
            '"""Return the median.\n\n    So many\n    trials a cell."""\n',
            [(3, "So many"), (4, "trials a cell")],
        ),
        ("a.py", "told = {'told': 1}  # `told`, row.told, told_ns, --told, told(1)\n", []),
        ("a.py", "# It is None if there is none; it is no longer 1.\n", []),
        (
            "a.c",
            '/* Whose\n * seat is gone. */ int seat; char *s = "is no CPU";\n',
            [(1, "Whose"), (2, "seat"), (2, "is no")],
        ),
        ("a.c", "int a; // one of\n       // those\n", [(1, "of those")]),
        ("a.md", "Next `told`\n\n```python\ntold\n```\n\n    told\n\nat the\nleast\n", [(9, "at the least")]),
        ("a.md", "[words](told.md) and a <!-- prose: off -->\nfigure\n<!-- prose: {} -->\n", []),
        ("a.sh", "# Runs anew.\nseat=1 # seat\necho 'is no folder'\n", [(1, "anew"), (3, "is no")]),
        ("a.html", "<p class='figure'>the {{ figure }}\nfigures</p>", [(2, "figures")]),
    ],
)
def test_phrases_of_prose_are_found_and_code_is_not(
    prose: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    source: str,
    expected: list[tuple[int, str]],
) -> None:
    monkeypatch.setattr(prose, "ROOT", tmp_path)
    (tmp_path / name).write_text(source.replace("{}", "on"))
    assert sorted((item.line, item.phrase) for item in prose.phrases(tmp_path / name)) == sorted(expected)
