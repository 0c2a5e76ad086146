/* SPDX-License-Identifier: Apache-2.0
 *
 * mount: real bind mounts and unmounts in the crew's own mount namespace. They take two global kernel locks:
 * namespace_sem, and mount_lock, which every path walk reads.
 *
 * An unmount waits for a grace period off CPU, which would hide the locks. So mount and unmount are timed separately,
 * on-CPU time is read as well as wall time, and umount=batch:N unmounts N mounts by one recursive detach.
 *
 * Below PB_BASE, a tmpfs:
 *   y/s      the source; y is private, so that peers see what is mounted, not where it came from
 *   y/b/J    the directories of one batch
 *   c/s, c/K the source if it has mounts as children
 *   f/N      the filler of the mount table
 *   x/K      peers of PB_BASE, which every mount below it propagates to
 *   dI, pI   the targets and batch parents of member I
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/core.h"
#include "core/histogram.h"
#include "core/sampler.h"
#include "mounts/mount_calls.h"
#include "mounts/namespace.h"
#include "timing/clock.h"

enum mount_phase { MOUNT, UMOUNT };
enum mount_api { API_MOUNT, API_OPEN_TREE };

/* A reading of on-CPU time is a system call: it is read for one operation in this many. */
#define CPU_SAMPLE_EVERY 16

struct mount_config {
    int api, idmap, umount_flags;
    int64_t batch; /* mounts per recursive detach; 0: each is unmounted by itself */
    int64_t children, peers, table;
    const char *fs;
    char source[32];
    int user_namespace;
};

struct mount_scratch {
    char target[48]; /* the member's target, or the parent of its batch */
};

static int configure(struct pb_crew_state *crew) {
    static const char *const apis[] = {"mount", "open_tree", NULL}, *const no_yes[] = {"no", "yes", NULL};
    struct mount_config *config = crew->config;
    const char *umount;
    config->user_namespace = -1;
    if (pb_param_word(crew, "api", apis, &config->api) || pb_param_word(crew, "idmap", no_yes, &config->idmap) ||
        pb_param_number(crew, "children", &config->children) || pb_param_number(crew, "peers", &config->peers) ||
        pb_param_number(crew, "table", &config->table) || pb_param_text(crew, "fs", &config->fs) ||
        pb_param_text(crew, "umount", &umount))
        return -EINVAL;
    if (!strcmp(umount, "detach"))
        config->umount_flags = PB_MNT_DETACH;
    else if (!strncmp(umount, "batch:", 6))
        config->batch = strtoll(umount + 6, NULL, 10);
    else if (strcmp(umount, "sync"))
        return pb_fail(crew, PB_FAILED, EINVAL, "reading parameters", "invalid umount=%s", umount);
    if (config->idmap && config->api == API_MOUNT)
        return pb_fail(crew, PB_FAILED, EINVAL, "reading parameters", "idmap=yes needs api=open_tree");
    return 0;
}

static int bind(struct pb_crew_state *crew, const char *source, const char *target) {
    if (pb_mount(source, target, NULL, PB_MS_BIND, NULL))
        return pb_fail(crew, PB_FAILED, errno, "mount(MS_BIND)", "%s", target);
    return 0;
}

/* Make the source of every timed mount: on a tmpfs, or a directory of the host bound here, given as host_fd since
 * PB_BASE may hide it by now. */
static int make_source(struct pb_crew_state *crew, int host_fd) {
    struct mount_config *config = crew->config;
    snprintf(config->source, sizeof config->source, "%s", PB_BASE "/y/s");
    if (pb_make_dir(crew, PB_BASE "/y") || pb_mount_tmpfs(crew, PB_BASE "/y") || pb_make_dir(crew, config->source))
        return -1;
    if (host_fd >= 0) {
        char link[48];
        snprintf(link, sizeof link, "/proc/self/fd/%d", host_fd);
        if (bind(crew, link, config->source))
            return -1;
        if (pb_mount("none", config->source, NULL, PB_MS_PRIVATE, NULL))
            return pb_fail(crew, PB_FAILED, errno, "mount(MS_PRIVATE)", "%s", config->fs);
    }
    if (config->children) {
        if (pb_mount_filler(crew, PB_BASE "/c", config->source, config->children))
            return -1;
        snprintf(config->source, sizeof config->source, "%s", PB_BASE "/c/s");
        return pb_make_dir(crew, config->source);
    }
    return 0;
}

static int make_batch(struct pb_crew_state *crew, int64_t count) {
    char path[64];
    if (pb_make_dir(crew, PB_BASE "/y/b"))
        return -1;
    for (int64_t i = 0; i < count; i++) {
        snprintf(path, sizeof path, PB_BASE "/y/b/%lld", (long long)i);
        if (pb_make_dir(crew, path))
            return -1;
    }
    return 0;
}

static int setup(struct pb_crew_state *crew) {
    struct mount_config *config = crew->config;
    int host_fd = -1;
    if (strcmp(config->fs, "tmpfs")) {
        host_fd = open(config->fs, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (host_fd < 0)
            return pb_fail(crew, PB_FAILED, errno, "open", "%.140s", config->fs);
    }
    if (pb_mount_tmpfs(crew, PB_BASE) || make_source(crew, host_fd) ||
        (config->batch && make_batch(crew, config->batch)) ||
        (config->table && pb_mount_filler(crew, PB_BASE "/f", PB_BASE "/y/s", config->table)))
        return -1;
    if (host_fd >= 0)
        close(host_fd);
    if (config->idmap && (config->user_namespace = pb_user_namespace_fd(crew, 0)) < 0)
        return pb_fail(crew, PB_UNSUPPORTED, -config->user_namespace, "clone(CLONE_NEWUSER)",
                       "a user namespace to map to");
    char path[48];
    for (int32_t i = 0; i < crew->spec->n_members; i++) {
        snprintf(path, sizeof path, PB_BASE "/%c%d", config->batch ? 'p' : 'd', i);
        if (pb_make_dir(crew, path))
            return -1;
    }
    if (config->peers) {
        if (pb_make_dir(crew, PB_BASE "/x") || pb_mount_tmpfs(crew, PB_BASE "/x"))
            return -1;
        if (pb_mount("none", PB_BASE, NULL, PB_MS_SHARED, NULL))
            return pb_fail(crew, PB_FAILED, errno, "mount(MS_SHARED)", PB_BASE);
        for (int64_t i = 0; i < config->peers; i++) {
            snprintf(path, sizeof path, PB_BASE "/x/%lld", (long long)i);
            if (pb_make_dir(crew, path) || bind(crew, PB_BASE, path))
                return -1;
        }
    }
    crew->summary.mounts_before = pb_count_mounts();
    return 0;
}

static int prepare(struct pb_member_state *member) {
    const struct mount_config *config = member->crew->config;
    struct mount_scratch *scratch = member->scratch;
    snprintf(scratch->target, sizeof scratch->target, PB_BASE "/%c%d", config->batch ? 'p' : 'd', member->index);
    return 0;
}

/* Mount once by the API under test. Returns the name of the call that failed, or NULL. */
static inline const char *mount_one(const struct mount_config *config, const char *target) {
    if (config->api == API_MOUNT)
        return pb_mount(config->source, target, NULL, PB_MS_BIND, NULL) ? "mount(MS_BIND)" : NULL;
    int fd = pb_open_tree(-1, config->source, PB_OPEN_TREE_CLONE | PB_OPEN_TREE_CLOEXEC);
    if (fd < 0)
        return "open_tree(OPEN_TREE_CLONE)";
    const char *failed = NULL;
    if (config->idmap) {
        struct pb_mount_attr attr = {.attr_set = PB_MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)config->user_namespace};
        if (pb_mount_setattr(fd, "", PB_AT_EMPTY_PATH, &attr))
            failed = "mount_setattr(MOUNT_ATTR_IDMAP)";
    }
    if (!failed && pb_move_mount(fd, "", -1, target, PB_MOVE_MOUNT_F_EMPTY_PATH))
        failed = "move_mount";
    int code = errno;
    close(fd);
    errno = code;
    return failed;
}

static int failed_call(struct pb_member_state *member, const char *tried, const char *subject) {
    bool missing = errno == ENOSYS || !strncmp(tried, "mount_setattr", 13);
    return pb_fail(member->crew, missing ? PB_UNSUPPORTED : PB_FAILED, errno, tried, "%s", subject);
}

static void record(struct pb_member_state *member, enum mount_phase which, uint64_t from, uint64_t to,
                   uint64_t operations) {
    struct pb_phase *phase = &member->phases[which];
    pb_phase_add(phase, pb_latency_ns(member, from, to, 1));
    phase->operations += operations - 1;
}

static void record_cpu(struct pb_member_state *member, enum mount_phase which, uint64_t cpu_ns, uint64_t ticks,
                       uint64_t operations) {
    pb_phase_add_cpu(&member->phases[which], member, cpu_ns, pb_ticks_to_ns(ticks, member->crew->ns_per_tick_fixed),
                     operations);
}

static int run_pairs(struct pb_member_state *member, struct pb_until until) {
    const struct mount_config *config = member->crew->config;
    const char *target = ((struct mount_scratch *)member->scratch)->target;
    uint64_t operations = 0, end;
    do {
        const bool read_cpu = operations % CPU_SAMPLE_EVERY == 0;
        uint64_t cpu[3] = {0};
        if (read_cpu)
            cpu[0] = pb_thread_cpu_ns();
        uint64_t begin = pb_ticks();
        const char *failed = mount_one(config, target);
        uint64_t mounted = pb_ticks();
        if (failed)
            return failed_call(member, failed, target);
        if (read_cpu)
            cpu[1] = pb_thread_cpu_ns();
        uint64_t middle = pb_ticks();
        if (pb_umount2(target, config->umount_flags))
            return failed_call(member, "umount2", target);
        end = pb_ticks();
        record(member, MOUNT, begin, mounted, 1);
        record(member, UMOUNT, middle, end, 1);
        if (read_cpu) {
            cpu[2] = pb_thread_cpu_ns();
            record_cpu(member, MOUNT, cpu[1] - cpu[0], mounted - begin, 1);
            record_cpu(member, UMOUNT, cpu[2] - cpu[1], end - middle, 1);
        }
        operations++;
    } while (end < until.tick && operations < until.operations && !pb_crew_failed(member->crew));
    member->result->operations += operations;
    return 0;
}

/* The recursive detach is part of the trial, except the last one, which only cleans up. */
static int run_batches(struct pb_member_state *member, struct pb_until until) {
    const struct mount_config *config = member->crew->config;
    const char *parent = ((struct mount_scratch *)member->scratch)->target;
    uint64_t operations = 0, batches = 0;
    bool over = false;
    char target[80];
    while (!over) {
        const bool read_cpu = batches++ % CPU_SAMPLE_EVERY == 0;
        if (pb_mount(PB_BASE "/y/b", parent, NULL, PB_MS_BIND, NULL))
            return failed_call(member, "mount(MS_BIND)", parent);
        uint64_t cpu = read_cpu ? pb_thread_cpu_ns() : 0, wall = pb_ticks(), done = 0, end = wall;
        while (!over && done < (uint64_t)config->batch) {
            snprintf(target, sizeof target, "%s/%llu", parent, (unsigned long long)done);
            uint64_t begin = pb_ticks();
            const char *failed = mount_one(config, target);
            end = pb_ticks();
            if (failed)
                return failed_call(member, failed, target);
            record(member, MOUNT, begin, end, 1);
            done++;
            operations++;
            over = end >= until.tick || operations >= until.operations || pb_crew_failed(member->crew);
        }
        if (read_cpu) {
            uint64_t mounted = pb_thread_cpu_ns();
            record_cpu(member, MOUNT, mounted - cpu, end - wall, done);
            cpu = mounted;
        }
        uint64_t begin = pb_ticks();
        if (over) {
            member->result->operations += operations;
            member->result->stop_ns = pb_now_ns();
        }
        if (pb_umount2(parent, PB_MNT_DETACH))
            return failed_call(member, "umount2(MNT_DETACH)", parent);
        end = pb_ticks();
        if (!over || operations == (uint64_t)config->batch) {
            record(member, UMOUNT, begin, end, done);
            if (read_cpu)
                record_cpu(member, UMOUNT, pb_thread_cpu_ns() - cpu, end - begin, done);
        }
    }
    return 0;
}

static int run(struct pb_member_state *member, struct pb_until until) {
    const struct mount_config *config = member->crew->config;
    return config->batch ? run_batches(member, until) : run_pairs(member, until);
}

static int verify(struct pb_crew_state *crew) {
    crew->summary.mounts_after = pb_count_mounts();
    if (crew->summary.mounts_after != crew->summary.mounts_before)
        return pb_fail(crew, PB_FAILED, 0, "checking the mount table", "%llu mounts before, %llu after",
                       (unsigned long long)crew->summary.mounts_before, (unsigned long long)crew->summary.mounts_after);
    return 0;
}

static int teardown(struct pb_crew_state *crew) {
    const struct mount_config *config = crew->config;
    if (config->user_namespace >= 0)
        close(config->user_namespace);
    return pb_unmount_base(crew);
}

static const struct pb_workload workload = {
    .name = "mount",
    .phases = {"mount", "umount"},
    .mounts = true,
    .kernel_memory = true,
    .config_bytes = sizeof(struct mount_config),
    .scratch_bytes = sizeof(struct mount_scratch),
    .configure = configure,
    .setup = setup,
    .prepare = prepare,
    .run = run,
    .verify = verify,
    .teardown = teardown,
};
PB_WORKLOAD(mount, workload);
