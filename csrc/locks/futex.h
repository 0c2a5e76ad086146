/* SPDX-License-Identifier: Apache-2.0
 *
 * Sleeping and waking on a word, between processes as well. Franke, Russell, Kirkwood, "Fuss, Futexes and
 * Furwocks", OLS 2002; futex(2). A sleeper must check again when it wakes: wake-ups may be spurious.
 */
#pragma once
#include <stdatomic.h>

#ifdef PB_MODEL
void lock_sleep(atomic_uint *word, unsigned value);
void lock_wake(atomic_uint *word, int count);
#else
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Sleep unless the word has changed. */
static inline void lock_sleep(atomic_uint *word, unsigned value) {
    syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}
static inline void lock_wake(atomic_uint *word, int count) {
    syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}
#endif
