# SPDX-License-Identifier: Apache-2.0
"""The locks of the core and their traits."""

from collections.abc import Sequence

from pybench.native.outcome import LockInfo
from pybench.present.document import Column, Content, Document, Table, note

COLUMNS = (
    Column("lock"),
    Column("family"),
    Column("space"),
    Column("fairness"),
    Column("waits by"),
    Column("NUMA"),
    Column("source"),
)


LEGEND = (
    "space: memory of a lock with n members. fairness: FIFO serves first come, first served; bounded lets no "
    "member wait forever. waits by: what a member does until it owns the lock. NUMA: the lock prefers members "
    "of the owner's domain (--domain)."
)


def lock_table(locks: Sequence[LockInfo]) -> Document:
    """Return one row per lock."""
    rows: list[list[Content]] = [
        [
            lock.name,
            # A blank where a narrow column may fold the word.
            lock.family.replace("-", "- "),
            *("-" if word == "none" else word for word in (lock.space, lock.fairness, lock.waiting)),
            "yes" if lock.numa else "-",
            lock.source,
        ]
        for lock in locks
    ]
    return Document([Table("locks", COLUMNS, rows), note(LEGEND)])
