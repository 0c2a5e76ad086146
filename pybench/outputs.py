# SPDX-License-Identifier: Apache-2.0
"""The one writer of outputs: whole or not at all, never over an input, and only regular files."""

import os
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pybench.errors import UsageError

# First bytes of the files that keep measurements.
RESULTS = (b'{"kind":"header"', b'{"kind":"transfers"')


def check_output(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Check before long work that `path` may be written.

    Raises UsageError for a directory, device or pipe, for one of `inputs` under any name, and for a file of
    measurements.
    """
    try:
        present = path.stat()
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise _refused(path, error) from None
    if not stat.S_ISREG(present.st_mode):
        raise UsageError(f"{path} is not a regular file", fix="name a file")
    for one in inputs:
        with suppress(OSError):
            if os.path.samestat(one.stat(), present):
                raise UsageError(f"{path} is an input", fix="name another file")
    with suppress(OSError), path.open("rb") as file:
        if file.read(len(max(RESULTS, key=len))).startswith(RESULTS):
            raise UsageError(f"{path} holds measurements", fix="name another file, or remove it first")


def write_whole(path: Path, content: bytes | str, inputs: Iterable[Path] = ()) -> Path:
    """Write a file next to its place, move it there, and return the path; a link to a file stays a link.

    Raises UsageError as check_output(), and if the file cannot be written; nothing is left behind then.
    """
    check_output(path, inputs)
    begun: Path | None = None
    try:
        target = Path(os.path.realpath(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own length: the target's may be as long as names can be.
        descriptor, name = tempfile.mkstemp(prefix=".pybench-", dir=target.parent)
        begun = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), _mode(target))
            file.write(content.encode(errors="replace") if isinstance(content, str) else content)
        begun.replace(target)
        begun = None
    except (OSError, ValueError) as error:
        raise _refused(path, error) from None
    finally:
        if begun is not None:
            begun.unlink(missing_ok=True)
    return path


def _mode(target: Path) -> int:
    """Return the mode of the file that is replaced, or of a new one."""
    with suppress(OSError):
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _refused(path: Path, error: OSError | ValueError) -> UsageError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return UsageError(f"cannot write {path}", reason=reason, fix="name a writable place")
