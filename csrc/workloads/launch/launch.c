/* SPDX-License-Identifier: Apache-2.0
 *
 * launch: many root file systems assembled at once, by the system calls of a container runtime.
 *
 * Below PB_BASE, a tmpfs or a folder of the host's:
 *   image/J/fs       layer J with its files
 *   cI/{u,w,m,tmp}   container I: upper and work directory, where it is mounted, where layers are bound
 *   table/N          the filler of the mount table
 *   walk/a/b/c/file  the target of the walkers' and probers' path walks
 */
#define _GNU_SOURCE
#include "workloads/launch/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

static int find_strategy(struct pb_crew_state *crew, struct launch_config *config) {
    const char *name;
    if (pb_param_text(crew, "strategy", &name))
        return -EINVAL;
    for (config->strategy = launch_strategies; config->strategy->name; config->strategy++)
        if (!strcmp(config->strategy->name, name))
            return 0;
    return pb_fail(crew, PB_FAILED, EINVAL, "reading parameters", "invalid strategy=%s", name);
}

static int configure(struct pb_crew_state *crew) {
    static const char *const users[] = {"shared", "container", NULL}, *const umounts[] = {"sync", "detach", NULL};
    static const char *const no_yes[] = {"no", "yes", NULL};
    struct launch_config *config = crew->config;
    const char *arrival;
    config->shared_userns = -1;
    if (find_strategy(crew, config) || pb_param_word(crew, "userns", users, &config->userns_each) ||
        pb_param_word(crew, "umount", umounts, &config->umount_flags) ||
        pb_param_word(crew, "readonly", no_yes, &config->readonly) ||
        pb_param_word(crew, "keep", no_yes, &config->keep) || pb_param_text(crew, "arrival", &arrival) ||
        pb_param_text(crew, "fs", &config->fs) || pb_param_number(crew, "containers", &config->containers) ||
        pb_param_number(crew, "layers", &config->layers) || pb_param_number(crew, "passes", &config->passes) ||
        pb_param_number(crew, "files", &config->files) || pb_param_number(crew, "table", &config->table) ||
        pb_param_number(crew, "think_ns", &config->think_ns) ||
        pb_param_number(crew, "deadline_ms", &config->deadline_ns) ||
        pb_param_number(crew, "probe_every_ms", &config->probe_every_ns) ||
        pb_param_number(crew, "readers", &config->members[ROLE_READER]) ||
        pb_param_number(crew, "listers", &config->members[ROLE_LISTER]) ||
        pb_param_number(crew, "walkers", &config->members[ROLE_WALKER]) ||
        pb_param_number(crew, "probers", &config->members[ROLE_PROBER]))
        return -EINVAL;
    config->umount_flags = config->umount_flags ? PB_MNT_DETACH : 0;
    config->deadline_ns *= 1000000;
    config->probe_every_ns *= 1000000;
    config->members[ROLE_WORKER] = crew->spec->n_members;
    for (int role = ROLE_READER; role < ROLES; role++)
        config->members[ROLE_WORKER] -= config->members[role];
    if (!strncmp(arrival, "rate:", 5)) {
        config->arrival = ARRIVE_RATE;
        config->rate = strtoll(arrival + 5, NULL, 10);
    } else {
        config->arrival = strcmp(arrival, "burst") ? ARRIVE_CLOSED : ARRIVE_BURST;
    }
    if (config->members[ROLE_WORKER] < 1 || config->layers < 1 || config->layers > LAUNCH_MAX_LAYERS ||
        config->containers < 1 || config->files < 1 || (config->arrival == ARRIVE_RATE && config->rate < 1))
        return pb_fail(crew, PB_FAILED, EINVAL, "reading parameters", "workers, layers, containers, files or rate");
    return 0;
}

/* Raise the limit of descriptors: strategy `fds` holds one per layer, in every worker. */
static void raise_fd_limit(void) {
    struct rlimit limit;
    if (!getrlimit(RLIMIT_NOFILE, &limit)) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int place_line(struct pb_crew_state *crew) {
    const struct launch_config *config = crew->config;
    struct launch_shared *shared = crew->line;
    atomic_store(&shared->workers_left, config->members[ROLE_WORKER]);
    return 0;
}

/* Members come in the order of the roles: workers first. */
static int prepare(struct pb_member_state *member) {
    const struct launch_config *config = member->crew->config;
    struct launch_scratch *launch = member->scratch;
    int64_t left = member->index;
    int role = ROLE_WORKER;
    while (role < ROLES - 1 && left >= config->members[role])
        left -= config->members[role++];
    member->result->role = role;
    launch->member = member;
    /* Workers change their working directory, which threads share otherwise. */
    if (role == ROLE_WORKER && unshare(CLONE_FS))
        return pb_fail(member->crew, PB_FAILED, errno, "unshare(CLONE_FS)", "a worker");
    return 0;
}

/* Check content and owner of a file of the last layer, read through the mounted root. */
static int check_root(struct launch_scratch *launch) {
    const struct launch_config *config = launch_config(launch);
    char path[2 * LAUNCH_PATH], want[32], content[32] = {0};
    snprintf(path, sizeof path, PB_BASE "/c%lld/m/f%lld-0", (long long)launch->container,
             (long long)config->layers - 1);
    snprintf(want, sizeof want, "layer %lld\n", (long long)config->layers - 1);
    struct stat seen;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return launch_failed(launch, "open of the last layer's file");
    bool good = read(fd, content, sizeof content - 1) > 0 && !strncmp(content, want, strlen(want)) &&
                !fstat(fd, &seen) && seen.st_uid == launch->owner;
    close(fd);
    errno = EBADMSG;
    return good ? 0 : launch_failed(launch, "checking content and owner of the last layer's file");
}

struct stamp {
    uint64_t tick, cpu_ns;
};
static struct stamp stamp_now(void) { return (struct stamp){pb_ticks(), pb_thread_cpu_ns()}; }

static void record_phase(struct launch_scratch *launch, enum launch_phase which, struct stamp *from) {
    struct pb_member_state *member = launch->member;
    struct pb_phase *phase = &member->phases[which];
    struct stamp now = stamp_now();
    uint64_t ns = pb_latency_ns(member, from->tick, now.tick, 0);
    pb_phase_add(phase, ns);
    pb_phase_add_cpu(phase, member, now.cpu_ns - from->cpu_ns, ns, 1);
    *from = now;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *at) {
    (void)info;
    return at->level == 0 ? 0 : kind == FTW_DP ? rmdir(path) : unlink(path);
}

/* The end of a container, or of a pass: unmount its root, and remove copies of layers. */
static void clean(struct launch_scratch *launch) {
    char path[LAUNCH_PATH];
    if (launch->overlay_mounted) {
        launch_path(launch, "m", path);
        if (!pb_umount2(path, PB_MNT_DETACH)) {
            launch->overlay_mounted = 0;
            launch->cleaning++;
            launch_detached(launch);
        }
    }
    if (launch_config(launch)->strategy->copies) {
        launch_path(launch, "tmp", path);
        nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    }
}

/* A shortage may hit one launch and not others: it is counted, and does not mean that the kernel lacks support. */
static bool is_shortage(int code) { return code == EMFILE || code == ENFILE || code == ENOMEM || code == ENOSPC; }

/* Assemble a root of one layer, to find out whether this kernel and user support the strategy. */
static int rehearse(struct pb_crew_state *crew, int userns) {
    struct launch_config *config = crew->config;
    const struct launch_strategy *strategy = config->strategy;
    struct pb_member_state member = {.crew = crew};
    struct launch_scratch *launch = calloc(1, sizeof *launch);
    if (!launch)
        return pb_fail(crew, PB_FAILED, ENOMEM, "calloc", "the rehearsal of a launch");
    launch->member = &member;
    launch->container = config->containers;
    launch->owner = pb_mapped_user(crew, 0);
    launch->userns = userns;
    launch->parent_fd = -1;
    int64_t layers = config->layers;
    config->layers = 1;
    atomic_store(&crew->timeline.due_tick, UINT64_MAX); /* keeps the rehearsal out of the timeline */
    int rc = strategy->build(launch);
    if (!rc)
        rc = strategy->overlay(launch);
    int code = errno;
    const char *tried = launch->tried ? launch->tried : "launching";
    strategy->release(launch);
    clean(launch);
    config->layers = layers;
    atomic_store(&crew->timeline.due_tick, 0);
    free(launch);
    if (rc && !is_shortage(code))
        return pb_fail(crew, PB_UNSUPPORTED, code, tried, "one layer of fs=%.100s", config->fs);
    return 0;
}

static int setup(struct pb_crew_state *crew) {
    struct launch_config *config = crew->config;
    raise_fd_limit();
    int rc = strcmp(config->fs, "tmpfs") ? pb_mount_host_folder(crew, config->fs) : pb_mount_tmpfs(crew, PB_BASE);
    if (rc || launch_make_files(crew))
        return -1;
    int userns = config->strategy->userns ? pb_user_namespace_fd(crew, 0) : -1;
    if (config->strategy->userns && userns < 0)
        return pb_fail(crew, PB_UNSUPPORTED, -userns, "clone(CLONE_NEWUSER)", "a user namespace to map to");
    if (rehearse(crew, userns))
        return -1;
    if (!config->userns_each)
        config->shared_userns = userns;
    else if (userns >= 0)
        close(userns);
    crew->summary.mounts_before = pb_count_mounts();
    atomic_store(&crew->timeline.value, crew->summary.mounts_before);
    atomic_store(&crew->timeline.peak, crew->summary.mounts_before);
    return 0;
}

static int make_user_namespace(struct launch_scratch *launch) {
    const struct launch_config *config = launch_config(launch);
    launch->userns = config->shared_userns;
    uint32_t range = config->userns_each ? (uint32_t)(launch->container % LAUNCH_USER_RANGES) : 0;
    launch->owner = config->strategy->userns ? pb_mapped_user(launch->member->crew, range) : 0;
    if (!config->strategy->userns || !config->userns_each)
        return 0;
    launch->userns = pb_user_namespace_fd(launch->member->crew, range);
    if (launch->userns >= 0)
        return 0;
    errno = -launch->userns;
    return launch_failed(launch, "clone(CLONE_NEWUSER)");
}

/* Do all passes of one container. Returns 0 with its root mounted, or -1 with everything undone. */
static int assemble(struct launch_scratch *launch, struct stamp *at) {
    const struct launch_config *config = launch_config(launch);
    const struct launch_strategy *strategy = config->strategy;
    int rc = make_user_namespace(launch), code = errno;
    record_phase(launch, LAUNCH_USERNS, at);
    for (int64_t pass = 0; !rc && pass < config->passes; pass++) {
        if (pass)
            clean(launch);
        rc = strategy->build(launch);
        code = errno;
        record_phase(launch, LAUNCH_BUILD, at);
        if (!rc) {
            rc = strategy->overlay(launch);
            code = errno;
            record_phase(launch, LAUNCH_OVERLAY, at);
        }
        const char *tried = launch->tried;
        if (strategy->release(launch) && !rc) {
            rc = -1;
            code = errno;
            tried = launch->tried;
        }
        launch->tried = tried;
        record_phase(launch, LAUNCH_RELEASE, at);
    }
    if (rc)
        clean(launch);
    errno = code;
    return rc;
}

static void launch_one(struct launch_scratch *launch, int64_t container, uint64_t arrived) {
    const struct launch_config *config = launch_config(launch);
    struct pb_member_state *member = launch->member;
    uint64_t *counters = member->result->counters;
    launch->container = container;
    launch->parent_fd = -1;
    launch->n_fds = launch->attached = launch->overlay_mounted = 0;
    launch->syscalls = launch->operations = launch->cleaning = 0;
    launch->tried = NULL;
    struct stamp at = stamp_now();
    int rc = assemble(launch, &at);
    uint64_t ns = pb_latency_ns(member, arrived, at.tick, 0);
    if (!rc)
        rc = check_root(launch);
    if (rc) {
        counters[COUNT_FAILED]++;
        pb_note(member->crew, errno, launch->tried ? launch->tried : "launching", "a container");
    } else {
        counters[COUNT_LAUNCHED]++;
        counters[COUNT_LATE] += ns > (uint64_t)config->deadline_ns;
        member->result->operations++;
        pb_phase_add(&member->phases[LAUNCH], ns);
    }
    if (launch->userns != config->shared_userns)
        close(launch->userns);
    at = stamp_now();
    if (!config->keep || rc)
        clean(launch);
    record_phase(launch, LAUNCH_CLEAN, &at);
    counters[COUNT_MOUNT_OPERATIONS] += launch->operations;
    counters[COUNT_CLEAN_OPERATIONS] += launch->cleaning;
    counters[COUNT_SYSCALLS] += launch->syscalls;
}

static void sleep_ns(uint64_t ns) {
    struct timespec rest = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    nanosleep(&rest, NULL);
}

#define WAKING_NS 200000 /* longer than a wake-up takes */

/* Wait until a container arrives, and return that tick: all at once, at a rate, or, in a closed loop, when a worker is
 * free. Does not wait for arrivals after the end. */
static uint64_t wait_for_arrival(struct pb_member_state *member, int64_t container, uint64_t end) {
    const struct launch_config *config = member->crew->config;
    uint64_t now = pb_ticks();
    if (config->arrival == ARRIVE_CLOSED)
        return now;
    uint64_t start = atomic_load(&member->crew->release_tick), after_ns = 0;
    if (config->arrival == ARRIVE_RATE)
        after_ns = (uint64_t)((double)container * 1e9 / (double)config->rate);
    uint64_t due = start + (uint64_t)((double)after_ns / member->crew->ns_per_tick);
    if (due >= end)
        return due;
    /* Spin at the end of the wait, so that the time of a wake-up is not part of the launch. */
    uint64_t left_ns = now < due ? pb_ticks_to_ns(due - now, member->crew->ns_per_tick_fixed) : 0;
    if (left_ns > WAKING_NS)
        sleep_ns(left_ns - WAKING_NS);
    while (pb_ticks() < due)
        pb_relax();
    return due;
}

static int run(struct pb_member_state *member, struct pb_until until) {
    const struct launch_config *config = member->crew->config;
    struct launch_shared *shared = member->crew->line;
    if (member->result->role != ROLE_WORKER)
        return launch_run_bystander(member);
    int64_t container;
    while (!pb_crew_failed(member->crew) &&
           (container = atomic_fetch_add_explicit(&shared->next, 1, memory_order_relaxed)) < config->containers) {
        uint64_t arrived = wait_for_arrival(member, container, until.tick);
        if (arrived >= until.tick || pb_ticks() >= until.tick) /* after the end of the trial: not launched */
            break;
        launch_one(member->scratch, container, arrived);
        if (config->think_ns)
            sleep_ns((uint64_t)config->think_ns);
    }
    atomic_fetch_sub_explicit(&shared->workers_left, 1, memory_order_release);
    return 0;
}

static int verify(struct pb_crew_state *crew) {
    const struct launch_config *config = crew->config;
    uint64_t left_mounted = 0;
    for (int32_t i = 0; config->keep && i < crew->spec->n_members; i++)
        left_mounted += crew->members[i].counters[COUNT_LAUNCHED];
    crew->summary.mounts_after = pb_count_mounts();
    uint64_t want = crew->summary.mounts_before + left_mounted;
    if (crew->summary.mounts_after != want || atomic_load(&crew->timeline.value) != want)
        return pb_fail(crew, PB_FAILED, 0, "checking the mount table", "%llu mounts, %llu counted, %llu expected",
                       (unsigned long long)crew->summary.mounts_after,
                       (unsigned long long)atomic_load(&crew->timeline.value), (unsigned long long)want);
    return 0;
}

static int teardown(struct pb_crew_state *crew) {
    struct launch_config *config = crew->config;
    if (config->shared_userns >= 0)
        close(config->shared_userns);
    return pb_unmount_base(crew);
}

static const struct pb_workload workload = {
    .name = "launch",
    .phases = {"launch", "userns", "build", "overlay", "release", "clean", "read", "list", "walk", "probe"},
    .phase_roles = {[LAUNCH_READ] = ROLE_READER,
                    [LAUNCH_LIST] = ROLE_LISTER,
                    [LAUNCH_WALK] = ROLE_WALKER,
                    [LAUNCH_PROBE] = ROLE_PROBER},
    .counters = {"launched", "failed", "late", "mount_operations", "clean_operations", "syscalls", "wakeups", "probes",
                 "probes_late"},
    .mounts = true,
    .config_bytes = sizeof(struct launch_config),
    .kernel_memory = true,
    .line_bytes = sizeof(struct launch_shared),
    .scratch_bytes = sizeof(struct launch_scratch),
    .configure = configure,
    .setup = setup,
    .place_line = place_line,
    .prepare = prepare,
    .run = run,
    .verify = verify,
    .teardown = teardown,
};
PB_WORKLOAD(launch, workload);
