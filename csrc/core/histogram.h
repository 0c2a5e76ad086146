/* SPDX-License-Identifier: Apache-2.0
 *
 * Log-linear histogram buckets (as in HdrHistogram): exact below 128 ns, then 64 per octave, up to 2^40 ns (18
 * minutes).
 */
#pragma once
#include <stdint.h>

#include "core/core.h"

#define PB_HISTOGRAM_BITS 6

static inline uint32_t pb_histogram_index(uint64_t ns) {
    const uint32_t per_octave = 1u << PB_HISTOGRAM_BITS;
    if (ns < 2 * per_octave)
        return (uint32_t)ns;
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(ns) - PB_HISTOGRAM_BITS;
    uint32_t index = shift * per_octave + (uint32_t)(ns >> shift);
    return index < PB_HISTOGRAM_BUCKETS ? index : PB_HISTOGRAM_BUCKETS - 1;
}

static inline double pb_histogram_middle(uint32_t index) {
    const uint32_t per_octave = 1u << PB_HISTOGRAM_BITS;
    if (index < 2 * per_octave)
        return (double)index;
    uint32_t shift = index / per_octave - 1;
    uint64_t low = (uint64_t)(index - shift * per_octave) << shift;
    return (double)low + (double)((UINT64_C(1) << shift) - 1) / 2.0;
}

/* Add a timed call that stands for a number of operations. */
static inline void pb_phase_add_sample(struct pb_phase *phase, uint64_t ns, uint64_t stands_for) {
    phase->calls++;
    phase->operations += stands_for;
    phase->wall_ns += ns * stands_for;
    if (ns > phase->max_ns)
        phase->max_ns = ns;
    phase->histogram[pb_histogram_index(ns)] += stands_for;
}
/* Add on-CPU time between two readings of its clock, less the cost of one reading. */
static inline void pb_phase_add_cpu(struct pb_phase *phase, const struct pb_member_state *member, uint64_t cpu_ns,
                                    uint64_t wall_ns, uint64_t operations) {
    phase->cpu_calls++;
    phase->cpu_operations += operations;
    phase->cpu_ns += cpu_ns > member->cpu_clock_ns ? cpu_ns - member->cpu_clock_ns : 0;
    phase->cpu_wall_ns += wall_ns;
}
static inline void pb_phase_add(struct pb_phase *phase, uint64_t ns) { pb_phase_add_sample(phase, ns, 1); }
