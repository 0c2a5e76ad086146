/* SPDX-License-Identifier: Apache-2.0
 *
 * Timing one operation in many, so that the timing is not seen in the throughput: about one sample
 * every PB_SAMPLE_NS, at jittered distances so that it cannot fall into step with anything.
 */
#pragma once
#include "clock.h"
#include "core.h"
#include "rng.h"

#define PB_SAMPLE_NS 10000.0

struct pb_sampler {
    uint64_t target_ticks;
    uint64_t last_tick;
    uint64_t batch; /* operations before the next sample */
};

static inline struct pb_sampler pb_sampler_start(struct pb_seat *seat, uint64_t tick) {
    return (struct pb_sampler){(uint64_t)(PB_SAMPLE_NS / seat->crew->ns_per_tick), tick, 0};
}

/* After a sample at `tick`: how many operations to let pass. At most four times as many as before, so that a
 * lock that is suddenly contended does not carry a member far beyond its end. */
static inline void pb_sampler_next(struct pb_sampler *sampler, struct pb_seat *seat, uint64_t tick) {
    uint64_t took = tick - sampler->last_tick + 1, done = sampler->batch + 1;
    uint64_t fits = done * sampler->target_ticks / took;
    uint64_t most = 4 * done;
    fits = fits < most ? fits : most;
    uint64_t jitter = fits ? pb_random(&seat->rng) % (fits / 2 + 1) : 0;
    sampler->batch = fits - fits / 4 + jitter;
    if (sampler->batch)
        sampler->batch--;
    sampler->last_tick = tick;
}

/* A latency between two readings of the tick counter, less the cost of the readings from the first to the last. */
static inline uint64_t pb_latency_ns(const struct pb_seat *seat, uint64_t from, uint64_t to, uint64_t readings) {
    uint64_t ticks = to - from, own = readings * seat->timer_ticks;
    ticks = ticks > own ? ticks - own : 0;
    return pb_ticks_to_ns(ticks, seat->crew->ns_per_tick_fixed);
}
