# SPDX-License-Identifier: Apache-2.0
"""Read the kernel's text files below a root folder, and find the cgroups and cpusets of this process.

The root is `/` or a folder with another machine's captured files; both read alike.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pybench.text import parse_list, parse_mask, plural


class Tree:
    """The `sys` and `proc` files below one root; every path is relative to it, without a leading slash.

    A missing file reads as None, and so does a malformed one, which `odd` lists: most files are not needed to
    place threads, and others may hold the same. Messages show the root as `shown`: a capture file is unpacked
    elsewhere.
    """

    def __init__(self, root: Path, shown: Path | None = None) -> None:
        self.root = root
        self.shown = root if shown is None else shown
        self.live = root == Path("/")
        self._odd: dict[tuple[str, str], list[str]] = {}

    def is_dir(self, path: str) -> bool:
        """Return whether a folder of that name exists."""
        try:
            return (self.root / path).is_dir()
        except (OSError, ValueError):
            return False

    def text(self, path: str) -> str | None:
        """Return a file's text without surrounding white space and NULs, None if it cannot be read.

        Some kernels end lists with a NUL, and some collectors fill files with them.
        """
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace").strip(" \t\r\n\0")
        except (OSError, ValueError):  # a path from a damaged file may hold a NUL
            return None

    def names(self, folder: str) -> set[str]:
        """Return the names in a folder; none if there is no folder."""
        try:
            return {entry.name for entry in (self.root / folder).iterdir()}
        except (OSError, ValueError):
            return set()

    def integer(self, path: str) -> int | None:
        """Return the one whole number in a file."""
        text = self.text(path)
        if text is None:
            return None
        if re.fullmatch(r"-?[0-9]{1,18}", text):
            return int(text)
        self.malformed(path, f"{text[:40]!r} is not a whole number")
        return None

    def numbers(self, path: str) -> tuple[int, ...] | None:
        """Return the numbers of a file in the kernel's list format, ascending, each once."""
        text = self.text(path)
        return None if text is None else self.as_numbers(path, text)

    def mask(self, path: str) -> tuple[int, ...] | None:
        """Return the numbers of a file in the kernel's mask format, ascending."""
        text = self.text(path)
        return None if text is None else self.as_numbers(path, text, mask=True)

    def as_numbers(self, path: str, text: str, mask: bool = False) -> tuple[int, ...] | None:
        """Return the numbers of a list (or mask) found in the file at `path`, ascending, each once."""
        try:
            return parse_mask(text) if mask else tuple(sorted(set(parse_list(text))))
        except ValueError as error:
            self.malformed(path, str(error)[:80])
            return None

    def numbered(self, folder: str, prefix: str) -> list[int]:
        """Return N of every entry `prefixN` of a folder, ascending; empty if there is no folder."""
        pattern = re.compile(re.escape(prefix) + r"([0-9]{1,9})")
        found = (pattern.fullmatch(name) for name in self.names(folder))
        return sorted(int(match[1]) for match in found if match)

    def field(self, path: str, name: str) -> str | None:
        """Return the rest of the first line `name: rest` of a file such as `/proc/self/status`."""
        for line in (self.text(path) or "").splitlines():
            label, colon, rest = line.partition(":")
            if colon and label == name:
                return rest.strip()
        return None

    def malformed(self, path: str, why: str) -> None:
        """List a malformed file in `odd`."""
        alike = re.sub(r"[0-9]+", "N", path)
        paths = self._odd.setdefault((alike, " ".join(why.split())), [])
        if path not in paths:
            paths.append(path)

    @property
    def odd(self) -> list[str]:
        """Return a sentence on each malformed file, one for all files of a kind that are malformed alike."""
        return [
            f"/{paths[0]}: {why}" + (f" (and {plural(len(paths) - 1, 'file')} like it)" if paths[1:] else "")
            for (_, why), paths in self._odd.items()
        ]


CPUSET_HOLDERS = ("cgroup", "cgroup2", "cpuset")


class _Mount(NamedTuple):
    kind: str  # cgroup | cgroup2 | cpuset, the file system before cgroups
    point: PurePosixPath
    root: PurePosixPath
    options: Sequence[str]


def _unescape(text: str) -> PurePosixPath:
    return PurePosixPath(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text))


def _cgroup_mounts(tree: Tree) -> Iterator[_Mount]:
    text = tree.text("proc/self/mountinfo")
    mounts = tree.text("proc/mounts") if text is None else None
    for line in (mounts or "").splitlines():
        words = line.split()
        if len(words) >= 4 and words[2] in CPUSET_HOLDERS:
            yield _Mount(words[2], _unescape(words[1]), PurePosixPath("/"), words[3].split(","))
    if text is None and mounts is None:
        # The places where every distribution mounts them; a missing one costs one failed open.
        slash, usual = PurePosixPath("/"), PurePosixPath("/sys/fs/cgroup")
        yield _Mount("cgroup2", usual, slash, ())
        yield _Mount("cgroup", usual / "cpuset", slash, ("cpuset",))
        yield _Mount("cgroup", usual / "cpu", slash, ("cpu",))
    for line in (text or "").splitlines():
        before, dash, after = line.partition(" - ")
        left, right = before.split(), after.split()
        if dash and len(left) >= 5 and len(right) >= 3 and right[0] in CPUSET_HOLDERS:
            yield _Mount(right[0], _unescape(left[4]), _unescape(left[3]), right[2].split(","))


def _cgroup_paths(tree: Tree, controller: str) -> dict[str, PurePosixPath]:
    """Return the cgroup of this process in each kind of hierarchy that can hold the controller."""
    paths: dict[str, PurePosixPath] = {}
    text = tree.text("proc/self/cgroup")
    if text is None and controller == "cpuset" and (own := tree.text("proc/self/cpuset")):
        return dict.fromkeys(CPUSET_HOLDERS, PurePosixPath(own))
    for line in (text or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            paths["cgroup2"] = PurePosixPath(path)
        elif controller in controllers.split(","):
            paths["cgroup"] = paths["cpuset"] = PurePosixPath(path)
    return paths


def _folders(mount: _Mount, path: PurePosixPath) -> list[str]:
    """Return the folders from a process's own cgroup up to the mount point, as paths below the root."""
    inside = path.relative_to(mount.root) if path.is_relative_to(mount.root) else PurePosixPath()
    # A cgroup namespace shows ".." for a process outside it; then only the mount point is known.
    own = mount.point if ".." in inside.parts else mount.point / inside
    if not own.is_absolute() or ".." in own.parts:
        return []
    up = [own, *(parent for parent in own.parents if parent.is_relative_to(mount.point))]
    return [str(folder.relative_to("/")) for folder in up]


def cgroup_folders(tree: Tree, controller: str) -> list[str]:
    """Return the folders of this process's cgroups of a v1 controller and of v2, each followed by its ancestors.

    Paths are below the root. Cgroups that are not visible from here are left out.
    """
    own = _cgroup_paths(tree, controller)
    mounts = [
        mount
        for mount in _cgroup_mounts(tree)
        if mount.kind in own and (mount.kind == "cgroup2" or controller in mount.options)
    ]
    folders = [folder for mount in mounts for folder in _folders(mount, own[mount.kind])]
    return [folder for folder in dict.fromkeys(folders) if tree.is_dir(folder)]


def cpuset_files(tree: Tree) -> list[str]:
    """Return the cpuset file that governs this process in each cgroup hierarchy (v2, v1), where one exists.

    A cgroup without the cpuset controller is governed by the nearest one above it that has it.
    """
    older = ["effective_cpus", "cpus"]  # the cpuset file system, and cgroups mounted with `noprefix`
    names = {
        "cgroup2": ["cpuset.cpus.effective"],
        "cgroup": ["cpuset.effective_cpus", "cpuset.cpus", *older],
        "cpuset": older,
    }
    paths = _cgroup_paths(tree, "cpuset")
    found: list[str] = []
    for mount in _cgroup_mounts(tree):
        if mount.kind not in paths or (mount.kind == "cgroup" and "cpuset" not in mount.options):
            continue
        candidates = (f"{d}/{name}" for d in _folders(mount, paths[mount.kind]) for name in names[mount.kind])
        governing = next((path for path in candidates if tree.text(path)), None)
        if governing and governing not in found:
            found.append(governing)
    return found


def effective_cpuset(tree: Tree) -> tuple[int, ...] | None:
    """Return the CPUs that this process's cpusets allow, ascending; None if no cpuset can be read."""
    lists = [tree.numbers(path) for path in cpuset_files(tree)]
    known = [set(numbers) for numbers in lists if numbers is not None]
    return tuple(sorted(set.intersection(*known))) if known else None
