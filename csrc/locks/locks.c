/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of locks. To add one: a header here, its loop, its line in the table, its name in
 * pybench/workloads/spin.py.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "../histogram.h"
#include "../workloads/spin.h"

#include "array.h"
#define LOCK array
#include "../workloads/spin_loop.h"

#include "clh.h"
#define LOCK clh
#include "../workloads/spin_loop.h"

#include "cna.h"
#define LOCK cna
#include "../workloads/spin_loop.h"

#include "cohort.h"
#define LOCK cohort
#include "../workloads/spin_loop.h"

#include "futex_mutex.h"
#define LOCK futex_mutex
#include "../workloads/spin_loop.h"

#include "hmcs.h"
#define LOCK hmcs
#include "../workloads/spin_loop.h"

#include "k42.h"
#define LOCK k42
#include "../workloads/spin_loop.h"

#include "mcs.h"
#define LOCK mcs
#include "../workloads/spin_loop.h"

#include "mcs_park.h"
#define LOCK mcs_park
#include "../workloads/spin_loop.h"

#include "pthread_adaptive.h"
#define LOCK pthread_adaptive
#include "../workloads/spin_loop.h"

#include "pthread_mutex.h"
#define LOCK pthread_mutex
#include "../workloads/spin_loop.h"

#include "pthread_spin.h"
#define LOCK pthread_spin
#include "../workloads/spin_loop.h"

#include "qspinlock.h"
#define LOCK qspinlock
#include "../workloads/spin_loop.h"

#include "tas.h"
#define LOCK tas
#include "../workloads/spin_loop.h"

#include "ticket.h"
#define LOCK ticket
#include "../workloads/spin_loop.h"

#include "ticket_proportional.h"
#define LOCK ticket_proportional
#include "../workloads/spin_loop.h"

#include "ttas.h"
#define LOCK ttas
#include "../workloads/spin_loop.h"

#include "ttas_backoff.h"
#define LOCK ttas_backoff
#include "../workloads/spin_loop.h"

/* Readers that exclude writers: plain memory on both sides, each access made (volatile), so that a lock that lets
 * a reader in beside a writer shows as a torn read. */
#define WRITE(guard)                                                                                                 \
    do {                                                                                                             \
        volatile uint64_t *count = &(guard)->count, *shadow = &(guard)->shadow;                                      \
        *count = *count + 1;                                                                                         \
        *shadow = *count;                                                                                            \
    } while (0)
#define READ(guard)                                                                                                  \
    (seen_shadow = *(volatile uint64_t *)&(guard)->shadow, seen_count = *(volatile uint64_t *)&(guard)->count)

#include "brlock.h"
#define LOCK brlock
#define LOCK_SECTION WRITE
#include "../workloads/spin_loop.h"
#define LOCK brlock_read
#define LOCK_READS
#define LOCK_SECTION READ
#include "../workloads/spin_loop.h"

#include "pthread_rwlock.h"
#define LOCK pthread_rwlock
#define LOCK_SECTION WRITE
#include "../workloads/spin_loop.h"
#define LOCK pthread_rwlock_read
#define LOCK_READS
#define LOCK_SECTION READ
#include "../workloads/spin_loop.h"

#include "rwsem.h"
#define LOCK rwsem
#define LOCK_SECTION WRITE
#include "../workloads/spin_loop.h"
#define LOCK rwsem_read
#define LOCK_READS
#define LOCK_SECTION READ
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

#include "controls.h"
#define LOCK none
#define LOCK_NOBODYS
#define LOCK_SECTION(guard)                                                                                          \
    __atomic_store_n(&(guard)->count, __atomic_load_n(&(guard)->count, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED)
#include "../workloads/spin_loop.h"
#define LOCK atomic_add
#define LOCK_NOBODYS
#define LOCK_SECTION(guard) __atomic_fetch_add(&(guard)->count, 1, __ATOMIC_RELAXED)
#include "../workloads/spin_loop.h"
#define LOCK empty
#define LOCK_NOBODYS
#define LOCK_SECTION(guard) __asm__ volatile("" : : "r"(guard))
#include "../workloads/spin_loop.h"

#define EXCLUDES .excludes = 1
const struct spin_lock_kind spin_locks[] = {
    {{"tas", "spin", "4 bytes", "none", "spin", "Anderson 1990", EXCLUDES},
     .run = spin_run_tas, .lock_bytes = spin_bytes_tas},
    {{"ttas", "spin", "4 bytes", "none", "spin", "Rudolph and Segall 1984", EXCLUDES},
     .run = spin_run_ttas, .lock_bytes = spin_bytes_ttas},
    {{"ttas-backoff", "spin", "4 bytes", "none", "spin", "Anderson 1990", EXCLUDES},
     .run = spin_run_ttas_backoff, .lock_bytes = spin_bytes_ttas_backoff,
     .join = ttas_backoff_join},
    {{"ticket", "spin", "8 bytes", "FIFO", "spin", "Reed and Kanodia 1979; Mellor-Crummey and Scott 1991", EXCLUDES},
     .run = spin_run_ticket, .lock_bytes = spin_bytes_ticket},
    {{"ticket-proportional", "spin", "8 bytes", "FIFO", "spin", "Mellor-Crummey and Scott 1991", EXCLUDES},
     .run = spin_run_ticket_proportional, .lock_bytes = spin_bytes_ticket_proportional},
    {{"pthread_spin", "spin", "4 bytes", "none", "spin", "POSIX", EXCLUDES},
     .run = spin_run_pthread_spin, .lock_bytes = spin_bytes_pthread_spin,
     .place = pthread_spin_place},
    {{"array", "queue", "4 bytes + n lines", "FIFO", "spin", "Anderson 1990", SPIN_MOST_SLOTS, EXCLUDES},
     .run = spin_run_array, .lock_bytes = spin_bytes_array,
     .place = array_place,
     .join = array_join},
    {{"mcs", "queue", "pointer + n nodes", "FIFO", "spin", "Mellor-Crummey and Scott 1991", EXCLUDES},
     .run = spin_run_mcs, .lock_bytes = spin_bytes_mcs},
    {{"clh", "queue", "pointer + n+1 nodes", "FIFO", "spin", "Craig 1993; Magnusson et al. 1994", EXCLUDES},
     .run = spin_run_clh, .lock_bytes = spin_bytes_clh,
     .place = clh_place,
     .join = clh_join},
    {{"k42", "queue", "2 pointers", "FIFO", "spin", "Auslander et al. 2003; Scott 2013", EXCLUDES},
     .run = spin_run_k42, .lock_bytes = spin_bytes_k42},
    {{"qspinlock", "queue", "4 bytes + n nodes", "FIFO", "spin", "Corbet 2014; Long 2014", EXCLUDES},
     .run = spin_run_qspinlock, .lock_bytes = spin_bytes_qspinlock,
     .join = qspinlock_join},
    {{"cna", "queue", "pointer + n nodes", "bounded", "spin", "Dice and Kogan 2019", .numa = 1, EXCLUDES},
     .run = spin_run_cna, .lock_bytes = spin_bytes_cna,
     .join = cna_join},
    {{"cohort", "queue", "4 bytes + a line a domain + n nodes", "none", "spin", "Dice, Marathe and Shavit 2012",
      .numa = 1, EXCLUDES},
     .run = spin_run_cohort, .lock_bytes = spin_bytes_cohort,
     .join = cohort_join},
    {{"hmcs", "queue", "pointer + 2 lines a domain + n nodes", "bounded", "spin",
      "Chabbi, Fagan and Mellor-Crummey 2015", .numa = 1, EXCLUDES},
     .run = spin_run_hmcs, .lock_bytes = spin_bytes_hmcs,
     .join = hmcs_join},
    {{"futex-mutex", "sleeping", "4 bytes", "none", "sleep", "Drepper 2004", EXCLUDES},
     .run = spin_run_futex_mutex, .lock_bytes = spin_bytes_futex_mutex},
    {{"mcs-park", "sleeping", "pointer + n nodes", "FIFO", "spin then park",
      "Mellor-Crummey and Scott 1991; Dice 2017", EXCLUDES},
     .run = spin_run_mcs_park, .lock_bytes = spin_bytes_mcs_park},
    {{"pthread_mutex", "sleeping", "40 bytes", "none", "sleep", "POSIX; Drepper 2004", EXCLUDES},
     .run = spin_run_pthread_mutex, .lock_bytes = spin_bytes_pthread_mutex,
     .place = pthread_mutex_place},
    {{"pthread_adaptive", "sleeping", "40 bytes", "none", "spin then park", "GNU C library", EXCLUDES},
     .run = spin_run_pthread_adaptive, .lock_bytes = spin_bytes_pthread_adaptive,
     .place = pthread_adaptive_place},
    {{"seqlock", "reader-writer", "8 bytes", "none", "spin", "Lameter 2005; Boehm 2012", .readers = 1, EXCLUDES},
     .run = spin_run_seqlock, .lock_bytes = spin_bytes_seqlock,
     .run_reader = spin_run_seqlock_read,
     .readers_retry = true},
    {{"rwsem", "reader-writer", "4 bytes + pointer + n nodes", "bounded", "spin then park",
      "pybench; Courtois, Heymans and Parnas 1971", .readers = 1, EXCLUDES},
     .run = spin_run_rwsem, .lock_bytes = spin_bytes_rwsem,
     .run_reader = spin_run_rwsem_read},
    {{"pthread_rwlock", "reader-writer", "56 bytes", "none", "sleep", "POSIX", .readers = 1, EXCLUDES},
     .run = spin_run_pthread_rwlock, .lock_bytes = spin_bytes_pthread_rwlock,
     .run_reader = spin_run_pthread_rwlock_read,
     .place = pthread_rwlock_place},
    {{"brlock", "reader-writer", "n lines", "none", "spin", "Hsieh and Weihl 1992", SPIN_MOST_SLOTS,
      .readers = 1, EXCLUDES},
     .run = spin_run_brlock, .lock_bytes = spin_bytes_brlock,
     .run_reader = spin_run_brlock_read,
     .join = brlock_join},
    {{"none", "control", "none", "none", "none", "no lock: unprotected counting", .excludes = 0},
     .run = spin_run_none, .lock_bytes = spin_bytes_none},
    {{"atomic-add", "control", "none", "none", "none", "no lock: one atomic addition", EXCLUDES},
     .run = spin_run_atomic_add, .lock_bytes = spin_bytes_atomic_add},
    {{"empty", "control", "none", "none", "none", "no lock, nothing done: the loop alone", .excludes = 0},
     .run = spin_run_empty, .lock_bytes = spin_bytes_empty},
    {.run = NULL},
};
