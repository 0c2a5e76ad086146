# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin: the option `--benchmark`, the marker `sweep`, and the skips of tests without them.

Every pytest run of an environment that has pybench imports this file, so it imports nothing but pytest. The code
that measures is in `pybench.pytest_plugin.sweeps`, which is imported only with `--benchmark`.
"""

import os

import pytest

from pybench.pytest_plugin.messages import NO_PARALLEL

MARKER = (
    "sweep(workload, **axes): measure these cells with pybench, with --benchmark; the fixture `sweep` has the "
    "results. Axes: threads, place, smt, crew, and each parameter of the workload; how: duration, warmup, "
    "operations, target, trials, budget, seed, oversubscribe"
)
NEEDS_OPTION = "a sweep measures for seconds: add --benchmark"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's options."""
    group = parser.getgroup("pybench", "sweeps as benchmarks (pybench)")
    group.addoption(
        "--benchmark",
        action="store_true",
        dest="pybench_benchmark",
        help="Measure the tests marked `sweep`; without it they are skipped. Each cell is a benchmark of "
        "pytest-benchmark, whose options save and compare them.",
    )
    group.addoption(
        "--benchmark-strict",
        action="store_true",
        dest="pybench_strict",
        help="Fail a sweep that is inconclusive, instead of skipping it.",
    )
    group.addoption(
        "--benchmark-results",
        metavar="DIR",
        dest="pybench_results",
        help="Keep each sweep as a result file in DIR as well (pybench show, compare, fit).",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; with --benchmark, also the part that measures."""
    config.addinivalue_line("markers", MARKER)
    if not config.getoption("pybench_benchmark"):
        config.pluginmanager.register(WithoutOption(), "pybench-fixture")
        return
    if not config.pluginmanager.hasplugin("benchmark"):
        raise pytest.UsageError(
            "--benchmark needs pytest-benchmark: pip install pytest-benchmark (and no -p no:benchmark)"
        )
    from pybench.pytest_plugin.sweeps import WithOption

    config.pluginmanager.register(WithOption(config), "pybench-fixture")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip sweeps without --benchmark; with it, measure marked tests that do not name the fixture too."""
    reason = "" if config.getoption("pybench_benchmark") else NEEDS_OPTION
    if not reason and "PYTEST_XDIST_WORKER" in os.environ:
        reason = NO_PARALLEL
    for item in items:
        marker = item.get_closest_marker("sweep")
        # Another plugin may have a marker of that name; ours names a workload.
        if marker is None or "workload" not in marker.kwargs:
            continue
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
            continue
        from pybench.pytest_plugin.sweeps import core_time

        item.add_marker(pytest.mark.benchmark(timer=core_time))
        names = getattr(item, "fixturenames", None)
        if names is not None and "sweep" not in names:
            names.append("sweep")


class WithoutOption:
    """The fixture of a run without --benchmark: a test that asks for it without the marker is skipped too."""

    @pytest.fixture
    def sweep(self) -> None:
        """Return the results of the sweep that the marker `sweep` asks for; measured with --benchmark."""
        pytest.skip(NEEDS_OPTION)
