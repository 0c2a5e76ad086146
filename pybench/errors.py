# SPDX-License-Identifier: Apache-2.0
"""The ways a run can fail, each with its documented exit status.

A message is one line: what is wrong, and what to do about it.
"""


class PybenchError(Exception):
    """Base of every error that is told to the user in one line."""

    exit_status = 1


class UsageError(PybenchError):
    """Something the user asked for cannot be meant; the message names the fix."""

    exit_status = 2


class UnsupportedError(PybenchError):
    """This host cannot do it; the message names what it would need."""

    exit_status = 3


class MeasurementError(PybenchError):
    """The measurement was tried and failed."""

    exit_status = 4
