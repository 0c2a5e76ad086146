/* SPDX-License-Identifier: Apache-2.0
 *
 * Stands before the compiler's own <stdatomic.h>, and puts a point of points.h before and after every operation that
 * names its memory order, as all of the locks' do. So no point of a lock can have been forgotten.
 */
#pragma once
#include_next <stdatomic.h>

#define ADVERSARY_VALUE(operation)                                                                                     \
    __extension__({                                                                                                    \
        POINT_BEFORE();                                                                                                \
        __auto_type adversary_value = (operation);                                                                     \
        POINT_AFTER();                                                                                                 \
        adversary_value;                                                                                               \
    })
#define ADVERSARY_DO(operation)                                                                                        \
    __extension__({                                                                                                    \
        POINT_BEFORE();                                                                                                \
        operation;                                                                                                     \
        POINT_AFTER();                                                                                                 \
    })

#undef atomic_load_explicit
#define atomic_load_explicit(object, order)                                                                            \
    ADVERSARY_VALUE(((void)0, (__typeof__((void)0, *(object)))__atomic_load_n(object, order)))
#undef atomic_store_explicit
#define atomic_store_explicit(object, value, order) ADVERSARY_DO(__atomic_store_n(object, value, order))
#undef atomic_exchange_explicit
#define atomic_exchange_explicit(object, value, order) ADVERSARY_VALUE(__atomic_exchange_n(object, value, order))
#undef atomic_fetch_add_explicit
#define atomic_fetch_add_explicit(object, value, order) ADVERSARY_VALUE(__atomic_fetch_add(object, value, order))
#undef atomic_fetch_sub_explicit
#define atomic_fetch_sub_explicit(object, value, order) ADVERSARY_VALUE(__atomic_fetch_sub(object, value, order))
#undef atomic_fetch_or_explicit
#define atomic_fetch_or_explicit(object, value, order) ADVERSARY_VALUE(__atomic_fetch_or(object, value, order))
#undef atomic_fetch_and_explicit
#define atomic_fetch_and_explicit(object, value, order) ADVERSARY_VALUE(__atomic_fetch_and(object, value, order))
#undef atomic_compare_exchange_strong_explicit
#define atomic_compare_exchange_strong_explicit(object, expected, value, order, failure)                               \
    ADVERSARY_VALUE(__atomic_compare_exchange_n(object, expected, value, 0, order, failure))
#undef atomic_compare_exchange_weak_explicit
#define atomic_compare_exchange_weak_explicit(object, expected, value, order, failure)                                 \
    ADVERSARY_VALUE(__atomic_compare_exchange_n(object, expected, value, 1, order, failure))
#undef atomic_thread_fence
#define atomic_thread_fence(order) ADVERSARY_DO(__atomic_thread_fence(order))
