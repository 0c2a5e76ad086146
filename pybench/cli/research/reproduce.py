# SPDX-License-Identifier: Apache-2.0
"""Reproduce the published findings on mount storms, with a verdict for each."""

import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from pybench.errors import UnsupportedError, UsageError
from pybench.findings.claims import check_numbers, load_claims
from pybench.host.switches.journal import undisturbed
from pybench.plan.lists import duration_ns

if TYPE_CHECKING:
    from pybench.findings.claim import Finding
    from pybench.findings.claims_report import Account

# Less gives no figure an interval.
LEAST_BUDGET_S = 10.0


@click.command()
@click.option("--only", metavar="N,...", help="Findings to look at, by number. [all ten]")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Also write a page.")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Keep the records of every trial, and the findings, in this new folder.")  # fmt: skip
@click.option("--budget", default="100s", metavar="TIME", help="About how long it may take in all. [100s]")
@click.option("--seed", type=int, default=1, metavar="N", help="Of the order of trials and of the draws. [1]")
@click.option("--details", is_flag=True, help="Print every check with its figure too.")
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
    """Look at the published findings on mount storms, and say of each whether it can be reproduced.

    Ten findings were published of container launches under id-mapped mounts on large machines. What this host can
    show is measured here; what needs machines that are not here is simulated from their descriptions (`pybench
    machines`), over draws of all numbers that are assumed. Each verdict is one of

    \b
      reproduced         every check of it holds, over its whole interval
      not reproduced     a check of it fails, over its whole interval
      cannot tell here   the evidence does not tell, or there is none here: why

    Mounts are made in private mount namespaces, also as an ordinary user; nothing is left behind. What root adds
    is the kernel's own count of mount operations and of waits for locks.

    \b
    pybench reproduce
    pybench reproduce --only 2,10 --details
    pybench reproduce --html findings.html -o evidence/

    \b
    Exit status:
      0    looked at, whatever the verdicts are
      2    the command is wrong
      3    this host could give no evidence at all
      130  interrupted; verdicts so far are printed
    """
    # Matrices are small: threads would wait for each other, and run beside trials.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    numbers = check_numbers(_numbers(only))
    seconds = duration_ns(budget) / 1e9
    if seconds < LEAST_BUDGET_S:
        raise UsageError(f"--budget {budget} is too short for any interval; give {LEAST_BUDGET_S:.0f}s or more")
    findings: list[Finding] = []
    interrupted = False
    with undisturbed():
        _check_outputs(html, output, force)
        # Libraries that take their time, after all that can be wrong is known not to be.
        from pybench.findings.claims_report import Account
        from pybench.findings.lab import Lab
        from pybench.findings.look import look
        from pybench.host.facts import read_facts
        from pybench.present.provenance import host_words

        claims = load_claims(numbers)
        began = time.monotonic()

        def tell(words: str) -> None:
            click.echo(f"{time.monotonic() - began:4.0f} s  {words}", err=True)

        lab = Lab(budget_s=seconds, seed=seed, keep=output, tell=tell, quick=quick)
        try:
            for claim in claims:
                finding = look(claim, lab)
                findings.append(finding)
                tell(f"finding {finding.number}: {finding.verdict}")
        except KeyboardInterrupt:
            interrupted = True
    account = Account(
        host=host_words(read_facts(), len(lab.topology.online)),
        findings=findings,
        seconds=time.monotonic() - began,
        seed=seed,
        quick=quick,
    )
    _show(account, details)
    if output:
        (output / "findings.json").write_bytes(msgspec.json.format(msgspec.json.encode(account)) + b"\n")
        click.echo(f"kept in {output}", err=True)
    if html:
        from pybench.cli.read.report import write_whole
        from pybench.findings.claims_page import render_account

        write_whole(html, render_account(account).encode())
        click.echo(f"page: {html}", err=True)
    if interrupted:
        click.echo("interrupted", err=True)
        sys.exit(130)
    if findings and not any(check.value for finding in findings for check in finding.checks):
        raise UnsupportedError("this host could give no evidence; the reasons are above")


def _show(account: "Account", details: bool) -> None:
    from pybench.findings.claims_report import finding_details, verdict_table
    from pybench.present.terminal.output import make_console

    console = make_console()
    click.echo(err=True)
    console.print(account.host, markup=False)
    for part in (verdict_table(account), *(map(finding_details, account.findings) if details else ())):
        console.print(part)


def _numbers(only: str | None) -> list[int]:
    if only is None:
        return []
    words = [word.strip() for word in only.split(",")]
    if not all(word.isdigit() for word in words):
        raise UsageError(f"--only {only!r}: write numbers of findings, such as 2,10")
    return [int(word) for word in words]


def _check_outputs(page: Path | None, output: Path | None, force: bool) -> None:
    """Raise before a minute is spent if what comes of it cannot be written."""
    if page:
        from pybench.cli.read.report import NEEDS, check_page

        if not all(map(find_spec, ("altair", "jinja2", "vl_convert"))):
            raise UnsupportedError(NEEDS)
        check_page(page, force)
    if output:
        try:
            output.mkdir(parents=True)
        except FileExistsError:
            raise UsageError(f"{output} exists; name a new folder with -o") from None
        except OSError as error:
            raise UsageError(f"cannot make {output}: {error.strerror}; name a writable place with -o") from None
