# SPDX-License-Identifier: Apache-2.0
"""The command line of scripts/lab."""

import argparse
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.lab import LabError
from tests.lab.guest import CHECKOUT, Job, run, why_not
from tests.lab.machines import PRESETS, Machine, machine

DATA = CHECKOUT / "tests" / "data" / "topologies"
ABOUT = """\
Run a command on a machine of another topology: emulated by QEMU, on this machine's own files.

  scripts/lab -- lscpu -e                             2 sockets x 2 cores x 2 threads
  scripts/lab --preset server -- pybench topology     CPUs numbered as servers number them
  scripts/lab --sockets 4 --cores 2 --threads 1 -- 'nproc; cat /proc/cmdline'
  scripts/lab --preset r5.metal --timeout 300 -- pybench topology

The guest sees this machine's root file system; its writes go to memory, and are gone when it ends. The command
runs as root, with .venv/bin first in its PATH and without network. One word after -- is shell text; several
words are a command. Topology, memory placement, and the kernel's switches for SMT and CPUs are real in the
guest. Time is not: pybench marks results from it, and reports them only with --emulated.
"""
STATUSES = """\
Exit status: the command's; 2: wrong usage; 3: this machine cannot run the lab (one line names what it lacks);
124: out of time; 125: the guest ended without the command's exit status.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of scripts/lab."""
    shapes = "\n".join(f"  {name:<13}{one.describe()}" for name, one in PRESETS.items())
    made = argparse.ArgumentParser(
        prog="scripts/lab",
        usage="scripts/lab [OPTION...] -- COMMAND [ARGUMENT...]",
        description=ABOUT,
        epilog=f"presets:\n{shapes}\n\n{STATUSES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shape = made.add_argument_group("machine")
    shape.add_argument("--preset", default="2x2x2", metavar="NAME", help="start from this machine [2x2x2]")
    shape.add_argument("--sockets", type=int, metavar="N", help="sockets")
    shape.add_argument("--cores", type=int, metavar="N", help="cores of each socket")
    shape.add_argument("--threads", type=int, metavar="N", help="threads of each core")
    shape.add_argument("--nodes-per-socket", type=int, metavar="N", help="NUMA nodes of each socket")
    shape.add_argument("--memory-nodes", type=int, metavar="N", help="more nodes, of memory alone")
    shape.add_argument("--numbering", choices=("adjacent", "server"), help="siblings 0 and 1, or 0 and N/2")
    shape.add_argument("--memory", dest="memory_mib", type=int, metavar="MIB", help="all memory")
    shape.add_argument("--distance", type=int, metavar="N", help="between the sockets' nodes")
    shape.add_argument("--kernel-words", default="", metavar="TEXT", help="more of the kernel's command line")
    what = made.add_argument_group("run")
    what.add_argument("--timeout", type=float, default=120, metavar="S", help="power it off after S seconds [120]")
    what.add_argument("--share", type=Path, metavar="DIR", help="a folder to read and write at /mnt")
    what.add_argument(
        "--disk", type=Path, metavar="FILE", help="an image to mount at /disk, made if new; keeps what was synced"
    )
    what.add_argument(
        "--emulator",
        choices=("single", "multi"),
        default="single",
        help="run all CPUs on one thread of QEMU's, or each on its own [single]",
    )
    other = made.add_argument_group("instead of running a command")
    other.add_argument(
        "--setup", action="store_true", help="install QEMU, download the kernel; then it works offline"
    )
    other.add_argument("--check", action="store_true", help="say whether the lab works here; exit 3 if not")
    other.add_argument("--capture", metavar="NAME", help=f"keep the machine in {DATA.relative_to(CHECKOUT)}")
    made.add_argument("command", nargs="*", help=argparse.SUPPRESS)
    return made


def main(arguments: list[str]) -> int:
    """Do what the command line asks for; return the exit status."""
    asked = parser().parse_args(arguments)
    # End as Ctrl-C does, so that processes and folders are removed.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _: sys.exit(128 + got))
    try:
        return _act(asked)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return error.status
    except OSError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130


def _act(asked: argparse.Namespace) -> int:
    if asked.setup:
        return _set_up()
    if asked.check:
        reason = why_not()
        print(f"lab: {reason or 'ready'}")
        return 3 if reason else 0
    this = machine(
        asked.preset,
        **{
            name: getattr(asked, name)
            for name in ("sockets", "cores", "threads", "nodes_per_socket", "memory_nodes")
        },
        **{name: getattr(asked, name) for name in ("numbering", "memory_mib", "distance")},
    )
    if asked.capture:
        return _capture(this, asked)
    if not asked.command:
        raise LabError("no command; write it after --, as in: scripts/lab -- lscpu", 2)
    words: list[str] = asked.command
    return run(this, _job(asked, words[0] if len(words) == 1 else shlex.join(words), asked.share))


def _job(asked: argparse.Namespace, command: str, share: Path | None) -> Job:
    if asked.timeout <= 0:
        raise LabError("--timeout takes seconds above 0", 2)
    return Job(command, asked.timeout, share, asked.disk, asked.kernel_words, asked.emulator)


def _set_up() -> int:
    reason = why_not(fetch=True)
    if reason and "QEMU" in reason:
        packages = [str(CHECKOUT / "scripts" / "setup"), "--packages", "qemu-system-x86", *_server_package()]
        status = subprocess.run(packages, check=False).returncode
        if status:
            return status
        reason = why_not(fetch=True)
    if reason:
        raise LabError(reason)
    return 0


def _server_package() -> list[str]:
    """Return the package of the file server; Debian 12 has it in QEMU's packages, later versions separately."""
    known = subprocess.run(["apt-cache", "show", "virtiofsd"], capture_output=True, check=False)
    return ["virtiofsd"] if known.returncode == 0 and known.stdout else []


def _capture(this: Machine, asked: argparse.Namespace) -> int:
    target = DATA / f"{asked.capture}.tar.gz"
    if target.exists():
        raise LabError(f"{target.relative_to(CHECKOUT)} is there already; remove it first", 2)
    with tempfile.TemporaryDirectory(prefix="pybench-lab-capture-") as folder:
        before = f"{shlex.join(asked.command) if len(asked.command) > 1 else ''.join(asked.command)}\n"
        command = f"{before}pybench topology --capture /mnt/captured.tar.gz"
        status = run(this, _job(asked, command, Path(folder)))
        if status == 0:
            target.write_bytes((Path(folder) / "captured.tar.gz").read_bytes())
    return status
