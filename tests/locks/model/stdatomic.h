/* SPDX-License-Identifier: Apache-2.0
 *
 * Stands before the compiler's own <stdatomic.h> when a lock is built for the model checker: atomic objects are plain
 * ones, and every operation on them is a step of the model's.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    memory_order_relaxed,
    memory_order_acquire,
    memory_order_release,
    memory_order_acq_rel,
};
enum model_change { MODEL_EXCHANGE, MODEL_ADD, MODEL_SUB, MODEL_OR, MODEL_AND };

#define _Atomic(type) __typeof__(type)
typedef unsigned atomic_uint;

uintptr_t model_load(void *object, size_t size, int order);
void model_store(void *object, size_t size, uintptr_t value, int order);
uintptr_t model_change(void *object, size_t size, enum model_change change, uintptr_t operand, int order);
bool model_compare(void *object, size_t size, uintptr_t *expected, uintptr_t desired, int order, int failure);
void model_fence(int order);

#define atomic_load_explicit(object, order)                                                                            \
    ((__typeof__(*(object)))model_load((void *)(object), sizeof *(object), order))
#define atomic_store_explicit(object, value, order)                                                                    \
    model_store((void *)(object), sizeof *(object), (uintptr_t)(value), order)
#define MODEL_CHANGE(change, object, operand, order)                                                                   \
    __extension__({                                                                                                    \
        (__typeof__(*(object)))model_change((void *)(object), sizeof *(object), change, (uintptr_t)(operand), order);  \
    })
#define atomic_exchange_explicit(object, value, order) MODEL_CHANGE(MODEL_EXCHANGE, object, value, order)
#define atomic_fetch_add_explicit(object, value, order) MODEL_CHANGE(MODEL_ADD, object, value, order)
#define atomic_fetch_sub_explicit(object, value, order) MODEL_CHANGE(MODEL_SUB, object, value, order)
#define atomic_fetch_or_explicit(object, value, order) MODEL_CHANGE(MODEL_OR, object, value, order)
#define atomic_fetch_and_explicit(object, value, order) MODEL_CHANGE(MODEL_AND, object, value, order)
#define atomic_compare_exchange_strong_explicit(object, expected, desired, order, failure)                             \
    __extension__({                                                                                                    \
        uintptr_t model_seen = (uintptr_t)*(expected);                                                                 \
        bool model_done =                                                                                              \
            model_compare((void *)(object), sizeof *(object), &model_seen, (uintptr_t)(desired), order, failure);      \
        *(expected) = (__typeof__(*(expected)))model_seen;                                                             \
        model_done;                                                                                                    \
    })
#define atomic_compare_exchange_weak_explicit atomic_compare_exchange_strong_explicit
#define atomic_thread_fence(order) model_fence(order)
