/* SPDX-License-Identifier: Apache-2.0
 *
 * A value over time, kept as points at growing distances.
 */
#include "core/core.h"

/* Distance of the first points: fine enough for a launch, and coarse enough to cost nothing. */
#define FIRST_EVERY_NS 100000.0

bool pb_timeline_keep(struct pb_crew_state *crew, uint64_t tick, uint64_t value) {
    struct pb_timeline *timeline = &crew->timeline;
    const bool full = timeline->count == PB_TIMELINE_POINTS;
    if (full) {
        for (int32_t i = 0; i < PB_TIMELINE_POINTS / 2; i++)
            timeline->points[i] = timeline->points[2 * i];
        timeline->count = PB_TIMELINE_POINTS / 2;
    }
    uint64_t start = atomic_load_explicit(&crew->release_tick, memory_order_relaxed);
    uint64_t ns = tick > start ? pb_ticks_to_ns(tick - start, crew->ns_per_tick_fixed) : 0;
    timeline->points[timeline->count++] = (struct pb_point){ns, value};
    return full;
}

void pb_timeline_add(struct pb_crew_state *crew, int64_t change) {
    struct pb_timeline *timeline = &crew->timeline;
    uint64_t delta = (uint64_t)change;
    uint64_t value = atomic_fetch_add_explicit(&timeline->value, delta, memory_order_relaxed) + delta;
    uint64_t peak = atomic_load_explicit(&timeline->peak, memory_order_relaxed);
    while (change > 0 && value > peak && !atomic_compare_exchange_weak(&timeline->peak, &peak, value))
        ;
    uint64_t tick = pb_ticks();
    if (tick < atomic_load_explicit(&timeline->due_tick, memory_order_relaxed) ||
        atomic_flag_test_and_set_explicit(&timeline->busy, memory_order_acquire))
        return;
    /* Another member may have kept a later point since the reading of the clock: points stay in order. */
    if (tick < atomic_load_explicit(&timeline->due_tick, memory_order_relaxed)) {
        atomic_flag_clear_explicit(&timeline->busy, memory_order_release);
        return;
    }
    if (!timeline->every_ticks)
        timeline->every_ticks = (uint64_t)(FIRST_EVERY_NS / crew->ns_per_tick);
    if (pb_timeline_keep(crew, tick, value))
        timeline->every_ticks *= 2;
    atomic_store_explicit(&timeline->due_tick, tick + timeline->every_ticks, memory_order_relaxed);
    atomic_flag_clear_explicit(&timeline->busy, memory_order_release);
}
