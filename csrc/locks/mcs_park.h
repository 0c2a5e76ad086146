/* SPDX-License-Identifier: Apache-2.0
 *
 * MCS whose waiters spin for a while and then sleep on their own nodes: the queue of algorithm 5 of Mellor-Crummey,
 * Scott, ACM TOCS 9(1), 1991, and the spin-then-park waiting that Dice, "Malthusian Locks", EuroSys 2017, describes.
 */
#pragma once
#include "common.h"
#include "futex.h"

#ifndef MCS_PARK_SPINS
#define MCS_PARK_SPINS 500
#endif
enum { MCS_PARK_WAITING, MCS_PARK_GRANTED, MCS_PARK_ASLEEP };

struct mcs_park_self {
    _Atomic(struct mcs_park_self *) next;
    atomic_uint state;
};
struct mcs_park_lock {
    _Atomic(struct mcs_park_self *) tail;
};
static inline void mcs_park_acquire(struct mcs_park_lock *lock, struct mcs_park_self *self) {
    atomic_store_explicit(&self->next, NULL, memory_order_relaxed);
    atomic_store_explicit(&self->state, MCS_PARK_WAITING, memory_order_relaxed);
    struct mcs_park_self *before = atomic_exchange_explicit(&lock->tail, self, memory_order_acq_rel);
    PB_PLACED();
    if (!before)
        return;
    atomic_store_explicit(&before->next, self, memory_order_release);
    for (int spins = 0; spins < MCS_PARK_SPINS; spins++) {
        if (atomic_load_explicit(&self->state, memory_order_acquire) == MCS_PARK_GRANTED)
            return;
        pb_relax();
    }
    unsigned expected = MCS_PARK_WAITING;
    if (!atomic_compare_exchange_strong_explicit(&self->state, &expected, MCS_PARK_ASLEEP, memory_order_acquire,
                                                 memory_order_acquire))
        return;
    do {
        lock_sleep(&self->state, MCS_PARK_ASLEEP);
    } while (atomic_load_explicit(&self->state, memory_order_acquire) == MCS_PARK_ASLEEP);
}
static inline void mcs_park_release(struct mcs_park_lock *lock, struct mcs_park_self *self) {
    struct mcs_park_self *next = atomic_load_explicit(&self->next, memory_order_acquire);
    if (!next) {
        struct mcs_park_self *expected = self;
        if (atomic_compare_exchange_strong_explicit(&lock->tail, &expected, NULL, memory_order_release,
                                                    memory_order_relaxed))
            return;
        while (!(next = atomic_load_explicit(&self->next, memory_order_acquire)))
            pb_relax();
    }
    /* After this the other member may be gone and its node in use again: the wake-up is then spurious, and it checks.
     */
    if (atomic_exchange_explicit(&next->state, MCS_PARK_GRANTED, memory_order_release) == MCS_PARK_ASLEEP)
        lock_wake(&next->state, 1);
}
