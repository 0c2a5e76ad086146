# SPDX-License-Identifier: Apache-2.0
"""A plan before it runs, and the first result of each cell while it does."""

from collections.abc import Sequence

from pybench.plan.lists import show_duration
from pybench.present import caveats
from pybench.present.document import Column, Content, Document, Figure, Paragraph, Table
from pybench.present.labels import threads_word
from pybench.present.numbers import count
from pybench.results.cells import settings, varying
from pybench.results.records import Plan, Trial
from pybench.text import format_list
from pybench.workloads import workload

# A longer list of CPUs is cut.
MOST_CPUS = 28


def plan_view(plan: Plan, lines: Sequence[str], title: str = "") -> Document:
    """Return the cells of a plan and why others are left out, below a title and above further lines."""
    names = [name for name in varying(plan.cells) if name not in ("place", "smt")]
    columns = [
        Column("workload"),
        Column("threads", "number"),
        *map(Column, ("place", "smt", *names, "CPUs")),
    ]
    rows: list[list[Content]] = []
    for cell in plan.cells:
        own = settings(cell)
        cpus = format_list(cell.cpus)
        cpus = cpus if len(cpus) < MOST_CPUS else f"{cpus[: MOST_CPUS - 4].rpartition(',')[0]},..."
        threads = Figure(cell.threads, mark="*") if cell.oversubscribed else cell.threads
        rows.append([cell.workload, threads, cell.place, cell.smt, *(own.get(name, "") for name in names), cpus])
    every = [*caveats.left_out(plan.left_out), *lines]
    return Document([Table("plan", columns, rows, title=title), *map(Paragraph, every)])


def first_result(trial: Trial, shown: Sequence[str]) -> str:
    """Return one line on a cell's first trial, before there can be an interval; `shown` names what varies."""
    kind = workload(trial.workload)
    own = {name: str(value) for name, value in trial.params.items()} | {"smt": trial.smt, "crew": trial.crew}
    varied = " ".join(f"{name}={own[name]}" for name in shown if name in own)
    where = f"{trial.workload:6} {threads_word(trial.threads):>10}  {trial.place}  {varied}".rstrip()
    if trial.figures is None:
        return f"  {where}: {trial.outcome.status}: {trial.outcome.reason}"
    flags = f"  (invalid: {', '.join(trial.flags)})" if trial.flags else ""
    return f"  {where}  {count(trial.figures.throughput)} {kind.operation}/s{flags}"


def budget_words(plan: Plan, least_ns: int, most_ns: int) -> str:
    """Return how many trials a plan has and how long it takes, in words."""
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
