/* SPDX-License-Identifier: Apache-2.0
 *
 * What lock_check puts at the points of the locks: a stamp where a member has got its place, and, as an adversary, a
 * delay at random everywhere: a short spin, or the CPU given away. Waiting gives the CPU away as well, so that
 * more members than CPUs still take turns quickly.
 */
#pragma once
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

struct point_state {
    uint32_t random;
    unsigned waits;
    uint64_t placed; /* the last stamp */
    uint64_t *clock;
    bool adversary;
};
extern __thread struct point_state point;

static inline void point_delay(void) {
    if (!point.adversary)
        return;
    uint32_t x = point.random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    point.random = x;
    if (x % 16 == 0)
        sched_yield();
    else if (x % 4 == 0)
        for (volatile uint32_t i = x >> 8 & 255; i; i = i - 1)
            ;
}
static inline void point_placed(void) {
    point.placed = __atomic_fetch_add(point.clock, 1, __ATOMIC_RELAXED);
    point_delay();
}
static inline void point_relax(void) {
    pb_relax();
    if (++point.waits % 128 == 0)
        sched_yield();
}
#define PB_PLACED() point_placed()
#define PB_POINT() point_delay()
#define pb_relax point_relax
