/* SPDX-License-Identifier: Apache-2.0
 *
 * Test-and-test-and-set: wait on a shared copy of the line, exchange only when the lock looks free.
 * Rudolph, Segall, "Dynamic Decentralized Cache Schemes for MIMD Parallel Processors", ISCA 1984.
 */
#pragma once
#include "common.h"

struct ttas_lock {
    atomic_uint held;
};
struct ttas_self {
    char none;
};
static inline void ttas_acquire(struct ttas_lock *lock, struct ttas_self *self) {
    (void)self;
    while (atomic_exchange_explicit(&lock->held, 1, memory_order_acquire)) {
        while (atomic_load_explicit(&lock->held, memory_order_relaxed))
            pb_relax();
    }
}
static inline void ttas_release(struct ttas_lock *lock, struct ttas_self *self) {
    (void)self;
    atomic_store_explicit(&lock->held, 0, memory_order_release);
}
