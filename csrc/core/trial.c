/* SPDX-License-Identifier: Apache-2.0
 *
 * The caller's side of a trial: check the request, map the shared memory, fork the leader, wait with a deadline, and
 * make sure that no process of the crew is left.
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
        return pb_error_fill(error, EINVAL, "starting the crew", "%d members, not 1 to %d", spec->n_members,
                             PB_MAX_MEMBERS);
    if (spec->duration_ns <= 0 || spec->warmup_ns < 0 || spec->grace_ns <= 0 || spec->operations < 0)
        return pb_error_fill(error, EINVAL, "starting the crew",
                             "a time or count is negative, or no duration is given");
    for (int32_t i = 0; i < spec->n_members; i++)
        if (spec->cpus[i] < 0 || spec->cpus[i] >= PB_MAX_CPUS)
            return pb_error_fill(error, EINVAL, "pinning", "CPU %d, not 0 to %d", spec->cpus[i], PB_MAX_CPUS - 1);
    return 0;
}

/* Round up to whole pages. */
static size_t pages(size_t bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

/* Make one mapping, with each part on pages of its own, so that first touch places it. */
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
    size_t states = pages(count * sizeof(struct pb_member_state));
    size_t phases = pages((size_t)n_phases * sizeof(struct pb_phase)), scratch = pages(workload->scratch_bytes);
    const bool hands_over = workload->hands_over && count <= PB_MAX_HANDOFF_MEMBERS;
    size_t handoffs = hands_over ? pages(count * sizeof(struct pb_handoff)) : 0;
    size_t bytes = state + config + line + members + states + count * (phases + scratch + handoffs);

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
    crew->summary = (struct pb_summary){.n_members = spec->n_members,
                                        .n_phases = n_phases,
                                        .n_counters = n_counters,
                                        .line_node = -1,
                                        .line_node_after = -1};
    crew->config = at += state;
    crew->line = at += config;
    crew->members = (struct pb_member *)(void *)(at += line);
    crew->states = (struct pb_member_state *)(void *)(at += members);
    crew->phases = (struct pb_phase *)(void *)(at += states);
    crew->scratch = at + count * phases;
    char *handoff_rows = crew->scratch + count * scratch;
    for (size_t i = 0; i < count; i++) {
        crew->members[i] = (struct pb_member){.cpu_asked = spec->cpus[i], .node = -1};
        crew->states[i] =
            (struct pb_member_state){.crew = crew,
                                     .result = &crew->members[i],
                                     .index = (int32_t)i,
                                     .phases = (struct pb_phase *)(void *)(at + i * phases),
                                     .scratch = crew->scratch + i * scratch,
                                     .handoffs = hands_over ? (void *)(handoff_rows + i * handoffs) : NULL};
    }
    return trial;
}

/* Map a huge page from the kernel's pool, or else one that the kernel may make: the first touch shows whether it did.
 */
static int map_huge_line(struct pb_trial *trial, struct pb_error *error) {
    enum { SHARED = MAP_SHARED | MAP_ANONYMOUS, HUGE_2_MB = 21 << 26 }; /* rather than the default size */
    size_t huge = PB_HUGE_PAGE;
    if (trial->crew->workload->line_bytes > huge)
        return pb_error_fill(error, EINVAL, "mapping a huge page", "the line does not fit on one");
    char *at = mmap(NULL, huge, PROT_READ | PROT_WRITE, SHARED | MAP_HUGETLB | HUGE_2_MB, -1, 0);
    if (at == MAP_FAILED) {
        /* Only aligned memory can be a huge page: reserve twice the size, and give the ends back. */
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

/* The leader, from fork to exit. It must not outlive its parent, nor receive the terminal's signals. */
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
    /* Close the caller's descriptors, except the end of the pipe that shows that the crew lives. */
    if (life_fd > 3)
        syscall(SYS_close_range, 3u, (unsigned)life_fd - 1, 0u);
    syscall(SYS_close_range, (unsigned)life_fd + 1, ~0u, 0u);
    int rc = pb_leader_main(crew);
    if (!rc)
        atomic_store(&crew->finished, 1);
    _exit(rc ? 1 : 0);
}

/* Return true once every process of the crew has closed its end of the pipe, which means that it exited. If
 * `interrupted` is given, a signal outside of `blocked` ends the wait. */
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

static void check_exit(struct pb_crew_state *crew, int status) {
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
    /* A process that SIGKILL does not end (a call stuck in the kernel) must not block the caller too. */
    while (waitpid(leader, &status, gone ? 0 : WNOHANG) < 0 && errno == EINTR)
        ;
    if (!gone)
        pb_fail(crew, PB_FAILED, 0, "ending the crew", "a member is still there 30 s after SIGKILL");
    /* PID 1 of a container inherits members whose leader died, and must reap them. */
    while (waitpid(-leader, NULL, WNOHANG) > 0)
        ;
    if (gone && crew->guard > 0)
        waitpid(crew->guard, NULL, 0);
    if (interrupted)
        crew->summary.status = PB_INTERRUPTED;
    else if (!ended)
        pb_fail(crew, PB_FAILED, ETIMEDOUT, "running", "no result within %.1f s", (double)limit / 1e9);
    else
        check_exit(crew, status);
    /* A member may have died while it recorded its failure. */
    if (crew->summary.status == PB_OK && !atomic_load(&crew->finished))
        crew->summary.status = PB_FAILED;
}

/* Fork the leader and wait for the end of the crew. From the fork on, a signal is delivered only while the caller
 * waits, so that none is lost; SIGCHLD is not an interruption. */
static int run_crew(struct pb_crew_state *crew, const int life[2], struct pb_error *error) {
    sigset_t all, callers, blocked;
    int rc = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &callers);
    blocked = callers;
    sigaddset(&blocked, SIGCHLD);
    pid_t parent = getpid(), leader = fork();
    if (leader == 0)
        lead(crew, parent, life[1]);
    if (leader < 0)
        rc = pb_error_fill(error, errno, "fork", "the crew");
    close(life[1]);
    if (leader > 0) {
        setpgid(leader, leader);
        watch(crew, leader, life[0], &blocked);
    }
    pthread_sigmask(SIG_SETMASK, &callers, NULL);
    return rc;
}

int pb_trial_run(const struct pb_spec *spec, struct pb_trial **out, struct pb_error *error) {
    int life[2];
    *out = NULL;
    int rc = check_spec(spec, error);
    if (rc)
        return rc;
    struct pb_trial *trial = map_crew(spec);
    if (!trial)
        return pb_error_fill(error, ENOMEM, "mmap", "the memory of the crew");
    struct pb_crew_state *crew = trial->crew;
    rc = crew->workload->configure ? crew->workload->configure(crew) : 0;
    if (rc) {
        *error = crew->error;
        goto failed;
    }
    if (crew->huge_line && (rc = map_huge_line(trial, error)))
        goto failed;
    if ((rc = place_line(crew, error)))
        goto failed;
    if (pipe2(life, O_CLOEXEC)) {
        rc = pb_error_fill(error, errno, "pipe2", "the pipe that shows whether the crew lives");
        goto failed;
    }
    rc = run_crew(crew, life, error);
    close(life[0]);
    if (rc)
        goto failed;
    *out = trial;
    return 0;
failed:
    pb_trial_free(trial);
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
    return trial->crew->states[member].handoffs;
}
const struct pb_phase *pb_trial_phase(const struct pb_trial *trial, int32_t member, int32_t phase) {
    return &trial->crew->states[member].phases[phase];
}
void pb_trial_free(struct pb_trial *trial) {
    if (!trial)
        return;
    if (trial->huge_line)
        munmap(trial->huge_line, PB_HUGE_PAGE);
    munmap(trial->crew, trial->bytes);
    free(trial);
}
