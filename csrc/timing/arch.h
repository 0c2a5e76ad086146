/* SPDX-License-Identifier: Apache-2.0
 *
 * What differs between x86-64 and AArch64: the tick counter and the pause of a spin loop.
 * Atomics are C11's.
 */
#pragma once
#include <stdint.h>

/* Two lines: adjacent-line prefetchers pull lines in pairs. */
#ifndef PB_LINE
#define PB_LINE 128
#endif

#if defined(__x86_64__)
#include <immintrin.h>
#define PB_TICK_IS_TSC 1

/* lfence: the reading may not move above earlier loads; a locked operation before it is ordered anyway. */
static inline uint64_t pb_ticks(void) {
    _mm_lfence();
    return __rdtsc();
}
static inline void pb_relax(void) { _mm_pause(); }
/* Nothing after it starts before all before it is done, but for stores on their way to memory. */
static inline void pb_fence(void) { _mm_lfence(); }
/* A chain of one cycle each: xor, which no core folds away at renaming, as some do additions. */
#define PB_STEP "xor %1, %0\n\t"

#elif defined(__aarch64__)
#define PB_TICK_IS_TSC 0

static inline uint64_t pb_ticks(void) {
    uint64_t value;
    __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(value)::"memory");
    return value;
}
/* yield is a no-op on most cores; isb costs about what PAUSE does and lets the sibling or the bus breathe. */
static inline void pb_relax(void) { __asm__ volatile("isb" ::: "memory"); }
static inline void pb_fence(void) { __asm__ volatile("dsb ld\n\tisb" ::: "memory"); }
#define PB_STEP "eor %0, %0, %1\n\t"

#else
#error "pybench knows x86-64 and AArch64; add the tick counter and the pause of this machine to arch.h"
#endif
