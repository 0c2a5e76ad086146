# SPDX-License-Identifier: Apache-2.0
"""Measure, simulate and compare how a Linux host behaves when every CPU wants the same lock.

    import pybench
    run = pybench.measure("spin", lock=["ticket", "mcs"], threads=[1, 2])  # or pybench.load("results/....jsonl")
    run.ratio(lock="mcs", over="ticket", threads=2)
    pybench.simulate("spin", machine="r5.metal", lock=["ticket", "mcs"], threads="1,2,4..max")
    run.to_frame("cells"); run.compare(pybench.load("other.jsonl")); run.chart()

docs/guides/python.md shows more. A name is imported when it is first used, so `import pybench` takes no time.
"""

import importlib
from typing import TYPE_CHECKING, Any

from pybench import _version

if TYPE_CHECKING:
    from pybench.api.calibrate import calibrate
    from pybench.api.comparison import Comparison
    from pybench.api.latency import latency
    from pybench.api.measure import Measured, measure
    from pybench.api.run import Ratio, Run, load
    from pybench.api.simulate import simulate
    from pybench.errors import BusyError, MeasurementError, PybenchError, UnsupportedError, UsageError
    from pybench.run.loop import Interrupted
    from pybench.stats.estimate import Interval

__all__ = [
    "BusyError",
    "Comparison",
    "Interrupted",
    "Interval",
    "Measured",
    "MeasurementError",
    "PybenchError",
    "Ratio",
    "Run",
    "UnsupportedError",
    "UsageError",
    "__version__",
    "calibrate",
    "latency",
    "load",
    "measure",
    "simulate",
]

__version__ = _version.VERSION

_MODULES = {
    "pybench.api.calibrate": ("calibrate",),
    "pybench.api.comparison": ("Comparison",),
    "pybench.api.latency": ("latency",),
    "pybench.api.measure": ("Measured", "measure"),
    "pybench.api.run": ("Ratio", "Run", "load"),
    "pybench.api.simulate": ("simulate",),
    "pybench.errors": ("BusyError", "MeasurementError", "PybenchError", "UnsupportedError", "UsageError"),
    "pybench.run.loop": ("Interrupted",),
    "pybench.stats.estimate": ("Interval",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            value = globals()[name] = getattr(importlib.import_module(module), name)
            return value
    raise AttributeError(f"module 'pybench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
