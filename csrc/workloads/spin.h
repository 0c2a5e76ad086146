/* SPDX-License-Identifier: Apache-2.0
 *
 * What the loop made for each lock shares with the workload.
 */
#pragma once
#include "../core.h"
#include "../locks/common.h"
#include "../sampler.h"
#include "../work.h"

#define SPIN_LOCK_BYTES ((SPIN_MOST_SLOTS + 8) * PB_LINE)
#define SPIN_SELF_BYTES 256

enum spin_phase { SPIN_ACQUIRE, SPIN_HOLD, SPIN_OPERATION };
enum spin_counter { SPIN_TORN_READS, SPIN_RETRIES };
enum spin_role { SPIN_MAIN = 0, SPIN_WRITER = 1 };

struct spin_config {
    int lock;
    int64_t hold_ns, think_ns, write_think_ns, writers;
};

/* The contended memory: the lock, and on lines of its own what it guards. */
struct spin_line {
    alignas(PB_PAGE) unsigned char lock[SPIN_LOCK_BYTES];
    alignas(PB_LINE) struct spin_guard {
        uint64_t count;  /* plain on purpose: lost increments betray a lock that does not exclude */
        uint64_t shadow; /* written after count; a reader that sees them differ read in the middle */
    } guard;
};

/* A member's own: its queue node, its work, and what it has counted since the line was made. */
struct spin_scratch {
    alignas(PB_LINE) unsigned char self[SPIN_SELF_BYTES];
    alignas(PB_LINE) uint64_t hold_steps;
    uint64_t think_steps;
    uint64_t chain;
    uint64_t total_operations;
};

typedef int spin_run(struct pb_seat *seat, struct pb_until until);

/* See locks/common.h. */
struct spin_lock_kind {
    struct pb_lock_info info;
    spin_run *run;
    spin_run *run_reader; /* NULL: the lock knows no readers */
    bool readers_retry;   /* they hold nothing: hold time is the writers' alone */
    int (*place)(void *lock, bool processes); /* NULL: zeroed memory is a free lock */
    void (*join)(void *lock, void *self, const struct lock_member *who);
};

extern const struct spin_lock_kind spin_locks[]; /* locks/locks.c; ended by a NULL name */
