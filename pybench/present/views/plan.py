# SPDX-License-Identifier: Apache-2.0
"""A plan before it runs, and the first figure of each cell while it does."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table

from pybench.plan.lists import show_duration
from pybench.present.labels import settings, threads_word, varying
from pybench.present.numbers import count
from pybench.results.records import Plan, Trial
from pybench.text import format_list
from pybench.workloads import workload


def plan_table(plan: Plan) -> RenderableType:
    """The cells of a plan before it runs."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False)
    columns = [name for name in varying(plan.cells) if name not in ("place", "smt")]
    for column in ("workload", "threads", "place", "smt", *columns, "CPUs"):
        table.add_column(column)
    for cell in plan.cells:
        own = settings(cell)
        cpus = format_list(cell.cpus)
        cpus = cpus if len(cpus) < 28 else f"{cpus[:24].rpartition(',')[0]},..."
        mark = "*" if cell.oversubscribed else ""
        row = [cell.workload, f"{cell.threads}{mark}", cell.place, cell.smt]
        table.add_row(*row, *(own.get(column, "") for column in columns), cpus)
    return table


def first_figure(trial: Trial, shown: Sequence[str]) -> str:
    """One line for a cell's first trial, before there can be an interval; `shown` names what varies."""
    kind = workload(trial.workload)
    own = {name: str(value) for name, value in trial.params.items()} | {"smt": trial.smt, "crew": trial.crew}
    varied = " ".join(f"{name}={own[name]}" for name in shown if name in own)
    where = f"{trial.workload:6} {threads_word(trial.threads):>10}  {trial.place}  {varied}".rstrip()
    if trial.figures is None:
        return f"  {where}: {trial.outcome.status}: {trial.outcome.reason}"
    flags = f"  ({', '.join(trial.flags)})" if trial.flags else ""
    return f"  {where}  {count(trial.figures.throughput)} {kind.operation}/s{flags}"


def budget_words(plan: Plan, least_ns: int, most_ns: int) -> str:
    """How long a plan takes, in words."""
    bounds = [min(ns, plan.budget_ns or ns) for ns in (least_ns, most_ns)]
    times = " to ".join(show_duration(ns) for ns in bounds)
    if plan.budget_ns:
        times += f" (budget {show_duration(plan.budget_ns)})"
    own_end = all(workload(cell.workload).typical_ns for cell in plan.cells)
    length = "" if own_end else f" of {show_duration(plan.duration_ns)}"
    return (
        f"{len(plan.cells)} cells, {plan.min_trials} to {plan.max_trials} trials{length} each, "
        f"until the interval is within {plan.target:.0%}: {times}"
    )
