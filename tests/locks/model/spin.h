/* SPDX-License-Identifier: Apache-2.0
 *
 * What Spin (lock.pml) keeps and calls of a lock's model. A state is the numbers of its parts: the words of the world,
 * the lock and its members, each stack, the weak memory; a number stands for the exact bytes (spin_machine.h).
 */
#pragma once
#include <stdint.h>

#define SPIN_THREADS 4
#define SPIN_MOST_CHOICES 8

struct spin_state {
    uint32_t world, arena, memory, stacks[SPIN_THREADS];
    uint8_t ready[SPIN_THREADS], done[SPIN_THREADS], threads, choices, wrong, unused;
};
extern struct spin_state spin;

/* Of the verifier that Spin made: whether it has the claim that all end. */
extern const int spin_claim;
#ifdef SPIN_CLAIM
const int spin_claim = SPIN_CLAIM;
#endif

void spin_exit(unsigned long errors, double states);
void spin_begin(void);
/* Go on by one step, or by one choice within it. */
void spin_step(int thread, int choice);
