/* SPDX-License-Identifier: Apache-2.0
 *
 * Types and inline parts of the measured loop, shared with the workload.
 */
#pragma once
#include "core/core.h"
#include "core/sampler.h"
#include "locks/common.h"
#include "timing/work.h"

#define SPIN_LOCK_BYTES ((SPIN_MOST_SLOTS + 8) * PB_LINE)
#define SPIN_SELF_BYTES 256

enum spin_phase { SPIN_ACQUIRE, SPIN_HOLD, SPIN_OPERATION };
enum spin_counter { SPIN_TORN_READS, SPIN_RETRIES };
enum spin_role { SPIN_MAIN = 0, SPIN_WRITER = 1 };

struct spin_lock_kind;

struct spin_config {
    const struct spin_lock_kind *kind;
    int64_t hold_ns, think_ns, write_think_ns, writers;
    int hold_distribution, think_distribution; /* enum pb_distribution */
    int64_t lock_offset, guard_offset;         /* within crew->line */
};

/* The data that the lock guards: on a line of its own, or behind the lock on its line. */
struct spin_guard {
    uint64_t count;     /* plain on purpose: lost increments show that a lock does not exclude */
    uint64_t shadow;    /* written after count: a reader that sees them differ read during a write */
    uint64_t left_tick; /* when the previous owner left, if that was timed; 0 if not */
    uint64_t owner;     /* index of the last owner, from 1 */
};

/* The contended memory: a page, so that the lock may lie anywhere in one, the lock, and the guarded data. */
#define SPIN_LINE_BYTES (PB_PAGE + SPIN_LOCK_BYTES + PB_LINE)
/* The line size of caches, for a lock that shares its line with the guarded data. */
#define SPIN_CACHE_LINE 64
#define SPIN_SHARED_GUARD_OFFSET(lock_bytes) (((lock_bytes) + 7) / 8 * 8)

/* A member's own: its queue node, its work, and its sections since the line was made. */
struct spin_scratch {
    alignas(PB_LINE) unsigned char self[SPIN_SELF_BYTES];
    alignas(PB_LINE) uint64_t chain;
    uint64_t total_operations;
    struct pb_pace hold, think;
};

static inline void *spin_lock_of(const struct pb_crew_state *crew) {
    return (char *)crew->line + ((const struct spin_config *)crew->config)->lock_offset;
}
static inline struct spin_guard *spin_guard_of(const struct pb_crew_state *crew) {
    return (void *)((char *)crew->line + ((const struct spin_config *)crew->config)->guard_offset);
}

/* A member's view of the lock's owner, in registers while the loop runs. */
struct spin_owning {
    uint64_t me;       /* its index, from 1 */
    uint64_t previous; /* the owner before this section */
    uint64_t left_tick, arrived_tick;
    uint64_t streak, longest_streak; /* sections in a row */
};

#define SPIN_FAST static inline __attribute__((always_inline))

/* First thing in a section, which needs the guarded line anyway: read the previous owner, and when it left. */
SPIN_FAST void spin_own(struct spin_owning *owning, struct spin_guard *guard) {
    owning->previous = guard->owner;
    owning->left_tick = guard->left_tick;
    if (__builtin_expect(owning->left_tick != 0, 0))
        guard->left_tick = 0;
    if (__builtin_expect(owning->previous == owning->me, 1))
        return;
    guard->owner = owning->me;
    if (owning->left_tick)
        owning->arrived_tick = pb_ticks();
}

/* Count the handoff. Not inline, and by value, so that the loop keeps these values in registers. */
static __attribute__((noinline)) void spin_took_over(struct pb_member_state *member, uint64_t previous,
                                                     uint64_t left_tick, uint64_t arrived_tick) {
    if (!previous || !member->handoffs)
        return;
    struct pb_handoff *handoff = &member->handoffs[previous - 1];
    handoff->count++;
    if (left_tick) {
        handoff->timed++;
        if (arrived_tick > left_tick)
            handoff->ns += pb_latency_ns(member, left_tick, arrived_tick, 1);
    }
}

/* After a section, when no other member waits for this one: update the streak. */
SPIN_FAST void spin_had(struct spin_owning *owning, struct pb_member_state *member) {
    if (__builtin_expect(owning->previous == owning->me, 1)) {
        owning->streak++;
        return;
    }
    if (owning->streak > owning->longest_streak)
        owning->longest_streak = owning->streak;
    owning->streak = 1;
    spin_took_over(member, owning->previous, owning->left_tick, owning->arrived_tick);
}

/* Record a timed piece of work between two readings of the tick counter. */
static inline void spin_record_piece(struct pb_member_state *member, struct pb_pace *pace, uint32_t place,
                                     uint64_t begin, uint64_t end) {
    pb_pace_record(pace, place, ((double)(end - begin) - member->timer_exact_ticks) * member->crew->ns_per_tick);
}

static inline uint64_t spin_max(uint64_t a, uint64_t b) { return a > b ? a : b; }

typedef int spin_run(struct pb_member_state *member, struct pb_until until);

/* A lock of locks.def, compiled; see locks/common.h. */
struct spin_lock_kind {
    struct pb_lock_info info;
    size_t lock_bytes;
    spin_run *run;
    spin_run *run_reader;                     /* NULL: the lock has no readers */
    bool readers_retry;                       /* they hold nothing: only writers have hold time */
    int (*place)(void *lock, bool processes); /* NULL: zeroed memory is a free lock */
    void (*join)(void *lock, void *self, const struct lock_member *who);
};

/* Return the lock at a place of locks.def, NULL past the end; locks/locks.c. */
const struct spin_lock_kind *spin_lock_kind_at(int32_t index);
