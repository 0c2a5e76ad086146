/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of locks. To add one: a header here, its loop, its line in the table.
 */
#include "../histogram.h"
#include "../workloads/spin.h"

#include "mcs.h"
#define LOCK mcs
#include "../workloads/spin_loop.h"

#include "pthread_mutex.h"
#define LOCK pthread_mutex
#include "../workloads/spin_loop.h"

#include "tas.h"
#define LOCK tas
#include "../workloads/spin_loop.h"

#include "ticket.h"
#define LOCK ticket
#include "../workloads/spin_loop.h"

#include "ttas.h"
#define LOCK ttas
#include "../workloads/spin_loop.h"

/* Readers look at what a writer may be writing, so both sides go through relaxed atomics. */
#include "seqlock.h"
#define LOCK seqlock
#define LOCK_SECTION(guard)                                                                                          \
    do {                                                                                                             \
        uint64_t next = __atomic_load_n(&(guard)->count, __ATOMIC_RELAXED) + 1;                                      \
        __atomic_store_n(&(guard)->count, next, __ATOMIC_RELAXED);                                                   \
        __atomic_store_n(&(guard)->shadow, next, __ATOMIC_RELAXED);                                                  \
    } while (0)
#include "../workloads/spin_loop.h"

#define LOCK seqlock_read
#define LOCK_RETRIES
#define LOCK_SECTION(guard)                                                                                          \
    (seen_count = __atomic_load_n(&(guard)->count, __ATOMIC_RELAXED),                                                \
     seen_shadow = __atomic_load_n(&(guard)->shadow, __ATOMIC_RELAXED))
#include "../workloads/spin_loop.h"

const struct spin_lock_kind spin_locks[] = {
    {"tas", "Anderson 1990", spin_run_tas, NULL, NULL},
    {"ttas", "Rudolph and Segall 1984", spin_run_ttas, NULL, NULL},
    {"ticket", "Reed and Kanodia 1979; Mellor-Crummey and Scott 1991", spin_run_ticket, NULL, NULL},
    {"mcs", "Mellor-Crummey and Scott 1991", spin_run_mcs, NULL, NULL},
    {"pthread_mutex", "POSIX; Drepper 2004", spin_run_pthread_mutex, NULL, pthread_mutex_place},
    {"seqlock", "Lameter 2005; Boehm 2012", spin_run_seqlock, spin_run_seqlock_read, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
