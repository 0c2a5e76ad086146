# SPDX-License-Identifier: Apache-2.0
"""Sweeps of this host as benchmarks: `pytest --benchmark tests/benchmarks`. Skipped without the option.

Each is bounded by its budget, all together below two minutes.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pybench.pytest_plugin.sweeps import SweepFigures


@pytest.mark.sweep(
    workload="spin", lock=["ticket", "mcs", "qspinlock"], threads="1,2,4..max", smt=["on", "off"], budget="40s"
)
def test_spin(sweep: "SweepFigures") -> None:
    """More threads at one lock are never more work done."""
    most = sweep.values("threads")[-1]
    if most > 1:
        assert sweep.ratio(threads=most, over=1).low < 1


@pytest.mark.sweep(workload="mount", threads="1,2,4..max", budget="30s")
def test_mount(sweep: "SweepFigures") -> None:
    """Mounts go through global locks: never twice the rate for twice the threads."""
    for threads in sweep.values("threads")[1:]:
        assert sweep.ratio(threads=threads, over=1).low <= threads


@pytest.mark.sweep(workload="stat", threads="1,2,4..max", budget="30s")
def test_stat(sweep: "SweepFigures") -> None:
    """The control that should scale: it writes nothing shared."""
    most = sweep.values("threads")[-1]
    if most > 1:
        assert sweep.ratio(threads=most, over=1).high > 1
