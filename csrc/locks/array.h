/* SPDX-License-Identifier: Apache-2.0
 *
 * Array queue: take the next slot of a ring, wait on that slot's line alone; the holder opens the slot after its own.
 * Anderson, "The Performance of Spin Lock Alternatives for Shared-Memory Multiprocessors", IEEE TPDS 1(1), 1990.
 * The ring has a power of two of slots, so that the counter may wrap. The memory order of the counter makes sure
 * that a member that comes to a used slot sees that its last holder closed it.
 */
#pragma once
#include "common.h"

struct array_slot {
    alignas(PB_LINE) atomic_uint open;
};
struct array_lock {
    alignas(PB_LINE) atomic_uint next;
    struct array_slot slots[SPIN_MOST_SLOTS];
};
struct array_self {
    unsigned mask, mine;
};
static inline int array_place(void *memory, bool processes) {
    (void)processes;
    struct array_lock *lock = memory;
    atomic_store_explicit(&lock->slots[0].open, 1, memory_order_relaxed);
    return 0;
}
static inline void array_join(void *memory, void *own, const struct lock_member *who) {
    (void)memory;
    struct array_self *self = own;
    unsigned slots = 1;
    while (slots < (unsigned)who->members)
        slots *= 2;
    self->mask = slots - 1;
}
static inline void array_acquire(struct array_lock *lock, struct array_self *self) {
    self->mine = atomic_fetch_add_explicit(&lock->next, 1, memory_order_acq_rel) & self->mask;
    PB_PLACED();
    while (!atomic_load_explicit(&lock->slots[self->mine].open, memory_order_acquire))
        pb_relax();
    atomic_store_explicit(&lock->slots[self->mine].open, 0, memory_order_relaxed);
}
static inline void array_release(struct array_lock *lock, struct array_self *self) {
    atomic_store_explicit(&lock->slots[(self->mine + 1) & self->mask].open, 1, memory_order_release);
}
