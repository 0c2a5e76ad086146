/* SPDX-License-Identifier: Apache-2.0
 *
 * The C library's reader-writer lock, of the default kind, which prefers readers. POSIX.1, pthread_rwlock_init(3).
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>

struct pthread_rwlock_lock {
    pthread_rwlock_t rwlock;
};
struct pthread_rwlock_self {
    char none;
};
static inline int pthread_rwlock_place(void *memory, bool processes) {
    struct pthread_rwlock_lock *lock = memory;
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    if (processes)
        pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    int code = pthread_rwlock_init(&lock->rwlock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    return -code;
}
static inline void pthread_rwlock_acquire(struct pthread_rwlock_lock *lock, struct pthread_rwlock_self *self) {
    (void)self;
    pthread_rwlock_wrlock(&lock->rwlock);
}
static inline void pthread_rwlock_release(struct pthread_rwlock_lock *lock, struct pthread_rwlock_self *self) {
    (void)self;
    pthread_rwlock_unlock(&lock->rwlock);
}

/* The reader's side, named as a lock of its own for the measured loop. */
#define pthread_rwlock_read_lock pthread_rwlock_lock
#define pthread_rwlock_read_self pthread_rwlock_self
static inline void pthread_rwlock_read_acquire(struct pthread_rwlock_lock *lock, struct pthread_rwlock_self *self) {
    (void)self;
    pthread_rwlock_rdlock(&lock->rwlock);
}
static inline void pthread_rwlock_read_release(struct pthread_rwlock_lock *lock, struct pthread_rwlock_self *self) {
    (void)self;
    pthread_rwlock_unlock(&lock->rwlock);
}
