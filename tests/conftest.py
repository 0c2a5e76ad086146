# SPDX-License-Identifier: Apache-2.0
"""Set up what all tests share."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

pytest_plugins = ["tests.lab.pytest_lab"]

# No test depends on the load of the machine, so no example is too slow.
# A landing is judged on the same examples each time; other runs look for new ones.
hypothesis.settings.register_profile(
    "pybench", deadline=None, max_examples=50, derandomize=bool(os.environ.get("CI"))
)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=500)  # --hypothesis-profile=thorough
hypothesis.settings.load_profile("pybench")


def pytest_configure(config: pytest.Config) -> None:
    """Give each worker its own folder for temporary files, as some tests look for what was left behind."""
    # A shell's background jobs ignore SIGINT, and commands that are to be interrupted here would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "alone: the test needs the machine for itself; scripts/test runs it last")
    if hasattr(config, "workerinput"):
        folder = tempfile.mkdtemp(prefix="pybench-tests-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        os.environ["TMPDIR"] = tempfile.tempdir = folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests in emulated machines as alone: as many machines boot at once as there are CPUs."""
    for item in items:
        if item.get_closest_marker("lab"):
            item.add_marker(pytest.mark.alone)


@pytest.fixture(scope="session")
def cpus() -> tuple[int, ...]:
    """Return the CPUs that this process may use, ascending."""
    return tuple(sorted(os.sched_getaffinity(0)))


@pytest.fixture(scope="session")
def two_cpus(cpus: tuple[int, ...]) -> tuple[int, int]:
    """Return CPUs for two members: the same one twice if there is no other."""
    return cpus[0], cpus[-1]


@pytest.fixture
def disk_path() -> Iterator[Path]:
    """Return a folder on a disk; scripts/test keeps other temporary files in memory."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder)
