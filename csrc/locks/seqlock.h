/* SPDX-License-Identifier: Apache-2.0
 *
 * Sequence lock: writers exclude each other and make the count odd; readers wait (with the pause
 * instruction) while it is odd, and read again if it moved. The shape of the kernel's mount_lock, which every
 * path walk reads. Lameter, "Effective Synchronization on Linux/NUMA Systems", 2005; the orderings are
 * those of Boehm, "Can Seqlocks Get Along with Programming Language Memory Models?", MSPC 2012, figure 6.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>

#include "ttas.h"

struct seqlock_lock {
    atomic_uint count;
    struct ttas_lock writers;
};
struct seqlock_self {
    unsigned begin;
    struct ttas_self writer;
};

static inline void seqlock_acquire(struct seqlock_lock *lock, struct seqlock_self *self) {
    ttas_acquire(&lock->writers, &self->writer);
    unsigned count = atomic_load_explicit(&lock->count, memory_order_relaxed);
    atomic_store_explicit(&lock->count, count + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}
static inline void seqlock_release(struct seqlock_lock *lock, struct seqlock_self *self) {
    unsigned count = atomic_load_explicit(&lock->count, memory_order_relaxed);
    atomic_store_explicit(&lock->count, count + 1, memory_order_release);
    ttas_release(&lock->writers, &self->writer);
}

/* The reader's side, named as a lock of its own for the measured loop. */
#define seqlock_read_lock seqlock_lock
#define seqlock_read_self seqlock_self
static inline void seqlock_read_acquire(struct seqlock_lock *lock, struct seqlock_self *self) {
    while ((self->begin = atomic_load_explicit(&lock->count, memory_order_acquire)) & 1)
        pb_relax();
}
/* Return true if no writer came since the acquire. */
static inline bool seqlock_read_release(struct seqlock_lock *lock, struct seqlock_self *self) {
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&lock->count, memory_order_relaxed) == self->begin;
}
