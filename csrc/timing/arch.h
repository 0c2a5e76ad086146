/* SPDX-License-Identifier: Apache-2.0
 *
 * The differences between x86-64 and AArch64: the tick counter, the pause of a spin loop, a fence, and one step of
 * work. Atomics are C11's.
 */
#pragma once
#include <stdint.h>

/* Two cache lines: adjacent-line prefetchers fetch lines in pairs. */
#ifndef PB_LINE
#define PB_LINE 128
#endif

#if defined(__x86_64__)
#include <immintrin.h>
#define PB_TICK_IS_TSC 1

/* lfence keeps the reading behind earlier loads; an earlier locked operation is ordered anyway. */
static inline uint64_t pb_ticks(void) {
    _mm_lfence();
    return __rdtsc();
}
static inline void pb_relax(void) { _mm_pause(); }
/* No later instruction starts before all earlier ones are done, except stores in flight. */
static inline void pb_fence(void) { _mm_lfence(); }
/* One step of a chain, one cycle long: xor, which no core eliminates at renaming, as some do additions. */
#define PB_STEP "xor %1, %0\n\t"

#elif defined(__aarch64__)
#define PB_TICK_IS_TSC 0

static inline uint64_t pb_ticks(void) {
    uint64_t value;
    __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(value)::"memory");
    return value;
}
/* yield is a no-op on most cores; isb costs about as much as PAUSE, and leaves resources to the SMT sibling. */
static inline void pb_relax(void) { __asm__ volatile("isb" ::: "memory"); }
static inline void pb_fence(void) { __asm__ volatile("dsb ld\n\tisb" ::: "memory"); }
#define PB_STEP "eor %0, %0, %1\n\t"

#else
#error "pybench supports x86-64 and AArch64; add this architecture to timing/arch.h"
#endif
