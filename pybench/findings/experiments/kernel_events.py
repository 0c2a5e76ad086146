# SPDX-License-Identifier: Apache-2.0
"""Count the mount operations of one launch storm, or time its lock waits, by the kernel's own events.

This runs in a process of its own (`python -m pybench.findings.experiments.kernel_events`), which may need a mount
namespace for tracefs and is killed if it takes too long. Calls of the crew's leader are set-up and clean-up, those
of its members the storm. A member's umount2 is of a layer while it has layers bound, and of a root otherwise.
"""

import re
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from pybench import MeasurementError, PybenchError, UnsupportedError
from pybench.api.toolkit.hosts import stop, tracing
from pybench.api.toolkit.trials import Crew, Outcome, TrialSpec, Value, run_trial, workload

LONGEST_NS = 60 * 10**9
CALLS = ("move_mount", "mount", "umount")
# Members and the leader unshare different namespaces.
COUNTED = ("syscalls/sys_enter_unshare", *(f"syscalls/sys_exit_{call}" for call in CALLS))
CONTENTION = ("lock/contention_begin", "lock/contention_end")
CLONE_NEWNS, CLONE_FS = 0x20000, 0x200
# Upper bound of an event's size in the kernel's buffer.
EVENT_BYTES = 96
ENTER = re.compile(r"-(\d+)\s.*: sys_unshare\(unshare_flags: (?:0x)?([0-9a-f]+)")
EXIT = re.compile(r"-(\d+)\s.*: sys_(\w+) -> (0x[0-9a-f]+)$")
LOCK = re.compile(
    r"^\s*pybench\S*-(\d+)\s.*\s([\d.]+): contention_(begin|end): (?:0x)?([0-9a-f]+) \((?:flags=(\S+)\)|ret=)"
)
FRAME = re.compile(r"^ => (\w+)")
# Size of the kernel image with its global variables, at most.
IMAGE_BYTES = 1 << 28
MOUNTING = re.compile(r"mnt|mount|namespace|open_tree|path_init")
GRACE = re.compile(r"synchronize_rcu|exp_funnel")


class Storm(msgspec.Struct, frozen=True, kw_only=True):
    """A launch storm. `params` are those of the launch workload."""

    params: dict[str, Value]
    cpus: tuple[int, ...]
    crew: Crew = "threads"


class Operations(msgspec.Struct, frozen=True, kw_only=True):
    """The mount operations of one storm, counted by pybench's core and by the kernel."""

    launched: int
    core: int
    core_clean: int
    kernel: dict[str, int] = {}
    """`mount`, `move_mount`, `umount of layers`, `umount of roots` by members; all by `leader` and `other`."""

    @property
    def kernel_operations(self) -> int:
        """Return the mount operations that the kernel counted, without the later unmounts of roots."""
        return sum(self.kernel.get(name, 0) for name in ("mount", "move_mount", "umount of layers"))


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """Waits for kernel locks in one storm, without optimistic spinning for sleeping locks."""

    launched: int
    worker_ns: float
    """Sum of the workers' time."""
    waited_ns: dict[str, float]
    """Lock -> sum of the workers' waits for it: `namespace_sem`, `mount_lock`, `grace periods` (the mutex of
    expedited RCU), `other global locks`, `locks of single objects`."""
    waits: dict[str, int]


def _run(storm: Storm) -> Outcome:
    params = workload("launch").complete(storm.params)
    return run_trial(
        TrialSpec(workload="launch", params=params, cpus=storm.cpus, duration_ns=LONGEST_NS, crew=storm.crew)
    )


def _good(outcome: Outcome, missing: int) -> Outcome:
    """Return the outcome. Raises UnsupportedError or MeasurementError if the trial failed or events were lost."""
    if outcome.status == "unsupported":
        raise UnsupportedError(outcome.reason)
    if outcome.status != "ok" or missing:
        raise MeasurementError(outcome.reason or f"the kernel lost {missing} events")
    return outcome


def count_operations(storm: Storm) -> Operations:
    """Run a storm and count its mount operations by the core and the kernel.

    Raises UnsupportedError without root or tracefs, MeasurementError if the storm failed or events were lost.
    """
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
    """Run a storm and count its mount operations by the core alone, which needs no privilege."""
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
    """Return the calls in the text of a trace by kind, as in `Operations.kernel`.

    With `bound`, move_mount binds layers, else roots.
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
    """Run a storm and time its lock waits. Raises as `count_operations`."""
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
    """Return the address of the kernel's first byte. Raises UnsupportedError if the kernel hides it."""
    with path.open() as lines:
        for line in lines:
            address, _, name = line.split()[:3]
            if name == "_text" and int(address, 16):
                return int(address, 16)
    raise UnsupportedError(
        "/proc/kallsyms hides addresses", fix="run it as root, with kernel.kptr_restrict below 2"
    )


def waits_by_lock(lines: Iterable[str], kernel_begins: int) -> tuple[dict[str, float], dict[str, int]]:
    """Return (time waited in ns, number of waits) by lock, from the text of a trace with stacks.

    A lock at an address inside the kernel image is global; its kind and its callers identify it, because many
    kernels keep no symbols of data. Waits without an end are left out.
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


class _Failure(msgspec.Struct):
    status: int
    what: str
    subject: str
    reason: str
    fix: str


def ask(job: str, storm: Storm, seconds: float = 60.0) -> Operations | Waits:
    """Run a job of JOBS in a process of its own. Raises UnsupportedError or MeasurementError."""
    command = [sys.executable, "-m", "pybench.findings.experiments.kernel_events", job]
    try:
        ran = subprocess.run(
            command, input=msgspec.json.encode(storm), stdout=subprocess.PIPE, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise MeasurementError(f"tracing the kernel took longer than {seconds:.0f} s") from None
    if ran.returncode == 0:
        return msgspec.json.decode(ran.stdout, type=JOBS[job])
    try:
        failure = msgspec.json.decode(ran.stdout, type=_Failure)
    except msgspec.DecodeError:
        raise MeasurementError(f"tracing the kernel ended with status {ran.returncode}") from None
    kind = UnsupportedError if failure.status == UnsupportedError.exit_status else MeasurementError
    raise kind(failure.what, subject=failure.subject, reason=failure.reason, fix=failure.fix)


def main() -> int:
    """Read a storm from standard input, and write the result of a job."""
    # End by exception, so that the tracing instance is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    storm = msgspec.json.decode(sys.stdin.buffer.read(), type=Storm)
    status, answer = 0, b""
    try:
        answer = msgspec.json.encode(count_operations(storm) if sys.argv[1] == "operations" else lock_waits(storm))
    except PybenchError as error:
        status = error.exit_status
        answer = msgspec.json.encode(_Failure(status, error.what, error.subject, error.reason, error.fix))
    sys.stdout.buffer.write(answer)
    return status


if __name__ == "__main__":
    sys.exit(main())
