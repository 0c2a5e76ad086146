# SPDX-License-Identifier: Apache-2.0
"""The errors that end a run, each with its fields and its documented exit status."""


class PybenchError(Exception):
    """Base of every error that the command line reports in one line.

    `what` says what is wrong, or which step failed; `subject` names the file, option or CPU it failed on; `reason`
    says why; `fix` says what to do. As text they are `subject: what: reason; fix`, without the empty ones. Code
    that needs a part reads the field; the text is for people only.
    """

    exit_status = 1

    def __init__(self, what: str, *, subject: str = "", reason: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.subject = subject
        self.reason = reason
        self.fix = fix

    def __str__(self) -> str:
        problem = ": ".join(part for part in (self.subject, self.what, self.reason) if part)
        return f"{problem}; {self.fix}" if self.fix else problem


class UsageError(PybenchError):
    """The command or its input is wrong; `fix` names what to write instead."""

    exit_status = 2


class UnsupportedError(PybenchError):
    """This host cannot do what was asked for; `fix` names what it would need."""

    exit_status = 3


class MeasurementError(PybenchError):
    """A measurement was tried and failed."""

    exit_status = 4


class BusyError(PybenchError):
    """Another run measures on this host or has its switches turned; the same command may work later."""

    exit_status = 75
