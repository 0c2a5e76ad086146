/* SPDX-License-Identifier: Apache-2.0
 *
 * Reader-writer semaphore of our own design, in the shape of a kernel's address space semaphore: readers are counted in
 * the word that holds the writer's bit. A member that cannot have it spins optimistically for a while, then queues,
 * first come, first served, in an MCS queue whose waiters sleep. The first of the queue waits for the word. If others
 * take it first for long, it sets a bit that keeps newcomers out, and sleeps: the release that makes room then wakes
 * it, and only it may enter. Counted readers: Courtois, Heymans, Parnas, CACM 14(10), 1971.
 */
#pragma once
#include "common.h"
#include "futex.h"
#include "mcs_park.h"

#ifndef RWSEM_SPINS
#define RWSEM_SPINS 500
#endif
#define RWSEM_WRITER 1u
#define RWSEM_HANDOFF                                                                                                  \
    2u /* the first of the queue sleeps, or will: newcomers keep out, a release that makes room wakes it */
#define RWSEM_READER 256u
#define RWSEM_READERS ~255u

struct rwsem_lock {
    atomic_uint word;
    alignas(PB_LINE) struct mcs_park_lock queue;
};
struct rwsem_self {
    struct mcs_park_self node;
};

/* Take the word and clear `bit` if no bit of `against` is set. Returns false, with the word in *seen, if not. */
static inline bool rwsem_try(struct rwsem_lock *lock, unsigned *seen, unsigned against, unsigned take, unsigned bit) {
    *seen = atomic_load_explicit(&lock->word, memory_order_relaxed);
    while (!(*seen & against)) {
        if (atomic_compare_exchange_weak_explicit(&lock->word, seen, (*seen & ~bit) + take, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
    }
    return false;
}
/* Wait in the queue, then for the word. */
static inline void rwsem_wait(struct rwsem_lock *lock, struct rwsem_self *self, unsigned against, unsigned take) {
    unsigned seen;
    mcs_park_acquire(&lock->queue, &self->node);
    int spins = 0;
    while (!rwsem_try(lock, &seen, against, take, RWSEM_HANDOFF)) {
        if (spins < RWSEM_SPINS) {
            spins++;
            pb_relax();
        } else if ((seen & RWSEM_HANDOFF) ||
                   atomic_compare_exchange_strong_explicit(&lock->word, &seen, seen | RWSEM_HANDOFF,
                                                           memory_order_relaxed, memory_order_relaxed)) {
            lock_sleep(&lock->word, seen | RWSEM_HANDOFF);
        }
    }
    mcs_park_release(&lock->queue, &self->node);
}
static inline void rwsem_take(struct rwsem_lock *lock, struct rwsem_self *self, unsigned against, unsigned take) {
    unsigned seen;
    for (int spins = 0; spins < RWSEM_SPINS; spins++) {
        if (rwsem_try(lock, &seen, against | RWSEM_HANDOFF, take, 0))
            return;
        if (seen & RWSEM_HANDOFF)
            break;
        pb_relax();
    }
    rwsem_wait(lock, self, against, take);
}
static inline void rwsem_acquire(struct rwsem_lock *lock, struct rwsem_self *self) {
    rwsem_take(lock, self, RWSEM_WRITER | RWSEM_READERS, RWSEM_WRITER);
}
static inline void rwsem_release(struct rwsem_lock *lock, struct rwsem_self *self) {
    (void)self;
    if (atomic_fetch_sub_explicit(&lock->word, RWSEM_WRITER, memory_order_release) & RWSEM_HANDOFF)
        lock_wake(&lock->word, 1);
}

/* The reader's side, named as a lock of its own for the measured loop. */
#define rwsem_read_lock rwsem_lock
#define rwsem_read_self rwsem_self
static inline void rwsem_read_release(struct rwsem_lock *lock, struct rwsem_self *self) {
    (void)self;
    unsigned seen = atomic_fetch_sub_explicit(&lock->word, RWSEM_READER, memory_order_release);
    if ((seen & RWSEM_READERS) == RWSEM_READER && (seen & RWSEM_HANDOFF))
        lock_wake(&lock->word, 1);
}
static inline void rwsem_read_acquire(struct rwsem_lock *lock, struct rwsem_self *self) {
    /* Optimistically: usually no member writes, and an addition never fails. */
    unsigned seen = atomic_fetch_add_explicit(&lock->word, RWSEM_READER, memory_order_acquire);
    if (!(seen & (RWSEM_WRITER | RWSEM_HANDOFF)))
        return;
    rwsem_read_release(lock, self);
    rwsem_take(lock, self, RWSEM_WRITER, RWSEM_READER);
}
