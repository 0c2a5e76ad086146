# SPDX-License-Identifier: Apache-2.0
"""A kernel that lacks something, played by a filter of system calls: a call is refused, or done without an effect.

As a program it runs the command line behind such filters:

    python refusals.py open_tree=ENOSYS launch --quick
"""

import ctypes
import errno
import platform
import struct
import sys

NUMBERS = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "mount_setattr": 442,
    "fchown": 55 if platform.machine() == "aarch64" else 93,
}
# Second argument of the refused calls; the same call with another one is let through.
SECOND = {"fsconfig:fd": 5, "fsconfig:create": 6}
LOAD, IF_EQUAL, RETURN = 0x20, 0x15, 0x06
AT_NUMBER, AT_SECOND = 0, 24
REFUSE, ALLOW = 0x00050000, 0x7FFF0000
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, MODE_FILTER = 22, 38, 2


def refuse(call: str, code: int) -> None:
    """Let this thread and all it forks meet `code` at that call; 0 says that it went well, and does nothing."""
    steps = [(LOAD, 0, 0, AT_NUMBER), (IF_EQUAL, 0, 3 if call in SECOND else 1, NUMBERS[call.partition(":")[0]])]
    if call in SECOND:
        steps += [(LOAD, 0, 0, AT_SECOND), (IF_EQUAL, 0, 1, SECOND[call])]
    steps += [(RETURN, 0, 0, REFUSE | code), (RETURN, 0, 0, ALLOW)]
    code_of = b"".join(struct.pack("HBBI", *step) for step in steps)
    memory = ctypes.create_string_buffer(code_of)
    program = struct.pack("H6xQ", len(steps), ctypes.addressof(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, MODE_FILTER, program, 0, 0):
        raise OSError(ctypes.get_errno(), "no filters of system calls here")


if __name__ == "__main__":
    from pybench.cli import main

    while "=" in sys.argv[1]:
        name, _, error = sys.argv.pop(1).partition("=")
        refuse(name, 0 if error == "0" else getattr(errno, error))
    main()
