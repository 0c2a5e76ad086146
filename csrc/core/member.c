/* SPDX-License-Identifier: Apache-2.0
 *
 * A member's life: pin and prove it, touch its memory, meet the others, warm up, meet again, run, report.
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
#include "timing/clock.h"
#include "core/core.h"
#include "core/memory.h"
#include "timing/random.h"
#include "timing/work.h"

#define PB_MAX_CPUS 8192

/* True if the kernel lets this thread run on that CPU and no other. */
static bool pinned_to(int32_t cpu) {
    unsigned long mask[PB_MAX_CPUS / (8 * sizeof(unsigned long))] = {0};
    long bytes = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
    if (bytes <= 0)
        return false;
    const unsigned bits = 8 * sizeof(unsigned long);
    for (unsigned i = 0; i < sizeof mask / sizeof mask[0]; i++) {
        unsigned long want = (unsigned)cpu / bits == i ? 1ul << ((unsigned)cpu % bits) : 0;
        if (mask[i] != want)
            return false;
    }
    return true;
}

static int pin(struct pb_seat *seat) {
    int32_t cpu = seat->member->cpu_asked;
    unsigned long mask[PB_MAX_CPUS / (8 * sizeof(unsigned long))] = {0};
    const unsigned bits = 8 * sizeof(unsigned long);
    mask[(unsigned)cpu / bits] = 1ul << ((unsigned)cpu % bits);
    if (syscall(SYS_sched_setaffinity, 0, sizeof mask, mask))
        return pb_fail(seat->crew, PB_FAILED, errno, "sched_setaffinity", "CPU %d", cpu);
    if (!pinned_to(cpu) || sched_getcpu() != cpu)
        return pb_fail(seat->crew, PB_FAILED, EXDEV, "pinning", "asked for CPU %d, runs on %d", cpu, sched_getcpu());
    return 0;
}

/* Touch from here what should be near here. The line itself is member 0's, unless a policy places it. */
static int touch(struct pb_seat *seat) {
    struct pb_crew_state *crew = seat->crew;
    const struct pb_workload *workload = crew->workload;
    memset(seat->phases, 0, (size_t)crew->summary.n_phases * sizeof *seat->phases);
    if (workload->scratch_bytes) {
        memset(seat->scratch, 0, workload->scratch_bytes);
        seat->member->node = pb_memory_node(seat->scratch);
    }
    if (seat->index == 0 && workload->line_bytes) {
        memset(crew->line, 0, workload->line_bytes);
        crew->summary.line_node = pb_memory_node(crew->line);
    }
    if (seat->index == 0 && crew->huge_line) {
        crew->summary.line_page_bytes = pb_memory_page_bytes(crew->line);
        if (crew->summary.line_page_bytes < (int64_t)PB_HUGE_PAGE)
            return pb_fail(crew, PB_UNSUPPORTED, ENOMEM, "a huge page for the contended line",
                           "reserve some: sysctl vm.nr_hugepages=8");
    }
    if (seat->handoffs)
        memset(seat->handoffs, 0, (size_t)crew->spec->n_members * sizeof *seat->handoffs);
    return 0;
}

static void forget(struct pb_seat *seat) {
    struct pb_member *member = seat->member;
    memset(seat->phases, 0, (size_t)seat->crew->summary.n_phases * sizeof *seat->phases);
    memset(member->counters, 0, sizeof member->counters);
    member->operations = 0;
    member->longest_streak = member->longest_wait_ns = member->longest_gap_ns = 0;
    if (seat->handoffs)
        memset(seat->handoffs, 0, (size_t)seat->crew->spec->n_members * sizeof *seat->handoffs);
}

/* How far the tick counter has gone ahead of the clock since the crew's base, ns. */
static double clock_ahead_ns(const struct pb_crew_state *crew) {
    struct pb_instant now = pb_instant_now();
    return ((double)now.tick - (double)crew->base.tick) * crew->ns_per_tick - (double)(now.ns - crew->base.ns);
}

/* How long this thread has waited for its CPU so far, ns: the second number of schedstat. */
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

/* The least that two readings of the on-CPU clock in a row are apart, ns. */
static uint64_t cpu_clock_ns(void) {
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 32; i++) {
        uint64_t first = pb_thread_cpu_ns(), apart = pb_thread_cpu_ns() - first;
        least = apart < least ? apart : least;
    }
    return least;
}

/* Run for span_ns from a common start; the figures of the run are left in the member. */
static int run_once(struct pb_seat *seat, int64_t span_ns, uint64_t operations) {
    struct pb_crew_state *crew = seat->crew;
    struct pb_member *member = seat->member;
    struct rusage before, after;
    uint64_t span = (uint64_t)((double)span_ns / crew->ns_per_tick);

    uint64_t chain = 1;
    member->work_before_ns = pb_work_speed_ns(crew->ns_per_tick, &chain);
    member->clock_start_ns = clock_ahead_ns(crew);
    /* Waiting for those that are slower with this is none of the run's. */
    if (!pb_barrier_meet(crew))
        return -ECANCELED;
    getrusage(RUSAGE_THREAD, &before);
    uint64_t waited = waited_ns();
    uint64_t release = pb_barrier_release(crew);
    if (!release)
        return -ECANCELED;
    member->stop_ns = 0;
    member->start_ns = pb_now_ns();
    uint64_t cpu = pb_thread_cpu_ns();
    member->cpu_start = sched_getcpu();
    struct pb_until until = {.tick = release + span, .operations = operations ? operations : UINT64_MAX};
    int rc = crew->workload->run(seat, until);
    if (!member->stop_ns) /* unless the workload clears up after its end */
        member->stop_ns = pb_now_ns();
    member->cpu_ns = pb_thread_cpu_ns() - cpu;
    member->cpu_stop = sched_getcpu();
    getrusage(RUSAGE_THREAD, &after);
    member->waited_ns = waited_ns() - waited;
    member->clock_stop_ns = clock_ahead_ns(crew);
    member->work_after_ns = pb_work_speed_ns(crew->ns_per_tick, &chain);
    member->voluntary_switches = (uint64_t)(after.ru_nvcsw - before.ru_nvcsw);
    member->involuntary_switches = (uint64_t)(after.ru_nivcsw - before.ru_nivcsw);
    member->minor_faults = (uint64_t)(after.ru_minflt - before.ru_minflt);
    return rc;
}

int pb_member_main(struct pb_crew_state *crew, int32_t index) {
    struct pb_seat *seat = &crew->seats[index];
    const struct pb_spec *spec = crew->spec;
    seat->rng = spec->seed ^ ((uint64_t)index << 32);
    seat->member->tid = (int32_t)syscall(SYS_gettid);

    int rc = pin(seat);
    if (rc)
        return rc;
    if ((rc = touch(seat)))
        return rc;
    seat->timer_exact_ticks = pb_timer_ticks();
    seat->timer_ticks = (uint64_t)(seat->timer_exact_ticks + 0.5);
    seat->cpu_clock_ns = cpu_clock_ns();
    if (index == 0 && crew->workload->place_line && (rc = crew->workload->place_line(crew)))
        return rc;
    if (!pb_barrier_release(crew))
        return -ECANCELED;
    if (crew->workload->prepare && (rc = crew->workload->prepare(seat)))
        return rc;
    if (spec->warmup_ns) {
        if ((rc = run_once(seat, spec->warmup_ns, 0)))
            return rc;
        if (crew->workload->settle)
            crew->workload->settle(seat);
        forget(seat);
    }
    if ((rc = run_once(seat, spec->duration_ns, (uint64_t)spec->operations)))
        return rc;
    if (crew->workload->report)
        crew->workload->report(seat);
    if (!pinned_to(seat->member->cpu_asked))
        return pb_fail(crew, PB_FAILED, EXDEV, "pinning", "CPU %d was taken away during the trial",
                       seat->member->cpu_asked);
    return 0;
}
