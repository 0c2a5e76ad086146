/* SPDX-License-Identifier: Apache-2.0
 *
 * K42: an MCS queue behind the ordinary interface of a lock. A node is needed only while a member waits; the holder's
 * place is the lock itself, which keeps the first waiter. The node is usually on the waiter's stack; here it is in the
 * member's own memory, as processes do not see each other's stacks.
 * Auslander, Edelsohn, Krieger, Rosenburg, Wisniewski, "Enhancement to the MCS lock for increased functionality and
 * improved programmability", 2003; described in Scott, "Shared-Memory Synchronization", 2013, section 4.3.
 */
#pragma once
#include "common.h"

/* In the lock: tail is NULL if it is free, the lock's own node if no member waits, else the last waiter.
 * In a waiter: tail is the waiter itself until it has the lock. */
struct k42_node {
    _Atomic(struct k42_node *) tail;
    _Atomic(struct k42_node *) next;
};
struct k42_lock {
    struct k42_node holder;
};
struct k42_self {
    struct k42_node node;
};
static inline struct k42_node *k42_await_next(struct k42_node *node) {
    struct k42_node *next;
    while (!(next = atomic_load_explicit(&node->next, memory_order_acquire)))
        pb_relax();
    return next;
}
/* The first waiter has the lock: its node leaves the queue, and the lock stands for it. */
static inline void k42_leave_queue(struct k42_lock *lock, struct k42_node *node) {
    struct k42_node *next = atomic_load_explicit(&node->next, memory_order_acquire);
    if (!next) {
        struct k42_node *expected = node;
        atomic_store_explicit(&lock->holder.next, NULL, memory_order_relaxed);
        if (atomic_compare_exchange_strong_explicit(&lock->holder.tail, &expected, &lock->holder, memory_order_release,
                                                    memory_order_relaxed))
            return;
        next = k42_await_next(node);
    }
    atomic_store_explicit(&lock->holder.next, next, memory_order_relaxed);
}
static inline void k42_acquire(struct k42_lock *lock, struct k42_self *self) {
    struct k42_node *node = &self->node;
    for (;;) {
        struct k42_node *before = atomic_load_explicit(&lock->holder.tail, memory_order_relaxed);
        if (!before) {
            if (atomic_compare_exchange_strong_explicit(&lock->holder.tail, &before, &lock->holder,
                                                        memory_order_acquire, memory_order_relaxed)) {
                PB_PLACED();
                return;
            }
            continue;
        }
        atomic_store_explicit(&node->next, NULL, memory_order_relaxed);
        atomic_store_explicit(&node->tail, node, memory_order_relaxed);
        if (!atomic_compare_exchange_strong_explicit(&lock->holder.tail, &before, node, memory_order_acq_rel,
                                                     memory_order_relaxed))
            continue;
        PB_PLACED();
        atomic_store_explicit(&before->next, node, memory_order_release);
        while (atomic_load_explicit(&node->tail, memory_order_acquire))
            pb_relax();
        k42_leave_queue(lock, node);
        return;
    }
}
static inline void k42_release(struct k42_lock *lock, struct k42_self *self) {
    (void)self;
    struct k42_node *next = atomic_load_explicit(&lock->holder.next, memory_order_acquire);
    if (!next) {
        struct k42_node *expected = &lock->holder;
        if (atomic_compare_exchange_strong_explicit(&lock->holder.tail, &expected, NULL, memory_order_release,
                                                    memory_order_relaxed))
            return;
        next = k42_await_next(&lock->holder);
    }
    atomic_store_explicit(&next->tail, NULL, memory_order_release);
}
