# SPDX-License-Identifier: Apache-2.0
"""Archives that the kernel unpacks at boot: "newc" (driver-api/early-userspace/buffer-format.rst of Linux)."""

import stat

DIRECTORY, FILE, LINK, DEVICE = stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK, stat.S_IFCHR
END = "TRAILER!!!"


class Archive:
    """An archive in memory."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._count = 0

    def add(
        self, name: str, kind: int, content: bytes = b"", mode: int = 0o755, device: tuple[int, int] = (0, 0)
    ) -> None:
        """Add one entry; a link's content is its target."""
        self._count += 1
        path = name.encode() + b"\0"
        fields = (self._count, kind | mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path), 0)
        self._put(b"070701" + "".join(f"{field:08X}" for field in fields).encode() + path)
        self._put(content)

    def _put(self, data: bytes) -> None:
        self._data += data
        self._data += b"\0" * (-len(self._data) % 4)

    def finish(self) -> bytes:
        """Close the archive and return it."""
        self.add(END, 0, mode=0)
        return bytes(self._data)
