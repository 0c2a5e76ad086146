"""Every test of the core leaves the host as it was: no process, mount, file descriptor, mapping or file."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import crew_tools
import pytest

from pybench import native


def _traces() -> dict[str, list[str]]:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    maps = Path("/proc/self/maps").read_text().splitlines()
    return {
        "mounts": [line for line in mounts if "pybench" in line or f" {tempfile.gettempdir()}" in line],
        "file descriptors": sorted(os.listdir("/proc/self/fd")),
        "shared mappings": [line for line in maps if "/dev/zero" in line],
        "temporary files": sorted(name for name in os.listdir(tempfile.gettempdir()) if name.startswith("pybench")),
        "crews": [str(pid) for pid in crew_tools.crew_of(os.getpid())],
    }


@pytest.fixture(autouse=True)
def leaves_no_trace() -> Iterator[None]:
    """Compare what a trial could leave behind before and after each test."""
    native.locks()
    before = _traces()
    yield
    after = _traces()
    assert after == before
