/* SPDX-License-Identifier: Apache-2.0
 *
 * The measured loop of each lock of locks.def, and the table that the spin workload and the ABI read.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "locks/locks.def"
#include "core/histogram.h"
#include "workloads/spin/spin.h"

/* ---- what a section does, by the kind of lock ---- */

/* Readers that exclude writers: plain memory on both sides, each access made (volatile), so that a lock that admits a
 * reader during a write shows as a torn read. */
#define SECTION_WRITE(guard)                                                                                           \
    do {                                                                                                               \
        volatile uint64_t *count = &(guard)->count, *shadow = &(guard)->shadow;                                        \
        *count = *count + 1;                                                                                           \
        *shadow = *count;                                                                                              \
    } while (0)
#define SECTION_READ(guard)                                                                                            \
    (seen_shadow = *(volatile uint64_t *)&(guard)->shadow, seen_count = *(volatile uint64_t *)&(guard)->count)
/* Optimistic readers read while a writer may write, so both sides use relaxed atomics. */
#define SECTION_ATOMIC_WRITE(guard)                                                                                    \
    do {                                                                                                               \
        uint64_t next = __atomic_load_n(&(guard)->count, __ATOMIC_RELAXED) + 1;                                        \
        __atomic_store_n(&(guard)->count, next, __ATOMIC_RELAXED);                                                     \
        __atomic_store_n(&(guard)->shadow, next, __ATOMIC_RELAXED);                                                    \
    } while (0)
#define SECTION_ATOMIC_READ(guard)                                                                                     \
    (seen_count = __atomic_load_n(&(guard)->count, __ATOMIC_RELAXED),                                                  \
     seen_shadow = __atomic_load_n(&(guard)->shadow, __ATOMIC_RELAXED))
#define SECTION_UNPROTECTED(guard)                                                                                     \
    __atomic_store_n(&(guard)->count, __atomic_load_n(&(guard)->count, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED)
#define SECTION_ATOMIC_ADD(guard) __atomic_fetch_add(&(guard)->count, 1, __ATOMIC_RELAXED)
#define SECTION_EMPTY(guard) __asm__ volatile("" : : "r"(guard))

/* ---- the nth entry of the table, for each_lock.h ---- */

#define KIND_end 0
#define KIND_exclusive 1
#define KIND_shared 2
#define KIND_optimistic 3
#define KIND_unprotected 4
#define KIND_atomic 5
#define KIND_empty 6

#define EACH_ENTRY(id, name, family, kind, ...) (id, kind),
#define EACH_ENTRIES LOCKS(EACH_ENTRY)(end, end), (end, end)
#define EACH_AT_1(entry, ...) entry
#define EACH_AT_2(entry, ...) EACH_AT_1(__VA_ARGS__)
#define EACH_AT_3(entry, ...) EACH_AT_2(__VA_ARGS__)
#define EACH_AT_4(entry, ...) EACH_AT_3(__VA_ARGS__)
#define EACH_AT_5(entry, ...) EACH_AT_4(__VA_ARGS__)
#define EACH_AT_6(entry, ...) EACH_AT_5(__VA_ARGS__)
#define EACH_AT_7(entry, ...) EACH_AT_6(__VA_ARGS__)
#define EACH_AT_8(entry, ...) EACH_AT_7(__VA_ARGS__)
#define EACH_AT_9(entry, ...) EACH_AT_8(__VA_ARGS__)
#define EACH_AT_10(entry, ...) EACH_AT_9(__VA_ARGS__)
#define EACH_AT_11(entry, ...) EACH_AT_10(__VA_ARGS__)
#define EACH_AT_12(entry, ...) EACH_AT_11(__VA_ARGS__)
#define EACH_AT_13(entry, ...) EACH_AT_12(__VA_ARGS__)
#define EACH_AT_14(entry, ...) EACH_AT_13(__VA_ARGS__)
#define EACH_AT_15(entry, ...) EACH_AT_14(__VA_ARGS__)
#define EACH_AT_16(entry, ...) EACH_AT_15(__VA_ARGS__)
#define EACH_AT_17(entry, ...) EACH_AT_16(__VA_ARGS__)
#define EACH_AT_18(entry, ...) EACH_AT_17(__VA_ARGS__)
#define EACH_AT_19(entry, ...) EACH_AT_18(__VA_ARGS__)
#define EACH_AT_20(entry, ...) EACH_AT_19(__VA_ARGS__)
#define EACH_AT_21(entry, ...) EACH_AT_20(__VA_ARGS__)
#define EACH_AT_22(entry, ...) EACH_AT_21(__VA_ARGS__)
#define EACH_AT_23(entry, ...) EACH_AT_22(__VA_ARGS__)
#define EACH_AT_24(entry, ...) EACH_AT_23(__VA_ARGS__)
#define EACH_AT_25(entry, ...) EACH_AT_24(__VA_ARGS__)
#define EACH_AT_26(entry, ...) EACH_AT_25(__VA_ARGS__)
#define EACH_AT_27(entry, ...) EACH_AT_26(__VA_ARGS__)
#define EACH_AT_28(entry, ...) EACH_AT_27(__VA_ARGS__)
#define EACH_AT_29(entry, ...) EACH_AT_28(__VA_ARGS__)
#define EACH_AT_30(entry, ...) EACH_AT_29(__VA_ARGS__)
#define EACH_AT_31(entry, ...) EACH_AT_30(__VA_ARGS__)
#define EACH_AT_32(entry, ...) EACH_AT_31(__VA_ARGS__)
#define EACH_AT_33(entry, ...) EACH_AT_32(__VA_ARGS__)
#define EACH_AT_34(entry, ...) EACH_AT_33(__VA_ARGS__)
#define EACH_AT_35(entry, ...) EACH_AT_34(__VA_ARGS__)
#define EACH_AT_36(entry, ...) EACH_AT_35(__VA_ARGS__)
#define EACH_AT_37(entry, ...) EACH_AT_36(__VA_ARGS__)
#define EACH_AT_38(entry, ...) EACH_AT_37(__VA_ARGS__)
#define EACH_AT_39(entry, ...) EACH_AT_38(__VA_ARGS__)
#define EACH_AT_40(entry, ...) EACH_AT_39(__VA_ARGS__)
#define EACH_AT_41(entry, ...) EACH_AT_40(__VA_ARGS__)
#define EACH_PICK__(n, ...) EACH_AT_##n(__VA_ARGS__)
#define EACH_PICK_(n, ...) EACH_PICK__(n, __VA_ARGS__)
#define EACH_APPLY_(part, entry) part entry
#define EACH_APPLY(part, entry) EACH_APPLY_(part, entry)
#define EACH_ID(id, kind) id
#define EACH_READ_ID(id, kind) id##_read
#define EACH_KIND_OF(id, kind) KIND_##kind
#define EACH_PATH_OF(id, kind) <locks/id.h>
/* In each_lock.h itself; and in a file that it includes, which is one level deeper. */
#define EACH_KIND EACH_APPLY(EACH_KIND_OF, EACH_PICK_(__INCLUDE_LEVEL__, EACH_ENTRIES))
#define EACH_HEADER EACH_APPLY(EACH_PATH_OF, EACH_PICK_(__INCLUDE_LEVEL__, EACH_ENTRIES))
#define EACH_NESTED(part) EACH_APPLY(part, EACH_PICK_(__INCLUDE_LEVEL__, (end, end), EACH_ENTRIES))

#include "locks/each_lock.h"

/* ---- the table ---- */

#define READER_exclusive(id) 0
#define READER_shared(id) spin_run_##id##_read
#define READER_optimistic(id) spin_run_##id##_read
#define READER_unprotected(id) 0
#define READER_atomic(id) 0
#define READER_empty(id) 0

#define PLACE_plain(id) 0
#define PLACE_place(id) id##_place
#define PLACE_join(id) 0
#define PLACE_place_join(id) id##_place
#define JOIN_plain(id) 0
#define JOIN_place(id) 0
#define JOIN_join(id) id##_join
#define JOIN_place_join(id) id##_join

#define ROW(id, lock_name, lock_family, kind, makes, lock_fairness, lock_waiting, most, lock_numa, lock_space,         \
            lock_source)                                                                                               \
    {.info = {.name = lock_name,                                                                                       \
              .family = lock_family,                                                                                   \
              .space = lock_space,                                                                                     \
              .fairness = lock_fairness,                                                                               \
              .waiting = lock_waiting,                                                                                 \
              .source = lock_source,                                                                                   \
              .most_members = most,                                                                                    \
              .numa = lock_numa,                                                                                       \
              .readers = KIND_##kind == KIND_shared || KIND_##kind == KIND_optimistic,                                 \
              .excludes = KIND_##kind != KIND_unprotected && KIND_##kind != KIND_empty,                                \
              .shares_line =                                                                                           \
                  SPIN_SHARED_GUARD_OFFSET(spin_bytes_##id) + sizeof(struct spin_guard) <= SPIN_CACHE_LINE},           \
     .lock_bytes = spin_bytes_##id,                                                                                    \
     .run = spin_run_##id,                                                                                             \
     .run_reader = READER_##kind(id),                                                                                  \
     .readers_retry = KIND_##kind == KIND_optimistic,                                                                  \
     .place = PLACE_##makes(id),                                                                                       \
     .join = JOIN_##makes(id)},

static const struct spin_lock_kind kinds[] = {LOCKS(ROW)};

const struct spin_lock_kind *spin_lock_kind_at(int32_t index) {
    return index >= 0 && index < (int32_t)(sizeof kinds / sizeof kinds[0]) ? &kinds[index] : NULL;
}

const struct pb_lock_info *pb_lock_info(int32_t index) {
    const struct spin_lock_kind *kind = spin_lock_kind_at(index);
    return kind ? &kind->info : NULL;
}
