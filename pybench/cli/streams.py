# SPDX-License-Identifier: Apache-2.0
"""Standard output that outlasts its reader: a sweep piped to `head -1` goes on, with its own status."""

import io
import os
import sys
from typing import Any, TextIO

from pybench.errors import UsageError


class _Lasting(io.FileIO):
    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            # What is left in buffers must not fail again at the end.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if not isinstance(error, BrokenPipeError):
                raise UsageError(f"cannot write: {error.strerror}") from None
            return memoryview(data).nbytes


def outlast() -> None:
    """From now on drop what is printed to a reader that went away; a full disk is a UsageError."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        # Not what somebody put in its place.
        if stream is None or stream is not getattr(sys, f"__{name}__"):
            continue
        stream.flush()
        setattr(sys, name, _lasting(stream))


def _lasting(stream: TextIO) -> TextIO:
    assert isinstance(stream, io.TextIOWrapper)
    return io.TextIOWrapper(
        io.BufferedWriter(_Lasting(stream.fileno(), "wb", closefd=False)),
        encoding=stream.encoding,
        # A name of a file that is no UTF-8 goes out as it came in.
        errors="surrogateescape" if stream.errors == "strict" else stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
