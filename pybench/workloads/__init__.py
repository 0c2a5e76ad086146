# SPDX-License-Identifier: Apache-2.0
"""The workloads that can be swept. To add one: a file here its line below, its C file in the core."""

from pybench.errors import UsageError
from pybench.workloads import launch, mount, spin, stat, transfer
from pybench.workloads.parameter import Parameter, Params, Value, Workload

__all__ = ["WORKLOADS", "Parameter", "Params", "Value", "Workload", "workload"]

WORKLOADS: dict[str, Workload] = {
    w.name: w for w in (launch.WORKLOAD, mount.WORKLOAD, spin.WORKLOAD, stat.WORKLOAD, transfer.WORKLOAD)
}


def workload(name: str) -> Workload:
    """The workload of that name. Raises UsageError naming those there are."""
    if name not in WORKLOADS:
        raise UsageError(f"no workload {name!r}; there are {', '.join(WORKLOADS)}")
    return WORKLOADS[name]
