/* SPDX-License-Identifier: Apache-2.0
 *
 * Mount and user namespaces of a crew, and mounts within them.
 */
#define _GNU_SOURCE
#include "mounts/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mounts/mount_calls.h"

/* Users of a privileged mapping: the number that container runtimes give to one container. */
#define PB_MAPPED_USERS 65536u
#define PB_FIRST_MAPPED_USER 100000u
/* There are at most 1000 ranges. */
#define PB_LAST_MAPPED_USER (PB_FIRST_MAPPED_USER + 1000u * PB_MAPPED_USERS)

static int write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, text, strlen(text));
    int rc = n < 0 ? -errno : 0;
    close(fd);
    return rc;
}

/* Write the maps of a user namespace: `count` users from 0 inside map to users from outside_user on; groups likewise.
 */
static int write_maps(const char *process, unsigned outside_user, unsigned outside_group, unsigned count,
                      bool privileged) {
    char path[64], map[64];
    int rc;
    snprintf(path, sizeof path, "/proc/%s/setgroups", process);
    if (!privileged && (rc = write_file(path, "deny")) && rc != -ENOENT)
        return rc;
    snprintf(path, sizeof path, "/proc/%s/uid_map", process);
    snprintf(map, sizeof map, "0 %u %u\n", outside_user, count);
    if ((rc = write_file(path, map)))
        return rc;
    snprintf(path, sizeof path, "/proc/%s/gid_map", process);
    snprintf(map, sizeof map, "0 %u %u\n", outside_group, count);
    return write_file(path, map);
}

/* Return true if this user namespace has the users of all ranges: root of a container has a few, or itself alone. */
static bool has_mapped_users(void) {
    unsigned long long inside, outside, count;
    bool found = false;
    FILE *map = fopen("/proc/self/uid_map", "re");
    while (map && !found && fscanf(map, "%llu %llu %llu", &inside, &outside, &count) == 3)
        found = inside <= PB_FIRST_MAPPED_USER && inside + count >= PB_LAST_MAPPED_USER;
    if (map)
        fclose(map);
    return found;
}

int pb_namespace_enter(struct pb_crew_state *crew) {
    unsigned user = geteuid(), group = getegid();
    pid_t parent = getppid();
    if (unshare(CLONE_NEWNS)) {
        if (errno != EPERM)
            return pb_fail(crew, PB_UNSUPPORTED, errno, "unshare(CLONE_NEWNS)", "a mount namespace");
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
            return pb_fail(crew, PB_UNSUPPORTED, errno, "unshare(CLONE_NEWUSER | CLONE_NEWNS)",
                           "a user namespace, needed without CAP_SYS_ADMIN");
        /* New credentials clear the death signal. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            return pb_fail(crew, PB_FAILED, 0, "starting the crew", "the caller died");
        int rc = write_maps("self", user, group, 1, false);
        if (rc)
            return pb_fail(crew, PB_UNSUPPORTED, -rc, "writing uid_map", "the new user namespace");
        crew->summary.user_namespace = 1;
    } else {
        crew->summary.user_namespace = !has_mapped_users();
    }
    if (pb_mount("none", "/", NULL, PB_MS_REC | PB_MS_PRIVATE, NULL))
        return pb_fail(crew, PB_UNSUPPORTED, errno, "mount(MS_REC | MS_PRIVATE)", "/");
    return 0;
}

uint32_t pb_mapped_user(const struct pb_crew_state *crew, uint32_t range) {
    return crew->summary.user_namespace ? 0 : PB_FIRST_MAPPED_USER + range * PB_MAPPED_USERS;
}

/* This process shares its parent's memory: nothing here may touch thread-local data. */
__attribute__((no_sanitize("address", "thread"))) static int hold_namespace(void *parent) {
    syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    while (syscall(SYS_getppid) == *(const pid_t *)parent)
        syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
    return 1;
}

int pb_user_namespace_fd(struct pb_crew_state *crew, uint32_t range) {
    char name[16], path[64];
    bool nested = crew->summary.user_namespace != 0;
    uint32_t user = pb_mapped_user(crew, range);
    pid_t parent = getpid();
    /* A process that only holds the user namespace. It shares its parent's files: copies of them would keep mounts busy
     * that other threads unmount meanwhile. It shares its memory, which saves a copy of the page tables. */
    alignas(16) char stack[8192];
    pid_t pid = clone(hold_namespace, stack + sizeof stack, CLONE_NEWUSER | CLONE_VM | CLONE_FILES | SIGCHLD, &parent);
    if (pid < 0)
        return -errno;
    snprintf(name, sizeof name, "%d", (int)pid);
    snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
    int fd = write_maps(name, user, user, nested ? 1 : PB_MAPPED_USERS, !nested);
    if (!fd && (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        fd = -errno;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return fd;
}

int pb_make_dir(struct pb_crew_state *crew, const char *path) {
    return mkdir(path, 0755) ? pb_fail(crew, PB_FAILED, errno, "mkdir", "%s", path) : 0;
}

int pb_unmount_base(struct pb_crew_state *crew) {
    if (pb_umount2(PB_BASE, PB_MNT_DETACH))
        return pb_fail(crew, PB_FAILED, errno, "umount2(MNT_DETACH)", PB_BASE);
    return 0;
}

int pb_mount_tmpfs(struct pb_crew_state *crew, const char *path) {
    /* Unlimited inodes: a big mount table could run out of them. */
    if (pb_mount("pybench", path, "tmpfs", 0, "mode=755,nr_inodes=0"))
        return pb_fail(crew, PB_UNSUPPORTED, errno, "mount(tmpfs)", "%s", path);
    if (pb_mount("none", path, NULL, PB_MS_PRIVATE, NULL))
        return pb_fail(crew, PB_FAILED, errno, "mount(MS_PRIVATE)", "%s", path);
    return 0;
}

int pb_mount_filler(struct pb_crew_state *crew, const char *parent, const char *source, int64_t count) {
    char path[64];
    if (mkdir(parent, 0755))
        return pb_fail(crew, PB_FAILED, errno, "mkdir", "%s", parent);
    if (pb_mount_tmpfs(crew, parent))
        return -1;
    for (int64_t i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%lld", parent, (long long)i);
        if (mkdir(path, 0755))
            return pb_fail(crew, PB_FAILED, errno, "mkdir", "%s", path);
        if (pb_mount(source, path, NULL, PB_MS_BIND, NULL))
            return pb_fail(crew, PB_FAILED, errno, "mount(MS_BIND)", "%s", path);
    }
    return 0;
}

uint64_t pb_count_mounts(void) {
    char buffer[1 << 14];
    uint64_t lines = 0;
    int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    ssize_t n;
    while (fd >= 0 && (n = read(fd, buffer, sizeof buffer)) > 0)
        for (ssize_t i = 0; i < n; i++)
            lines += buffer[i] == '\n';
    if (fd >= 0)
        close(fd);
    return lines;
}
