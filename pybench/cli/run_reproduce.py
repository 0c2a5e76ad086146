# SPDX-License-Identifier: Apache-2.0
"""What `pybench reproduce` does once its options are read: look, print, keep."""

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


def reproduce(
    *,
    only: str | None,
    page: Path | None,
    output: Path | None,
    budget: str,
    seed: int,
    details: bool,
    force: bool,
    quick: bool,
) -> None:
    """Look at the findings in turn, and print and keep what came of it."""
    # Matrices are small: threads would wait for each other, and run beside trials.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    numbers = check_numbers(_numbers(only))
    seconds = duration_ns(budget) / 1e9
    if seconds < LEAST_BUDGET_S:
        raise UsageError(f"--budget {budget} is too short for any interval; give {LEAST_BUDGET_S:.0f}s or more")
    findings: list[Finding] = []
    interrupted = False
    with undisturbed():
        _check_outputs(page, output, force)
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
    if page:
        from pybench.cli.read.report import write_whole
        from pybench.findings.claims_page import render_account

        write_whole(page, render_account(account).encode())
        click.echo(f"page: {page}", err=True)
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
