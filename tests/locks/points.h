/* SPDX-License-Identifier: Apache-2.0
 *
 * What lock_check puts into the locks: a stamp where a member has got its place; around every atomic operation
 * (adversary/stdatomic.h), if there is an adversary, a delay at random: a short spin, the CPU given away, now and then
 * a sleep. Waiting gives the CPU away as well, so that more members than CPUs still take turns quickly.
 */
#pragma once
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct point_state {
    uint32_t random;
    unsigned waits;
    uint64_t placed; /* the last stamp */
    uint64_t *clock;
    bool before, after;
};
extern __thread struct point_state point;

static inline void point_delay(void) {
    uint32_t x = point.random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    point.random = x;
    if (x % 1024 == 0)
        nanosleep(&(struct timespec){0, (x >> 8) % 20000}, NULL);
    else if (x % 16 == 0)
        sched_yield();
    else if (x % 4 == 0)
        for (volatile uint32_t i = x >> 8 & 255; i; i = i - 1)
            ;
}
static inline void point_placed(void) {
    point.placed = __atomic_fetch_add(point.clock, 1, __ATOMIC_RELAXED);
    if (point.before)
        point_delay();
}
static inline void point_relax(void) {
    pb_relax();
    if (++point.waits % 128 == 0)
        sched_yield();
}
#define POINT_BEFORE() (point.before ? point_delay() : (void)0)
#define POINT_AFTER() (point.after ? point_delay() : (void)0)
#define PB_PLACED() point_placed()
#define pb_relax point_relax
