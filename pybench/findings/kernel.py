# SPDX-License-Identifier: Apache-2.0
"""One launch storm as the kernel saw it: its mount operations counted, or its waits for locks timed.

Runs in a process of its own (`python -m pybench.findings.kernel`), which may need a mount namespace for tracefs
and is killed if it takes too long. Calls of the crew's leader are set-up and clean-up, those of its members the
storm; a member's umount2 is of a layer while it has layers bound, and of a root otherwise.
"""

import re
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from pybench.errors import MeasurementError, PybenchError, UnsupportedError
from pybench.host.tracing import stop, tracing
from pybench.native import TrialSpec, run_trial
from pybench.native.outcome import Crew, Outcome
from pybench.workloads import Value, workload

LONGEST_NS = 60 * 10**9
CALLS = ("move_mount", "mount", "umount")
# Members and the leader are told apart by what they unshare.
COUNTED = ("syscalls/sys_enter_unshare", *(f"syscalls/sys_exit_{call}" for call in CALLS))
CONTENTION = ("lock/contention_begin", "lock/contention_end")
CLONE_NEWNS, CLONE_FS = 0x20000, 0x200
# Bytes that an event takes in the kernel's buffer, generously.
EVENT_BYTES = 96
ENTER = re.compile(r"-(\d+)\s.*: sys_unshare\(unshare_flags: (?:0x)?([0-9a-f]+)")
EXIT = re.compile(r"-(\d+)\s.*: sys_(\w+) -> (0x[0-9a-f]+)$")
LOCK = re.compile(
    r"^\s*pybench\S*-(\d+)\s.*\s([\d.]+): contention_(begin|end): (?:0x)?([0-9a-f]+) \((?:flags=(\S+)\)|ret=)"
)
FRAME = re.compile(r"^ => (\w+)")
# The kernel and its own variables lie within so much from its beginning.
IMAGE_BYTES = 1 << 28
MOUNTING = re.compile(r"mnt|mount|namespace|open_tree|path_init")
GRACE = re.compile(r"synchronize_rcu|exp_funnel")


class Storm(msgspec.Struct, frozen=True, kw_only=True):
    """Which storm. `params` are those of the launch workload."""

    params: dict[str, Value]
    cpus: tuple[int, ...]
    crew: Crew = "threads"


class Operations(msgspec.Struct, frozen=True, kw_only=True):
    """The mount operations of one storm, by pybench's core and by the kernel."""

    launched: int
    core: int
    core_clean: int
    kernel: dict[str, int] = {}
    """`mount`, `move_mount`, `umount of layers`, `umount of roots` by the members; `leader` and `other` in all."""

    @property
    def kernel_operations(self) -> int:
        """Mount operations as the kernel saw them, without the unmounts of roots afterwards."""
        return sum(self.kernel.get(name, 0) for name in ("mount", "move_mount", "umount of layers"))


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """Waits for kernel locks in one storm. Optimistic spinning of sleeping locks is not among them."""

    launched: int
    worker_ns: float
    """The workers' time, added up."""
    waited_ns: dict[str, float]
    """Lock -> time that workers waited for it, added up: `namespace_sem`, `mount_lock`, `grace periods` (the mutex
    of expedited RCU), `other global locks`, `locks of single objects`."""
    waits: dict[str, int]


def _run(storm: Storm) -> Outcome:
    params = workload("launch").complete(storm.params)
    return run_trial(
        TrialSpec(workload="launch", params=params, cpus=storm.cpus, duration_ns=LONGEST_NS, crew=storm.crew)
    )


def _good(outcome: Outcome, missing: int) -> Outcome:
    """The outcome. Raises UnsupportedError or MeasurementError if it is none, or events were lost."""
    if outcome.status == "unsupported":
        raise UnsupportedError(outcome.reason)
    if outcome.status != "ok" or missing:
        raise MeasurementError(outcome.reason or f"the kernel lost {missing} events")
    return outcome


def count_operations(storm: Storm) -> Operations:
    """Run the storm and count its mount operations twice. Raises as `_good`, or if there is no tracefs."""
    complete = workload("launch").complete(storm.params)
    containers, passes, layers = (int(complete[name]) for name in ("containers", "passes", "layers"))
    most = containers * passes * (2 * layers + 4) + 10_000
    with tracing(COUNTED, max(1024, most * EVENT_BYTES // 1024)) as instance:
        outcome = _run(storm)
        missing = stop(instance)
        with (instance / "trace").open() as trace:
            kernel = kernel_counts(trace, bound=complete["strategy"] in ("binds", "parent"))
    return _operations(_good(outcome, missing), kernel)


def count_by_core(storm: Storm) -> Operations:
    """The same by pybench's core alone, which needs no privilege."""
    return _operations(_good(_run(storm), 0), {})


def _operations(outcome: Outcome, kernel: dict[str, int]) -> Operations:
    counts = outcome.counters
    return Operations(
        launched=counts.get("launched", 0),
        core=counts.get("mount_operations", 0),
        core_clean=counts.get("clean_operations", 0),
        kernel=kernel,
    )


def kernel_counts(lines: Iterable[str], bound: bool) -> dict[str, int]:
    """What the kernel saw of a storm, from the text of a trace: see `Operations.kernel`.

    `bound` says that move_mount binds layers, not roots.
    """
    roles: dict[str, str] = {}
    layers: dict[str, int] = defaultdict(int)
    counts: Counter[str] = Counter()
    for line in lines:
        if entered := ENTER.search(line):
            flags = int(entered[2], 16)
            if flags & (CLONE_NEWNS | CLONE_FS):
                roles[entered[1]] = "leader" if flags & CLONE_NEWNS else "member"
        elif (left := EXIT.search(line)) and int(left[3], 16) == 0 and left[2] in CALLS:
            tid, call = left[1], left[2]
            if call == "move_mount" and bound:
                layers[tid] += 1
            if call == "umount":
                call = "umount of layers" if layers[tid] else "umount of roots"
                layers[tid] -= layers[tid] > 0
            who = roles.get(tid, "other")
            counts[call if who == "member" else who] += 1
    return dict(counts)


def lock_waits(storm: Storm) -> Waits:
    """Run the storm and time its waits for locks. Raises as `count_operations`."""
    with tracing(CONTENTION, 16_384, stacks=True) as instance:
        outcome = _good(_run(storm), stop(instance))
        with (instance / "trace").open() as trace:
            waited, waits = waits_by_lock(trace, _kernel_begins(Path("/proc/kallsyms")))
    members = outcome.members
    spent = (b - a for a, b in zip(members.start_ns, members.stop_ns, strict=True)) if members else ()
    return Waits(
        launched=outcome.counters.get("launched", 0), worker_ns=float(sum(spent)), waited_ns=waited, waits=waits
    )


def _kernel_begins(path: Path) -> int:
    """Address of the kernel's first byte. Raises UnsupportedError where the kernel hides it."""
    with path.open() as lines:
        for line in lines:
            address, _, name = line.split()[:3]
            if name == "_text" and int(address, 16):
                return int(address, 16)
    raise UnsupportedError("/proc/kallsyms hides addresses; run it as root, with kernel.kptr_restrict below 2")


def waits_by_lock(lines: Iterable[str], kernel_begins: int) -> tuple[dict[str, float], dict[str, int]]:
    """(time waited in ns, number of waits) by lock, from the text of a trace with stacks.

    A lock at an address of the kernel's own is global; which one, its kind and its callers tell, as many kernels
    keep no symbols of data. Waits without an end are left out.
    """
    began: dict[tuple[str, int], float] = {}
    kinds: dict[int, str] = {}
    callers: dict[int, set[str]] = defaultdict(set)
    waited: dict[int, float] = defaultdict(float)
    waits: Counter[int] = Counter()
    lock = None
    for line in lines:
        if frame := FRAME.match(line):
            if lock is not None:
                callers[lock].add(frame[1])
            continue
        if not (event := LOCK.match(line)):
            lock = lock if "<stack trace>" in line else None
            continue
        tid, at, what, address = event[1], float(event[2]), event[3], int(event[4], 16)
        lock = address
        if what == "begin":
            began[tid, address] = at
            kinds[address] = event[5] or ""
        elif (tid, address) in began:
            waited[address] += (at - began.pop((tid, address))) * 1e9
            waits[address] += 1
    times: dict[str, float] = defaultdict(float)
    numbers: Counter[str] = Counter()
    for address, ns in waited.items():
        is_global = 0 <= address - kernel_begins < IMAGE_BYTES
        name = _lock_name(kinds[address], callers[address]) if is_global else "locks of single objects"
        times[name] += ns
        numbers[name] += waits[address]
    return dict(times), dict(numbers)


def _lock_name(kind: str, callers: set[str]) -> str:
    if any(map(GRACE.search, callers)):
        return "grace periods"
    if any(map(MOUNTING.search, callers)):
        return "mount_lock" if "SPIN" in kind else "namespace_sem" if "MUTEX" not in kind else "other global locks"
    return "other global locks"


# ----------------------------------------------------------------------------------------- in a process of its own

JOBS: Mapping[str, type[Operations] | type[Waits]] = {"operations": Operations, "waits": Waits}


class _Refused(msgspec.Struct):
    status: int
    words: str


def ask(job: str, storm: Storm, seconds: float = 60.0) -> Operations | Waits:
    """The answer of a job in JOBS, from a process of its own. Raises UnsupportedError or MeasurementError."""
    command = [sys.executable, "-m", "pybench.findings.kernel", job]
    try:
        ran = subprocess.run(
            command, input=msgspec.json.encode(storm), stdout=subprocess.PIPE, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise MeasurementError(f"counting in the kernel took longer than {seconds:.0f} s") from None
    if ran.returncode == 0:
        return msgspec.json.decode(ran.stdout, type=JOBS[job])
    try:
        refused = msgspec.json.decode(ran.stdout, type=_Refused)
    except msgspec.DecodeError:
        raise MeasurementError(f"counting in the kernel ended with status {ran.returncode}") from None
    kind = UnsupportedError if refused.status == UnsupportedError.exit_status else MeasurementError
    raise kind(refused.words)


def main() -> int:
    """Read a storm, write its answer."""
    # Ends by exception, so that the instance is seen off.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    storm = msgspec.json.decode(sys.stdin.buffer.read(), type=Storm)
    status, answer = 0, b""
    try:
        answer = msgspec.json.encode(count_operations(storm) if sys.argv[1] == "operations" else lock_waits(storm))
    except PybenchError as error:
        status = error.exit_status
        answer = msgspec.json.encode(_Refused(status, str(error)))
    sys.stdout.buffer.write(answer)
    return status


if __name__ == "__main__":
    sys.exit(main())
