/* SPDX-License-Identifier: Apache-2.0
 *
 * Hierarchical MCS of two levels: the members of a domain queue on its lock, and the domain, by a node of its own, on
 * the root. The holder of both hands over within the domain, up to a bound, and then the root as well.
 * Chabbi, Fagan, Mellor-Crummey, "High Performance Locks for Multi-level NUMA Systems", PPoPP 2015.
 */
#pragma once
#include "common.h"

#ifndef HMCS_THRESHOLD
#define HMCS_THRESHOLD 64 /* holders in a row within a domain */
#endif
/* A node's state: waiting, its turn as the n-th in a row of its domain, or its turn without the root. */
#define HMCS_WAITING 0u
#define HMCS_NEEDS_ROOT UINT32_MAX

struct hmcs_node {
    alignas(PB_LINE) _Atomic(struct hmcs_node *) next;
    atomic_uint state;
};
struct hmcs_domain {
    alignas(PB_LINE) _Atomic(struct hmcs_node *) tail;
    struct hmcs_node at_root;
};
struct hmcs_lock {
    alignas(PB_LINE) _Atomic(struct hmcs_node *) root;
    struct hmcs_domain domains[SPIN_MOST_DOMAINS];
};
struct hmcs_self {
    struct hmcs_node node;
    int32_t domain;
};
static inline void hmcs_join(void *memory, void *own, const struct lock_member *who) {
    (void)memory;
    struct hmcs_self *self = own;
    self->domain = who->domain;
}
/* Queue, and wait if another node is ahead. Returns the state that was handed over, HMCS_NEEDS_ROOT for the first. */
static inline unsigned hmcs_enter(_Atomic(struct hmcs_node *) *tail, struct hmcs_node *node) {
    atomic_store_explicit(&node->next, NULL, memory_order_relaxed);
    atomic_store_explicit(&node->state, HMCS_WAITING, memory_order_relaxed);
    struct hmcs_node *before = atomic_exchange_explicit(tail, node, memory_order_acq_rel);
    if (!before)
        return HMCS_NEEDS_ROOT;
    unsigned state;
    atomic_store_explicit(&before->next, node, memory_order_release);
    while ((state = atomic_load_explicit(&node->state, memory_order_acquire)) == HMCS_WAITING)
        pb_relax();
    return state;
}
static inline void hmcs_leave(_Atomic(struct hmcs_node *) *tail, struct hmcs_node *node, unsigned state) {
    struct hmcs_node *next = atomic_load_explicit(&node->next, memory_order_acquire);
    if (!next) {
        struct hmcs_node *expected = node;
        if (atomic_compare_exchange_strong_explicit(tail, &expected, NULL, memory_order_release, memory_order_relaxed))
            return;
        while (!(next = atomic_load_explicit(&node->next, memory_order_acquire)))
            pb_relax();
    }
    atomic_store_explicit(&next->state, state, memory_order_release);
}
static inline void hmcs_acquire(struct hmcs_lock *lock, struct hmcs_self *self) {
    struct hmcs_domain *domain = &lock->domains[self->domain];
    if (hmcs_enter(&domain->tail, &self->node) != HMCS_NEEDS_ROOT)
        return;
    hmcs_enter(&lock->root, &domain->at_root);
    atomic_store_explicit(&self->node.state, 1, memory_order_relaxed);
}
static inline void hmcs_release(struct hmcs_lock *lock, struct hmcs_self *self) {
    struct hmcs_domain *domain = &lock->domains[self->domain];
    unsigned turn = atomic_load_explicit(&self->node.state, memory_order_relaxed);
    struct hmcs_node *next = atomic_load_explicit(&self->node.next, memory_order_acquire);
    if (next && turn < HMCS_THRESHOLD) {
        atomic_store_explicit(&next->state, turn + 1, memory_order_release);
        return;
    }
    hmcs_leave(&lock->root, &domain->at_root, 1);
    hmcs_leave(&domain->tail, &self->node, HMCS_NEEDS_ROOT);
}
