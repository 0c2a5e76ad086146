# SPDX-License-Identifier: Apache-2.0
"""Options that several verbs share, and the --help that keeps the workloads' parameters apart."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from pybench.workloads import WORKLOADS

AnyFunction = Callable[..., Any]

path = click.Path(path_type=Path)
threads_option = click.option(
    "--threads", metavar="LIST", help="Run with these thread counts: 1,2,4..max or 1..8. [1,2,4..max]"
)
place_option = click.option(
    "--place",
    "places",
    multiple=True,
    metavar="WORDS,...",
    help="Run on these placements (see pybench topology). [single-socket, and dual-socket if there are two]",
)
smt_option = click.option(
    "--smt",
    metavar="on,off,off:kernel",
    help="Use SMT siblings, leave them idle, or turn SMT off by the kernel's switch. [on, and off if any]",
)
param_option = click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=V,...",
    help="Vary any parameter; mount.NAME only that of one workload.",
)
oversubscribe_option = click.option(
    "--oversubscribe", is_flag=True, help="Allow more threads than CPUs; mark those cells."
)
seed_option = click.option(
    "--seed", type=int, metavar="N", help="Seed the order of trials. [random, and recorded]"
)
report_option = click.option(
    "--report/--no-report",
    default=None,
    help="Write an HTML page of the results next to them. [yes, unless -o names the file]",
)
output_option = click.option(
    "-o", "--output", type=path, metavar="FILE", help="Write results to FILE, a new one. [results/...jsonl]"
)


def option_of(name: str) -> str:
    """Return the option of a parameter."""
    return f"--{name.replace('_', '-')}"


def parameter_options(
    kinds: Sequence[str] = tuple(WORKLOADS),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds an option for each parameter of the workloads `kinds`, one per name."""

    def decorate(function: AnyFunction) -> AnyFunction:
        for name in {p.name: p for kind in kinds for p in WORKLOADS[kind].parameters}:
            function = click.option(option_of(name), f"param_{name}")(function)
        return function

    return decorate


class SectionedCommand(click.Command):
    """A command whose --help lists the workloads' parameters apart from its own options."""

    kinds = tuple(WORKLOADS)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verb's own options, then the parameters of each workload."""
        own = [
            p
            for p in self.get_params(ctx)
            if isinstance(p, click.Option) and not (p.name or "").startswith("param_")
        ]
        with formatter.section("Options"):
            formatter.write_dl([r for p in own if (r := p.get_help_record(ctx))], col_max=26)
        for kind in (WORKLOADS[name] for name in self.kinds):
            with formatter.section(f"Parameters of {kind.name}"):
                formatter.write_text(kind.summary)
                rows = [
                    (f"{option_of(p.name)} {p.metavar},...", f"{p.help} [{p.default}]") for p in kind.parameters
                ]
                formatter.write_dl(rows, col_max=26)
