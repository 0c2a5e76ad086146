# SPDX-License-Identifier: Apache-2.0
"""A sweep from Python: planned for this host, measured, and kept if a path is given."""

import datetime
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pybench import native
from pybench._version import VERSION
from pybench.api.run import Run
from pybench.errors import UnsupportedError
from pybench.host.facts import read_facts
from pybench.host.switches.journal import undisturbed
from pybench.host.topology import read_topology
from pybench.native.outcome import Outcome, TrialSpec
from pybench.plan.cells import check_supported
from pybench.plan.portable import Missing, Portable, plan_portable
from pybench.results.names import command_of
from pybench.results.records import Header, Trial
from pybench.results.store import Results, Writer
from pybench.run.sweep import Sweep


class Measured(Run):
    """A run that was just measured."""

    def __init__(self, results: Results, portable: Portable) -> None:
        super().__init__([results], portable.aliases)
        self.portable = portable
        self.missing: list[Missing] = portable.missing
        """Values of the axes that this host does not have, each with the reason; their cells are left out."""


def measure(
    workload: str | Sequence[str],
    *,
    output: str | Path | None = None,
    run_trial: Callable[[TrialSpec], Outcome] | None = None,
    **axes: Any,
) -> Measured:
    """Measure every combination of the axes, and keep it in the file `output` if one is named.

    Axes: threads, place, smt, crew, and any parameter of the workload, each a value or a list. How: duration
    ("50ms"), warmup ("10ms"), target (0.05), trials ((6, 20), or the least), budget, operations, seed,
    oversubscribe. What this host lacks (SMT siblings, a second socket, CPUs for so many threads) is left out and
    named in `missing`.

    Raises UsageError for what cannot be meant, UnsupportedError if this host can do none of it, and
    MeasurementError if every trial failed.
    """
    topology = read_topology()
    portable = plan_portable(topology, workload, **axes)
    plan = portable.plan
    if plan is None:
        raise UnsupportedError("; ".join(f"{m.axis}={m.value}: {m.reason}" for m in portable.missing))
    check_supported(plan.cells, native.locks())
    header = Header(
        pybench=VERSION,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=command_of(sys.argv),
        host=read_facts(),
        topology=topology.to_dict(),
        plan=plan,
    )
    sweep = Sweep(plan, topology=topology, run_trial=run_trial or native.run_trial)
    trials: list[Trial] = []
    with ExitStack() as stack:
        stack.enter_context(undisturbed())
        writer = stack.enter_context(Writer(Path(output), resumable=False)) if output else None
        if writer:
            writer.write(header)
        for trial in sweep.trials():
            trials.append(trial)
            if writer:
                writer.write(trial)
        end = sweep.end()
        if writer:
            writer.write(end)
    sweep.raise_if_nothing_measured(trials)
    path = Path(output) if output else Path(f"measured {header.created}")
    results = Results(path=path, header=header, trials=trials, ends=[end], truncated=False, good_bytes=0)
    return Measured(results, portable)
