# SPDX-License-Identifier: Apache-2.0
"""Words of the command line that stand for lists of values: thread counts and durations."""

import re

from pybench.errors import UsageError

# A thousand hours: what is beyond it is a slip.
LONGEST_NS = 1000 * 3600 * 10**9
# As many members as the core takes.
MOST_THREADS = 4096
UNITS_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def duration_ns(text: str) -> int:
    """`200ms`, `2m`, `1.5s` in ns, from 1 to LONGEST_NS. Raises UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s|m|h)", text.strip())
    if not match or float(match[1]) == 0:
        raise UsageError(f"invalid duration {text!r}; write 200ms, 1.5s or 2m")
    ns = float(match[1]) * UNITS_NS[match[2]]
    if not 1 <= ns <= LONGEST_NS:
        raise UsageError(f"{text!r} is out of range: write 1ns to {LONGEST_NS // UNITS_NS['h']}h")
    return round(ns)


def warmup_ns(text: str) -> int:
    """A duration in ns that may be none: `0`. Raises UsageError."""
    return 0 if text in ("0", "0ms", "0s") else duration_ns(text)


def show_duration(ns: float) -> str:
    """A duration for people: `850 ms`, `12 s`, `2 min 05 s`."""
    if ns < 1e9:
        return f"{ns / 1e6:.0f} ms"
    seconds = round(ns / 1e9)
    return f"{seconds} s" if seconds < 100 else f"{seconds // 60} min {seconds % 60:02d} s"


def thread_counts(text: str, most: int) -> list[int]:
    """Thread counts, ascending, from words such as `1,2,4..max`, `1..8`, `1,3..15`, `max`.

    `a..b` continues what stands before it: three listed counts with one ratio go on doubling (or as that ratio
    says), two or more with one step go on by that step, a lone `a..b` counts by one. `b` itself is always in.
    `max` is `most`, the number of CPUs that the placement gives. Raises UsageError, also beyond MOST_THREADS.
    """
    counts: list[int] = []
    for word in text.replace(" ", "").split(","):
        first, dots, last = word.partition("..")
        counts.append(_count(first, most, text))
        if dots:
            counts += _continue(counts, _count(last, most, text), text)
    return sorted(set(counts))


def _shown(text: str) -> str:
    return f"--threads {text[:40]!r}"


def _count(word: str, most: int, text: str) -> int:
    if word == "max":
        return most
    if not word.isdecimal() or not word.strip("0"):
        raise UsageError(f"invalid thread count {word!r}", subject=_shown(text), fix="write 1,2,4..64")
    # The length first: of very long ones no number is made.
    if len(word) > 9 or int(word) > MOST_THREADS:
        raise UsageError(f"{word[:20]} is too many", subject=_shown(text), fix=f"write 1 to {MOST_THREADS}")
    return int(word)


def _continue(counts: list[int], last: int, text: str) -> list[int]:
    current = counts[-1]
    if last < current:
        if not text.replace(" ", "").endswith("max"):
            raise UsageError(f"{current}..{last} descends", subject=_shown(text), fix=f"write {last}..{current}")
        # `1,2,4..max` where max is small: what is beyond it is not meant.
        counts[:] = [count for count in counts if count <= last]
        return [last]
    step, ratio = 1, 0.0
    if len(counts) >= 2:
        step = counts[-1] - counts[-2]
    if len(counts) >= 3 and counts[-1] * counts[-3] == counts[-2] ** 2 and counts[-1] > counts[-2]:
        ratio = counts[-1] / counts[-2]
    if step < 1:
        raise UsageError("counts must ascend before '..'", subject=_shown(text))
    more = []
    while (current := round(current * ratio) if ratio else current + step) < last:
        more.append(current)
    return [*more, last]
