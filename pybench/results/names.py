# SPDX-License-Identifier: Apache-2.0
"""Names of files where they become data: text that every encoding has."""

import os
from collections.abc import Iterable
from pathlib import Path


def text_of(name: str | Path) -> str:
    """A name as text. Bytes of it that are no UTF-8, which Linux allows, become U+FFFD."""
    return os.fsencode(name).decode(errors="replace")


def command_of(words: Iterable[str]) -> list[str]:
    """The words of a command line as text, for a file's header."""
    return [text_of(word) for word in words]
