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

# Nothing here depends on how busy the machine is, so no example is too slow.
hypothesis.settings.register_profile("pybench", deadline=None)
hypothesis.settings.load_profile("pybench")


def pytest_configure(config: pytest.Config) -> None:
    """Keep temporary files of tests that run side by side apart, as some look for what was left behind."""
    # Ignored in what a shell starts behind itself, and inherited by the commands that are to be interrupted here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "alone: it needs the machine for itself: scripts/test runs it last")
    if hasattr(config, "workerinput"):
        folder = tempfile.mkdtemp(prefix="pybench-tests-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        os.environ["TMPDIR"] = tempfile.tempdir = folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """An emulated machine takes all the CPUs there are."""
    for item in items:
        if item.path.parent.name == "lab":
            item.add_marker(pytest.mark.alone)


@pytest.fixture(scope="session")
def cpus() -> tuple[int, ...]:
    """The CPUs that this process may use, ascending."""
    return tuple(sorted(os.sched_getaffinity(0)))


@pytest.fixture(scope="session")
def two_cpus(cpus: tuple[int, ...]) -> tuple[int, int]:
    """CPUs for two members: the same one twice if there is no other."""
    return cpus[0], cpus[-1]


@pytest.fixture
def disk_path() -> Iterator[Path]:
    """A folder on a disk, wherever other temporary files are: scripts/test keeps those in memory."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder)
