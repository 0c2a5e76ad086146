/* SPDX-License-Identifier: Apache-2.0
 *
 * Mount system calls by number: recent C libraries have some of them, in headers that conflict. Numbers and flags are
 * the kernel's user ABI, the same on x86-64 and AArch64 from open_tree on.
 */
#pragma once
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PB_SYS_OPEN_TREE 428
#define PB_SYS_MOVE_MOUNT 429
#define PB_SYS_FSOPEN 430
#define PB_SYS_FSCONFIG 431
#define PB_SYS_FSMOUNT 432
#define PB_SYS_MOUNT_SETATTR 442
#define PB_SYS_STATMOUNT 457
#define PB_SYS_LISTMOUNT 458

#define PB_MS_BIND 4096ul
#define PB_MS_REC 16384ul
#define PB_MS_PRIVATE (1ul << 18)
#define PB_MS_SHARED (1ul << 20)
#define PB_MNT_DETACH 2

#define PB_OPEN_TREE_CLONE 1u
#define PB_OPEN_TREE_CLOEXEC 02000000u
#define PB_MOVE_MOUNT_F_EMPTY_PATH 4u
#define PB_AT_EMPTY_PATH 0x1000u
#define PB_MOUNT_ATTR_RDONLY 0x00000001u
#define PB_MOUNT_ATTR_IDMAP 0x00100000u

#define PB_FSOPEN_CLOEXEC 1u
#define PB_FSMOUNT_CLOEXEC 1u
#define PB_FSCONFIG_SET_STRING 1u
#define PB_FSCONFIG_SET_FD 5u
#define PB_FSCONFIG_CMD_CREATE 6u

#define PB_LSMT_ROOT UINT64_MAX
#define PB_STATMOUNT_ALL 0x3bu /* superblock, mount, root, mount point and type */

struct pb_mount_attr {
    uint64_t attr_set, attr_clr, propagation, userns_fd;
};

/* The request of listmount and statmount. */
struct pb_mount_request {
    uint32_t size, spare;
    uint64_t mount, param;
};

static inline int pb_mount(const char *source, const char *target, const char *type, unsigned long flags,
                           const char *data) {
    return (int)syscall(SYS_mount, source, target, type, flags, data);
}
static inline int pb_umount2(const char *target, int flags) { return (int)syscall(SYS_umount2, target, flags); }
static inline int pb_open_tree(int dir_fd, const char *path, unsigned flags) {
    return (int)syscall(PB_SYS_OPEN_TREE, dir_fd, path, flags);
}
static inline int pb_move_mount(int from_fd, const char *from, int to_fd, const char *to, unsigned flags) {
    return (int)syscall(PB_SYS_MOVE_MOUNT, from_fd, from, to_fd, to, flags);
}
static inline int pb_mount_setattr(int dir_fd, const char *path, unsigned flags, const struct pb_mount_attr *attr) {
    return (int)syscall(PB_SYS_MOUNT_SETATTR, dir_fd, path, flags, attr, sizeof *attr);
}
static inline int pb_fsopen(const char *type, unsigned flags) { return (int)syscall(PB_SYS_FSOPEN, type, flags); }
static inline int pb_fsconfig(int fd, unsigned command, const char *key, const void *value, int aux) {
    return (int)syscall(PB_SYS_FSCONFIG, fd, command, key, value, aux);
}
static inline int pb_fsmount(int fd, unsigned flags, unsigned attributes) {
    return (int)syscall(PB_SYS_FSMOUNT, fd, flags, attributes);
}
static inline long pb_listmount(const struct pb_mount_request *request, uint64_t *mounts, size_t count) {
    return syscall(PB_SYS_LISTMOUNT, request, mounts, count, 0u);
}
static inline int pb_statmount(const struct pb_mount_request *request, void *buffer, size_t bytes) {
    return (int)syscall(PB_SYS_STATMOUNT, request, buffer, bytes, 0u);
}
