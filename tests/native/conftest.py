# SPDX-License-Identifier: Apache-2.0
"""Every test of the core leaves the host as it was: no process, mount, file descriptor, mapping or file."""

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybench import native
from tests.native import crew_tools

# Mounts of the core, by name and place; other mounts of the host come and go.
OURS = re.compile(r" pybench | /tmp(/[bcfxy](/\S*)?|/[dp]\d+)? ")


def _traces() -> dict[str, list[str]]:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    maps = Path("/proc/self/maps").read_text().splitlines()
    return {
        "mounts": [line for line in mounts if OURS.search(line)],
        "file descriptors": sorted(path.name for path in Path("/proc/self/fd").iterdir()),
        "shared mappings": [line for line in maps if "/dev/zero" in line],
        "temporary files": sorted(map(str, Path(tempfile.gettempdir()).glob(".pybench-*"))),
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
