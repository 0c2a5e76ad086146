/* SPDX-License-Identifier: Apache-2.0
 *
 * Test-and-set: exchange until the old value is free. Every try takes the line exclusively.
 * The baseline of Anderson, "The Performance of Spin Lock Alternatives", IEEE TPDS 1(1), 1990.
 */
#pragma once
#include "common.h"

struct tas_lock {
    atomic_uint held;
};
struct tas_self {
    char none;
};
static inline void tas_acquire(struct tas_lock *lock, struct tas_self *self) {
    (void)self;
    while (atomic_exchange_explicit(&lock->held, 1, memory_order_acquire))
        pb_relax();
}
static inline void tas_release(struct tas_lock *lock, struct tas_self *self) {
    (void)self;
    atomic_store_explicit(&lock->held, 0, memory_order_release);
}
