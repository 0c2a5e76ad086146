# SPDX-License-Identifier: Apache-2.0
"""How a Linux host behaves when every CPU wants the same lock.

    import pybench
    run = pybench.measure("spin", lock=["ticket", "mcs"], threads=[1, 2])  # or pybench.load("results/....jsonl")
    run.ratio(lock="mcs", over="ticket", threads=2)
    pybench.simulate("spin", machine="r5.metal", lock=["ticket", "mcs"], threads="1,2,4..max")
    run.to_frame("cells"); run.compare(pybench.load("other.jsonl")); run.chart()

docs/guides/python.md shows more. Names are imported when they are first used, so `import pybench` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

from pybench import _version

if TYPE_CHECKING:
    from pybench.api.compared import Comparison
    from pybench.api.measure import Measured, measure
    from pybench.api.run import Ratio, Run, load
    from pybench.api.simulate import simulate
    from pybench.errors import MeasurementError, PybenchError, UnsupportedError, UsageError
    from pybench.stats.estimate import Interval

__all__ = [
    "Comparison",
    "Interval",
    "Measured",
    "MeasurementError",
    "PybenchError",
    "Ratio",
    "Run",
    "UnsupportedError",
    "UsageError",
    "__version__",
    "load",
    "measure",
    "simulate",
]

__version__ = _version.VERSION

_WHERE = {
    "Interval": "pybench.stats.estimate",
    "Comparison": "pybench.api.compared",
    "Measured": "pybench.api.measure",
    "measure": "pybench.api.measure",
    "Ratio": "pybench.api.run",
    "Run": "pybench.api.run",
    "load": "pybench.api.run",
    "simulate": "pybench.api.simulate",
    "MeasurementError": "pybench.errors",
    "PybenchError": "pybench.errors",
    "UnsupportedError": "pybench.errors",
    "UsageError": "pybench.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'pybench' has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
