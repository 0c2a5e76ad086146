/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder on a file system of the host, and the guard process that removes it. Only the guard outlives the crew, for
 * as long as the removal takes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mounts/mount_calls.h"
#include "mounts/namespace.h"

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *at) {
    (void)info;
    (void)at;
    return kind == FTW_DP ? rmdir(path) : unlink(path);
}

/* The guard is in the crew's mount namespace, so it first unmounts what is mounted there. */
static _Noreturn void guard(int parent_fd, const char *name, int crew_fd, int ready_fd) {
    char byte = 0;
    setsid();
    prctl(PR_SET_NAME, "pybench-guard");
    for (int signal_number = 1; signal_number < 32; signal_number++)
        signal(signal_number, SIG_IGN);
    bool reported = write(ready_fd, "r", 1) == 1;
    close(ready_fd);
    while (reported && read(crew_fd, &byte, 1) < 0 && errno == EINTR)
        ;
    pb_umount2(PB_BASE, PB_MNT_DETACH);
    if (!fchdir(parent_fd))
        nftw(name, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    _exit(0);
}

/* Fork the guard of a folder that does not exist yet. The pipe to it closes when the last process of the crew exits. */
static int start_guard(struct pb_crew_state *crew, int parent_fd, const char *name) {
    int crew_pipe[2], ready[2];
    char byte;
    if (pipe2(crew_pipe, O_CLOEXEC))
        return -errno;
    if (pipe2(ready, O_CLOEXEC)) {
        int rc = -errno;
        close(crew_pipe[0]);
        close(crew_pipe[1]);
        return rc;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(crew_pipe[1]);
        close(ready[0]);
        guard(parent_fd, name, crew_pipe[0], ready[1]);
    }
    int rc = pid < 0 ? -errno : 0;
    close(crew_pipe[0]);
    close(ready[1]);
    if (!rc && read(ready[0], &byte, 1) != 1)
        rc = -ECHILD;
    close(ready[0]);
    if (rc)
        close(crew_pipe[1]);
    crew->guard = pid;
    return rc;
}

int pb_mount_host_folder(struct pb_crew_state *crew, const char *dir) {
    char name[64], link[48];
    int parent_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent_fd < 0)
        return pb_fail(crew, PB_FAILED, errno, "open", "%.140s", dir);
    snprintf(name, sizeof name, ".pybench-%d-%llx", (int)getpid(), (unsigned long long)pb_now_ns());
    int rc = start_guard(crew, parent_fd, name);
    if (rc)
        return pb_fail(crew, PB_FAILED, -rc, "starting the guard", "%.140s", dir);
    int fd = mkdirat(parent_fd, name, 0755) ? -1 : openat(parent_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return pb_fail(crew, PB_FAILED, errno, "mkdir", "%.100s/%s", dir, name);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (pb_mount(link, PB_BASE, NULL, PB_MS_BIND, NULL) || pb_mount("none", PB_BASE, NULL, PB_MS_PRIVATE, NULL))
        return pb_fail(crew, PB_UNSUPPORTED, errno, "mount(MS_BIND)", "%.140s", dir);
    close(fd);
    close(parent_fd);
    return 0;
}
