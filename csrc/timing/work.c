/* SPDX-License-Identifier: Apache-2.0
 *
 * Work for hold and think times: the chain of steps, and its calibration.
 */
#include "timing/work.h"

#include "timing/clock.h"
#include "timing/random.h"

#define BLOCK 32
/* Number of pieces that correct a pace: the tick counter may step by 10 ns, so that the mean of short pieces needs many
 * of them to be accurate to 1 %. */
#define LEAST_WANTED 32.0
#define WANTED_NS 400.0
#define SPEED_STEPS 20000
/* Rounds of about 0.8 ms together, longer than the bursts of a neighbour on a shared core, which last 0.1 ms and more.
 */
#define SPEED_ROUNDS 128

#define STEPS4 PB_STEP PB_STEP PB_STEP PB_STEP
#define STEPS16 STEPS4 STEPS4 STEPS4 STEPS4
#define DO(steps) __asm__ volatile(steps : "+r"(chain) : "r"(key))
#define REST(n)                                                                                                        \
    case n:                                                                                                            \
        DO(PB_STEP);                                                                                                   \
        __attribute__((fallthrough))

/* A loop of whole blocks, then a jump into the rest: a jump target is predicted where a loop's end is not. */
__attribute__((noinline)) uint64_t pb_work(uint64_t chain, uint64_t steps) {
    const uint64_t key = UINT64_C(0x9e3779b97f4a7c15);
    pb_fence();
    for (uint64_t blocks = steps / BLOCK; blocks; blocks--)
        DO(STEPS16 STEPS16);
    switch (steps % BLOCK) {
        REST(31);
        REST(30);
        REST(29);
        REST(28);
        REST(27);
        REST(26);
        REST(25);
        REST(24);
        REST(23);
        REST(22);
        REST(21);
        REST(20);
        REST(19);
        REST(18);
        REST(17);
        REST(16);
        REST(15);
        REST(14);
        REST(13);
        REST(12);
        REST(11);
        REST(10);
        REST(9);
        REST(8);
        REST(7);
        REST(6);
        REST(5);
        REST(4);
        REST(3);
        REST(2);
        REST(1);
    default:
        return chain;
    }
}

/* Return the time of a piece without its steps, ns: the median of several rounds, as disturbances only add but a
 * changing clock rate goes both ways. */
static double own_ns(double ns_per_step, double ns_per_tick, uint64_t *chain) {
    enum { ROUNDS = 9, PIECES = 64, STEPS = 2 * BLOCK };
    double rounds[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t begin = pb_ticks();
        for (int i = 0; i < PIECES; i++)
            *chain = pb_work(*chain, STEPS);
        double took = (double)(pb_ticks() - begin) * ns_per_tick / PIECES;
        int at = round;
        for (; at > 0 && rounds[at - 1] > took; at--)
            rounds[at] = rounds[at - 1];
        rounds[at] = took;
    }
    return rounds[ROUNDS / 2] - STEPS
    *ns_per_step;
}

static void set_steps(struct pb_pace *pace) {
    for (uint32_t i = 0; i < pace->lengths; i++) {
        double steps = (pace->asked_ns * pace->share[i] - pace->own_ns) / pace->ns_per_step;
        pace->steps[i] = steps > 0 ? (uint64_t)(steps + 0.5) : 0;
    }
}

uint32_t pb_pace_shares(double share[PB_PACE_LENGTHS], enum pb_distribution distribution, uint64_t *rng) {
    enum { N = PB_PACE_LENGTHS, LONG = N / 10 };
    const uint32_t lengths = distribution == PB_FIXED ? 1 : N;
    share[0] = 1.0;
    double sum = 0.0;
    for (uint32_t i = 0; lengths > 1 && i < N; i++) {
        sum += 1.0 / (N - i);
        double bimodal = i < LONG ? 5.5 : (N - LONG * 5.5) / (N - LONG);
        uint32_t other = (uint32_t)(pb_random(rng) % (i + 1));
        share[i] = share[other];
        share[other] = distribution == PB_EXPONENTIAL ? sum : bimodal;
    }
    return lengths;
}

void pb_pace_make(struct pb_pace *pace, double asked_ns, enum pb_distribution distribution, double ns_per_tick,
                  uint64_t *rng, uint64_t *chain) {
    pace->asked_ns = asked_ns;
    pace->lengths = pb_pace_shares(pace->share, distribution, rng);
    if (asked_ns <= 0)
        return;
    pace->ns_per_step = pb_work_speed_ns(ns_per_tick, chain) / SPEED_STEPS;
    double root = WANTED_NS / asked_ns;
    pace->wanted = root * root > LEAST_WANTED ? root * root : LEAST_WANTED;
    pace->own_ns = own_ns(pace->ns_per_step, ns_per_tick, chain);
    set_steps(pace);
}

/* A long piece is wrong by its CPU's speed, a short one by its ends. Correct by half the error, so that noise is not
 * chased. */
void pb_pace_correct(struct pb_pace *pace) {
    struct pb_pace_sum *recent = &pace->recent, *total = &pace->total;
    if (recent->pieces >= pace->wanted) {
        double took = recent->ns / recent->pieces, asked = recent->asked_ns / recent->pieces;
        if (asked > 1000)
            pace->ns_per_step *= 1 + (took / asked - 1) / 2;
        else
            pace->own_ns += (took - asked) / 2;
        set_steps(pace);
    }
    *total = (struct pb_pace_sum){total->pieces + recent->pieces, total->ns + recent->ns,
                                  total->asked_ns + recent->asked_ns};
    *recent = (struct pb_pace_sum){0, 0, 0};
}

double pb_work_speed_ns(double ns_per_tick, uint64_t *chain) {
    uint64_t least = UINT64_MAX;
    for (int round = 0; round < SPEED_ROUNDS; round++) {
        uint64_t begin = pb_ticks();
        *chain = pb_work(*chain, SPEED_STEPS);
        uint64_t took = pb_ticks() - begin;
        least = took < least ? took : least;
    }
    return (double)least * ns_per_tick;
}
