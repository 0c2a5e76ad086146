/* SPDX-License-Identifier: Apache-2.0
 *
 * Two clocks: CLOCK_MONOTONIC for what is recorded, the tick counter for what is inside a measured loop.
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

/* One point in both clocks; the tightest of several tries, so that an interrupt between the two is not kept. */
struct pb_instant {
    uint64_t ns, tick;
};
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

/* Nanoseconds of a tick, from a wait of span_ns. A 2 ms wait is right to some 10 ppm. */
static inline double pb_calibrate_ticks(uint64_t span_ns) {
    struct pb_instant a = pb_instant_now(), b;
    do {
        b = pb_instant_now();
    } while (b.ns - a.ns < span_ns || b.tick == a.tick);
    return (double)(b.ns - a.ns) / (double)(b.tick - a.tick);
}

/* What one reading of the tick counter costs, in ticks: what every latency has too much. The least mean of several
 * rounds: a single distance would be a multiple of the counter's own step, which can be 10 ns. */
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

/* The counter's own step, in ticks: the greatest common divisor of the distances seen. It is 1 on most machines;
 * where it is more, no latency below it can be told. */
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
