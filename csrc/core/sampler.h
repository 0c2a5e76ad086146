/* SPDX-License-Identifier: Apache-2.0
 *
 * Timing one operation in many, so that the timing is not seen in the throughput: about one sample
 * every PB_SAMPLE_NS, at jittered distances so that it cannot fall into step with anything. How many operations go
 * untimed is settled before the first of them, so each stands for them whatever they take: a sample counts as often
 * (pb_phase_add_sample), or slow operations would be told too often.
 */
#pragma once
#include "timing/clock.h"
#include "core/core.h"
#include "timing/random.h"

#define PB_SAMPLE_NS 10000.0
/* Of members that share a CPU: one operation of a fair lock may then take a time slice of each. */
#define PB_MOST_SHARED 16

struct pb_sampler {
    uint64_t target_ticks;
    uint64_t last_tick;
    uint64_t batch; /* operations before the next sample */
    uint64_t most;  /* of the same */
};

static inline struct pb_sampler pb_sampler_start(struct pb_seat *seat, uint64_t tick) {
    const struct pb_spec *spec = seat->crew->spec;
    int32_t here = 0;
    for (int32_t i = 0; i < spec->n_members; i++)
        here += spec->cpus[i] == spec->cpus[seat->index];
    return (struct pb_sampler){.target_ticks = (uint64_t)(PB_SAMPLE_NS / seat->crew->ns_per_tick),
                               .last_tick = tick,
                               .most = here > 1 ? PB_MOST_SHARED : UINT64_MAX};
}

/* After a sample at `tick`: how many operations to let pass. At most four times as many as before, so that a
 * lock that is suddenly contended does not carry a member far beyond its end. */
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

/* A latency between two readings of the tick counter, less the cost of the readings from the first to the last. */
static inline uint64_t pb_latency_ns(const struct pb_seat *seat, uint64_t from, uint64_t to, uint64_t readings) {
    uint64_t ticks = to - from, own = readings * seat->timer_ticks;
    ticks = ticks > own ? ticks - own : 0;
    return pb_ticks_to_ns(ticks, seat->crew->ns_per_tick_fixed);
}
