# SPDX-License-Identifier: Apache-2.0
"""Advise which hosts and settings meet a workload, and what to change first."""

from pathlib import Path

import click


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--machine", "machines", multiple=True, metavar="NAME|FILE,...", help="Machines to simulate.")
@click.option(
    "--containers", type=click.IntRange(1, 1_000_000), default=100, help="Containers requested at once. [100]"
)
@click.option("--layers", type=click.IntRange(1, 500), default=50, help="Layers of the image. [50]")
@click.option(
    "--passes", type=click.IntRange(1, 10), default=1, help="Number of times each root is assembled. [1]"
)
@click.option("--strategy", default="binds,fds,parent,plain", metavar="NAME,...",
              help="Assembly strategies; the first is the present one. [binds,fds,parent,plain]")  # fmt: skip
@click.option("--deadline", default="30s", metavar="TIME", help="Deadline of each launch, from its request. [30s]")
@click.option("--budget", default="60s", metavar="TIME",
              help="Time for simulations; ten draws must fit. [60s]")  # fmt: skip
@click.option("--seed", type=int, default=1, metavar="N", help="Seed of the draws. [1]")
def command(
    files: tuple[Path, ...],
    machines: tuple[str, ...],
    containers: int,
    layers: int,
    passes: int,
    strategy: str,
    deadline: str,
    budget: str,
    seed: int,
) -> None:
    """Advise which hosts and settings meet a launch workload, with what margin, and what to change first.

    FILES are results with launches (`pybench launch`, `pybench simulate`). Machines are simulated from their
    descriptions (`pybench machine list`). Each line says whether it is measured or simulated. A launch meets the
    workload if the slowest (99th percentile) stays within the deadline over the whole interval. Results for other
    numbers of containers or layers are extrapolated at most 4-fold, by a power of them that the table names.

    \b
    pybench advise results/launch.jsonl --containers 200 --layers 50
    pybench advise --machine r5.metal,m7i.metal-24xl --containers 200 --passes 2
    pybench advise results/*.jsonl --machine r5.metal --containers 150
    """
    from pybench.errors import UsageError
    from pybench.plan.request import duration_ns
    from pybench.workloads.launch import STRATEGIES

    names = [name.strip() for text in machines for name in text.split(",") if name.strip()]
    if not files and not names:
        raise UsageError(
            "no input", fix="name result files with launches, or --machine NAME (pybench machine list)"
        )
    strategies = [word.strip() for word in strategy.split(",")]
    for word in strategies:
        if word not in STRATEGIES:
            raise UsageError(f"unknown strategy {word!r}", fix=f"choose from {', '.join(STRATEGIES)}")
    deadline_ns, budget_ns = duration_ns(deadline), duration_ns(budget)
    # Libraries that are slow to import, once the options are known to be right.
    from pybench.api.toolkit.documents import show
    from pybench.api.toolkit.result_files import read
    from pybench.findings.advice.advice_document import advice
    from pybench.findings.advice.options import Demand, Option, options_of, simulated_options

    demand = Demand(containers=containers, layers=layers, passes=passes, deadline_ns=float(deadline_ns))
    options: list[Option] = []
    left_out: list[str] = []
    for path in files:
        found, reasons = options_of(read(path), demand, strategies)
        options += found
        left_out += reasons
    if names:
        options += simulated_options(names, demand, strategies, seconds=budget_ns / 1e9, seed=seed)
    show(advice(options, left_out, demand, strategies[0]))
