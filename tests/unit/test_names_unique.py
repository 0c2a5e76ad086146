# SPDX-License-Identifier: Apache-2.0
"""Each name of a class or module means one thing in the whole package."""

import ast
from collections import defaultdict
from pathlib import Path

import pybench

ROOT = Path(pybench.__file__).parent
# These rooms name a module after the verb it implements, or the thing it shows: `sweep` of cli, api and views is
# the sweep of run.
NAMED_AFTER_OTHERS = ("api", "cli", "present/charts", "present/views", "pytest_plugin")


def modules() -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def test_a_class_name_stands_once() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        tree = ast.parse((ROOT / path).read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_a_module_name_stands_once_in_the_rooms_that_hold_logic() -> None:
    places: dict[str, set[str]] = defaultdict(set)
    for path in modules():
        module = path.parent if path.name == "__init__.py" else path.with_suffix("")
        if module.name and not any(module.is_relative_to(room) for room in NAMED_AFTER_OTHERS):
            places[module.name].add(str(module))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
