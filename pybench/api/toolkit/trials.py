# SPDX-License-Identifier: Apache-2.0
"""Single trials without a sweep: what to run, on which CPUs, and its outcome."""

from pybench.native import TrialSpec, run_trial
from pybench.native.outcome import Crew, Outcome
from pybench.workloads import Value, workload

__all__ = ["Crew", "Outcome", "TrialSpec", "Value", "run_trial", "workload"]
