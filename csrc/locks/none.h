/* SPDX-License-Identifier: Apache-2.0
 *
 * Control: the loop without a lock, which counts on the shared line unprotected and loses counts.
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
