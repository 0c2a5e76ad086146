# SPDX-License-Identifier: Apache-2.0
"""What this host would need for what it cannot do, as far as a failed call tells."""

import errno

NAMESPACES = (
    "mounts need root (CAP_SYS_ADMIN) or unprivileged user namespaces (sysctl user.max_user_namespaces, "
    "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"
)
# Part of the failed call -> what it needs. Kernels differ by what was put back into them: these are the versions
# that first had it.
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


def needs(reason: str, code: int = 0) -> str:
    """What would make it possible, for the reason and errno of an unsupported trial; `` where we do not know."""
    if "MOUNT_ATTR_IDMAP" in reason and code == errno.EPERM:
        return IDMAP_PERMISSION
    return next((words for call, words in CALLS.items() if call in reason), "")


def unsupported_words(reason: str, code: int) -> str:
    """A reason with its errno's name and what it needs: `fsopen(overlay): ...: No such device (ENODEV); ...`."""
    name = errno.errorcode.get(code, "")
    needed = needs(reason, code)
    return reason + (f" ({name})" if name else "") + (f"; {needed}" if needed else "")
