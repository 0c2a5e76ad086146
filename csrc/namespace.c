/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mount_api.h"

/* How many users a mapping of the privileged covers: what container runtimes give to one container. */
#define PB_MAPPED_USERS 65536u
#define PB_FIRST_MAPPED_USER 100000u

static int write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, text, strlen(text));
    int rc = n < 0 ? -errno : 0;
    close(fd);
    return rc;
}

/* Write the maps of a user namespace: `inside` 0 is `outside`, and so on for count users. */
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

int pb_namespace_enter(struct pb_crew_state *crew) {
    unsigned user = geteuid(), group = getegid();
    pid_t parent = getppid();
    if (unshare(CLONE_NEWNS)) {
        if (errno != EPERM)
            return pb_fail(crew, PB_UNSUPPORTED, errno, "unshare(CLONE_NEWNS)", "a mount namespace");
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
            return pb_fail(crew, PB_UNSUPPORTED, errno, "unshare(CLONE_NEWUSER | CLONE_NEWNS)",
                           "a user namespace, as there is no CAP_SYS_ADMIN");
        /* New credentials clear the death signal. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            return pb_fail(crew, PB_FAILED, 0, "starting the crew", "the caller died");
        int rc = write_maps("self", user, group, 1, false);
        if (rc)
            return pb_fail(crew, PB_UNSUPPORTED, -rc, "writing uid_map", "a user namespace of our own");
        crew->summary.user_namespace = 1;
    }
    if (pb_mount("none", "/", NULL, PB_MS_REC | PB_MS_PRIVATE, NULL))
        return pb_fail(crew, PB_UNSUPPORTED, errno, "mount(MS_REC | MS_PRIVATE)", "/");
    return 0;
}

int pb_user_namespace_fd(struct pb_crew_state *crew) {
    int ready[2], done[2];
    if (pipe2(ready, O_CLOEXEC))
        return -errno;
    if (pipe2(done, O_CLOEXEC)) {
        close(ready[0]);
        close(ready[1]);
        return -EMFILE;
    }
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        char byte = 0;
        close(ready[0]);
        close(done[1]);
        int code = unshare(CLONE_NEWUSER) ? errno : 0;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!code && getppid() == parent && write(ready[1], "r", 1) == 1 && read(done[0], &byte, 1) >= 0)
            _exit(0);
        _exit(code ? code : 1);
    }
    int fd = pid < 0 ? -errno : -EPERM;
    close(ready[1]);
    close(done[0]);
    char byte, name[16], path[64];
    if (pid > 0 && read(ready[0], &byte, 1) == 1) {
        bool nested = crew->summary.user_namespace != 0;
        snprintf(name, sizeof name, "%d", (int)pid);
        int rc = nested ? write_maps(name, 0, 0, 1, false)
                        : write_maps(name, PB_FIRST_MAPPED_USER, PB_FIRST_MAPPED_USER, PB_MAPPED_USERS, true);
        snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
        fd = rc ? rc : open(path, O_RDONLY | O_CLOEXEC);
        if (!rc && fd < 0)
            fd = -errno;
    }
    close(ready[0]);
    close(done[1]);
    int status = 0;
    if (pid > 0 && waitpid(pid, &status, 0) == pid && fd == -EPERM && WIFEXITED(status) && WEXITSTATUS(status))
        fd = -WEXITSTATUS(status);
    return fd;
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
