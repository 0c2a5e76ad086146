/* SPDX-License-Identifier: Apache-2.0
 *
 * The crew's memory, and the contract of a workload.
 *
 * A trial is one process group. The caller forks a leader; the leader sets the workload up (in its own mount namespace
 * where needed), starts the members, waits for them and tears down. All results travel through one shared mapping, made
 * before the fork and therefore at the same address in every process.
 */
#pragma once
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pybench_core.h"
#include "timing/arch.h"
#include "timing/clock.h"

#define PB_PAGE 4096
#define PB_MAX_CPUS 8192

struct pb_crew_state;

/* One member, as its workload sees it. */
struct pb_member_state {
    alignas(PB_LINE) struct pb_crew_state *crew;
    struct pb_member *result;
    struct pb_phase *phases;
    void *scratch; /* the workload's own, in memory near the member */
    int32_t index;
    struct pb_handoff *handoffs; /* by previous owner; NULL if the workload keeps none */
    uint64_t rng;
    uint64_t timer_ticks;     /* cost of one reading of the tick counter, whole ticks */
    double timer_exact_ticks; /* the same, unrounded */
    uint64_t cpu_clock_ns;    /* on-CPU time of one reading of the on-CPU clock */
};

/* The end of a member's loop: at a tick, or after a number of operations. */
struct pb_until {
    uint64_t tick;
    uint64_t operations;
};

/* A workload. Functions but run() may be NULL; they return 0, or negative after pb_fail(). */
struct pb_workload {
    const char *name;
    const char *phases[PB_MAX_PHASES + 1];
    int8_t phase_roles[PB_MAX_PHASES]; /* role of the members that time the phase */
    const char *counters[PB_MAX_COUNTERS + 1];
    bool mounts;          /* needs a private mount namespace */
    bool kernel_memory;   /* the contended data is the kernel's: the memory policy is that of the crew's tasks */
    size_t config_bytes;  /* parsed parameters, shared by all members */
    size_t line_bytes;    /* the contended memory, placed by the memory policy */
    size_t scratch_bytes; /* private memory of one member */
    bool hands_over;      /* records who handed over to whom, see pb_handoff */
    /* In the caller, before anything is made: parse parameters into crew->config. */
    int (*configure)(struct pb_crew_state *crew);
    /* In the leader. All that is made must vanish with the crew's namespaces and memory. */
    int (*setup)(struct pb_crew_state *crew);
    int (*teardown)(struct pb_crew_state *crew);
    /* In member 0, pinned, before the others prepare: initialise the contended line, which is zeroed and placed. */
    int (*place_line)(struct pb_crew_state *crew);
    /* In each member, pinned. run() counts its operations. */
    int (*prepare)(struct pb_member_state *member);
    int (*run)(struct pb_member_state *member, struct pb_until until);
    /* In each member after the warm-up, before its counts are reset: correct what the warm-up showed to be off. */
    void (*settle)(struct pb_member_state *member);
    /* In each member after the run: copy results from its scratch. */
    void (*report)(struct pb_member_state *member);
    /* In the leader after the run: check invariants. */
    int (*verify)(struct pb_crew_state *crew);
};

/* Register a workload: the linker gathers the pointers of this section into one table (tables.c), so that a workload is
 * found because its file is compiled. */
#define PB_WORKLOAD(id, workload)                                                                                      \
    extern const struct pb_workload *const pb_workload_##id;                                                           \
    const struct pb_workload *const pb_workload_##id __attribute__((used, section("pb_workloads"))) = &(workload)

/* A value over time: up to PB_TIMELINE_POINTS points, thinned to every second one whenever they are full. */
struct pb_timeline {
    alignas(PB_LINE) _Atomic uint64_t value;
    _Atomic uint64_t peak;
    alignas(PB_LINE) atomic_flag busy;
    _Atomic uint64_t due_tick; /* of the next point */
    uint64_t every_ticks;
    int32_t count;
    struct pb_point points[PB_TIMELINE_POINTS];
};

struct pb_crew_state {
    const struct pb_spec *spec;
    const struct pb_workload *workload;
    struct pb_summary summary;
    struct pb_error error, note; /* the failure of the trial; the first failure that it counts and survives */
    atomic_int noted;
    atomic_int failed; /* the first to set it owns error */
    atomic_int finished;
    int32_t guard; /* process that removes a folder on the host once the crew is gone, 0 if none */

    alignas(PB_LINE) atomic_uint arrived;
    alignas(PB_LINE) atomic_uint round;
    _Atomic uint64_t release_tick;

    alignas(PB_LINE) double ns_per_tick;
    struct pb_instant base;     /* a moment in both clocks, before any member runs */
    uint64_t ns_per_tick_fixed; /* << 32 */
    uint64_t release_lead_ticks;

    struct pb_timeline timeline;

    struct pb_member *members;
    struct pb_phase *phases;
    struct pb_member_state *states;
    void *config;
    void *line;
    bool huge_line; /* set by configure(): the line belongs on a huge page */
    char *scratch;
};

static inline bool pb_crew_failed(struct pb_crew_state *crew) {
    return atomic_load_explicit(&crew->failed, memory_order_relaxed) != 0;
}
