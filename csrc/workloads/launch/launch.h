/* SPDX-License-Identifier: Apache-2.0
 *
 * Types that the files of the launch workload share: launch.c is the storm, files.c makes the files it needs,
 * assemble.c does what a container runtime does for one container, bystanders.c holds the roles next to the storm.
 */
#pragma once
#include <stdio.h>

#include "core/core.h"
#include "core/histogram.h"
#include "core/sampler.h"
#include "mounts/mount_calls.h"
#include "mounts/namespace.h"
#include "timing/clock.h"

/* Overlay's limit of lower layers. */
#define LAUNCH_MAX_LAYERS 500
#define LAUNCH_PATH 96
/* mount(2) reads one page of options. */
#define LAUNCH_OPTIONS 4096
#define LAUNCH_FILE_BYTES 1024
/* Number of user ranges, with the first range and the size that runtimes use. */
#define LAUNCH_USER_RANGES 1000u

enum launch_phase {
    LAUNCH,
    LAUNCH_USERNS,
    LAUNCH_BUILD,
    LAUNCH_OVERLAY,
    LAUNCH_RELEASE,
    LAUNCH_CLEAN,
    LAUNCH_READ,
    LAUNCH_LIST,
    LAUNCH_WALK,
    LAUNCH_PROBE
};
enum launch_role { ROLE_WORKER, ROLE_READER, ROLE_LISTER, ROLE_WALKER, ROLE_PROBER, ROLES };
enum launch_counter {
    COUNT_LAUNCHED,
    COUNT_FAILED,
    COUNT_LATE,
    COUNT_MOUNT_OPERATIONS,
    COUNT_CLEAN_OPERATIONS,
    COUNT_SYSCALLS,
    COUNT_WAKEUPS,
    COUNT_PROBES,
    COUNT_PROBES_LATE
};
enum launch_arrival { ARRIVE_CLOSED, ARRIVE_BURST, ARRIVE_RATE };

struct launch_strategy;

struct launch_config {
    const struct launch_strategy *strategy;
    int arrival, userns_each, umount_flags, readonly, keep;
    int64_t rate; /* containers a second, for ARRIVE_RATE */
    int64_t containers, layers, passes, files, table, think_ns, deadline_ns, probe_every_ns;
    int64_t members[ROLES]; /* of each role */
    const char *fs;
    int shared_userns;
};

/* Written by all members. */
struct launch_shared {
    alignas(PB_LINE) _Atomic int64_t next;
    alignas(PB_LINE) _Atomic int64_t workers_left;
};

/* One launch in progress, in its worker's memory. */
struct launch_scratch {
    struct pb_member_state *member;
    int64_t container;
    uint32_t owner; /* expected owner of the layers' files */
    int userns, parent_fd, n_fds, attached, overlay_mounted;
    int fds[LAUNCH_MAX_LAYERS];
    const char *tried; /* the call that failed */
    uint64_t syscalls, operations, cleaning;
    char options[LAUNCH_OPTIONS + 64];
    char buffer[1 << 16]; /* of readers */
};

/* A way to assemble one root file system. Each step returns 0, or -1 with errno and launch->tried set. */
struct launch_strategy {
    const char *name;
    bool userns; /* needs the container's own user range */
    bool copies; /* copies the layers; the copies are removed with the container */
    int (*build)(struct launch_scratch *launch);
    int (*overlay)(struct launch_scratch *launch);
    int (*release)(struct launch_scratch *launch); /* also called after a failed build */
};
extern const struct launch_strategy launch_strategies[]; /* ended by a NULL name */

/* The folder of one layer; a launch is verified by file 0 of the last one. */
#define LAUNCH_LAYER PB_BASE "/image/%lld/fs"
/* Make image, containers and surroundings; files.c. */
int launch_make_files(struct pb_crew_state *crew);

static inline struct launch_config *launch_config(const struct launch_scratch *launch) {
    return launch->member->crew->config;
}
/* Paths below a container's folder: u(pper), w(ork), m(ounted), tmp. */
static inline void launch_path(const struct launch_scratch *launch, const char *name, char path[LAUNCH_PATH]) {
    snprintf(path, LAUNCH_PATH, PB_BASE "/c%lld/%s", (long long)launch->container, name);
}
static inline void launch_attached(struct launch_scratch *launch) {
    launch->operations++;
    pb_timeline_add(launch->member->crew, 1);
}
static inline void launch_detached(struct launch_scratch *launch) { pb_timeline_add(launch->member->crew, -1); }
static inline int launch_failed(struct launch_scratch *launch, const char *tried) {
    launch->tried = tried;
    return -1;
}

/* Run the role of a member that is not a worker; bystanders.c. */
int launch_run_bystander(struct pb_member_state *member);
/* Return true once the storm is over. */
static inline bool launch_over(const struct pb_member_state *member) {
    const struct launch_shared *shared = member->crew->line;
    return atomic_load_explicit(&shared->workers_left, memory_order_acquire) <= 0 || pb_crew_failed(member->crew);
}
