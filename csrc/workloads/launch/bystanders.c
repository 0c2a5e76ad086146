/* SPDX-License-Identifier: Apache-2.0
 *
 * Roles next to the storm: a reader re-reads the mount table whenever it changes (as systemd and the kubelet do), a
 * lister does so by listmount and statmount, a walker walks paths, a prober is a health check that does both under a
 * deadline.
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
/* Longest sleep before a member checks whether the storm is over. */
#define CHECK_MS 10

static int failed(struct pb_member_state *member, enum pb_status status, const char *tried) {
    return pb_fail(member->crew, status, errno, tried, "during the launches");
}

/* Read the whole mount table through an open mountinfo. */
static int read_table(struct pb_member_state *member, int fd) {
    struct launch_scratch *scratch = member->scratch;
    ssize_t n = lseek(fd, 0, SEEK_SET);
    while (n >= 0 && (n = read(fd, scratch->buffer, sizeof scratch->buffer)) > 0)
        ;
    return n < 0 ? failed(member, PB_FAILED, "reading mountinfo") : 0;
}

/* The same by listmount, and statmount for each mount; one that is gone by then is not a failure. */
static int list_table(struct pb_member_state *member) {
    struct launch_scratch *scratch = member->scratch;
    uint64_t *mounts = (uint64_t *)(void *)scratch->buffer;
    enum { AT_ONCE = sizeof scratch->buffer / 2 / sizeof(uint64_t) };
    char *answer = scratch->buffer + sizeof scratch->buffer / 2;
    struct pb_mount_request all = {sizeof all, 0, PB_LSMT_ROOT, 0};
    long n;
    do {
        n = pb_listmount(&all, mounts, AT_ONCE);
        if (n < 0)
            return failed(member, errno == ENOSYS ? PB_UNSUPPORTED : PB_FAILED, "listmount");
        for (long i = 0; i < n; i++) {
            struct pb_mount_request one = {sizeof one, 0, mounts[i], PB_STATMOUNT_ALL};
            if (pb_statmount(&one, answer, sizeof scratch->buffer / 2) && errno != ENOENT)
                return failed(member, PB_FAILED, "statmount");
        }
        if (n)
            all.param = mounts[n - 1];
    } while (n == AT_ONCE);
    return 0;
}

static void record(struct pb_member_state *member, enum launch_phase which, uint64_t begin) {
    pb_phase_add(&member->phases[which], pb_latency_ns(member, begin, pb_ticks(), 1));
    member->result->operations++;
}

/* Reader and lister: read whenever poll reports a change of the table. */
static int run_watcher(struct pb_member_state *member, bool by_list) {
    int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC), rc = 0;
    if (fd < 0)
        return failed(member, PB_FAILED, "open(mountinfo)");
    while (!rc && !launch_over(member)) {
        struct pollfd changed = {.fd = fd, .events = POLLPRI};
        if (poll(&changed, 1, CHECK_MS) <= 0)
            continue;
        member->result->counters[COUNT_WAKEUPS]++;
        uint64_t begin = pb_ticks();
        rc = by_list ? list_table(member) : read_table(member, fd);
        record(member, by_list ? LAUNCH_LIST : LAUNCH_READ, begin);
    }
    close(fd);
    return rc;
}

static int run_walker(struct pb_member_state *member) {
    struct stat seen;
    while (!launch_over(member)) {
        uint64_t begin = pb_ticks();
        if (stat(PROBED_FILE, &seen))
            return failed(member, PB_FAILED, "stat");
        record(member, LAUNCH_WALK, begin);
    }
    return 0;
}

static int run_prober(struct pb_member_state *member) {
    const struct launch_config *config = member->crew->config;
    struct timespec rest = {0, CHECK_MS * 1000000};
    uint64_t due = pb_now_ns();
    int rc = 0;
    while (!rc && !launch_over(member)) {
        uint64_t now = pb_now_ns();
        if (now < due) {
            rest.tv_nsec = (long)(due - now < CHECK_MS * 1000000u ? due - now : CHECK_MS * 1000000u);
            nanosleep(&rest, NULL);
            continue;
        }
        struct stat seen;
        uint64_t begin = pb_ticks();
        int fd = stat(PROBED_FILE, &seen) ? -1 : open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return failed(member, PB_FAILED, "probing");
        rc = read_table(member, fd);
        close(fd);
        record(member, LAUNCH_PROBE, begin);
        member->result->counters[COUNT_PROBES]++;
        if (pb_now_ns() - now > (uint64_t)config->deadline_ns)
            member->result->counters[COUNT_PROBES_LATE]++;
        due += (uint64_t)config->probe_every_ns;
        /* A probe that took longer than the interval delays the next; probes do not accumulate. */
        if (due < now)
            due = now;
    }
    return rc;
}

int launch_run_bystander(struct pb_member_state *member) {
    switch (member->result->role) {
    case ROLE_READER:
        return run_watcher(member, false);
    case ROLE_LISTER:
        return run_watcher(member, true);
    case ROLE_WALKER:
        return run_walker(member);
    default:
        return run_prober(member);
    }
}
