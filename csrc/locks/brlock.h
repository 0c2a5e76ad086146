/* SPDX-License-Identifier: Apache-2.0
 *
 * Big-reader lock: a line for each member. A reader takes its own, which only writers touch as well; a writer
 * takes them all, in order, so that the first line keeps writers apart.
 * Hsieh, Weihl, "Scalable Reader-Writer Locks for Parallel Systems", IPPS 1992 (the static algorithm).
 */
#pragma once
#include "common.h"
#include "ttas.h"

struct brlock_slot {
    alignas(PB_LINE) struct ttas_lock taken;
};
struct brlock_lock {
    struct brlock_slot slots[SPIN_MOST_SLOTS];
};
struct brlock_self {
    int32_t index, members;
};
static inline void brlock_join(void *memory, void *own, const struct lock_member *who) {
    (void)memory;
    struct brlock_self *self = own;
    self->index = who->index;
    self->members = who->members;
}
static inline void brlock_acquire(struct brlock_lock *lock, struct brlock_self *self) {
    struct ttas_self none;
    for (int32_t i = 0; i < self->members; i++) {
        ttas_acquire(&lock->slots[i].taken, &none);
    }
}
static inline void brlock_release(struct brlock_lock *lock, struct brlock_self *self) {
    struct ttas_self none;
    for (int32_t i = 0; i < self->members; i++) {
        ttas_release(&lock->slots[i].taken, &none);
    }
}

/* The reader's side, named as a lock of its own for the measured loop. */
#define brlock_read_lock brlock_lock
#define brlock_read_self brlock_self
static inline void brlock_read_acquire(struct brlock_lock *lock, struct brlock_self *self) {
    struct ttas_self none;
    ttas_acquire(&lock->slots[self->index].taken, &none);
}
static inline void brlock_read_release(struct brlock_lock *lock, struct brlock_self *self) {
    struct ttas_self none;
    ttas_release(&lock->slots[self->index].taken, &none);
}
