# SPDX-License-Identifier: Apache-2.0
"""The lab: machines of other topologies, emulated on this machine's own file system; see docs/guides/lab.md.

Only the standard library is used, so that scripts/lab needs nothing but Python.
"""


class LabError(Exception):
    """The lab cannot do what was asked. The text is one line for the user; `status` is the exit status."""

    def __init__(self, text: str, status: int = 3) -> None:
        super().__init__(text)
        self.status = status
