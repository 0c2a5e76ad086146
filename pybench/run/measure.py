# SPDX-License-Identifier: Apache-2.0
"""Sweeps of this host, from a plan or from a file that was interrupted, to results."""

from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pybench import native
from pybench.errors import UnsupportedError, UsageError
from pybench.host.facts import read_facts
from pybench.host.switches.journal import undisturbed
from pybench.host.topology import Topology, read_topology
from pybench.native.outcome import Outcome, TrialSpec
from pybench.plan.order import states_of, turns_switches
from pybench.results.records import Cell, End, Header, Plan, Trial
from pybench.results.store import Results, read
from pybench.run.loop import Interrupted, Observer, Ran, origin, run
from pybench.run.sweep import Sweep

if TYPE_CHECKING:
    from pybench.host.switches.controls import Controls


def measure_plan(
    plan: Plan,
    topology: Topology,
    *,
    path: Path | None = None,
    allow_host_changes: bool = False,
    resumable: bool = True,
    run_trial: Callable[[TrialSpec], Outcome] = native.run_trial,
    observer: Observer | None = None,
) -> Results:
    """Run a plan, into a new file if `path` names one.

    Raises UsageError if the plan turns switches of the host without leave, or the file cannot be made;
    UnsupportedError if this host can do none of it; MeasurementError if every trial failed; Interrupted, with the
    results so far, on Ctrl-C.
    """
    check_allowed(plan, allow_host_changes)
    check_supported(plan.cells, native.locks())
    header = Header(**origin(topology), plan=plan)
    with ExitStack() as stack:
        controls = stack.enter_context(_host(plan))
        sweep = Sweep(plan, topology=topology, controls=controls, run_trial=run_trial)
        go_on = f"pybench sweep --resume {path}" if resumable else ""
        return _results(
            header,
            path,
            [],
            lambda: run(sweep, header, path=path, go_on=go_on, host=stack.pop_all(), observer=observer),
        )


def resume(path: Path, *, allow_host_changes: bool = False, observer: Observer | None = None) -> Results:
    """Go on with the plan of a file where it stopped. Raises as `measure_plan` does, and UsageError if the file is
    of another host."""
    there = read(path)
    header = there.header
    _check_same_host(path, header)
    # The last end counts all that was before it; a sweep that was killed has none.
    seconds = max([sum(trial.seconds for trial in there.trials), *(end.seconds for end in there.ends)])
    check_allowed(header.plan, allow_host_changes)
    with ExitStack() as stack:
        topology = read_topology()
        controls = stack.enter_context(_host(header.plan))
        sweep = Sweep(header.plan, there.trials, seconds_before=seconds, topology=topology, controls=controls)
        return _results(
            header,
            path,
            there.ends,
            lambda: run(
                sweep,
                header,
                path=path,
                before=there.trials,
                resume_at=there.good_bytes,
                go_on=f"pybench sweep --resume {path}",
                host=stack.pop_all(),
                observer=observer,
            ),
        )


def _results(header: Header, path: Path | None, ends: Sequence[End], ran: Callable[[], Ran[Trial]]) -> Results:
    """Return what a run hands over as the results that its file holds."""
    where = path or Path(f"measured {header.created}")

    def made(of: Ran[Trial]) -> Results:
        return Results(where, header, of.trials, [*ends, of.end], truncated=False, good_bytes=0)

    try:
        return made(ran())
    except Interrupted as stop:
        raise Interrupted(made(stop.results)) from None


@contextmanager
def _host(plan: Plan) -> "Iterator[Controls | None]":
    """Hold the host while a plan runs: its switches if the plan turns any, else the lock that keeps others off."""
    if turns_switches(plan):
        # Few sweeps turn switches, and all would wait for this to load.
        from pybench.host.switches.controls import Controls

        with Controls(states_of(plan.cells)) as controls:
            yield controls
        return
    with undisturbed():
        yield None


def check_allowed(plan: Plan, allowed: bool) -> None:
    """Raise UsageError if a plan turns switches of the host without leave."""
    if turns_switches(plan) and not allowed:
        what = next(state.words() for state in states_of(plan.cells) if state.turned)
        raise UsageError(
            f"this turns switches of the whole host ({what}) and puts them back at the end; allow it with "
            "--allow-host-changes, or see them with --dry-run"
        )


def check_supported(cells: Sequence[Cell], locks: Container[str]) -> None:
    """Raise UnsupportedError if the core lacks a lock that a cell asks for."""
    for cell in cells:
        lock = cell.params.get("lock")
        if lock is not None and lock not in locks:
            raise UnsupportedError(f"the native core has no lock {lock!r}; build it again: pip install -e .")


def _check_same_host(path: Path, header: Header) -> None:
    if header.simulated:
        raise UsageError(f"{path} is simulated, and measurements do not go into it; simulate it again instead")
    here = read_facts()
    for topic, key in (("cpu", "model"), ("kernel", "release")):
        there = header.host.get(topic, {}).get(key)
        if here[topic][key] != there:
            raise UsageError(
                f"{path} was measured on {there!r}, this is {here[topic][key]!r}; results of two hosts do not go "
                "into one file: start a new sweep"
            )
