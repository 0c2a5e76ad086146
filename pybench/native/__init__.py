# SPDX-License-Identifier: Apache-2.0
"""The only access to the C core: one trial at a time, and the core's tables.

Importing this package does not load the core. The first call does, and raises UnsupportedError with the fix if the
core is not built.
"""

from pybench.native.library import (
    histogram_values,
    locks,
    mispredict_ns,
    phases,
    relax_ns,
    simulated_locks,
    workloads,
)
from pybench.native.outcome import Handoffs, LockInfo, Members, Outcome, Phase, TrialSpec
from pybench.native.trial import run_trial

__all__ = [
    "Handoffs",
    "LockInfo",
    "Members",
    "Outcome",
    "Phase",
    "TrialSpec",
    "histogram_values",
    "locks",
    "mispredict_ns",
    "phases",
    "relax_ns",
    "run_trial",
    "simulated_locks",
    "workloads",
]
