/* SPDX-License-Identifier: Apache-2.0
 *
 * Mutex of one word that sleeps at once: free, held, or held with members that may be asleep.
 * Drepper, "Futexes Are Tricky", 2004, the second mutex.
 */
#pragma once
#include "common.h"
#include "futex.h"

enum { FUTEX_MUTEX_FREE, FUTEX_MUTEX_HELD, FUTEX_MUTEX_WAITED };

struct futex_mutex_lock {
    atomic_uint state;
};
struct futex_mutex_self {
    char none;
};
static inline void futex_mutex_acquire(struct futex_mutex_lock *lock, struct futex_mutex_self *self) {
    (void)self;
    unsigned seen = FUTEX_MUTEX_FREE;
    if (atomic_compare_exchange_strong_explicit(&lock->state, &seen, FUTEX_MUTEX_HELD, memory_order_acquire,
                                                memory_order_relaxed))
        return;
    /* A member that has waited does not know whether others wait, so it leaves the lock marked as waited for. */
    while (atomic_exchange_explicit(&lock->state, FUTEX_MUTEX_WAITED, memory_order_acquire) != FUTEX_MUTEX_FREE) {
        lock_sleep(&lock->state, FUTEX_MUTEX_WAITED);
    }
}
static inline void futex_mutex_release(struct futex_mutex_lock *lock, struct futex_mutex_self *self) {
    (void)self;
    if (atomic_exchange_explicit(&lock->state, FUTEX_MUTEX_FREE, memory_order_release) == FUTEX_MUTEX_WAITED)
        lock_wake(&lock->state, 1);
}
