# SPDX-License-Identifier: Apache-2.0
"""The guest's kernel and first programs: Debian packages, downloaded once into the user's cache, never installed.

apt checks a package against the archive's signature; what was unpacked is checked by its own sums at each boot.
"""

import fcntl
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab import LabError

KERNEL = "linux-image-cloud-amd64"
BUSYBOX = "busybox-static"
# Modules that the guest needs before it has a root: the file server, the overlay, and file systems for tests.
MODULES = ("virtio_pci", "virtio_blk", "virtiofs", "overlay", "crc32c_generic", "ext4", "loop")
SUMS = "sha256sums"


def cache() -> Path:
    """Return the folder of downloaded files."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pybench" / "lab"


def kernel_files() -> dict[str, bytes] | None:
    """Return the cached files by name; None if they are missing, or differ from what was written."""
    folder = cache() / "kernel"
    try:
        listed = [line.split("  ", 1) for line in (folder / SUMS).read_text().splitlines()]
        files = {name: (folder / name).read_bytes() for _, name in listed}
    except (OSError, ValueError):
        return None
    if any(hashlib.sha256(files[name]).hexdigest() != digest for digest, name in listed):
        return None
    return files if "vmlinuz" in files and "busybox" in files else None


def download() -> None:
    """Fill the cache unless it is full. Raises LabError."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise LabError(f"the guest's kernel comes from Debian's packages, and there is no {tool} here")
    with _locked(cache()):
        if kernel_files() is not None:
            return
        with tempfile.TemporaryDirectory(dir=cache(), prefix="new-") as scratch:
            _fill(Path(scratch))
            shutil.rmtree(cache() / "kernel", ignore_errors=True)
            (Path(scratch) / "kernel").rename(cache() / "kernel")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError:
        raise LabError(f"cannot write to {folder}; set XDG_CACHE_HOME to a folder of your own") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fill(scratch: Path) -> None:
    image = _newest_kernel()
    if image is None and os.geteuid() == 0:
        _call(["apt-get", "-q", "update"], scratch)
        image = _newest_kernel()
    if image is None:
        raise LabError(f"apt knows no package {KERNEL}: the lab needs Debian's archive, and `apt-get update`")
    _call(["apt-get", "-q", "download", image, BUSYBOX], scratch)
    for package in sorted(scratch.glob("*.deb")):
        _call(["dpkg-deb", "-x", str(package), "tree"], scratch)
    tree, made = scratch / "tree", scratch / "kernel"
    made.mkdir()
    shutil.copy(next(tree.glob("boot/vmlinuz-*")), made / "vmlinuz")
    shutil.copy(next(path for path in tree.glob("**/bin/busybox") if path.is_file()), made / "busybox")
    for index, module in enumerate(_with_dependencies(tree)):
        data = module.read_bytes()
        plain = lzma.decompress(data) if module.suffix == ".xz" else data
        (made / f"{index:02}-{module.name.removesuffix('.xz')}").write_bytes(plain)
    (made / "package").write_text(f"{image}\n")
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(made.iterdir())]
    (made / SUMS).write_text("".join(sums))


def _newest_kernel() -> str | None:
    found = subprocess.run(["apt-cache", "depends", KERNEL], capture_output=True, text=True, check=False)
    match = re.search(r"Depends: (linux-image-\S+)", found.stdout)
    return match[1] if match else None


def _call(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        ["timeout", "600", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise LabError(f"{' '.join(command)} failed: {''.join(last)}")


def _with_dependencies(tree: Path) -> list[Path]:
    """Return the files of MODULES and of what they need, dependencies first; built-in modules have none."""
    files = {path.name.partition(".")[0].replace("-", "_"): path for path in tree.glob("**/modules/**/*.ko*")}
    order: list[Path] = []

    def add(name: str) -> None:
        path = files.get(name.replace("-", "_"))
        if path is None or path in order:
            return
        data = path.read_bytes()
        text = lzma.decompress(data) if path.suffix == ".xz" else data
        match = re.search(rb"\0depends=([^\0]*)\0", text)
        for other in match[1].decode().split(",") if match else ():
            add(other)
        order.append(path)

    for name in MODULES:
        add(name)
    return order
