/* SPDX-License-Identifier: Apache-2.0
 *
 * Two clocks: CLOCK_MONOTONIC for records, the tick counter within measured loops.
 */
#pragma once
#include <stdint.h>
#include <time.h>

#include "timing/arch.h"

__extension__ typedef unsigned __int128 pb_uint128;

static inline uint64_t pb_clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static inline uint64_t pb_now_ns(void) { return pb_clock_ns(CLOCK_MONOTONIC); }
static inline uint64_t pb_thread_cpu_ns(void) { return pb_clock_ns(CLOCK_THREAD_CPUTIME_ID); }

/* One moment in both clocks. */
struct pb_instant {
    uint64_t ns, tick;
};
/* Read both clocks: the tightest of several tries, so that no interrupt lies between the two readings. */
static inline struct pb_instant pb_instant_now(void) {
    struct pb_instant best = {0, 0};
    uint64_t width = UINT64_MAX;
    for (int i = 0; i < 8; i++) {
        uint64_t before = pb_ticks(), ns = pb_now_ns(), after = pb_ticks();
        if (after - before < width) {
            width = after - before;
            best = (struct pb_instant){ns, before + width / 2};
        }
    }
    return best;
}

/* Return the ns per tick, from a wait of span_ns. A wait of 2 ms is accurate to about 10 ppm. */
static inline double pb_calibrate_ticks(uint64_t span_ns) {
    struct pb_instant a = pb_instant_now(), b;
    do {
        b = pb_instant_now();
    } while (b.ns - a.ns < span_ns || b.tick == a.tick);
    return (double)(b.ns - a.ns) / (double)(b.tick - a.tick);
}

/* Return the cost of one reading of the tick counter in ticks, which every latency contains: the smallest mean of
 * several rounds, as a single distance is a multiple of the counter's step, which can be 10 ns. */
static inline double pb_timer_ticks(void) {
    enum { READINGS = 128 };
    uint64_t least = UINT64_MAX;
    for (int round = 0; round < 16; round++) {
        uint64_t begin = pb_ticks(), end = begin;
        for (int i = 0; i < READINGS; i++)
            end = pb_ticks();
        if (end - begin < least)
            least = end - begin;
    }
    return (double)least / READINGS;
}

/* Return the counter's step in ticks: the greatest common divisor of observed distances. It is 1 on most machines; a
 * latency below it cannot be resolved. */
static inline uint64_t pb_timer_step(void) {
    uint64_t step = 0;
    for (int i = 0; i < 256; i++) {
        uint64_t begin = pb_ticks(), rest = pb_ticks() - begin;
        while (rest) {
            uint64_t next = step % rest;
            step = rest;
            rest = next;
        }
    }
    return step;
}

static inline uint64_t pb_ticks_to_ns(uint64_t ticks, uint64_t ns_per_tick_fixed) {
    return (uint64_t)(((pb_uint128)ticks * ns_per_tick_fixed) >> 32);
}
