/* SPDX-License-Identifier: Apache-2.0
 *
 * What the locks share: who a member is, how many there may be, and where a test may step in.
 *
 * A lock X has struct X_lock, struct X_self (a member's own, in memory that all members see at one address),
 * X_acquire() and X_release(); readers of a reader-writer lock X are a lock X_read over the same memory. Both
 * structs start as zeroes; then, if there is one, X_place(lock, processes) makes the lock and afterwards
 * X_join(lock, self, who) each member's own.
 */
#pragma once
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "timing/arch.h"

/* Members of a lock that keeps a line for each, and domains of one that keeps a queue for each. */
#ifndef SPIN_MOST_SLOTS
#define SPIN_MOST_SLOTS 1024
#endif
#ifndef SPIN_MOST_DOMAINS
#define SPIN_MOST_DOMAINS 64
#endif

struct lock_member {
    int32_t index, members;
    int32_t domain; /* NUMA domain, counted from 0 */
    uint64_t seed;
    char *selves; /* member 0's own, and the distance to the next member's */
    size_t stride;
};

/* The point right after the instruction that gives a member its place in a fair order. Nothing in the product; a test
 * says what happens there. */
#ifdef PB_POINTS
#include PB_POINTS
#else
#define PB_PLACED() ((void)0)
#endif

#ifdef PB_MODEL
uint32_t lock_random(uint32_t *state);
#else
/* Xorshift (Marsaglia, 2003): a member's private coin, where good randomness is not worth its time. */
static inline uint32_t lock_random(uint32_t *state) {
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}
#endif
static inline uint32_t lock_seed(const struct lock_member *who) {
    return (uint32_t)((who->seed + (uint64_t)who->index + 1) * UINT64_C(0x9e3779b97f4a7c15) >> 33) | 1;
}
