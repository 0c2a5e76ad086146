/* SPDX-License-Identifier: Apache-2.0
 *
 * Test-and-test-and-set with bounded exponential backoff: a member that loses the race stays away for a random time,
 * from a range that doubles with each loss. Anderson, "The Performance of Spin Lock Alternatives for Shared-Memory
 * Multiprocessors", IEEE TPDS 1(1), 1990.
 */
#pragma once
#include "common.h"

#define TTAS_BACKOFF_LEAST 4 /* pauses */
#ifndef TTAS_BACKOFF_MOST
#define TTAS_BACKOFF_MOST 1024
#endif

struct ttas_backoff_lock {
    atomic_uint held;
};
struct ttas_backoff_self {
    uint32_t random;
};
static inline void ttas_backoff_join(void *memory, void *own, const struct lock_member *who) {
    (void)memory;
    struct ttas_backoff_self *self = own;
    self->random = lock_seed(who);
}
static inline void ttas_backoff_acquire(struct ttas_backoff_lock *lock, struct ttas_backoff_self *self) {
    uint32_t limit = TTAS_BACKOFF_LEAST;
    while (atomic_exchange_explicit(&lock->held, 1, memory_order_acquire)) {
        for (uint32_t pauses = lock_random(&self->random) & (limit - 1); pauses; pauses--)
            pb_relax();
        if (limit < TTAS_BACKOFF_MOST)
            limit *= 2;
        while (atomic_load_explicit(&lock->held, memory_order_relaxed))
            pb_relax();
    }
}
static inline void ttas_backoff_release(struct ttas_backoff_lock *lock, struct ttas_backoff_self *self) {
    (void)self;
    atomic_store_explicit(&lock->held, 0, memory_order_release);
}
