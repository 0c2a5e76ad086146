# SPDX-License-Identifier: Apache-2.0
"""Read and write the kernel's CPU lists, write counted nouns, and make text printable."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

# Far above the 8,192 CPUs a kernel can be built for; keeps "0-99999999999" from filling the memory.
MAX_NUMBER = 1 << 16

# Unicode categories: control, format, surrogate, line and paragraph separator.
_STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")

_LIST_ITEM = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9})(?::([0-9]{1,9})/([0-9]{1,9}))?)?")

_MASK = re.compile(r"[0-9a-fA-F]{1,16}(,[0-9a-fA-F]{8})*")


def parse_list(text: str) -> tuple[int, ...]:
    """Return the numbers of a kernel list in the order written; `0-3,8-15:2/4` is 0 1 2 3 8 9 12 13.

    An empty list is empty, and so is `(null)`, which some kernels print for a mask that was never set.
    Raises ValueError, with the part that cannot be read, for anything else.
    """
    text = text.strip()
    if text in ("", "(null)"):
        return ()
    numbers: list[int] = []
    for item in text.split(","):
        numbers.extend(_list_item(item.strip()))
    return tuple(numbers)


def _list_item(item: str) -> Iterable[int]:
    match = _LIST_ITEM.fullmatch(item)
    if not match:
        raise ValueError(f"{item!r} is not a number or range")
    first, last, used, group = (None if part is None else int(part) for part in match.groups())
    assert first is not None
    if last is None:
        last = first
    if last < first:
        raise ValueError(f"{item!r} descends")
    if last >= MAX_NUMBER:
        raise ValueError(f"{item!r} is beyond {MAX_NUMBER - 1}")
    if used is None or group is None:
        return range(first, last + 1)
    if not 0 < used <= group:
        raise ValueError(f"{item!r} takes {used} of every {group}")
    return (number for number in range(first, last + 1) if (number - first) % group < used)


def parse_mask(text: str) -> tuple[int, ...]:
    """Return the numbers of the bits set in a kernel mask, ascending; `3,0000000f` is 0 1 2 3 32 33.

    Words of 32 bits in hexadecimal, highest first. An empty mask is empty. Raises ValueError for anything else.
    """
    text = text.strip()
    if text and not _MASK.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a mask")
    bits = int(text.replace(",", "") or "0", 16)
    if bits.bit_length() > MAX_NUMBER:
        raise ValueError(f"{text[:40]!r} is beyond bit {MAX_NUMBER - 1}")
    return tuple(number for number in range(bits.bit_length()) if bits >> number & 1)


def format_list(numbers: Iterable[int]) -> str:
    """Return numbers as a kernel list, in the order given: (24, 25, 26, 0) is `24-26,0`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def plural(number: int, noun: str) -> str:
    """Return `1 core` or `2 cores`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def named(noun: str, numbers: Sequence[int]) -> str:
    """Return `node 3` or `nodes 0-3,5`; nothing for no number."""
    if not numbers:
        return ""
    return f"{noun} {numbers[0]}" if len(numbers) == 1 else f"{noun}s {format_list(numbers)}"


def printable(text: str) -> str:
    """Return text, of whatever origin, with every character replaced that could steer a terminal."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in _STEERING else c for c in text)
