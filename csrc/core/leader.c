/* SPDX-License-Identifier: Apache-2.0
 *
 * The leader: sets the workload up, starts the members as threads or processes, waits, verifies, and tears down.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/core.h"
#include "core/memory.h"
#include "mounts/namespace.h"

struct start {
    struct pb_crew_state *crew;
    int32_t index;
};

static void *thread_main(void *argument) {
    struct start *start = argument;
    pb_member_main(start->crew, start->index);
    return NULL;
}

static int run_threads(struct pb_crew_state *crew) {
    int32_t count = crew->spec->n_members, started = 0;
    pthread_t *threads = calloc((size_t)count, sizeof *threads);
    struct start *starts = calloc((size_t)count, sizeof *starts);
    pthread_attr_t attributes;
    if (!threads || !starts || pthread_attr_init(&attributes))
        return pb_fail(crew, PB_FAILED, ENOMEM, "starting threads", "%d", count);
    pthread_attr_setstacksize(&attributes, 256 * 1024); /* enough for a few path buffers */
    for (; started < count; started++) {
        starts[started] = (struct start){crew, started};
        int code = pthread_create(&threads[started], &attributes, thread_main, &starts[started]);
        if (code) {
            pb_fail(crew, PB_FAILED, code, "pthread_create", "thread %d of %d", started + 1, count);
            break;
        }
    }
    for (int32_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    pthread_attr_destroy(&attributes);
    free(threads);
    free(starts);
    return pb_crew_failed(crew) ? -ECANCELED : 0;
}

static void kill_all(const pid_t *pids, int32_t count) {
    for (int32_t i = 0; i < count; i++)
        if (pids[i] > 0)
            kill(pids[i], SIGKILL);
}

static int run_processes(struct pb_crew_state *crew) {
    int32_t count = crew->spec->n_members, started = 0;
    pid_t leader = getpid(), *pids = calloc((size_t)count, sizeof *pids);
    if (!pids)
        return pb_fail(crew, PB_FAILED, ENOMEM, "starting processes", "%d", count);
    for (; started < count; started++) {
        pid_t pid = fork();
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() != leader)
                _exit(1);
            _exit(pb_member_main(crew, started) ? 1 : 0);
        }
        if (pid < 0) {
            pb_fail(crew, PB_FAILED, errno, "fork", "process %d of %d", started + 1, count);
            break;
        }
        pids[started] = pid;
    }
    for (int32_t left = started; left > 0;) {
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid < 0)
            break;
        for (int32_t i = 0; i < started; i++) {
            if (pids[i] != pid)
                continue;
            pids[i] = 0;
            left--;
            if (WIFSIGNALED(status)) {
                crew->summary.signal = WTERMSIG(status);
                pb_fail(crew, PB_FAILED, 0, "running", "member %d was killed by signal %d", i, WTERMSIG(status));
            }
        }
        if (pb_crew_failed(crew))
            kill_all(pids, started);
    }
    free(pids);
    return pb_crew_failed(crew) ? -ECANCELED : 0;
}

/* Set the memory policy of this task; the members inherit it. */
static int bind_tasks(struct pb_crew_state *crew) {
    const struct pb_spec *spec = crew->spec;
    if (spec->memory == PB_MEMORY_LOCAL)
        return 0;
    int mode = spec->memory == PB_MEMORY_BIND ? PB_MPOL_BIND : PB_MPOL_INTERLEAVE;
    int rc = pb_memory_policy(NULL, 0, mode, spec->nodes, spec->n_nodes);
    int status = rc == -ENOSYS || rc == -EPERM ? PB_UNSUPPORTED : PB_FAILED;
    return rc ? pb_fail(crew, status, -rc, "set_mempolicy", "the crew's memory") : 0;
}

int pb_leader_main(struct pb_crew_state *crew) {
    const struct pb_workload *workload = crew->workload;
    uint64_t begin = pb_now_ns();
    if (workload->kernel_memory && bind_tasks(crew))
        return -1;
    if (workload->mounts && pb_namespace_enter(crew))
        return -1;
    if (workload->setup && workload->setup(crew))
        return -1;
    crew->ns_per_tick = pb_calibrate_ticks(2000000);
    crew->base = pb_instant_now();
    crew->ns_per_tick_fixed = (uint64_t)(crew->ns_per_tick * 4294967296.0);
    /* Every member must see the release before its tick: 20 us, and 0.5 us per member for the storm of line transfers.
     */
    crew->release_lead_ticks = (uint64_t)((20000.0 + 500.0 * crew->spec->n_members) / crew->ns_per_tick);
    crew->summary.ns_per_tick = crew->ns_per_tick;
    crew->summary.timer_ns = pb_timer_ticks() * crew->ns_per_tick;
    crew->summary.timer_step_ns = (double)pb_timer_step() * crew->ns_per_tick;
    crew->summary.tick_is_tsc = PB_TICK_IS_TSC;
    crew->summary.setup_ns = pb_now_ns() - begin;

    int rc = crew->spec->crew == PB_CREW_PROCESSES ? run_processes(crew) : run_threads(crew);
    if (!rc && workload->verify)
        rc = workload->verify(crew);
    if (workload->line_bytes)
        crew->summary.line_node_after = pb_memory_node(crew->line);
    crew->summary.peak = atomic_load(&crew->timeline.peak);
    crew->summary.timeline_points = crew->timeline.count;
    begin = pb_now_ns();
    if (workload->teardown && workload->teardown(crew) && !rc)
        rc = -1;
    crew->summary.teardown_ns = pb_now_ns() - begin;
    return rc;
}
