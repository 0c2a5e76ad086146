"""Kills sweeps that turn SMT and CPUs at random moments, and looks whether the machine is as it was. Root only.

Run by scripts/switch-test, in a guest. Sweeps are forked from here, as an interpreter takes long to start under
emulation; each one measures as `pybench sweep --smt on,off:kernel --offline none --offline CPU` does.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from pybench.errors import PybenchError
from pybench.host.switches.controls import Controls
from pybench.host.switches.files import HostState, SwitchFiles
from pybench.host.switches.journal import StateFolder, left_behind
from pybench.host.switches.restore import put_back
from pybench.host.topology import Topology, read_topology
from pybench.plan.order import states_of
from pybench.plan.planner import make_plan
from pybench.plan.request import Request
from pybench.results.records import Header
from pybench.results.store import Writer, read
from pybench.run import sweep as runner

# From the start of a sweep to its kill: long enough for some switches, and half of the kills hit one.
LONGEST_LIFE_S = 3.0
# One in so many kills takes the watchdog along, as the kill of a container does.
WATCHDOG_TOO = 5
LEAVES = 60.0
FILES = SwitchFiles()


def machine() -> dict[str, object]:
    """All of the machine that a run may turn, or take along."""
    return {
        "smt": FILES.smt(),
        "online": FILES.online(),
        "cpusets": FILES.cpuset_lists(),
        "bound": [os.sched_getaffinity(task.pid) for task in TASKS],
    }


TASKS: list["subprocess.Popen[bytes]"] = []


def prepare() -> tuple[int, int]:
    """Make the machine worth losing: a CPU that is off, a version 1 cpuset, a bound task.

    Returns a CPU to turn off in sweeps, and the one that is off.
    """
    siblings = FILES.siblings()
    if len(siblings) < 3:
        sys.exit("switch-test: needs three cores with SMT siblings")
    offline, victim, other = siblings[-1], siblings[-2], siblings[0]
    FILES.set_cpu(offline, False)
    top = Path("/run/switch-test-cpuset")
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
    """Take back what `prepare` did."""
    for task in TASKS:
        task.kill()
        task.wait()
    TASKS.clear()
    FILES.set_cpu(offline, True)
    top = Path("/run/switch-test-cpuset")
    for folder in sorted(top.glob("[ab]")):
        folder.rmdir()
    subprocess.run(["umount", top], check=False, stderr=subprocess.DEVNULL)
    top.rmdir()


def planned(victim: int) -> tuple[Header, Topology]:
    """The sweep, and the machine it is for."""
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
    """One sweep, in this process."""
    plan = header.plan
    with Writer(path) as writer, Controls(states_of(plan.cells)) as controls:
        writer.write(header)
        for trial in runner.Sweep(plan, topology=topology, controls=controls).trials():
            writer.write(trial)


def forked(header: Header, topology: Topology, path: Path) -> int:
    """A child that sweeps again and again."""
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
    """The watchdog of a sweep, 0 if it has none yet."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (entry / "stat").read_text()
            if "(pybench-watch)" in fields and int(fields.rpartition(")")[2].split()[1]) == pid:
                return int(entry.name)
    return 0


def restore() -> str:
    """What `pybench doctor --restore` does; what is left, in words."""
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


def kills(count: int, seed: int, folder: Path) -> int:
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
        # What was measured is kept, and can be read.
        trials += sum(len(read(path).trials) for path in folder.glob(f"sweep{number}.*") if path.stat().st_size)
        if number % 5 == 4:
            print(f"{number + 1} kills: {good} times as it was, {time.monotonic() - started:.0f} s", flush=True)
    print(
        f"{good} of {count} times the machine was as before; {turned} kills found switches turned, {early} hit "
        f"the first switch, {restored} took the watchdog along and were put back by restore ({trials} "
        f"trials kept, seed {seed}; CPU {offline} was off all the time, CPU {victim} and SMT were switched)"
    )
    tidy(offline)
    return 0 if good == count else 1


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


def after_power_loss(folder: Path) -> int:
    """The machine booted again: what is pointed to, and what restore makes of it."""
    os.environ["PYBENCH_STATE_DIR"] = str(folder)
    journal = StateFolder().load()
    if journal is None:
        print("no journal survived")
        return 1
    print(f"booted: SMT {FILES.smt()}, CPUs {FILES.online()} on; pybench says: {left_behind()}", flush=True)
    left = restore()
    good = (FILES.smt(), FILES.online()) == (journal.smt, journal.online) and not left
    print(
        f"restored: SMT {FILES.smt()}, CPUs {FILES.online()} on: {'as it was' if good else 'NOT as it was'} {left}"
    )
    return 0 if good and StateFolder().load() is None else 1


def main(words: list[str]) -> int:
    if os.geteuid() != 0:
        sys.exit("switch-test: turning switches needs root")
    runner.SETTLE_S = 0.02
    if words[:1] == ["--power-loss"]:
        power_loss(Path(words[1]))
    if words[:1] == ["--after"]:
        return after_power_loss(Path(words[1]))
    count, seed = (int(word) for word in [*words, *("100", "1")[len(words) :]][:2])
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"switch-test-{os.getpid()}"
    folder.mkdir()
    os.environ.setdefault("PYBENCH_STATE_DIR", str(folder / "state"))
    try:
        return kills(count, seed, folder)
    except PybenchError as error:
        print(f"switch-test: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
