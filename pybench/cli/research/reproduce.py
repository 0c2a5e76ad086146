# SPDX-License-Identifier: Apache-2.0
"""pybench reproduce: the published findings, each looked at here, with a verdict."""

from pathlib import Path

import click


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
    from pybench.cli.run_reproduce import reproduce

    reproduce(
        only=only, page=html, output=output, budget=budget, seed=seed, details=details, force=force, quick=quick
    )
