/* SPDX-License-Identifier: Apache-2.0
 *
 * The GNU C library's adaptive mutex: it tries for about as long as recent tries took, then sleeps.
 * pthread_mutexattr_settype(3), PTHREAD_MUTEX_ADAPTIVE_NP; needs _GNU_SOURCE.
 * Other C libraries do not have it: there the lock is unsupported.
 */
#pragma once
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

struct pthread_adaptive_lock {
    pthread_mutex_t mutex;
};
struct pthread_adaptive_self {
    char none;
};
static inline int pthread_adaptive_place(void *memory, bool processes) {
    struct pthread_adaptive_lock *lock = memory;
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
#ifdef __GLIBC__
    int code = pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
#else
    int code = ENOTSUP;
#endif
    if (!code && processes)
        code = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (!code)
        code = pthread_mutex_init(&lock->mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return -code;
}
static inline void pthread_adaptive_acquire(struct pthread_adaptive_lock *lock, struct pthread_adaptive_self *self) {
    (void)self;
    pthread_mutex_lock(&lock->mutex);
}
static inline void pthread_adaptive_release(struct pthread_adaptive_lock *lock, struct pthread_adaptive_self *self) {
    (void)self;
    pthread_mutex_unlock(&lock->mutex);
}
