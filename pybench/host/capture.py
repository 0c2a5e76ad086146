# SPDX-License-Identifier: Apache-2.0
"""Pack the `sys` and `proc` files that describe a host into one .tar.gz, and read them on any machine."""

import gzip
import io
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pybench.errors import UsageError
from pybench.host.sysfs import Tree, cpuset_files

# Globs below the root. No file here holds a serial number, a host name or an address.
PATTERNS = (
    "sys/devices/system/cpu/*",
    "sys/devices/system/cpu/smt/*",
    "sys/devices/system/cpu/types/*/cpulist",
    "sys/devices/system/cpu/cpufreq/boost",
    "sys/devices/system/cpu/intel_pstate/*",
    "sys/devices/system/cpu/amd_pstate/status",
    "sys/devices/system/cpu/cpuidle/*",
    "sys/devices/system/cpu/cpu[0-9]*/online",
    "sys/devices/system/cpu/cpu[0-9]*/cpu_capacity",
    "sys/devices/system/cpu/cpu[0-9]*/topology/*",
    "sys/devices/system/cpu/cpu[0-9]*/cache/index[0-9]*/level",
    "sys/devices/system/cpu/cpu[0-9]*/cache/index[0-9]*/type",
    "sys/devices/system/cpu/cpu[0-9]*/cache/index[0-9]*/size",
    "sys/devices/system/cpu/cpu[0-9]*/cache/index[0-9]*/id",
    "sys/devices/system/cpu/cpu[0-9]*/cache/index[0-9]*/shared_cpu_*",
    "sys/devices/system/cpu/cpu[0-9]*/cpufreq/base_frequency",
    "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor",
    "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_driver",
    "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_m*_freq",
    "sys/devices/system/cpu/cpu[0-9]*/cpufreq/cpuinfo_m*_freq",
    "sys/devices/system/cpu/cpu[0-9]*/cpufreq/energy_performance_preference",
    "sys/devices/cpu_*/cpus",
    "sys/devices/system/node/*",
    "sys/devices/system/node/node[0-9]*/cpulist",
    "sys/devices/system/node/node[0-9]*/cpumap",
    "sys/devices/system/node/node[0-9]*/distance",
    "sys/devices/system/node/node[0-9]*/meminfo",
    "sys/devices/system/clocksource/clocksource[0-9]*/*_clocksource",
    "sys/devices/virtual/dmi/id/sys_vendor",
    "sys/devices/virtual/dmi/id/product_name",
    "sys/hypervisor/type",
    "sys/kernel/mm/transparent_hugepage/enabled",
    "proc/cpuinfo",
    "proc/meminfo",
    "proc/version",
    "proc/cmdline",
    "proc/loadavg",
    "proc/stat",
    "proc/irq/[0-9]*/effective_affinity_list",
    "proc/sys/fs/mount-max",
    "proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    "proc/sys/kernel/perf_event_paranoid",
    "proc/sys/kernel/unprivileged_userns_clone",
    "proc/sys/user/max_user_namespaces",
    "proc/self/cgroup",
    "proc/self/cpuset",
    "proc/self/mountinfo",
    "proc/self/status",
    "proc/sys/kernel/numa_balancing",
    "proc/sys/kernel/osrelease",
    "proc/sys/kernel/sched_autogroup_enabled",
)
# Write-only, or without meaning on another machine.
LEFT_OUT = {"probe", "release", "uevent", "modalias"}
MAX_CAPTURE_BYTES, MAX_CAPTURE_FILES = 64 << 20, 1 << 17


def capture(target: Path, sysroot: Path = Path("/")) -> int:
    """Write the files that describe the host below `sysroot` to `target`, a .tar.gz; return the number of files.

    Of `proc/self/mountinfo` only the cgroup lines are kept. The same files give the same bytes. Raises UsageError,
    and leaves no file behind, if `target` exists or cannot be written.
    """
    files = _files(Tree(sysroot))
    try:
        with target.open("xb") as stream:
            try:
                _write(stream, files)
            except BaseException:
                target.unlink()
                raise
    except FileExistsError:
        raise UsageError(f"{target} exists already", fix="name a new file or remove it first") from None
    except OSError as error:
        raise UsageError("cannot be written", subject=str(target), reason=error.strerror or "") from None
    return len(files)


def _files(tree: Tree) -> dict[str, bytes]:
    paths = {str(path.relative_to(tree.root)) for pattern in PATTERNS for path in tree.root.glob(pattern)}
    paths.update(cpuset_files(tree))
    files: dict[str, bytes] = {}
    for path in sorted(paths):
        if PurePosixPath(path).name in LEFT_OUT:
            continue
        try:
            files[path] = (tree.root / path).read_bytes()
        except OSError:
            continue  # a folder, or a file that this user or this kernel cannot read
    mounts = files.get("proc/self/mountinfo")
    if mounts is not None:
        kept = [line for line in mounts.splitlines(keepends=True) if b" - cgroup" in line]
        files["proc/self/mountinfo"] = b"".join(kept)
    return files


def _write(stream: io.BufferedWriter, files: dict[str, bytes]) -> None:
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@contextmanager
def open_sysroot(sysroot: Path) -> Iterator[Tree]:
    """Give the tree of `sys` and `proc` files in the folder or capture file `sysroot`.

    A capture file is unpacked into a temporary folder, which is removed when the block ends. Archives of other
    collectors may hold `sys` and `proc` in folders.
    Raises UsageError if `sysroot` is neither a folder nor a capture file, or holds several hosts.
    """
    if sysroot.is_dir():
        yield Tree(sysroot)
        return
    if not sysroot.is_file():
        raise UsageError("no such folder or capture file", subject=str(sysroot))
    with tempfile.TemporaryDirectory(prefix="pybench-sysroot-") as folder:
        root = Path(folder)
        try:
            _unpack(sysroot, root)
        except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError):
            raise UsageError(
                "not a capture file", subject=str(sysroot), fix="make one with `pybench topology --capture FILE`"
            ) from None
        yield Tree(_host_in(root, sysroot), shown=sysroot)


def _unpack(source: Path, root: Path) -> None:
    """Write the regular files of an archive below `root`, without links, devices and paths that lead outside."""
    total = 0
    with tarfile.open(source, mode="r:*") as archive:
        for count, member in enumerate(archive):
            total += member.size
            if total > MAX_CAPTURE_BYTES or count >= MAX_CAPTURE_FILES:
                limit = f"{MAX_CAPTURE_BYTES >> 20} MiB or {MAX_CAPTURE_FILES:,} files"
                raise UsageError(f"{source} unpacks to more than {limit}")
            parts = [part for part in PurePosixPath(member.name).parts if part not in ("/", "//", ".")]
            stream = archive.extractfile(member) if parts and member.isreg() else None
            if stream is None or ".." in parts or "\0" in member.name:
                continue
            target = root.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(stream.read())


def _host_in(root: Path, shown: Path) -> Path:
    """Return the outermost folder below `root` that holds a host's `sys`, else its `proc`; else `root`."""
    for inside in ("sys/devices/system/cpu", "sys", "proc"):
        found = [path.parents[inside.count("/")] for path in root.rglob(inside) if path.is_dir()]
        depth = min((len(path.parts) for path in found), default=0)
        outermost = sorted(path for path in found if len(path.parts) == depth)
        if len(outermost) > 1:
            names = " and ".join(str(path.relative_to(root)) for path in outermost[:2])
            raise UsageError(
                f"holds {len(outermost)} hosts",
                subject=str(shown),
                reason=names,
                fix="unpack it and name one folder",
            )
        if outermost:
            return outermost[0]
    return root
