/* SPDX-License-Identifier: Apache-2.0
 *
 * A member: pin itself and verify that, touch its memory, meet the others, warm up, meet again, run, report.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/barrier.h"
#include "core/core.h"
#include "core/memory.h"
#include "timing/random.h"
#include "timing/work.h"

struct cpu_mask {
    unsigned long words[PB_MAX_CPUS / (8 * sizeof(unsigned long))];
};

static struct cpu_mask only(int32_t cpu) {
    const unsigned bits = 8 * sizeof(unsigned long);
    struct cpu_mask mask = {0};
    mask.words[(unsigned)cpu / bits] = 1ul << ((unsigned)cpu % bits);
    return mask;
}

/* Return true if this thread may run on that CPU only. */
static bool pinned_to(int32_t cpu) {
    struct cpu_mask wanted = only(cpu), allowed = {0};
    return syscall(SYS_sched_getaffinity, 0, sizeof allowed, &allowed) > 0 && !memcmp(&wanted, &allowed, sizeof wanted);
}

static int pin(struct pb_member_state *member) {
    int32_t cpu = member->result->cpu_asked;
    struct cpu_mask mask = only(cpu);
    if (syscall(SYS_sched_setaffinity, 0, sizeof mask, &mask))
        return pb_fail(member->crew, PB_FAILED, errno, "sched_setaffinity", "CPU %d", cpu);
    if (!pinned_to(cpu) || sched_getcpu() != cpu)
        return pb_fail(member->crew, PB_FAILED, EXDEV, "pinning", "asked for CPU %d, runs on %d", cpu, sched_getcpu());
    return 0;
}

/* First touch places memory near this CPU. Member 0 touches the line; a memory policy may place it elsewhere. */
static int touch(struct pb_member_state *member) {
    struct pb_crew_state *crew = member->crew;
    const struct pb_workload *workload = crew->workload;
    memset(member->phases, 0, (size_t)crew->summary.n_phases * sizeof *member->phases);
    if (workload->scratch_bytes) {
        memset(member->scratch, 0, workload->scratch_bytes);
        member->result->node = pb_memory_node(member->scratch);
    }
    if (member->index == 0 && workload->line_bytes) {
        memset(crew->line, 0, workload->line_bytes);
        crew->summary.line_node = pb_memory_node(crew->line);
    }
    if (member->index == 0 && crew->huge_line) {
        crew->summary.line_page_bytes = pb_memory_page_bytes(crew->line);
        if (crew->summary.line_page_bytes < (int64_t)PB_HUGE_PAGE)
            return pb_fail(crew, PB_UNSUPPORTED, ENOMEM, "a huge page for the contended line",
                           "reserve some: sysctl vm.nr_hugepages=8");
    }
    if (member->handoffs)
        memset(member->handoffs, 0, (size_t)crew->spec->n_members * sizeof *member->handoffs);
    return 0;
}

static void reset_counts(struct pb_member_state *member) {
    struct pb_member *result = member->result;
    memset(member->phases, 0, (size_t)member->crew->summary.n_phases * sizeof *member->phases);
    memset(result->counters, 0, sizeof result->counters);
    result->operations = 0;
    result->longest_streak = result->longest_wait_ns = result->longest_gap_ns = 0;
    if (member->handoffs)
        memset(member->handoffs, 0, (size_t)member->crew->spec->n_members * sizeof *member->handoffs);
}

/* Return how far the tick counter has run ahead of the clock since the crew's base, ns. */
static double clock_ahead_ns(const struct pb_crew_state *crew) {
    struct pb_instant now = pb_instant_now();
    return ((double)now.tick - (double)crew->base.tick) * crew->ns_per_tick - (double)(now.ns - crew->base.ns);
}

/* Return the time that this thread has waited for its CPU so far, ns: the second number of schedstat. */
static uint64_t waited_ns(void) {
    char text[96] = "";
    unsigned long long waited = 0;
    int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    return got > 0 && sscanf(text, "%*u %llu", &waited) == 1 ? waited : 0;
}

/* Return the smallest distance of two consecutive readings of the on-CPU clock, ns. */
static uint64_t cpu_clock_ns(void) {
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 32; i++) {
        uint64_t first = pb_thread_cpu_ns(), apart = pb_thread_cpu_ns() - first;
        least = apart < least ? apart : least;
    }
    return least;
}

/* Run for span_ns from a common start, and record the run in member->result. */
static int run_once(struct pb_member_state *member, int64_t span_ns, uint64_t operations) {
    struct pb_crew_state *crew = member->crew;
    struct pb_member *result = member->result;
    struct rusage before, after;
    uint64_t span = (uint64_t)((double)span_ns / crew->ns_per_tick);

    uint64_t chain = 1;
    result->work_before_ns = pb_work_speed_ns(crew->ns_per_tick, &chain);
    result->clock_start_ns = clock_ahead_ns(crew);
    /* Keep slower members' setup out of the measured interval. */
    if (!pb_barrier_meet(crew))
        return -ECANCELED;
    getrusage(RUSAGE_THREAD, &before);
    uint64_t waited = waited_ns();
    uint64_t release = pb_barrier_release(crew);
    if (!release)
        return -ECANCELED;
    result->stop_ns = 0;
    result->start_ns = pb_now_ns();
    uint64_t cpu = pb_thread_cpu_ns();
    result->cpu_start = sched_getcpu();
    struct pb_until until = {.tick = release + span, .operations = operations ? operations : UINT64_MAX};
    int rc = crew->workload->run(member, until);
    if (!result->stop_ns) /* a workload that cleans up after its end has set it */
        result->stop_ns = pb_now_ns();
    result->cpu_ns = pb_thread_cpu_ns() - cpu;
    result->cpu_stop = sched_getcpu();
    getrusage(RUSAGE_THREAD, &after);
    result->waited_ns = waited_ns() - waited;
    result->clock_stop_ns = clock_ahead_ns(crew);
    result->work_after_ns = pb_work_speed_ns(crew->ns_per_tick, &chain);
    result->voluntary_switches = (uint64_t)(after.ru_nvcsw - before.ru_nvcsw);
    result->involuntary_switches = (uint64_t)(after.ru_nivcsw - before.ru_nivcsw);
    result->minor_faults = (uint64_t)(after.ru_minflt - before.ru_minflt);
    return rc;
}

int pb_member_main(struct pb_crew_state *crew, int32_t index) {
    struct pb_member_state *member = &crew->states[index];
    const struct pb_spec *spec = crew->spec;
    member->rng = spec->seed ^ ((uint64_t)index << 32);
    member->result->tid = (int32_t)syscall(SYS_gettid);

    int rc = pin(member);
    if (rc)
        return rc;
    if ((rc = touch(member)))
        return rc;
    member->timer_exact_ticks = pb_timer_ticks();
    member->timer_ticks = (uint64_t)(member->timer_exact_ticks + 0.5);
    member->cpu_clock_ns = cpu_clock_ns();
    if (index == 0 && crew->workload->place_line && (rc = crew->workload->place_line(crew)))
        return rc;
    if (!pb_barrier_release(crew))
        return -ECANCELED;
    if (crew->workload->prepare && (rc = crew->workload->prepare(member)))
        return rc;
    if (spec->warmup_ns) {
        if ((rc = run_once(member, spec->warmup_ns, 0)))
            return rc;
        if (crew->workload->settle)
            crew->workload->settle(member);
        reset_counts(member);
    }
    if ((rc = run_once(member, spec->duration_ns, (uint64_t)spec->operations)))
        return rc;
    if (crew->workload->report)
        crew->workload->report(member);
    if (!pinned_to(member->result->cpu_asked))
        return pb_fail(crew, PB_FAILED, EXDEV, "pinning", "CPU %d was taken away during the trial",
                       member->result->cpu_asked);
    return 0;
}
