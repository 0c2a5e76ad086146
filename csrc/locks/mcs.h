/* SPDX-License-Identifier: Apache-2.0
 *
 * MCS: a queue of the waiters' own nodes; each waits on its own line, and the holder hands over.
 * Mellor-Crummey, Scott, "Algorithms for Scalable Synchronization on Shared-Memory Multiprocessors",
 * ACM TOCS 9(1), 1991, algorithm 5.
 */
#pragma once
#include "common.h"

struct mcs_self {
    _Atomic(struct mcs_self *) next;
    atomic_uint waiting;
};
struct mcs_lock {
    _Atomic(struct mcs_self *) tail;
};
static inline void mcs_acquire(struct mcs_lock *lock, struct mcs_self *self) {
    atomic_store_explicit(&self->next, NULL, memory_order_relaxed);
    atomic_store_explicit(&self->waiting, 1, memory_order_relaxed);
    struct mcs_self *before = atomic_exchange_explicit(&lock->tail, self, memory_order_acq_rel);
    PB_PLACED();
    if (!before)
        return;
    atomic_store_explicit(&before->next, self, memory_order_release);
    while (atomic_load_explicit(&self->waiting, memory_order_acquire))
        pb_relax();
}
static inline void mcs_release(struct mcs_lock *lock, struct mcs_self *self) {
    struct mcs_self *next = atomic_load_explicit(&self->next, memory_order_acquire);
    if (!next) {
        struct mcs_self *expected = self;
        if (atomic_compare_exchange_strong_explicit(&lock->tail, &expected, NULL, memory_order_release,
                                                    memory_order_relaxed))
            return;
        while (!(next = atomic_load_explicit(&self->next, memory_order_acquire)))
            pb_relax();
    }
    atomic_store_explicit(&next->waiting, 0, memory_order_release);
}
