/* SPDX-License-Identifier: Apache-2.0
 *
 * Ticket: take a number, wait until it is served. First come, first served; all wait on one line.
 * Reed, Kanodia, "Synchronization with Eventcounts and Sequencers", CACM 22(2), 1979;
 * Mellor-Crummey, Scott, ACM TOCS 9(1), 1991, section 2.2.
 */
#pragma once
#include "common.h"

struct ticket_lock {
    atomic_uint next;
    atomic_uint serving;
};
struct ticket_self {
    char none;
};
static inline void ticket_acquire(struct ticket_lock *lock, struct ticket_self *self) {
    (void)self;
    unsigned mine = atomic_fetch_add_explicit(&lock->next, 1, memory_order_relaxed);
    PB_PLACED();
    while (atomic_load_explicit(&lock->serving, memory_order_acquire) != mine)
        pb_relax();
}
static inline void ticket_release(struct ticket_lock *lock, struct ticket_self *self) {
    (void)self;
    unsigned mine = atomic_load_explicit(&lock->serving, memory_order_relaxed);
    atomic_store_explicit(&lock->serving, mine + 1, memory_order_release);
}
