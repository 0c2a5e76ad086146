# SPDX-License-Identifier: Apache-2.0
"""Reproduce the published findings on mount storms, with a verdict for each."""

import os
import sys
import time
from pathlib import Path

import click
import msgspec

from pybench.errors import UnsupportedError, UsageError
from pybench.findings.claims import check_numbers, load_claims
from pybench.host.switches.journal import undisturbed
from pybench.outputs import write_whole
from pybench.plan.request import duration_ns

# A shorter budget leaves every result without an interval.
LEAST_BUDGET_S = 10.0


@click.command()
@click.option("--only", metavar="N,...", help="Findings to examine, by number. [all ten]")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Also write a page.")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Keep the records of every trial and the findings in this new folder.")  # fmt: skip
@click.option("--budget", default="100s", metavar="TIME", help="Approximate total time. [100s]")
@click.option("--seed", type=int, default=1, metavar="N", help="Seed of the order of trials and of the draws. [1]")
@click.option("--details", is_flag=True, help="Also print every check with its value.")
@click.option("--force", is_flag=True, help="Write over a page that pybench did not make.")
@click.option("--quick", is_flag=True, hidden=True)
def command(
    only: str | None,
    html: Path | None,
    output: Path | None,
    budget: str,
    seed: int,
    details: bool,
    force: bool,
    quick: bool,
) -> None:
    """Reproduce the published findings on mount storms, with a verdict for each.

    Ten findings were published on container launches with id-mapped mounts on large machines. This verb measures
    what this host can show, and simulates the rest from descriptions of the published machines (`pybench machine
    list`), over draws of all assumed numbers. Each verdict is one of

    \b
      reproduced         all of its checks hold, over their whole intervals
      not reproduced     one of its checks fails, over its whole interval
      cannot tell here   the evidence leaves it open; the reason follows

    Mounts are made in private mount namespaces, also as an ordinary user; nothing is left behind. As root, the
    kernel's own count of mount operations and lock waits is added.

    \b
    pybench reproduce
    pybench reproduce --only 2,10 --details
    pybench reproduce --html findings.html -o evidence/

    \b
    Exit status:
      0    examined, whatever the verdicts are
      2    the command is wrong
      3    this host could give no evidence at all
      130  interrupted; verdicts so far are printed
    """
    # Matrices are small: more threads would only wait for each other, and disturb trials.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    numbers = check_numbers(_numbers(only))
    seconds = duration_ns(budget) / 1e9
    if seconds < LEAST_BUDGET_S:
        raise UsageError(
            f"--budget {budget} is too short for any interval", fix=f"give {LEAST_BUDGET_S:.0f}s or more"
        )
    with undisturbed():
        _check_outputs(html, output, force)
        # Libraries that are slow to import, once the options are known to be right.
        from pybench.api.toolkit.documents import show
        from pybench.findings.account import examine_claims, verdicts

        claims = load_claims(numbers)
        began = time.monotonic()

        def tell(words: str) -> None:
            click.echo(f"{time.monotonic() - began:4.0f} s  {words}", err=True)

        account = examine_claims(claims, budget_s=seconds, seed=seed, keep=output, tell=tell, quick=quick)
    click.echo(err=True)
    show(verdicts(account, details=details))
    if output:
        write_whole(output / "findings.json", msgspec.json.format(msgspec.json.encode(account)) + b"\n")
        click.echo(f"kept in {output}", err=True)
    if html:
        from pybench.findings.findings_page import render_account

        write_whole(html, render_account(account))
        click.echo(f"page: {html}", err=True)
    if account.interrupted:
        click.echo("interrupted", err=True)
        sys.exit(130)
    if account.findings and not account.has_evidence:
        raise UnsupportedError("this host could give no evidence", fix="the reasons are above")


def _numbers(only: str | None) -> list[int]:
    if only is None:
        return []
    words = [word.strip() for word in only.split(",")]
    if not all(word.isdigit() for word in words):
        raise UsageError(f"invalid numbers of findings {only!r}", subject="--only", fix="write 2,10")
    return [int(word) for word in words]


def _check_outputs(page: Path | None, output: Path | None, force: bool) -> None:
    """Raise UsageError or UnsupportedError if an output cannot be written, before any measurement."""
    if page:
        from pybench.api.report import check_libraries, check_page

        check_libraries()
        check_page(page, force)
    if output:
        try:
            output.mkdir(parents=True)
        except FileExistsError:
            raise UsageError(f"{output} exists", fix="name a new folder with -o") from None
        except OSError as error:
            raise UsageError(
                f"cannot make {output}", reason=error.strerror or "", fix="name a writable place with -o"
            ) from None
