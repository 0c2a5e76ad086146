/* SPDX-License-Identifier: Apache-2.0
 *
 * Types and functions that the locks share: a member's identity, bounds, a private coin, and hooks for tests.
 *
 * A lock X has struct X_lock, struct X_self (one per member, in memory that all members see at the same address),
 * X_acquire() and X_release(). Readers of a reader-writer lock X are a lock X_read over the same memory. Both structs
 * start zeroed; then, if they exist, X_place(lock, processes) makes the lock and X_join(lock, self, who) each member's
 * own.
 */
#pragma once
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "timing/arch.h"

/* Most members of a lock that keeps a line for each, and most domains of one that keeps a queue for each. */
#ifndef SPIN_MOST_SLOTS
#define SPIN_MOST_SLOTS 1024
#endif
#ifndef SPIN_MOST_DOMAINS
#define SPIN_MOST_DOMAINS 64
#endif

struct lock_member {
    int32_t index, members;
    int32_t domain; /* NUMA domain, from 0 */
    uint64_t seed;
    char *selves; /* member 0's struct X_self, and the distance to the next member's */
    size_t stride;
};

/* The point right after the instruction that gives a member its place in a fair order. Empty in the product; tests
 * define it. */
#ifdef PB_POINTS
#include PB_POINTS
#else
#define PB_PLACED() ((void)0)
#endif

#ifdef PB_MODEL
uint32_t lock_random(uint32_t *state);
#else
/* A member's private coin: xorshift (Marsaglia, 2003), fast rather than good. */
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
