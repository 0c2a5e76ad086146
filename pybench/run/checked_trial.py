# SPDX-License-Identifier: Apache-2.0
"""One trial with the host's counters around it, and what a host needs for a trial that it cannot do."""

import errno
import time
from collections.abc import Callable, Sequence

import msgspec

from pybench.host.meters import HostCounts, HostMeter
from pybench.native.outcome import Outcome, TrialSpec
from pybench.results.records import Cell, Evidence
from pybench.run.checks import flags
from pybench.run.figures import Baseline, evidence

NAMESPACES = (
    "mounts need root (CAP_SYS_ADMIN) or unprivileged user namespaces (sysctl user.max_user_namespaces, "
    "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"
)
# Part of the failed call -> what it needs. Versions are those of upstream kernels; distributions backport.
CALLS = {
    "MS_REC | MS_PRIVATE": "the root must be a mount point; of a chroot, mount --bind DIR DIR before chroot DIR",
    "CLONE_NEWUSER": NAMESPACES,
    "uid_map": NAMESPACES,
    "open_tree": "detached clones of mounts need Linux 5.2",
    "MOUNT_ATTR_IDMAP": "id-mapped mounts need Linux 5.12 (of a tmpfs: 6.3), and a file system that can",
    "move_mount": "detached mounts need Linux 5.2",
    "mount(overlay)": "overlay needs its module; over id-mapped layers, Linux 5.19",
    "fsopen(overlay)": "fsopen needs Linux 5.2 and the overlay module",
    "lowerdir+": "overlay layers by descriptor need Linux 6.13 (lowerdir+ itself: 6.7)",
    "FSCONFIG_CMD_CREATE": "overlay over detached layers needs Linux 6.15, over id-mapped ones 5.19",
    "set_mempolicy": "binding memory needs a kernel with NUMA; in a container also CAP_SYS_NICE (seccomp)",
    "listmount": "listmount and statmount need Linux 6.8",
}
IDMAP_PERMISSION = (
    "id-mapping a file system needs CAP_SYS_ADMIN in the user namespace that mounted it: be root on the host, "
    "or use fs=tmpfs"
)

RunTrial = Callable[[TrialSpec], Outcome]
# Called just before a trial with its CPUs; what it returns is called just after.
StartMeters = Callable[[Sequence[int]], Callable[[], HostCounts]]


def start_meters(cpus: Sequence[int]) -> Callable[[], HostCounts]:
    """Read this host's counters now, and again when the returned function is called."""
    return HostMeter(cpus).around


class CheckedTrial(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a trial. It has evidence only if it ended well, and flags then or if its CPUs were gone."""

    outcome: Outcome
    started: float
    """Seconds since the epoch."""
    seconds: float
    evidence: Evidence | None = None
    flags: list[str] = []


def measure(
    cell: Cell, spec: TrialSpec, run_trial: RunTrial, meters: StartMeters, baseline: Baseline | None = None
) -> CheckedTrial:
    """Run one trial of a cell; `baseline` is of its valid trials so far."""
    started, clock = time.time(), time.monotonic()
    around = meters(cell.cpus)
    outcome = run_trial(spec)
    while outcome.status == "interrupted":
        # The handler of a signal let the program go on (a resized window): the trial is run again.
        around = meters(cell.cpus)
        outcome = run_trial(spec)
    counted = around()
    measured = CheckedTrial(outcome=outcome, started=round(started, 3), seconds=round(time.monotonic() - clock, 4))
    if outcome.members is None:
        # A member whose CPU is gone cannot start: the trial is invalid, as if its CPU went away later.
        gone = outcome.status == "failed" and (counted.topology or counted.barred)
        return msgspec.structs.replace(measured, flags=["topology"]) if gone else measured
    seen = evidence(cell, outcome, counted, baseline or Baseline(), by_time=not spec.operations)
    return msgspec.structs.replace(measured, evidence=seen, flags=flags(cell, seen))


def needs(outcome: Outcome) -> str:
    """Return what would make an unsupported trial possible, `` if that is not known."""
    # Records of older versions name the failed call only in their reason.
    tried = outcome.tried or outcome.reason
    if "MOUNT_ATTR_IDMAP" in tried and outcome.errno == errno.EPERM:
        return IDMAP_PERMISSION
    return next((words for call, words in CALLS.items() if call in tried), "")


def unsupported_words(outcome: Outcome) -> str:
    """Return why a trial is unsupported and what it needs: `fsopen(overlay): No such device (ENODEV); ...`."""
    name = errno.errorcode.get(outcome.errno, "")
    needed = needs(outcome)
    return outcome.reason + (f" ({name})" if name else "") + (f"; {needed}" if needed else "")
