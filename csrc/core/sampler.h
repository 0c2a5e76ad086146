/* SPDX-License-Identifier: Apache-2.0
 *
 * Timing a sample of the operations, so that timing does not lower the throughput: about one every PB_SAMPLE_NS, at
 * jittered distances so that it cannot fall into step with anything. The number of operations to leave untimed is drawn
 * before the first of them, independently of their duration. Each sample is weighted by the untimed operations before
 * it (pb_phase_add_sample); otherwise slow operations would be over-represented.
 */
#pragma once
#include "core/core.h"
#include "timing/random.h"

#define PB_SAMPLE_NS 10000.0
/* Longest batch of members that share a CPU: one operation of a fair lock may then take a time slice of each. */
#define PB_MOST_SHARED 16

struct pb_sampler {
    uint64_t target_ticks;
    uint64_t last_tick;
    uint64_t batch; /* operations before the next sample */
    uint64_t most;  /* upper bound of batch */
};

static inline struct pb_sampler pb_sampler_start(struct pb_member_state *member, uint64_t tick) {
    const struct pb_spec *spec = member->crew->spec;
    int32_t here = 0;
    for (int32_t i = 0; i < spec->n_members; i++)
        here += spec->cpus[i] == spec->cpus[member->index];
    return (struct pb_sampler){.target_ticks = (uint64_t)(PB_SAMPLE_NS / member->crew->ns_per_tick),
                               .last_tick = tick,
                               .most = here > 1 ? PB_MOST_SHARED : UINT64_MAX};
}

/* After a sample at `tick`, draw the next batch: at most four times the last one, so that a lock that is suddenly
 * contended does not carry a member far beyond its end. */
static inline void pb_sampler_next(struct pb_sampler *sampler, uint64_t *rng, uint64_t tick) {
    uint64_t took = tick - sampler->last_tick + 1, done = sampler->batch + 1;
    uint64_t fits = done * sampler->target_ticks / took;
    uint64_t most = 4 * done < sampler->most ? 4 * done : sampler->most;
    fits = fits < most ? fits : most;
    uint64_t jitter = fits ? pb_random(rng) % (fits / 2 + 1) : 0;
    sampler->batch = fits - fits / 4 + jitter;
    if (sampler->batch)
        sampler->batch--;
    sampler->last_tick = tick;
}

/* Return the ns between two readings of the tick counter, less the cost of `readings` readings in between. */
static inline uint64_t pb_latency_ns(const struct pb_member_state *member, uint64_t from, uint64_t to,
                                     uint64_t readings) {
    uint64_t ticks = to - from, own = readings * member->timer_ticks;
    ticks = ticks > own ? ticks - own : 0;
    return pb_ticks_to_ns(ticks, member->crew->ns_per_tick_fixed);
}
