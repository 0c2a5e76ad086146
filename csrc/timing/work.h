/* SPDX-License-Identifier: Apache-2.0
 *
 * Work for hold and think times: a chain of dependent one-cycle steps, which neither reads a clock nor touches memory,
 * and which an SMT sibling slows little. It is calibrated on the member's CPU, then corrected by timed pieces in the
 * loop, as clock rates change during a run.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Number of lengths that a random pace goes through, in shuffled order. */
#define PB_PACE_LENGTHS 256

enum pb_distribution { PB_FIXED, PB_EXPONENTIAL, PB_BIMODAL };

/* The lengths of a series of pieces of work. */
struct pb_pace {
    double asked_ns; /* mean; 0: no work */
    double own_ns;   /* time of a piece without steps: the call and its fence */
    double ns_per_step;
    uint32_t lengths; /* 1, or PB_PACE_LENGTHS */
    uint32_t next;
    uint64_t steps[PB_PACE_LENGTHS];
    double share[PB_PACE_LENGTHS]; /* of the mean */
    /* Timed pieces, in all and since the last correction; `wanted` of them make one. */
    struct pb_pace_sum {
        double pieces, ns, asked_ns;
    } total, recent;
    double wanted;
};

/* Do one piece: wait until all earlier instructions are done, then do a number of steps. */
uint64_t pb_work(uint64_t chain, uint64_t steps);

/* Fill in lengths as shares of their mean, shuffled, and return their number: 1, or PB_PACE_LENGTHS. Exponential
 * lengths are the expected order statistics of that many draws (Renyi, 1953); of bimodal ones, one in ten is 5.5 times
 * the mean, the others about half of it. */
uint32_t pb_pace_shares(double share[PB_PACE_LENGTHS], enum pb_distribution distribution, uint64_t *rng);

/* Make a pace, calibrated on this CPU. */
void pb_pace_make(struct pb_pace *pace, double asked_ns, enum pb_distribution distribution, double ns_per_tick,
                  uint64_t *rng, uint64_t *chain);
/* Correct a pace by the recent timed pieces, and add them to the total. */
void pb_pace_correct(struct pb_pace *pace);
/* Return the shortest time of a fixed long piece, ns: the CPU's speed. */
double pb_work_speed_ns(double ns_per_tick, uint64_t *chain);

/* Return the index of the next piece's length. */
static inline uint32_t pb_pace_next(struct pb_pace *pace) {
    return pace->lengths == 1 ? 0 : pace->next++ & (PB_PACE_LENGTHS - 1);
}

/* Record a timed piece. One far beyond its length was interrupted, and is ignored. */
static inline void pb_pace_record(struct pb_pace *pace, uint32_t place, double ns) {
    double asked = pace->asked_ns * pace->share[place];
    if (ns > 2 * asked + 1000)
        return;
    pace->recent.pieces++;
    pace->recent.ns += ns;
    pace->recent.asked_ns += asked;
    if (pace->recent.pieces >= pace->wanted)
        pb_pace_correct(pace);
}
