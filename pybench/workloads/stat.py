# SPDX-License-Identifier: Apache-2.0
"""stat: path walks alone; the control that should scale."""

from pybench.workloads.definition import Parameter, Workload

WORKLOAD = Workload(
    name="stat",
    kernel_memory=True,
    by_default=True,
    control=True,
    summary="path walks alone: the control that should scale",
    operation="stat calls",
    latency="stat",
    parameters=(
        Parameter(name="depth", default=1, high=32, help="folders on the way to the file"),
        Parameter(
            name="file",
            default="private",
            choices=("private", "shared"),
            help="a file for each thread, or one for all (its reference count is then contended)",
        ),
    ),
)
