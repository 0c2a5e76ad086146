/* SPDX-License-Identifier: Apache-2.0
 *
 * stat: path walks alone, which read mount_lock's sequence count and write nothing shared: the control that should
 * scale. Each member has a file of its own unless file=shared.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/core.h"
#include "core/histogram.h"
#include "core/sampler.h"
#include "mounts/mount_calls.h"
#include "mounts/namespace.h"
#include "timing/clock.h"

#define STAT_MAX_DEPTH 32

struct stat_config {
    int64_t depth;
    int shared;
};

struct stat_scratch {
    char path[sizeof PB_BASE + 16 + 2 * STAT_MAX_DEPTH];
};

static int configure(struct pb_crew_state *crew) {
    static const char *const files[] = {"private", "shared", NULL};
    struct stat_config *config = crew->config;
    if (pb_param_number(crew, "depth", &config->depth) || pb_param_word(crew, "file", files, &config->shared))
        return -EINVAL;
    if (config->depth < 0 || config->depth > STAT_MAX_DEPTH)
        return pb_fail(crew, PB_FAILED, EINVAL, "reading parameters", "depth must be 0 to %d", STAT_MAX_DEPTH);
    return 0;
}

static int setup(struct pb_crew_state *crew) { return pb_mount_tmpfs(crew, PB_BASE); }

static int prepare(struct pb_member_state *member) {
    const struct stat_config *config = member->crew->config;
    struct stat_scratch *scratch = member->scratch;
    size_t room = sizeof scratch->path;
    int n = snprintf(scratch->path, room, PB_BASE "/%d", config->shared ? 0 : member->index);
    for (int64_t i = 0; i < config->depth; i++) {
        if (mkdir(scratch->path, 0755) && errno != EEXIST)
            return pb_fail(member->crew, PB_FAILED, errno, "mkdir", "%s", scratch->path);
        n += snprintf(scratch->path + n, room - (size_t)n, "/d");
    }
    int fd = open(scratch->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0)
        return pb_fail(member->crew, PB_FAILED, errno, "open", "%s", scratch->path);
    close(fd);
    return 0;
}

static int run(struct pb_member_state *member, struct pb_until until) {
    const struct stat_scratch *scratch = member->scratch;
    struct pb_phase *phase = &member->phases[0];
    struct stat seen;
    uint64_t operations = 0;
    struct pb_sampler sampler = pb_sampler_start(member, pb_ticks());
    for (;;) {
        uint64_t left = until.operations - operations - 1;
        uint64_t unsampled = sampler.batch < left ? sampler.batch : left;
        int bad = 0;
        for (uint64_t i = 0; i < unsampled; i++)
            bad |= stat(scratch->path, &seen);
        uint64_t begin = pb_ticks();
        bad |= stat(scratch->path, &seen);
        uint64_t end = pb_ticks();
        if (bad)
            return pb_fail(member->crew, PB_FAILED, errno, "stat", "%s", scratch->path);
        pb_phase_add_sample(phase, pb_latency_ns(member, begin, end, 1), unsampled + 1);
        operations += unsampled + 1;
        if (end >= until.tick || operations >= until.operations || pb_crew_failed(member->crew))
            break;
        pb_sampler_next(&sampler, &member->rng, end);
    }
    member->result->operations += operations;
    return 0;
}

static const struct pb_workload workload = {
    .name = "stat",
    .phases = {"stat"},
    .mounts = true,
    .kernel_memory = true,
    .config_bytes = sizeof(struct stat_config),
    .scratch_bytes = sizeof(struct stat_scratch),
    .configure = configure,
    .setup = setup,
    .prepare = prepare,
    .run = run,
    .teardown = pb_unmount_base,
};
PB_WORKLOAD(stat, workload);
