/* SPDX-License-Identifier: Apache-2.0
 *
 * The C library's spin lock. POSIX.1, pthread_spin_init(3).
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>

struct pthread_spin_lock {
    pthread_spinlock_t spin;
};
struct pthread_spin_self {
    char none;
};
static inline int pthread_spin_place(void *memory, bool processes) {
    struct pthread_spin_lock *lock = memory;
    return -pthread_spin_init(&lock->spin, processes ? PTHREAD_PROCESS_SHARED : PTHREAD_PROCESS_PRIVATE);
}
static inline void pthread_spin_acquire(struct pthread_spin_lock *lock, struct pthread_spin_self *self) {
    (void)self;
    pthread_spin_lock(&lock->spin);
}
static inline void pthread_spin_release(struct pthread_spin_lock *lock, struct pthread_spin_self *self) {
    (void)self;
    pthread_spin_unlock(&lock->spin);
}
