# SPDX-License-Identifier: Apache-2.0
"""pytest in the lab: tests marked `lab("2x2x2")` run inside that machine, and are reported here one by one.

Outside, the marked tests of each machine run in one boot, by a second pytest in the guest, which writes reports as
JSON Lines to a shared folder. It loads no conftest.py and no other plugin: each import takes seconds there.
"""

import json
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from lab import LabError
from lab.guest import CHECKOUT, TIMED_OUT, Job, run, why_not
from lab.machines import machine

TIMEOUT_S = 600
SLOW_TIMEOUT_S = 1800
REPORTS, OUTPUT = "reports.jsonl", "output"
PARAMETER = "lab_preset"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of outside, and the one of inside."""
    group = parser.getgroup("lab")
    group.addoption("--no-lab", action="store_true", help="skip the tests that run in an emulated machine")
    group.addoption("--slow-lab", action="store_true", help="also run those that take minutes there")
    group.addoption("--lab-reports", metavar="FILE", help="(inside) where to write reports")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and the half of this plugin that is needed."""
    config.addinivalue_line(
        "markers",
        "lab(*presets, slow=False): run the test inside each of these emulated machines (scripts/lab --help)",
    )
    target = config.getoption("lab_reports")
    config.pluginmanager.register(_Inside(config, Path(target)) if target else _Outside(config), "lab-side")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each machine, named by it."""
    mark = metafunc.definition.get_closest_marker("lab")
    if mark is not None:
        metafunc.fixturenames.append(PARAMETER)
        metafunc.parametrize(PARAMETER, [pytest.param(name, id=name) for name in mark.args])


class _Inside:
    def __init__(self, config: pytest.Config, target: Path) -> None:
        self._config = config
        self._stream: IO[str] = target.open("w")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write each report as soon as it is there: the guest may not live to write them all."""
        plain = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._stream.write(json.dumps(plain) + "\n")
        self._stream.flush()


class _Outside:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._reports: dict[str, dict[str, list[pytest.TestReport]]] = {}
        self._ends: dict[str, str] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Skip what cannot or shall not run."""
        marked = [item for item in items if _preset(item)]
        if not marked:
            return
        off = self._config.getoption("no_lab") or os.environ.get("PYBENCH_LAB_TESTS") == "0"
        reason = "the lab is switched off (--no-lab, PYBENCH_LAB_TESTS=0)" if off else why_not()
        slow = self._config.getoption("slow_lab") or os.environ.get("PYBENCH_LAB_TESTS") == "slow"
        for item in marked:
            why = reason or ("takes minutes; give --slow-lab" if _is_slow(item) and not slow else None)
            if why:
                item.add_marker(pytest.mark.skip(reason=why))
            elif self._config.pluginmanager.hasplugin("timeout"):
                item.add_marker(pytest.mark.timeout(0))  # a boot has a limit of its own

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Report what the test did in the guest, which the first test of its machine boots for all."""
        preset = _preset(item)
        if preset is None or item.get_closest_marker("skip"):
            return None
        if preset not in self._reports:
            self._run(preset, [other for other in item.session.items if _preset(other) == preset])
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._reports[preset].get(item.nodeid) or [self._lost(item, preset)]:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _run(self, preset: str, items: list[pytest.Item]) -> None:
        wanted = [item for item in items if not item.get_closest_marker("skip")]
        self._reports[preset] = {}
        options = ["-q", "--noconftest", "-p", "lab.pytest_lab", "-p", "no:cacheprovider", "-o", "addopts="]
        words = [sys.executable, "-m", "pytest", *options, "-W", "ignore", f"--lab-reports=/mnt/{REPORTS}"]
        command = shlex.join([*words, *(item.nodeid for item in wanted)])
        timeout_s = SLOW_TIMEOUT_S if any(map(_is_slow, wanted)) else TIMEOUT_S
        with tempfile.TemporaryDirectory(prefix="pybench-lab-tests-") as name:
            folder = Path(name)
            job = Job(
                f"cd {shlex.quote(str(CHECKOUT))} && PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 {command}",
                timeout_s=timeout_s,
                share=folder,
            )
            with (folder / OUTPUT).open("wb") as output:
                try:
                    status = run(machine(preset), job, stdout=output)
                except LabError as error:
                    self._ends[preset] = str(error)
                    return
            how = f"out of time after {timeout_s} s" if status == TIMED_OUT else f"exit status {status}"
            self._ends[preset] = f"{how}; what it printed:\n{(folder / OUTPUT).read_text(errors='replace')}"
            for report in self._read(folder / REPORTS):
                self._reports[preset].setdefault(report.nodeid, []).append(report)

    def _read(self, path: Path) -> Iterator[pytest.TestReport]:
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        for line in lines:
            if line.endswith("\n"):
                plain: dict[str, Any] = json.loads(line)
                yield self._config.hook.pytest_report_from_serializable(config=self._config, data=plain)

    def _lost(self, item: pytest.Item, preset: str) -> pytest.TestReport:
        return pytest.TestReport(
            nodeid=item.nodeid,
            location=item.location,
            keywords=dict.fromkeys(item.keywords, 1),
            outcome="failed",
            longrepr=f"no result of this test came from the machine {preset}: {self._ends[preset]}",
            when="call",
        )


def _preset(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get(PARAMETER) if callspec else None


def _is_slow(item: pytest.Item) -> bool:
    mark = item.get_closest_marker("lab")
    return bool(mark and mark.kwargs.get("slow"))
