/* SPDX-License-Identifier: Apache-2.0
 *
 * Ticket lock whose waiters stay away from the line in proportion to the number of members served before them.
 * Mellor-Crummey, Scott, "Algorithms for Scalable Synchronization on Shared-Memory Multiprocessors",
 * ACM TOCS 9(1), 1991, section 2.2.
 */
#pragma once
#include "common.h"

#ifndef TICKET_PROPORTIONAL_PAUSES
#define TICKET_PROPORTIONAL_PAUSES 4 /* for each member ahead */
#endif

struct ticket_proportional_lock {
    atomic_uint next;
    atomic_uint serving;
};
struct ticket_proportional_self {
    char none;
};
static inline void ticket_proportional_acquire(struct ticket_proportional_lock *lock,
                                               struct ticket_proportional_self *self) {
    (void)self;
    unsigned mine = atomic_fetch_add_explicit(&lock->next, 1, memory_order_relaxed);
    PB_PLACED();
    for (;;) {
        unsigned ahead = mine - atomic_load_explicit(&lock->serving, memory_order_acquire);
        if (!ahead)
            return;
        for (unsigned pauses = ahead * TICKET_PROPORTIONAL_PAUSES; pauses; pauses--)
            pb_relax();
    }
}
static inline void ticket_proportional_release(struct ticket_proportional_lock *lock,
                                               struct ticket_proportional_self *self) {
    (void)self;
    unsigned mine = atomic_load_explicit(&lock->serving, memory_order_relaxed);
    atomic_store_explicit(&lock->serving, mine + 1, memory_order_release);
}
