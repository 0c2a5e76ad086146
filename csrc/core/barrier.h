/* SPDX-License-Identifier: Apache-2.0
 *
 * The members' barrier. They spin, so that none waits for a wake-up; the last to arrive sets a tick a little ahead, and
 * all leave at that tick. Members that share a CPU yield after a while, or they would never all arrive.
 */
#pragma once
#include <sched.h>

#include "core/core.h"

/* Wait for all members. Returns false if the crew failed meanwhile. */
static inline bool pb_barrier_meet(struct pb_crew_state *crew) {
    unsigned members = (unsigned)crew->spec->n_members;
    unsigned round = atomic_load_explicit(&crew->round, memory_order_acquire);
    if (atomic_fetch_add_explicit(&crew->arrived, 1, memory_order_acq_rel) + 1 == members) {
        atomic_store_explicit(&crew->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&crew->release_tick, pb_ticks() + crew->release_lead_ticks, memory_order_relaxed);
        atomic_store_explicit(&crew->round, round + 1, memory_order_release);
    }
    for (unsigned spins = 0; atomic_load_explicit(&crew->round, memory_order_acquire) == round; spins++) {
        if (pb_crew_failed(crew))
            return false;
        if (spins > 2000)
            sched_yield();
        else
            pb_relax();
    }
    return true;
}

/* Wait for all members, then for the common tick. Returns that tick, or 0 if the crew failed. */
static inline uint64_t pb_barrier_release(struct pb_crew_state *crew) {
    if (!pb_barrier_meet(crew))
        return 0;
    uint64_t release = atomic_load_explicit(&crew->release_tick, memory_order_relaxed);
    while (pb_ticks() < release)
        ;
    return release;
}
