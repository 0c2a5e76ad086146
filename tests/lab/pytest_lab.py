# SPDX-License-Identifier: Apache-2.0
"""pytest in the lab: tests marked `lab("2x2x2")` run inside that machine, and are reported here one by one.

Outside, the marked tests of each machine run in one boot, by a second pytest in the guest, which writes reports
as JSON Lines to a shared folder. It loads no conftest.py, and only the plugins it needs: imports take long there.
A guest keeps one CPU busy, so as many machines run side by side as there are CPUs.
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

import pytest

from tests.lab.guest import CHECKOUT, TIMED_OUT, end_with_parent, why_not

TIMEOUT_S = 600
SLOW_TIMEOUT_S = 1800
REPORTS, OUTPUT = "reports.jsonl", "output"
PARAMETER = "lab_preset"
# Plugins of pytest that no test in a guest needs.
LEFT_OUT = [
    *("cacheprovider", "debugging", "doctest", "faulthandler", "junitxml", "logging", "pastebin", "setuponly"),
    *("setupplan", "stepwise", "subtests", "threadexception", "unittest", "unraisableexception", "warnings"),
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the outside run, and the one of the run inside a guest."""
    group = parser.getgroup("lab")
    group.addoption("--no-lab", action="store_true", help="skip the tests that run in an emulated machine")
    group.addoption("--slow-lab", action="store_true", help="also run those that take minutes there")
    group.addoption("--lab-reports", metavar="FILE", help="(inside) where to write reports")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and the half of this plugin that is needed."""
    config.addinivalue_line(
        "markers",
        "lab(*presets, slow=False): run the test inside each emulated machine named (scripts/lab --help)",
    )
    target = config.getoption("lab_reports")
    config.pluginmanager.register(_Inside(config, Path(target)) if target else _Outside(config), "lab-side")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test per machine, named after the machine."""
    mark = metafunc.definition.get_closest_marker("lab")
    if mark is not None:
        metafunc.fixturenames.append(PARAMETER)
        metafunc.parametrize(PARAMETER, [pytest.param(name, id=name) for name in mark.args])


class _Inside:
    def __init__(self, config: pytest.Config, target: Path) -> None:
        self._config = config
        self._stream: IO[str] = target.open("w")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write each report at once: the guest may end before it has them all."""
        plain = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._stream.write(json.dumps(plain) + "\n")
        self._stream.flush()


class _Boot:
    """One machine with its tests, in a separate process."""

    def __init__(self, preset: str, items: list[pytest.Item]) -> None:
        self._timeout_s = SLOW_TIMEOUT_S if any(map(_is_slow, items)) else TIMEOUT_S
        # Removed with this object at the latest.
        self._folder = tempfile.TemporaryDirectory(prefix="pybench-lab-tests-")
        self._reports, self._output = (Path(self._folder.name) / name for name in (REPORTS, OUTPUT))
        options = ["-q", "--noconftest", "-p", "tests.lab.pytest_lab", *(f"-pno:{name}" for name in LEFT_OUT)]
        words = [sys.executable, "-m", "pytest", *options, "-o", "addopts=", f"--lab-reports=/mnt/{REPORTS}"]
        tests = shlex.join([*words, *(item.nodeid for item in items)])
        command = f"cd {shlex.quote(str(CHECKOUT))} && PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 {tests}"
        lab = [sys.executable, str(CHECKOUT / "scripts" / "lab"), "--preset", preset, "--share", self._folder.name]
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [*lab, "--timeout", str(self._timeout_s), "--", command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=end_with_parent(signal.SIGTERM),  # noqa: PLW1509 - no other thread here
            )

    def reports(self) -> tuple[list[dict[str, Any]], str]:
        """Wait for the machine's end; return its reports, and in words how it ended."""
        status = self._process.wait()
        how = f"out of time after {self._timeout_s} s" if status == TIMED_OUT else f"exit status {status}"
        printed = self._output.read_text(errors="replace")
        lines = self._reports.read_text().splitlines(keepends=True) if self._reports.exists() else []
        self._folder.cleanup()
        whole = [json.loads(line) for line in lines if line.endswith("\n")]
        return whole, f"{how}; what it printed:\n{printed}"

    def stop(self) -> None:
        """End the machine if it still runs."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._folder.cleanup()


class _Outside:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._reports: dict[str, dict[str, list[pytest.TestReport]]] = {}
        self._ends: dict[str, str] = {}
        self._boots: dict[str, _Boot] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Skip tests that cannot run here or are switched off."""
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
        """Report the test's result in the guest; the first test of a machine boots it for all."""
        preset = _preset(item)
        if preset is None or item.get_closest_marker("skip"):
            return None
        while preset not in self._reports:
            self._boot(item.session.items)
            self._await(preset if preset in self._boots else next(iter(self._boots)))
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._reports[preset].get(item.nodeid) or [self._lost(item, preset)]:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def pytest_sessionfinish(self) -> None:
        """Stop machines if the session ends early."""
        for boot in self._boots.values():
            boot.stop()

    def _boot(self, items: list[pytest.Item]) -> None:
        """Boot machines whose tests have not run yet, at most one per CPU at a time."""
        wanted: dict[str, list[pytest.Item]] = {}
        for item in items:
            if (preset := _preset(item)) and not item.get_closest_marker("skip"):
                wanted.setdefault(preset, []).append(item)
        for preset, tests in wanted.items():
            if len(self._boots) >= len(os.sched_getaffinity(0)):
                return
            if preset not in self._reports and preset not in self._boots:
                self._boots[preset] = _Boot(preset, tests)

    def _await(self, preset: str) -> None:
        reports, self._ends[preset] = self._boots.pop(preset).reports()
        found = self._reports.setdefault(preset, {})
        for plain in reports:
            report = self._config.hook.pytest_report_from_serializable(config=self._config, data=plain)
            found.setdefault(report.nodeid, []).append(report)

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
