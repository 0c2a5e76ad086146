# SPDX-License-Identifier: Apache-2.0
"""Kill sweeps that turn SMT and CPUs at random moments: the machine is as it was after each kill.

Runs in an emulated machine (docs/lab.md), as it turns CPUs off for minutes; with PYBENCH_SWITCH_HERE=1 on this
machine, as root. To cut the power while switches are turned, then boot again and put them back:

    scripts/lab --share DIR -- python -m tests.validation switches --power-loss /mnt
    scripts/lab --share DIR -- python -m tests.validation switches --after /mnt

Sweeps are forked from here, as an interpreter takes long to start under emulation; each measures as
`pybench sweep --smt on,off:kernel --offline none --offline CPU` does.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pybench.errors import UnsupportedError
from pybench.host.switches.controls import Controls
from pybench.host.switches.files import SwitchFiles
from pybench.host.switches.journal import HostState, StateFolder, left_behind
from pybench.host.switches.restore import put_back
from pybench.host.topology import Topology, read_topology
from pybench.plan.planner import make_plan, states_of
from pybench.plan.request import Request
from pybench.results.records import Header
from pybench.results.store import Writer, read
from pybench.run import sweep as runner
from tests.lab import guest
from tests.lab.machines import machine as emulated
from tests.validation.validation import Finding, Validation

# From the start of a sweep to its kill: long enough for some switches; half of the kills hit one.
LONGEST_LIFE_S = 3.0
# Each such kill takes the watchdog along, as the kill of a container does.
WATCHDOG_TOO = 5
LEAVES = 60.0
FILES = SwitchFiles()


def machine() -> dict[str, object]:
    """Return everything of the machine that a run may change."""
    return {
        "smt": FILES.smt(),
        "online": FILES.online(),
        "cpusets": FILES.cpuset_lists(),
        "bound": [os.sched_getaffinity(task.pid) for task in TASKS],
    }


TASKS: list["subprocess.Popen[bytes]"] = []


def prepare() -> tuple[int, int]:
    """Set up state that could be lost: a CPU that is off, a version 1 cpuset, a bound task.

    Return a CPU to turn off in sweeps, and the one that is off.
    """
    siblings = FILES.siblings()
    if len(siblings) < 3:
        raise UnsupportedError("needs three cores with SMT siblings")
    offline, victim, other = siblings[-1], siblings[-2], siblings[0]
    FILES.set_cpu(offline, False)
    top = Path("/run/pybench-validate-cpuset")
    top.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "cgroup", "-o", "cpuset", "cpuset", top], check=False)
    if mounted.returncode == 0:
        for name, cpus in (("a", f"0,{victim},{other}"), ("b", f"0-{victim}")):
            (top / name).mkdir(exist_ok=True)
            (top / name / "cpuset.cpus").write_text(cpus)
    TASKS.append(subprocess.Popen(["sleep", "100000"]))
    os.sched_setaffinity(TASKS[0].pid, {victim})
    return victim, offline


def tidy(offline: int) -> None:
    """Undo prepare()."""
    for task in TASKS:
        task.kill()
        task.wait()
    TASKS.clear()
    FILES.set_cpu(offline, True)
    top = Path("/run/pybench-validate-cpuset")
    for folder in sorted(top.glob("[ab]")):
        folder.rmdir()
    subprocess.run(["umount", top], check=False, stderr=subprocess.DEVNULL)
    top.rmdir()


def planned(victim: int) -> tuple[Header, Topology]:
    """Return the header of the sweep, and the topology."""
    request = Request(
        workloads=("spin",),
        threads="2",
        smt=("on", "off:kernel"),
        offline=("none", str(victim)),
        param={"lock": ("mcs",)},
        place=("single-socket",),
        duration="5ms",
        warmup="0",
        # Two turns of all states; hardly a trial is valid in a guest.
        min_trials=2,
        max_trials=2,
        max_invalid=2,
        allow_host_changes=True,
    )
    topology = read_topology()
    plan = make_plan(request, topology).plan
    return Header(pybench="", created="", command=[], host={}, topology={"cpus": []}, plan=plan), topology


def sweep(header: Header, topology: Topology, path: Path) -> None:
    """Run one sweep in this process."""
    plan = header.plan
    with Writer(path) as writer, Controls(states_of(plan.cells)) as controls:
        writer.write(header)
        for trial in runner.Sweep(plan, topology=topology, controls=controls).trials():
            writer.write(trial)


def forked(header: Header, topology: Topology, path: Path) -> int:
    """Fork a child that sweeps again and again; return its process id."""
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(os.devnull, "w") as nowhere, contextlib.suppress(BaseException):  # noqa: PTH123
        for fd in (1, 2):
            os.dup2(nowhere.fileno(), fd)
        for number in range(1000):
            sweep(header, topology, path.with_suffix(f".{number}"))
    os._exit(0)


def watchdog_of(pid: int) -> int:
    """Return the process id of a sweep's watchdog, 0 if it has none yet."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (entry / "stat").read_text()
            if "(pybench-watch)" in fields and int(fields.rpartition(")")[2].split()[1]) == pid:
                return int(entry.name)
    return 0


def restore() -> str:
    """Do what `pybench doctor --restore` does; return in words what is left."""
    store = StateFolder()
    held = store.hold()
    journal = store.load()
    left = []
    if journal:
        left = put_back(FILES, journal, store.save).left
        if not left:
            store.drop()
    os.close(held)
    return "; ".join(left)


def kills(count: int, seed: int, folder: Path) -> Finding:
    """Kill sweeps, one after the other, and compare the machine after each with before."""
    chance = random.Random(seed)
    victim, offline = prepare()
    was, store = machine(), StateFolder()
    print(f"the machine: {was}", flush=True)
    header, topology = planned(victim)
    # Once here, so that what is loaded when it is first needed is there in every child.
    sweep(header, topology, folder / "warm")
    print(f"a whole sweep: {machine() == was}", flush=True)
    started = time.monotonic()
    good = turned = restored = early = trials = 0
    for number in range(count):
        began = time.monotonic()
        pid = forked(header, topology, folder / f"sweep{number}")
        # The first switch of all is as likely a moment as any later one.
        while not store.path.exists() and time.monotonic() - began < LEAVES:
            time.sleep(0.005)
        if chance.random() < 0.9:
            time.sleep(chance.uniform(0, LONGEST_LIFE_S))
        else:
            early += 1
        watchdog = watchdog_of(pid) if number % WATCHDOG_TOO == WATCHDOG_TOO - 1 else 0
        if watchdog:
            with contextlib.suppress(ProcessLookupError):
                os.kill(watchdog, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        now = FILES.smt(), FILES.online()
        turned += now != (was["smt"], was["online"])
        deadline = time.monotonic() + LEAVES
        while store.held() and time.monotonic() < deadline:
            time.sleep(0.01)
        if watchdog and store.path.exists():
            restored += 1
            assert "pybench doctor --restore" in left_behind()
            if words := restore():
                print(f"kill {number}: left: {words}", flush=True)
        after = machine()
        if after == was and not store.path.exists():
            good += 1
        else:
            print(f"kill {number} (found {now}): {after}, journal {store.path.exists()}", flush=True)
        # Trials from before the kill can be read.
        trials += sum(len(read(path).trials) for path in folder.glob(f"sweep{number}.*") if path.stat().st_size)
        if number % 5 == 4:
            print(f"{number + 1} kills: {good} times as it was, {time.monotonic() - started:.0f} s", flush=True)
    tidy(offline)
    words = (
        f"{good} of {count} times; {turned} kills found switches turned, {early} hit the first switch, {restored} "
        f"took the watchdog along and were put back by restore ({trials} trials kept, seed {seed}; CPU {offline} "
        f"was off all the time, CPU {victim} and SMT were switched)"
    )
    return Finding("the machine is as before after each kill", words, good == count)


def power_loss(folder: Path) -> None:
    """Turn switches, and cut the power without any warning."""
    os.environ["PYBENCH_STATE_DIR"] = str(folder)
    victim, _ = prepare()
    controls = Controls([HostState(smt_off=True, offline=(victim,))])
    controls.__enter__()
    controls.enter(HostState(smt_off=True, offline=(victim,)))
    print(f"SMT {FILES.smt()}, CPUs {FILES.online()} on, {StateFolder().path} written; the power goes", flush=True)
    time.sleep(0.5)  # for the console
    Path("/proc/sysrq-trigger").write_text("b")
    time.sleep(60)


def after_power_loss(folder: Path) -> Finding:
    """Put back what the journal in the folder lists, after the machine booted again."""
    asked = "switches are restored after a power loss"
    os.environ["PYBENCH_STATE_DIR"] = str(folder)
    journal = StateFolder().load()
    if journal is None:
        return Finding(asked, "no journal survived", False)
    print(f"booted: SMT {FILES.smt()}, CPUs {FILES.online()} on; pybench says: {left_behind()}", flush=True)
    left = restore()
    as_before = (FILES.smt(), FILES.online()) == (journal.smt, journal.online)
    good = as_before and not left and StateFolder().load() is None
    return Finding(asked, f"SMT {FILES.smt()}, CPUs {FILES.online()} on; {left or 'nothing'} is left", good)


def options(parser: argparse.ArgumentParser) -> None:
    """Add how often to kill, and the two halves of a power loss."""
    parser.add_argument("count", nargs="?", type=int, metavar="N", help="number of kills [100; 5 with --quick]")
    parser.add_argument("seed", nargs="?", type=int, default=1, metavar="SEED", help="seed of the moments [1]")
    parser.add_argument("--power-loss", type=Path, metavar="DIR", help="turn switches, then cut the power")
    parser.add_argument("--after", type=Path, metavar="DIR", help="put back what --power-loss left")


def run(asked: argparse.Namespace) -> Iterator[Finding]:
    """Kill, in an emulated machine."""
    count = asked.count or (5 if asked.quick else 100)
    if not os.environ.get("PYBENCH_LAB") and not os.environ.get("PYBENCH_SWITCH_HERE"):
        if why := guest.why_not():
            raise UnsupportedError(why)
        os.chdir(guest.CHECKOUT)
        command = f"python -m tests.validation switches {count} {asked.seed}"
        status = guest.run(emulated("2x2x2"), guest.Job(command, timeout_s=120 + 30 * count))
        yield Finding("the same in an emulated machine", f"exit status {status}", status == 0)
        return
    if os.geteuid() != 0:
        raise UnsupportedError("turning switches needs root")
    runner.SETTLE_S = 0.02
    if asked.power_loss:
        power_loss(asked.power_loss)
    elif asked.after:
        yield after_power_loss(asked.after)
    else:
        with tempfile.TemporaryDirectory(prefix="pybench-switches-") as folder:
            os.environ.setdefault("PYBENCH_STATE_DIR", str(Path(folder) / "state"))
            yield kills(count, asked.seed, Path(folder))


VALIDATION = Validation(
    shows="killed sweeps put the host's switches back",
    run=run,
    seconds=1500,
    quick_seconds=150,
    options=options,
)
