/* SPDX-License-Identifier: Apache-2.0
 *
 * CLH: an implicit queue; each waits on the node of the one before it, and leaves with that node as its own.
 * Craig, "Building FIFO and Priority-Queuing Spin Locks from Atomic Swap", University of Washington TR 93-02-02,
 * 1993; Magnusson, Landin, Hagersten, "Queue Locks on Cache Coherent Multiprocessors", IPPS 1994.
 */
#pragma once
#include "common.h"

struct clh_node {
    alignas(PB_LINE) atomic_uint held;
};
struct clh_lock {
    alignas(PB_LINE) _Atomic(struct clh_node *) tail;
    struct clh_node first; /* free: the first member waits for it */
};
struct clh_self {
    struct clh_node *mine, *before;
    struct clh_node node;
};
static inline int clh_place(void *memory, bool processes) {
    (void)processes;
    struct clh_lock *lock = memory;
    atomic_store_explicit(&lock->tail, &lock->first, memory_order_relaxed);
    return 0;
}
static inline void clh_join(void *memory, void *own, const struct lock_member *who) {
    (void)memory;
    (void)who;
    struct clh_self *self = own;
    self->mine = &self->node;
}
static inline void clh_acquire(struct clh_lock *lock, struct clh_self *self) {
    atomic_store_explicit(&self->mine->held, 1, memory_order_relaxed);
    self->before = atomic_exchange_explicit(&lock->tail, self->mine, memory_order_acq_rel);
    PB_PLACED();
    while (atomic_load_explicit(&self->before->held, memory_order_acquire))
        pb_relax();
}
static inline void clh_release(struct clh_lock *lock, struct clh_self *self) {
    (void)lock;
    struct clh_node *mine = self->mine;
    self->mine = self->before;
    atomic_store_explicit(&mine->held, 0, memory_order_release);
}
