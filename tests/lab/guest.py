# SPDX-License-Identifier: Apache-2.0
"""Boot a machine in QEMU on this machine's files, run a command in it, and leave nothing behind."""

import ctypes
import fcntl
import os
import platform
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.lab import LabError, bytecode, cpio
from tests.lab.kernel import download, kernel_files
from tests.lab.machines import Machine, apic_table, qemu_arguments

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
QEMU = "qemu-system-x86_64"
FILE_SERVERS = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd")
# The models EPYC and max lose SMT under emulation. This one has the instructions that Debian's programs use.
CPU = "Cascadelake-Server"
# Time in a guest is not real, so the kernel must not take its jumps for faults.
KERNEL_WORDS = "console=ttyS0 panic=-1 tsc=reliable nokaslr nowatchdog mitigations=off random.trust_cpu=on"
# Exit statuses of the lab; the first is that of timeout(1).
TIMED_OUT, NO_STATUS = 124, 125
DISK_BYTES = 256 << 20
FOLDER = "pybench-lab-"
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Job:
    """Shell text to run, and the folders and disks that the guest may write."""

    command: str
    timeout_s: float = 120
    share: Path | None = None  # read and written at /mnt
    disk: Path | None = None  # an image with ext4, made if it is not there; at /disk
    kernel_words: str = ""
    emulator_threads: str = "single"  # "multi": guest CPUs run on threads of their own


def why_not(fetch: bool = False) -> str | None:
    """Return in one line why no guest can be booted here, None if one can. `fetch` downloads a missing kernel."""
    if platform.machine() != "x86_64":
        return f"the lab emulates x86-64 on the machine's own files, and this is {platform.machine()}"
    if os.geteuid() != 0:
        return "the lab needs root, to serve this machine's files read-only to the guest; run it with sudo"
    if shutil.which(QEMU) is None or _file_server() is None:
        return "the lab needs QEMU and virtiofsd; install them: scripts/lab --setup"
    if kernel_files() is None:
        if not fetch:
            return "the lab's kernel is not in the cache yet; get it: scripts/lab --setup"
        download()
    return None


def _file_server() -> str | None:
    return next((path for path in FILE_SERVERS if os.access(path, os.X_OK)), None)


def run(machine: Machine, job: Job, stdout: IO[bytes] | int | None = None) -> int:
    """Run the job on the machine and return its exit status, or TIMED_OUT, or NO_STATUS.

    Output, stdout and stderr together, goes to `stdout`, by default this process's. Raises LabError.
    """
    reason = why_not(fetch=True)
    if reason:
        raise LabError(reason)
    with _folder() as folder, ExitStack() as running:
        return _boot(machine, job, folder, running, stdout)


@contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder for one boot. Remove those of boots that were killed: no process holds their lock."""
    base = Path(tempfile.gettempdir())
    for old in base.glob(f"{FOLDER}*"):
        try:
            with (old / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(old)
        except OSError:
            continue
    folder = Path(tempfile.mkdtemp(prefix=FOLDER))
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            _remove(folder)


def _remove(folder: Path) -> None:
    """Remove one level only: below `root` the file server sees the whole machine in its mount namespace."""
    for path in folder.iterdir():
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
    folder.rmdir()


def _boot(machine: Machine, job: Job, folder: Path, running: ExitStack, stdout: IO[bytes] | int | None) -> int:
    files = kernel_files() or {}
    (folder / "vmlinuz").write_bytes(files["vmlinuz"])
    (folder / "initrd").write_bytes(_firmware(machine) + _first_files(files, _script(machine, job)))
    words = f"{KERNEL_WORDS} pybench.lab={machine.name} {job.kernel_words}"
    arguments = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-cpu", CPU]
    arguments += ["-machine", "q35,usb=off", "-accel", f"tcg,thread={job.emulator_threads},tb-size=256"]
    arguments += [*qemu_arguments(machine), "-device", "virtio-rng-pci"]
    shares = {"root": Path("/")} | ({"share": job.share} if job.share else {})
    for tag, path in shares.items():
        _serve(tag, path, folder, running)
        arguments += ["-chardev", f"socket,id={tag},path={folder / tag}.socket"]
        arguments += ["-device", f"vhost-user-fs-pci,chardev={tag},tag={tag}"]
    if job.share:
        words += " pybench.lab.share"
    if job.disk:
        _make_disk(job.disk)
        words += " pybench.lab.disk"
        # Data that the guest has not flushed is lost with it, as with power; flushed data is kept.
        arguments += ["-drive", f"file={job.disk},format=raw,if=virtio,cache=writeback"]
    arguments += ["-kernel", str(folder / "vmlinuz"), "-initrd", str(folder / "initrd"), "-append", words]
    status = folder / "status"
    status.touch()
    for name, kind in (("log", "console"), ("out", None), ("status", "status")):
        backend = f"file,id={name},path={folder / kind}" if kind else f"stdio,id={name},signal=off"
        arguments += ["-chardev", backend, "-serial", f"chardev:{name}"]
    with (folder / "errors").open("wb") as errors:
        emulator = _start(arguments, running, stdout=stdout, stderr=errors)
        if bytecode.missing(CHECKOUT):
            # During the guest's boot, which takes longer.
            made, variables = bytecode.command(CHECKOUT)
            _start(made, running, stdout=errors, stderr=errors, variables=variables)
    try:
        emulator.wait(job.timeout_s)
    except subprocess.TimeoutExpired:
        print(f"lab: stopped after {job.timeout_s:g} s; give the command more with --timeout", file=sys.stderr)
        return TIMED_OUT
    answer = status.read_text(errors="replace").strip().removeprefix("status=")
    if answer.isdecimal():
        return int(answer)
    print(f"lab: the guest went off without an exit status; its last words:\n{_last(folder)}", file=sys.stderr)
    return NO_STATUS


def _last(folder: Path) -> str:
    lines = [
        line
        for name in ("console", "errors")
        for line in _text(folder / name).splitlines()[-8:]
        if "doesn't support requested feature" not in line
    ]
    return "\n".join(f"  {line}" for line in lines) or "  none"


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _script(machine: Machine, job: Job) -> bytes:
    path = os.environ.get("PATH", os.defpath)
    tools = CHECKOUT / ".venv" / "bin"
    told = {
        "PATH": f"{tools}:{path}" if tools.is_dir() else path,
        "HOME": str(Path.home()),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "TERM": "dumb",
        "PYTHONUNBUFFERED": "1",
        "PYBENCH_LAB": machine.name,
    }
    lines = [f"export {name}={shlex.quote(text)}" for name, text in told.items()]
    return "\n".join([f"cd {shlex.quote(str(Path.cwd()))} || exit 125", *lines, job.command, ""]).encode()


def _firmware(machine: Machine) -> bytes:
    if machine.numbering == "adjacent":
        return b""  # what QEMU does by itself
    archive = cpio.Archive()
    for folder in ("kernel", "kernel/firmware", "kernel/firmware/acpi"):
        archive.add(folder, cpio.DIRECTORY)
    archive.add("kernel/firmware/acpi/APIC.aml", cpio.FILE, apic_table(machine))
    return archive.finish()


def _first_files(files: dict[str, bytes], command: bytes) -> bytes:
    archive = cpio.Archive()
    for folder in ("bin", "dev", "host", "lab", "layer", "modules", "proc", "root", "sys"):
        archive.add(folder, cpio.DIRECTORY)
    archive.add("dev/console", cpio.DEVICE, mode=0o600, device=(5, 1))
    archive.add("bin/busybox", cpio.FILE, files["busybox"])
    archive.add("bin/sh", cpio.LINK, b"busybox")
    for name in sorted(name for name in files if name.endswith(".ko")):
        archive.add(f"modules/{name}", cpio.FILE, files[name])
    archive.add("lab/start", cpio.FILE, (HERE / "start.sh").read_bytes())
    archive.add("lab/command", cpio.FILE, command)
    archive.add("init", cpio.FILE, (HERE / "init.sh").read_bytes())
    return archive.finish()


def _serve(tag: str, path: Path, folder: Path, running: ExitStack) -> None:
    """Start the server of one folder's files on a socket that it is given, so that it leaves none behind."""
    server = _file_server() or ""
    listener = running.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(f"{folder / tag}.socket")
    listener.listen(1)
    # The sandbox cannot have its own namespace where the root is not a mount point that pivot_root accepts.
    serve = [server, f"--fd={listener.fileno()}", "-o", "cache=always", "-o", "sandbox=chroot", "-o"]
    if tag == "root":
        view = folder / tag
        view.mkdir()
        here = shlex.quote(str(view))
        steps = [f"mount --bind / {here}", f"mount -o remount,bind,ro {here}"]
        for place in _other_mounts(CHECKOUT, Path.cwd(), Path(sys.base_prefix)):
            inside = shlex.quote(f"{view}{place}")
            steps += [f"mount --bind {shlex.quote(str(place))} {inside}", f"mount -o remount,bind,ro {inside}"]
        steps.append(f"exec {shlex.join([*serve, f'source={view}'])}")
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", " && ".join(steps)]
    else:
        path.mkdir(parents=True, exist_ok=True)
        command = [*serve, f"source={path.resolve()}"]
    with (folder / f"{tag}.errors").open("wb") as errors:
        _start(command, running, stdout=errors, stderr=errors, pass_fds=(listener.fileno(),))


def _other_mounts(*paths: Path) -> list[Path]:
    """Return the mount points of the paths other than the root, outermost first."""
    points = set()
    for path in paths:
        point = path.resolve()
        while not point.is_mount():
            point = point.parent
        points.add(point)
    return sorted(points - {Path("/")})


def _make_disk(path: Path) -> None:
    if path.exists():
        return
    with path.open("xb") as image:
        image.truncate(DISK_BYTES)
    made = subprocess.run(["mkfs.ext4", "-q", str(path)], check=False, stdin=subprocess.DEVNULL)
    if made.returncode != 0:
        path.unlink()
        raise LabError(f"mkfs.ext4 could make no file system in {path}")


def end_with_parent(number: signal.Signals) -> Callable[[], None]:
    """Return a function that makes a child receive this signal when its parent ends, however that ends."""
    libc = ctypes.CDLL(None, use_errno=True)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)

    return ask


def _start(
    command: Sequence[str],
    running: ExitStack,
    *,
    stdout: IO[bytes] | int | None,
    stderr: IO[bytes],
    pass_fds: tuple[int, ...] = (),
    variables: dict[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a process that ends with this one, however this one ends, and with `running` at the latest."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        env=variables,
        start_new_session=True,  # Ctrl-C is for this process to act on
        preexec_fn=end_with_parent(signal.SIGKILL),  # noqa: PLW1509 - no other thread here
    )

    def stop() -> None:
        process.kill()
        process.wait()

    running.callback(stop)
    return process
