# SPDX-License-Identifier: Apache-2.0
"""The workloads that can be swept: each module of this package with a WORKLOAD is one, found by being here.

A new workload is a module here and its C file or folder in csrc/workloads/.
"""

import importlib
import pkgutil

from pybench.errors import UsageError
from pybench.workloads.definition import Parameter, Params, Value, Workload

__all__ = ["SIMULATED", "WORKLOADS", "Parameter", "Params", "Value", "Workload", "workload"]


def _registered() -> dict[str, Workload]:
    modules = sorted(info.name for info in pkgutil.iter_modules(__path__))
    found = [getattr(importlib.import_module(f"{__name__}.{name}"), "WORKLOAD", None) for name in modules]
    return {kind.name: kind for kind in found if kind is not None}


WORKLOADS = _registered()
"""All workloads by name."""


SIMULATED = tuple(name for name, kind in WORKLOADS.items() if kind.simulation)
"""Names of the workloads that the simulator models."""


def workload(name: str) -> Workload:
    """Return the workload of that name. Raises UsageError naming the known ones."""
    if name not in WORKLOADS:
        raise UsageError(f"no workload {name!r}; there are {', '.join(WORKLOADS)}")
    return WORKLOADS[name]
