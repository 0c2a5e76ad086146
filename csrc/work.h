/* SPDX-License-Identifier: Apache-2.0
 *
 * Hold and think time: a chain of dependent multiplications, which neither reads a clock nor touches
 * memory, and which an SMT sibling slows little. Calibrated on the member's own CPU.
 */
#pragma once
#include "clock.h"

static inline uint64_t pb_work(uint64_t chain, uint64_t steps) {
    for (; steps; steps--) {
        chain = chain * UINT64_C(6364136223846793005) + 1;
        __asm__ volatile("" : "+r"(chain));
    }
    return chain;
}

/* Mean time of one call of pb_work(steps), ns: the least of several rounds, as disturbances only add. */
static inline double pb_work_ns(uint64_t steps, double ns_per_tick, uint64_t *chain) {
    uint64_t repeats = 1 + 20000 / (steps + 10), least = UINT64_MAX;
    for (int round = 0; round < 7; round++) {
        uint64_t begin = pb_ticks();
        for (uint64_t i = 0; i < repeats; i++)
            *chain = pb_work(*chain, steps);
        uint64_t took = pb_ticks() - begin;
        if (took < least)
            least = took;
    }
    return (double)least * ns_per_tick / (double)repeats;
}

/* Steps that take about ns: a first guess from a long chain, then corrected at that very length,
 * since the cost of leaving the loop counts in short ones. */
static inline uint64_t pb_work_steps(double ns, double ns_per_tick, uint64_t *chain, double *ns_per_step) {
    *ns_per_step = pb_work_ns(2000, ns_per_tick, chain) / 2000;
    if (ns <= 0)
        return 0;
    double steps = ns / *ns_per_step;
    for (int i = 0; i < 3; i++) {
        uint64_t whole = steps < 1 ? 1 : (uint64_t)(steps + 0.5);
        steps += (ns - pb_work_ns(whole, ns_per_tick, chain)) / *ns_per_step;
    }
    return steps < 1 ? 1 : (uint64_t)(steps + 0.5);
}
