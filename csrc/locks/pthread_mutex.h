/* SPDX-License-Identifier: Apache-2.0
 *
 * The C library's default mutex, as programs use it: one exchange when free, a futex sleep when not.
 * POSIX.1; Drepper, "Futexes Are Tricky", 2004.
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>

struct pthread_mutex_lock {
    pthread_mutex_t mutex;
};
struct pthread_mutex_self {
    char none;
};
static inline int pthread_mutex_place(void *memory, bool processes) {
    struct pthread_mutex_lock *lock = memory;
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    if (processes)
        pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    int code = pthread_mutex_init(&lock->mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return -code;
}
static inline void pthread_mutex_acquire(struct pthread_mutex_lock *lock, struct pthread_mutex_self *self) {
    (void)self;
    pthread_mutex_lock(&lock->mutex);
}
static inline void pthread_mutex_release(struct pthread_mutex_lock *lock, struct pthread_mutex_self *self) {
    (void)self;
    pthread_mutex_unlock(&lock->mutex);
}
