/* SPDX-License-Identifier: Apache-2.0
 *
 * Controls: what the loop costs without a lock. `none` counts on the shared line unprotected, and loses counts;
 * `atomic_add` counts there by one atomic addition; `empty` does nothing at all.
 */
#pragma once

struct none_lock {
    char none;
};
struct none_self {
    char none;
};
static inline void none_acquire(struct none_lock *lock, struct none_self *self) {
    (void)lock;
    (void)self;
}
static inline void none_release(struct none_lock *lock, struct none_self *self) {
    (void)lock;
    (void)self;
}
#define atomic_add_lock none_lock
#define atomic_add_self none_self
#define atomic_add_acquire none_acquire
#define atomic_add_release none_release
#define empty_lock none_lock
#define empty_self none_self
#define empty_acquire none_acquire
#define empty_release none_release
