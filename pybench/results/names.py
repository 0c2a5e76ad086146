# SPDX-License-Identifier: Apache-2.0
"""Names of result files: of new ones, and as text that every encoding has."""

import datetime
import os
import platform
from collections.abc import Iterable
from pathlib import Path

RESULTS = Path("results")


def new_name(what: str, where: str | None = None) -> Path:
    """Return a name for the result of a run that begins now; `where` is this host by default."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return RESULTS / f"{what}-{where or platform.node() or 'host'}-{stamp}.jsonl"


def text_of(name: str | Path) -> str:
    """Return a name as text. Bytes that are not UTF-8, which Linux allows in names, become U+FFFD."""
    return os.fsencode(name).decode(errors="replace")


def command_of(words: Iterable[str]) -> list[str]:
    """Return the words of a command line as text, for a file's header."""
    return [text_of(word) for word in words]
