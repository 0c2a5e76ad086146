/* SPDX-License-Identifier: Apache-2.0
 *
 * Those who suffer beside the storm: who re-reads the mount table whenever it changes (systemd, the kubelet), who
 * lists it by listmount and statmount, who walks paths, and the health check that does both against a deadline.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "workloads/launch/launch.h"

#define PROBED_FILE PB_BASE "/walk/a/b/c/file"
/* How long a waiter sleeps before it looks whether the storm is over. */
#define LOOK_MS 10

static int failed(struct pb_seat *seat, enum pb_status status, const char *tried) {
    return pb_fail(seat->crew, status, errno, tried, "beside the launches");
}

/* Read the whole mount table through an open mountinfo. */
static int read_table(struct pb_seat *seat, int fd) {
    struct launch_scratch *scratch = seat->scratch;
    ssize_t n = lseek(fd, 0, SEEK_SET);
    while (n >= 0 && (n = read(fd, scratch->buffer, sizeof scratch->buffer)) > 0)
        ;
    return n < 0 ? failed(seat, PB_FAILED, "reading mountinfo") : 0;
}

/* The same by listmount, and statmount for each; a mount that is gone by then is no failure. */
static int list_table(struct pb_seat *seat) {
    struct launch_scratch *scratch = seat->scratch;
    uint64_t *mounts = (uint64_t *)(void *)scratch->buffer;
    enum { AT_ONCE = sizeof scratch->buffer / 2 / sizeof(uint64_t) };
    char *answer = scratch->buffer + sizeof scratch->buffer / 2;
    struct pb_mount_request all = {sizeof all, 0, PB_LSMT_ROOT, 0};
    long n;
    do {
        n = pb_listmount(&all, mounts, AT_ONCE);
        if (n < 0)
            return failed(seat, errno == ENOSYS ? PB_UNSUPPORTED : PB_FAILED, "listmount");
        for (long i = 0; i < n; i++) {
            struct pb_mount_request one = {sizeof one, 0, mounts[i], PB_STATMOUNT_ALL};
            if (pb_statmount(&one, answer, sizeof scratch->buffer / 2) && errno != ENOENT)
                return failed(seat, PB_FAILED, "statmount");
        }
        if (n)
            all.param = mounts[n - 1];
    } while (n == AT_ONCE);
    return 0;
}

static void timed(struct pb_seat *seat, enum launch_phase which, uint64_t begin) {
    pb_phase_add(&seat->phases[which], pb_latency_ns(seat, begin, pb_ticks(), 1));
    seat->member->operations++;
}

/* Reader and lister: look whenever poll says that the table changed. */
static int run_watcher(struct pb_seat *seat, bool by_list) {
    int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC), rc = 0;
    if (fd < 0)
        return failed(seat, PB_FAILED, "open(mountinfo)");
    while (!rc && !launch_over(seat)) {
        struct pollfd changed = {.fd = fd, .events = POLLPRI};
        if (poll(&changed, 1, LOOK_MS) <= 0)
            continue;
        seat->member->counters[COUNT_WAKEUPS]++;
        uint64_t begin = pb_ticks();
        rc = by_list ? list_table(seat) : read_table(seat, fd);
        timed(seat, by_list ? LAUNCH_LIST : LAUNCH_READ, begin);
    }
    close(fd);
    return rc;
}

static int run_walker(struct pb_seat *seat) {
    struct stat seen;
    while (!launch_over(seat)) {
        uint64_t begin = pb_ticks();
        if (stat(PROBED_FILE, &seen))
            return failed(seat, PB_FAILED, "stat");
        timed(seat, LAUNCH_WALK, begin);
    }
    return 0;
}

static int run_prober(struct pb_seat *seat) {
    const struct launch_config *config = seat->crew->config;
    struct timespec rest = {0, LOOK_MS * 1000000};
    uint64_t due = pb_now_ns();
    int rc = 0;
    while (!rc && !launch_over(seat)) {
        uint64_t now = pb_now_ns();
        if (now < due) {
            rest.tv_nsec = (long)(due - now < LOOK_MS * 1000000u ? due - now : LOOK_MS * 1000000u);
            nanosleep(&rest, NULL);
            continue;
        }
        struct stat seen;
        uint64_t begin = pb_ticks();
        int fd = stat(PROBED_FILE, &seen) ? -1 : open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return failed(seat, PB_FAILED, "probing");
        rc = read_table(seat, fd);
        close(fd);
        timed(seat, LAUNCH_PROBE, begin);
        seat->member->counters[COUNT_PROBES]++;
        if (pb_now_ns() - now > (uint64_t)config->deadline_ns)
            seat->member->counters[COUNT_PROBES_LATE]++;
        due += (uint64_t)config->probe_every_ns;
        /* A probe that took longer than their distance delays the next; they do not pile up. */
        if (due < now)
            due = now;
    }
    return rc;
}

int launch_run_beside(struct pb_seat *seat) {
    switch (seat->member->role) {
    case ROLE_READER:
        return run_watcher(seat, false);
    case ROLE_LISTER:
        return run_watcher(seat, true);
    case ROLE_WALKER:
        return run_walker(seat);
    default:
        return run_prober(seat);
    }
}
