/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the core share: the ABI, and the crew's memory.
 *
 * A trial is one process group. The caller forks a leader; the leader sets the workload up (in its own
 * mount namespace where that matters), starts the members, waits for them and tears down. All figures
 * travel through one shared mapping, made before the fork and therefore at one address everywhere.
 */
#pragma once
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "timing/arch.h"
#include "timing/clock.h"
#include "pybench_core.h"

#define PB_PAGE 4096

struct pb_crew_state;

/* One member, as its workload sees it. */
struct pb_seat {
    alignas(PB_LINE) struct pb_crew_state *crew;
    struct pb_member *member;
    struct pb_phase *phases;
    void *scratch; /* the workload's own for this member, in member memory */
    int32_t index;
    struct pb_handoff *handoffs; /* by previous owner; NULL if the workload keeps none */
    uint64_t rng;
    uint64_t timer_ticks;     /* cost of one reading of the tick counter, whole ticks */
    double timer_exact_ticks; /* the same, unrounded */
    uint64_t cpu_clock_ns;    /* on-CPU time of one reading of the on-CPU clock */
};

/* When a member's loop ends: at a tick, or after so many operations. */
struct pb_until {
    uint64_t tick;
    uint64_t operations;
};

struct pb_workload {
    const char *name;
    const char *phases[PB_MAX_PHASES + 1];
    int8_t phase_roles[PB_MAX_PHASES]; /* role of the members that time it */
    const char *counters[PB_MAX_COUNTERS + 1];
    bool mounts;           /* wants a private mount namespace */
    bool kernel_memory;    /* what is contended is the kernel's: the memory policy is that of the crew's tasks */
    size_t config_bytes;   /* parsed parameters, shared by all members */
    size_t line_bytes;     /* the contended memory, placed by the memory policy */
    size_t scratch_bytes;  /* private memory of one member */
    bool hands_off;        /* keeps who handed to whom, see pb_handoff */
    /* In the caller, before anything is made: parameters into config. */
    int (*configure)(struct pb_crew_state *crew);
    /* In the leader. Everything made must die with the crew's namespaces and memory. */
    int (*setup)(struct pb_crew_state *crew);
    int (*teardown)(struct pb_crew_state *crew);
    /* In member 0, pinned, before the others prepare: the contended line, zeroed and where it belongs. */
    int (*place_line)(struct pb_crew_state *crew);
    /* In each member, pinned. run() returns 0 or a negative errno, and counts what it did. */
    int (*prepare)(struct pb_seat *seat);
    int (*run)(struct pb_seat *seat, struct pb_until until);
    /* In each member after the warm-up, before its counts are forgotten: adjust what it showed to be off. */
    void (*settle)(struct pb_seat *seat);
    /* In each member after the run: what it kept in its scratch, into the member. */
    void (*report)(struct pb_seat *seat);
    /* In the leader, after the run: an invariant that broke makes the trial a failed one. */
    int (*verify)(struct pb_crew_state *crew);
};

/* A value over time: at most PB_TIMELINE_POINTS of it, thinned to every second one whenever they are full. */
struct pb_timeline {
    alignas(PB_LINE) _Atomic uint64_t value;
    _Atomic uint64_t peak;
    alignas(PB_LINE) atomic_flag busy;
    _Atomic uint64_t due_tick; /* no point is wanted before */
    uint64_t every_ticks;
    int32_t count;
    struct pb_point points[PB_TIMELINE_POINTS];
};
/* Keep a point, `tick` after the crew's start. True if there was no more room, and every second one was left out. */
bool pb_timeline_keep(struct pb_crew_state *crew, uint64_t tick, uint64_t value);
/* Add to the value, and keep a point if one is due; timeline.c. */
void pb_timeline_add(struct pb_crew_state *crew, int64_t change);

struct pb_crew_state {
    const struct pb_spec *spec;
    const struct pb_workload *workload;
    struct pb_summary summary;
    struct pb_error error, note; /* why it failed; the first failure that it counts and goes on with */
    atomic_int noted;
    atomic_int failed; /* first to set it owns error */
    atomic_int finished;
    int32_t guard; /* process that removes a folder on the host once the crew is gone, 0 if none */

    alignas(PB_LINE) atomic_uint arrived;
    alignas(PB_LINE) atomic_uint round;
    _Atomic uint64_t release_tick;

    alignas(PB_LINE) double ns_per_tick;
    struct pb_instant base; /* a moment in both clocks, before any member runs */
    uint64_t ns_per_tick_fixed; /* << 32 */
    uint64_t release_lead_ticks;

    struct pb_timeline timeline;

    struct pb_member *members;
    struct pb_phase *phases;
    struct pb_seat *seats;
    void *config;
    void *line;
    bool huge_line; /* set by configure(): the line is wanted on a huge page */
    char *scratch;
};

/* Parameters: 0 or -EINVAL with the error filled. A missing key is an error: Python fills the defaults. */
int pb_param_number(struct pb_crew_state *crew, const char *key, int64_t *value);
int pb_param_text(struct pb_crew_state *crew, const char *key, const char **value);
/* The index of the word in a NULL-ended list. */
int pb_param_word(struct pb_crew_state *crew, const char *key, const char *const *words, int *value);

/* Fill an error: what was tried, and on what. `code` is a positive errno, 0 if none applies. Returns -code. */
int pb_error_fill(struct pb_error *error, int code, const char *tried, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Record the first failure; returns -code, for `return pb_fail(...)`. code is a positive errno. */
int pb_fail(struct pb_crew_state *crew, enum pb_status status, int code, const char *tried, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Note the first of the failures that a workload counts and survives. */
void pb_note(struct pb_crew_state *crew, int code, const char *tried, const char *subject);
static inline bool pb_crew_failed(struct pb_crew_state *crew) {
    return atomic_load_explicit(&crew->failed, memory_order_relaxed) != 0;
}

int pb_member_main(struct pb_crew_state *crew, int32_t index); /* member.c */
int pb_leader_main(struct pb_crew_state *crew);                /* leader.c */

/* Register a workload: the linker gathers the pointers of this section into one table (tables.c), so that a workload is
 * found because its file is compiled. */
#define PB_WORKLOAD(id, workload)                                                                                      \
    extern const struct pb_workload *const pb_workload_##id;                                                           \
    const struct pb_workload *const pb_workload_##id __attribute__((used, section("pb_workloads"))) = &(workload)

/* Return the workload of that name, or NULL; tables.c. */
const struct pb_workload *pb_workload_find(const char *name);
