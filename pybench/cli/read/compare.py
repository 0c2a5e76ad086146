# SPDX-License-Identifier: Apache-2.0
"""Compare result files, or an axis of one, cell by cell."""

import os
import sys

import click
import msgspec

from pybench.errors import UsageError

# A larger margin for "same" means nothing.
MOST_WITHIN = 100.0


@click.command()
@click.argument("sides", nargs=-1, required=True, metavar="A [B ...]")
@click.option(
    "--axis",
    metavar="NAME",
    help="Compare along an axis of the files: a parameter (lock, strategy, hold_ns), place, smt, crew, threads, "
    "memory, or a fact of the host: host.cpu_model, host.kernel, host.microcode, host.governor, host.boost, "
    "host.hypervisor, host.huge_pages, host.pybench, or host.TOPIC.FACT as in a file's header.",
)
@click.option(
    "--base", metavar="VALUE", help="With --axis: compare the other values with VALUE. [its first value]"
)
@click.option(
    "--metric",
    "metric_text",
    metavar="LIST",
    help="Compare these metrics: throughput, p50, p99 or any other percentile (p99.9), max, jain (fairness), "
    "success (launch: share within the deadline), cpu (CPU time per operation). [throughput,p50,p99]",
)
@click.option(
    "--same-within",
    type=click.FloatRange(0, MOST_WITHIN, min_open=True),
    default=3.0,
    metavar="PERCENT",
    help="Call ratios within PERCENT of 1 the same. [3]",
)
@click.option(
    "--fail-if",
    "fail_if",
    multiple=True,
    metavar="'METRIC > N%'",
    help="Exit 1 if a cell of B differs from A by more: 'p99 > 5%', 'throughput < -3%'. Repeatable.",
)
@click.option("--fail-if-unsure", is_flag=True, help="Also exit 1 where --fail-if cannot be ruled out.")
@click.option("--emulated", is_flag=True, help="Also compare files of emulated machines, labelled.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(
    sides: tuple[str, ...],
    axis: str | None,
    base: str | None,
    metric_text: str | None,
    same_within: float,
    fail_if: tuple[str, ...],
    fail_if_unsure: bool,
    emulated: bool,
    as_json: bool,
) -> None:
    """Compare result files, or the values of an axis of one, cell by cell.

    Each of A, B, ... is a side: a file, or several sweeps of the same cells as FILE,FILE or a quoted pattern.
    Every side is compared with A. With --axis all files are pooled, each of them a sweep, and the values of the
    axis are the sides.

    \b
    pybench compare before.jsonl after.jsonl
    pybench compare a1.jsonl,a2.jsonl 'after-*.jsonl' --metric throughput,p99.9
    pybench compare sweep.jsonl --axis lock --base ticket
    pybench compare intel.jsonl amd.jsonl --axis host.cpu_model
    pybench compare before.jsonl after.jsonl --fail-if 'p99 > 5%'

    The output begins with the differences between the recorded environments, and lists cells without a partner.
    A ratio is that of the medians over valid trials. Its 95 % interval comes from the trials if each side is one
    sweep, or from the sweeps if there are several, so that it includes changes from sweep to sweep. Verdicts are
    corrected for all ratios of the run (Holm): faster, slower, same within 3 %, or not enough evidence, with the
    approximate number of further trials per side. Latencies are also compared as whole distributions.

    A --fail-if condition holds if the whole interval of some cell, corrected for all cells, lies beyond the bound.
    If an interval contains the bound, there is not enough evidence: the output reports it, and the exit status is
    0. With --fail-if-unsure it is 1, also for a cell without a partner.

    \b
    Exit status: 0  no condition holds
                 1  one does
                 2  the command or a file is wrong, or no cell has a partner
    """
    # Matrices are small: threads would wait for each other longer than they work, most of all on a busy host.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from pybench.analysis.comparison.cell_pairs import expand
    from pybench.analysis.comparison.compare import compare
    from pybench.analysis.comparison.conditions import parse_condition
    from pybench.results.columns import DEFAULT, metrics, read_columns
    from pybench.results.store import EMULATED_NOTE, check_emulated

    if base is not None and not axis:
        raise UsageError("--base names a value of an axis; add --axis, or put the base's file first")
    if fail_if_unsure and not fail_if:
        raise UsageError("--fail-if-unsure needs a condition; add --fail-if 'p99 > 5%'")
    if len(sides) < 2 and not axis:
        raise UsageError("a comparison needs two sides; name another file, or an --axis of this one")
    wanted = metrics(metric_text) if metric_text is not None else DEFAULT
    conditions = [parse_condition(text) for text in fail_if]
    files = [[read_columns(path) for path in paths] for paths in expand(sides)]
    labelled = check_emulated(((one.path, one.header.host) for side in files for one in side), emulated)
    compared = compare(
        files,
        axis=axis or "",
        base=base,
        metrics=wanted,
        same_within=same_within / 100,
        conditions=conditions,
    )
    if as_json:
        compared.notes += [EMULATED_NOTE] if labelled else []
        click.echo(msgspec.json.encode(compared).decode())
    else:
        from pybench.present.terminal.output import show
        from pybench.present.views.comparison import comparison

        show(comparison(compared, EMULATED_NOTE if labelled else ""))
    shown = any(judged.count("shown") for judged in compared.conditions)
    unsure = any(judged.count("unsure") for judged in compared.conditions)
    missing = any(pair.unmatched for pair in compared.pairs)
    if shown or (fail_if_unsure and (unsure or missing)):
        sys.exit(1)
