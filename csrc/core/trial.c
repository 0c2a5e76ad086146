/* SPDX-License-Identifier: Apache-2.0
 *
 * The caller's side of a trial: check the request, map the shared memory, fork the leader, wait with a
 * deadline, and make sure that nobody is left whatever happened.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "timing/clock.h"
#include "core/core.h"
#include "core/memory.h"

struct pb_trial {
    struct pb_crew_state *crew;
    size_t bytes;
    void *huge_line; /* NULL: the line is in the crew's mapping */
};

static int check_spec(const struct pb_spec *spec, struct pb_error *error) {
    if (!pb_workload_find(spec->workload))
        return pb_error_fill(error, EINVAL, "finding the workload", "%s", spec->workload);
    if (spec->n_members < 1 || spec->n_members > PB_MAX_MEMBERS)
        return pb_error_fill(error, EINVAL, "starting the crew", "members must be 1 to 4096");
    if (spec->duration_ns <= 0 || spec->warmup_ns < 0 || spec->grace_ns <= 0 || spec->operations < 0)
        return pb_error_fill(error, EINVAL, "starting the crew", "times and counts must be positive");
    for (int32_t i = 0; i < spec->n_members; i++)
        if (spec->cpus[i] < 0 || spec->cpus[i] >= 8192)
            return pb_error_fill(error, EINVAL, "pinning", "CPU numbers must be 0 to 8191");
    return 0;
}

static size_t pages(size_t bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

/* One mapping; each part on pages of its own, so that first touch places it. */
static struct pb_trial *map_crew(const struct pb_spec *spec) {
    const struct pb_workload *workload = pb_workload_find(spec->workload);
    size_t count = (size_t)spec->n_members;
    int32_t n_phases = 0, n_counters = 0;
    while (n_phases < PB_MAX_PHASES && workload->phases[n_phases])
        n_phases++;
    while (n_counters < PB_MAX_COUNTERS && workload->counters[n_counters])
        n_counters++;
    size_t state = pages(sizeof(struct pb_crew_state)), config = pages(workload->config_bytes);
    size_t line = pages(workload->line_bytes), members = pages(count * sizeof(struct pb_member));
    size_t seats = pages(count * sizeof(struct pb_seat));
    size_t phases = pages((size_t)n_phases * sizeof(struct pb_phase)), scratch = pages(workload->scratch_bytes);
    bool hands_off = workload->hands_off && count <= PB_MAX_HANDOFF_MEMBERS;
    size_t handoffs = hands_off ? pages(count * sizeof(struct pb_handoff)) : 0;
    size_t bytes = state + config + line + members + seats + count * (phases + scratch + handoffs);

    struct pb_trial *trial = calloc(1, sizeof *trial);
    char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!trial || at == MAP_FAILED) {
        if (at != MAP_FAILED)
            munmap(at, bytes);
        free(trial);
        return NULL;
    }
    struct pb_crew_state *crew = (struct pb_crew_state *)(void *)at;
    *trial = (struct pb_trial){.crew = crew, .bytes = bytes};
    crew->spec = spec;
    crew->workload = workload;
    crew->summary = (struct pb_summary){
        .n_members = spec->n_members, .n_phases = n_phases, .n_counters = n_counters, .line_node = -1,
        .line_node_after = -1};
    crew->config = at += state;
    crew->line = at += config;
    crew->members = (struct pb_member *)(void *)(at += line);
    crew->seats = (struct pb_seat *)(void *)(at += members);
    crew->phases = (struct pb_phase *)(void *)(at += seats);
    crew->scratch = at + count * phases;
    char *taken_over = crew->scratch + count * scratch;
    for (size_t i = 0; i < count; i++) {
        crew->members[i] = (struct pb_member){.cpu_asked = spec->cpus[i], .node = -1};
        crew->seats[i] = (struct pb_seat){.crew = crew, .member = &crew->members[i], .index = (int32_t)i,
                                          .phases = (struct pb_phase *)(void *)(at + i * phases),
                                          .scratch = crew->scratch + i * scratch,
                                          .handoffs = hands_off ? (void *)(taken_over + i * handoffs) : NULL};
    }
    return trial;
}

/* A huge page from the kernel's pool, or else one that it makes if its settings let it: seen when it is touched. */
static int map_huge_line(struct pb_trial *trial, struct pb_error *error) {
    enum { SHARED = MAP_SHARED | MAP_ANONYMOUS, HUGE_2_MB = 21 << 26 }; /* else it is the kernel's default size */
    size_t huge = PB_HUGE_PAGE;
    if (trial->crew->workload->line_bytes > huge)
        return pb_error_fill(error, EINVAL, "mapping a huge page", "the line does not fit on one");
    char *at = mmap(NULL, huge, PROT_READ | PROT_WRITE, SHARED | MAP_HUGETLB | HUGE_2_MB, -1, 0);
    if (at == MAP_FAILED) {
        /* Only what is aligned can be huge: a place for it within a reservation, whose ends are given back. */
        char *place = mmap(NULL, 2 * huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (place == MAP_FAILED)
            return pb_error_fill(error, errno, "mmap", "the memory of the contended line");
        at = (char *)(((uintptr_t)place + huge - 1) / huge * huge);
        if (at != place)
            munmap(place, (size_t)(at - place));
        munmap(at + huge, (size_t)(place + huge - at));
        if (mmap(at, huge, PROT_READ | PROT_WRITE, SHARED | MAP_FIXED, -1, 0) == MAP_FAILED)
            return pb_error_fill(error, errno, "mmap", "the memory of the contended line");
        madvise(at, huge, MADV_HUGEPAGE);
    }
    trial->crew->line = trial->huge_line = at;
    return 0;
}

static int place_line(struct pb_crew_state *crew, struct pb_error *error) {
    const struct pb_spec *spec = crew->spec;
    if (spec->memory == PB_MEMORY_LOCAL || !crew->workload->line_bytes)
        return 0;
    int mode = spec->memory == PB_MEMORY_BIND ? PB_MPOL_BIND : PB_MPOL_INTERLEAVE;
    size_t bytes = crew->huge_line ? PB_HUGE_PAGE : pages(crew->workload->line_bytes);
    int rc = pb_memory_policy(crew->line, bytes, mode, spec->nodes, spec->n_nodes);
    return rc ? pb_error_fill(error, -rc, "mbind", "the memory of the contended line") : 0;
}

/* The leader, from fork to exit. It must not outlive its parent, nor hear the terminal. */
static _Noreturn void lead(struct pb_crew_state *crew, pid_t parent, int life_fd) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "pybench-crew");
    if (getppid() != parent)
        _exit(1);
    for (int signal_number = 1; signal_number < 32; signal_number++)
        signal(signal_number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* Nothing of the caller's stays open, but the end of the pipe that tells it whether we live. */
    if (life_fd > 3)
        syscall(SYS_close_range, 3u, (unsigned)life_fd - 1, 0u);
    syscall(SYS_close_range, (unsigned)life_fd + 1, ~0u, 0u);
    int rc = pb_leader_main(crew);
    if (!rc)
        atomic_store(&crew->finished, 1);
    _exit(rc ? 1 : 0);
}

/* True once every process of the crew has closed its end of the pipe, that is, has exited. With `interrupted`, a signal
 * that the caller lets in, given as `blocked`, ends the wait. */
static bool wait_for_end(int fd, int64_t timeout_ns, const sigset_t *blocked, bool *interrupted) {
    uint64_t deadline = pb_now_ns() + (uint64_t)timeout_ns;
    for (;;) {
        int64_t left = (int64_t)(deadline - pb_now_ns());
        if (left <= 0)
            return false;
        struct pollfd wait = {.fd = fd, .events = 0};
        struct timespec t = {left / 1000000000, left % 1000000000};
        int n = ppoll(&wait, 1, &t, blocked);
        if (n > 0)
            return true;
        if (n < 0 && errno == EINTR && interrupted) {
            *interrupted = true;
            return false;
        }
    }
}

static void judge(struct pb_crew_state *crew, int status) {
    if (crew->summary.status != PB_OK)
        return;
    if (WIFSIGNALED(status)) {
        crew->summary.signal = WTERMSIG(status);
        pb_fail(crew, PB_FAILED, 0, "running", "the crew was killed by signal %d", WTERMSIG(status));
    } else if (!atomic_load(&crew->finished)) {
        pb_fail(crew, PB_FAILED, 0, "running", "the crew ended early (exit status %d)", WEXITSTATUS(status));
    }
}

static void watch(struct pb_crew_state *crew, pid_t leader, int fd, const sigset_t *blocked) {
    const struct pb_spec *spec = crew->spec;
    int64_t limit = spec->warmup_ns + spec->duration_ns + spec->grace_ns;
    bool interrupted = false;
    int status = 0;
    bool ended = wait_for_end(fd, limit, blocked, &interrupted), gone = ended;
    if (!ended) {
        kill(-leader, SIGKILL);
        gone = wait_for_end(fd, INT64_C(30000000000), NULL, NULL);
    }
    /* What not even SIGKILL ends (a call stuck in the kernel) must not hold the caller too. */
    while (waitpid(leader, &status, gone ? 0 : WNOHANG) < 0 && errno == EINTR)
        ;
    if (!gone)
        pb_fail(crew, PB_FAILED, 0, "ending the crew", "a member is still there 30 s after SIGKILL");
    /* Members whose leader died are ours to reap if we are their reaper (as PID 1 of a container). */
    while (waitpid(-leader, NULL, WNOHANG) > 0)
        ;
    if (gone && crew->guard > 0)
        waitpid(crew->guard, NULL, 0);
    if (interrupted)
        crew->summary.status = PB_INTERRUPTED;
    else if (!ended)
        pb_fail(crew, PB_FAILED, ETIMEDOUT, "running", "no result within %.1f s", (double)limit / 1e9);
    else
        judge(crew, status);
    /* A member that died while it wrote its failure down is a failure all the same. */
    if (crew->summary.status == PB_OK && !atomic_load(&crew->finished))
        crew->summary.status = PB_FAILED;
}

int pb_trial_run(const struct pb_spec *spec, struct pb_trial **out, struct pb_error *error) {
    *out = NULL;
    int rc = check_spec(spec, error);
    if (rc)
        return rc;
    struct pb_trial *trial = map_crew(spec);
    if (!trial)
        return pb_error_fill(error, ENOMEM, "mmap", "the memory of the crew");
    struct pb_crew_state *crew = trial->crew;
    int life[2] = {-1, -1};
    if (crew->workload->configure && (rc = crew->workload->configure(crew)))
        *error = crew->error;
    else if (crew->huge_line && (rc = map_huge_line(trial, error)))
        ;
    else if ((rc = place_line(crew, error)) == 0 && pipe2(life, O_CLOEXEC))
        rc = pb_error_fill(error, errno, "pipe2", "the crew's sign of life");
    if (rc) {
        pb_trial_free(trial);
        return rc;
    }
    /* From here to the end a signal is heard while the crew is waited for, and not lost before; that the leader ended is
     * no interruption. */
    sigset_t all, callers, blocked;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &callers);
    blocked = callers;
    sigaddset(&blocked, SIGCHLD);
    pid_t parent = getpid(), leader = fork();
    if (leader == 0)
        lead(crew, parent, life[1]);
    close(life[1]);
    if (leader < 0) {
        rc = pb_error_fill(error, errno, "fork", "the crew");
        pb_trial_free(trial);
    } else {
        setpgid(leader, leader);
        watch(crew, leader, life[0], &blocked);
        *out = trial;
    }
    close(life[0]);
    pthread_sigmask(SIG_SETMASK, &callers, NULL);
    return rc;
}

const struct pb_summary *pb_trial_summary(const struct pb_trial *trial) { return &trial->crew->summary; }
const struct pb_error *pb_trial_error(const struct pb_trial *trial) {
    return trial->crew->summary.status == PB_OK ? &trial->crew->note : &trial->crew->error;
}
const struct pb_point *pb_trial_timeline(const struct pb_trial *trial) { return trial->crew->timeline.points; }
const struct pb_member *pb_trial_member(const struct pb_trial *trial, int32_t member) {
    return &trial->crew->members[member];
}
const struct pb_handoff *pb_trial_handoffs(const struct pb_trial *trial, int32_t member) {
    return trial->crew->seats[member].handoffs;
}
const struct pb_phase *pb_trial_phase(const struct pb_trial *trial, int32_t member, int32_t phase) {
    return &trial->crew->seats[member].phases[phase];
}
void pb_trial_free(struct pb_trial *trial) {
    if (!trial)
        return;
    if (trial->huge_line)
        munmap(trial->huge_line, PB_HUGE_PAGE);
    munmap(trial->crew, trial->bytes);
    free(trial);
}
