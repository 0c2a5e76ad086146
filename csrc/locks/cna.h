/* SPDX-License-Identifier: Apache-2.0
 *
 * Compact NUMA-aware lock: one word, an MCS queue in which the holder looks for the next waiter of its own domain and
 * moves those it skips to a second queue, whose head travels with the lock. Now and then, by a coin, the second queue
 * goes first.
 * Dice, Kogan, "Compact NUMA-aware Locks", EuroSys 2019.
 */
#pragma once
#include "common.h"

/* The coin: the lock leaves its domain once in about this many handoffs (a power of two). */
#define CNA_LEAVES_ONE_IN 65536
#ifndef CNA_STAYS
#define CNA_STAYS(self) (lock_random(&(self)->random) & (CNA_LEAVES_ONE_IN - 1))
#endif

#define CNA_WAITING ((uintptr_t)0)
/* It has the lock, and no waiter was skipped; other values are the head of the skipped waiters. */
#define CNA_ALONE ((uintptr_t)1)

struct cna_self {
    _Atomic(struct cna_self *) next;
    _Atomic(uintptr_t) turn;
    struct cna_self *skipped_tail; /* end of the second queue, kept in its head */
    int32_t domain;
    uint32_t random;
};
struct cna_lock {
    _Atomic(struct cna_self *) tail;
};
static inline void cna_join(void *memory, void *own, const struct lock_member *who) {
    (void)memory;
    struct cna_self *self = own;
    self->domain = who->domain;
    self->random = lock_seed(who);
}
static inline void cna_acquire(struct cna_lock *lock, struct cna_self *self) {
    atomic_store_explicit(&self->next, NULL, memory_order_relaxed);
    atomic_store_explicit(&self->turn, CNA_WAITING, memory_order_relaxed);
    struct cna_self *before = atomic_exchange_explicit(&lock->tail, self, memory_order_acq_rel);
    if (!before) {
        atomic_store_explicit(&self->turn, CNA_ALONE, memory_order_relaxed);
        return;
    }
    atomic_store_explicit(&before->next, self, memory_order_release);
    while (atomic_load_explicit(&self->turn, memory_order_acquire) == CNA_WAITING)
        pb_relax();
}
/* Find the next waiter of this domain, and move those before it to the second queue. Moves none and returns NULL if
 * there is no such waiter. */
static inline struct cna_self *cna_find_local(struct cna_self *self, struct cna_self *first) {
    struct cna_self *last = NULL, *found = first;
    while (found && found->domain != self->domain) {
        last = found;
        found = atomic_load_explicit(&found->next, memory_order_acquire);
    }
    if (!found || !last)
        return found;
    atomic_store_explicit(&last->next, NULL, memory_order_relaxed);
    uintptr_t turn = atomic_load_explicit(&self->turn, memory_order_relaxed);
    struct cna_self *head = first;
    if (turn != CNA_ALONE) {
        head = (struct cna_self *)turn;
        atomic_store_explicit(&head->skipped_tail->next, first, memory_order_relaxed);
    }
    head->skipped_tail = last;
    atomic_store_explicit(&self->turn, (uintptr_t)head, memory_order_relaxed);
    return found;
}
static inline void cna_release(struct cna_lock *lock, struct cna_self *self) {
    uintptr_t turn = atomic_load_explicit(&self->turn, memory_order_relaxed);
    struct cna_self *skipped = turn == CNA_ALONE ? NULL : (struct cna_self *)turn;
    struct cna_self *next = atomic_load_explicit(&self->next, memory_order_acquire);
    if (!next) {
        /* No other member waits: the skipped become the queue, or the lock is free. */
        struct cna_self *expected = self, *tail = skipped ? skipped->skipped_tail : NULL;
        if (atomic_compare_exchange_strong_explicit(&lock->tail, &expected, tail, memory_order_release,
                                                    memory_order_relaxed)) {
            if (skipped)
                atomic_store_explicit(&skipped->turn, CNA_ALONE, memory_order_release);
            return;
        }
        while (!(next = atomic_load_explicit(&self->next, memory_order_acquire)))
            pb_relax();
    }
    struct cna_self *local = CNA_STAYS(self) ? cna_find_local(self, next) : NULL;
    if (local) {
        turn = atomic_load_explicit(&self->turn, memory_order_relaxed);
        atomic_store_explicit(&local->turn, turn, memory_order_release);
    } else if (skipped) {
        atomic_store_explicit(&skipped->skipped_tail->next, next, memory_order_relaxed);
        atomic_store_explicit(&skipped->turn, CNA_ALONE, memory_order_release);
    } else {
        atomic_store_explicit(&next->turn, CNA_ALONE, memory_order_release);
    }
}
