/* SPDX-License-Identifier: Apache-2.0
 *
 * Cohort lock C-BO-MCS: an MCS lock in each NUMA domain, and over them a backoff lock that the domain keeps while it
 * hands over within itself, up to a bound.
 * Dice, Marathe, Shavit, "Lock Cohorting: A General Technique for Designing NUMA Locks", PPoPP 2012.
 */
#pragma once
#include "ttas_backoff.h"

#ifndef COHORT_MOST_PASSES
#define COHORT_MOST_PASSES 64 /* handoffs in a row within a domain */
#endif

enum { COHORT_WAITING, COHORT_HAS_GLOBAL, COHORT_NEEDS_GLOBAL };

struct cohort_self {
    _Atomic(struct cohort_self *) next;
    atomic_uint state;
    int32_t domain;
    struct ttas_backoff_self global;
};
struct cohort_domain {
    alignas(PB_LINE) _Atomic(struct cohort_self *) tail;
    unsigned passes; /* the holder's */
};
struct cohort_lock {
    alignas(PB_LINE) struct ttas_backoff_lock global;
    struct cohort_domain domains[SPIN_MOST_DOMAINS];
};
static inline void cohort_join(void *memory, void *own, const struct lock_member *who) {
    struct cohort_self *self = own;
    self->domain = who->domain;
    ttas_backoff_join(memory, &self->global, who);
}
static inline void cohort_acquire(struct cohort_lock *lock, struct cohort_self *self) {
    struct cohort_domain *domain = &lock->domains[self->domain];
    atomic_store_explicit(&self->next, NULL, memory_order_relaxed);
    atomic_store_explicit(&self->state, COHORT_WAITING, memory_order_relaxed);
    struct cohort_self *before = atomic_exchange_explicit(&domain->tail, self, memory_order_acq_rel);
    if (before) {
        unsigned state;
        atomic_store_explicit(&before->next, self, memory_order_release);
        while ((state = atomic_load_explicit(&self->state, memory_order_acquire)) == COHORT_WAITING)
            pb_relax();
        if (state == COHORT_HAS_GLOBAL)
            return;
    }
    ttas_backoff_acquire(&lock->global, &self->global);
    domain->passes = 0;
}
static inline void cohort_release(struct cohort_lock *lock, struct cohort_self *self) {
    struct cohort_domain *domain = &lock->domains[self->domain];
    struct cohort_self *next = atomic_load_explicit(&self->next, memory_order_acquire);
    if (next && domain->passes < COHORT_MOST_PASSES) {
        domain->passes++;
        atomic_store_explicit(&next->state, COHORT_HAS_GLOBAL, memory_order_release);
        return;
    }
    ttas_backoff_release(&lock->global, &self->global);
    if (!next) {
        struct cohort_self *expected = self;
        if (atomic_compare_exchange_strong_explicit(&domain->tail, &expected, NULL, memory_order_release,
                                                    memory_order_relaxed))
            return;
        while (!(next = atomic_load_explicit(&self->next, memory_order_acquire)))
            pb_relax();
    }
    atomic_store_explicit(&next->state, COHORT_NEEDS_GLOBAL, memory_order_release);
}
