/* SPDX-License-Identifier: Apache-2.0
 *
 * Queued spin lock in four bytes: whether it is held, whether the first waiter waits (on the word, without a node),
 * and the number of the last member that queues behind, each on a node of its own. Written from descriptions: Corbet,
 * "MCS locks and qspinlocks", LWN, March 2014; Long, "qspinlock: a 4-byte queue spinlock", 2014. Members' numbers find
 * their nodes, as CPU numbers do in the kernel.
 */
#pragma once
#include "common.h"

#define QSPINLOCK_HELD 0x1u
#define QSPINLOCK_PENDING 0x100u
#define QSPINLOCK_TAIL 0xffff0000u /* member + 1, 0: the queue is empty */
#define QSPINLOCK_TAIL_SHIFT 16
/* Polls while the lock passes to the pending member, before a member queues; Linux on x86: 512. */
#ifndef QSPINLOCK_SPINS
#define QSPINLOCK_SPINS 512
#endif

/* The holder alone clears its byte, with a store; everything else goes through the word. */
struct qspinlock_lock {
    union {
        atomic_uint word;
        _Atomic(uint8_t) held;
        _Atomic(uint16_t) held_and_pending;
    };
};
_Static_assert(sizeof(struct qspinlock_lock) == 4, "it is four bytes");
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the held byte must be the word's lowest"
#endif

struct qspinlock_self {
    _Atomic(struct qspinlock_self *) next;
    atomic_uint first; /* it is this node's turn to wait for the word */
    unsigned tail;
    char *selves;
    size_t stride;
};
static inline void qspinlock_join(void *memory, void *own, const struct lock_member *who) {
    (void)memory;
    struct qspinlock_self *self = own;
    self->tail = (unsigned)(who->index + 1) << QSPINLOCK_TAIL_SHIFT;
    self->selves = who->selves;
    self->stride = who->stride;
}
static inline struct qspinlock_self *qspinlock_node(const struct qspinlock_self *self, unsigned tail) {
    return (void *)(self->selves + ((tail >> QSPINLOCK_TAIL_SHIFT) - 1) * self->stride);
}
/* Wait on the word itself, which one member may do. Returns false if another member waits already. */
static inline bool qspinlock_acquire_pending(struct qspinlock_lock *lock) {
    unsigned seen = atomic_fetch_or_explicit(&lock->word, QSPINLOCK_PENDING, memory_order_acquire);
    if (!(seen & ~QSPINLOCK_HELD)) {
        PB_PLACED();
        while (atomic_load_explicit(&lock->word, memory_order_acquire) & QSPINLOCK_HELD)
            pb_relax();
        /* No other member writes this half of the word now. */
        atomic_store_explicit(&lock->held_and_pending, QSPINLOCK_HELD, memory_order_relaxed);
        return true;
    }
    /* There is a queue, or another member is pending. */
    if (!(seen & QSPINLOCK_PENDING))
        atomic_fetch_and_explicit(&lock->word, ~QSPINLOCK_PENDING, memory_order_relaxed);
    return false;
}
/* Join the end of the queue; returns when this node is the first. */
static inline void qspinlock_queue(struct qspinlock_lock *lock, struct qspinlock_self *self) {
    atomic_store_explicit(&self->next, NULL, memory_order_relaxed);
    atomic_store_explicit(&self->first, 0, memory_order_relaxed);
    unsigned seen = atomic_load_explicit(&lock->word, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&lock->word, &seen, (seen & ~QSPINLOCK_TAIL) | self->tail,
                                                  memory_order_acq_rel, memory_order_relaxed))
        pb_relax();
    PB_PLACED();
    if (!(seen & QSPINLOCK_TAIL))
        return;
    atomic_store_explicit(&qspinlock_node(self, seen)->next, self, memory_order_release);
    while (!atomic_load_explicit(&self->first, memory_order_acquire))
        pb_relax();
}
static inline void qspinlock_acquire(struct qspinlock_lock *lock, struct qspinlock_self *self) {
    unsigned seen = 0;
    if (atomic_compare_exchange_strong_explicit(&lock->word, &seen, QSPINLOCK_HELD, memory_order_acquire,
                                                memory_order_relaxed)) {
        PB_PLACED();
        return;
    }
    for (int spins = 0; seen == QSPINLOCK_PENDING && spins < QSPINLOCK_SPINS; spins++) {
        pb_relax();
        seen = atomic_load_explicit(&lock->word, memory_order_relaxed);
    }
    if (!(seen & ~QSPINLOCK_HELD) && qspinlock_acquire_pending(lock))
        return;
    qspinlock_queue(lock, self);
    for (;;) {
        while ((seen = atomic_load_explicit(&lock->word, memory_order_acquire)) & (QSPINLOCK_HELD | QSPINLOCK_PENDING))
            pb_relax();
        if (seen != self->tail)
            break;
        /* This node is the last: the queue becomes empty. This fails if another member came, or tried to be pending. */
        if (atomic_compare_exchange_strong_explicit(&lock->word, &seen, QSPINLOCK_HELD, memory_order_relaxed,
                                                    memory_order_relaxed))
            return;
    }
    /* While there is a queue, only its first member may take the lock. */
    atomic_store_explicit(&lock->held, QSPINLOCK_HELD, memory_order_relaxed);
    struct qspinlock_self *next;
    while (!(next = atomic_load_explicit(&self->next, memory_order_acquire)))
        pb_relax();
    atomic_store_explicit(&next->first, 1, memory_order_release);
}
static inline void qspinlock_release(struct qspinlock_lock *lock, struct qspinlock_self *self) {
    (void)self;
    atomic_store_explicit(&lock->held, 0, memory_order_release);
}
