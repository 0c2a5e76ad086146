/* SPDX-License-Identifier: Apache-2.0
 *
 * The least loop over one of the core's locks: acquire, count, release, by one thread on one CPU. No sampling, no
 * handoffs, no check: what a pybench trial of one member takes beyond this is its own cost. Built for each lock by
 * tests/validation/measuring/limits.py:
 *
 *   -DLOCK=mcs -include csrc/locks/mcs.h, -DHAS_PLACE -DHAS_JOIN -DHAS_READERS -DREADERS_RETRY as the header has it
 *
 *   bare_lock CPU SECONDS     prints operations and the nanoseconds they took; readers read, as member 0 does
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "locks/common.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#ifdef HAS_READERS
#define ACQUIRE JOIN(LOCK, _read_acquire)
#define RELEASE JOIN(LOCK, _read_release)
#else
#define ACQUIRE JOIN(LOCK, _acquire)
#define RELEASE JOIN(LOCK, _release)
#endif
#define MOST_BYTES ((SPIN_MOST_SLOTS + 8) * PB_LINE)

struct memory {
    alignas(4096) unsigned char lock[MOST_BYTES];
    alignas(PB_LINE) volatile uint64_t count, shadow;
    alignas(4096) unsigned char self[4096];
};

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Operations until the end, and the time they took; the clock is read once in a thousand. */
static uint64_t run(struct memory *memory, uint64_t end, uint64_t *at) {
    struct JOIN(LOCK, _lock) *lock = (void *)memory->lock;
    struct JOIN(LOCK, _self) *self = (void *)memory->self;
    uint64_t operations = 0;
#ifndef HAS_READERS
    uint64_t *count = (uint64_t *)&memory->count;
#endif
    do {
        for (int i = 0; i < 1000; i++) {
#ifdef READERS_RETRY
            do {
                ACQUIRE(lock, self);
                (void)memory->count, (void)memory->shadow;
            } while (!RELEASE(lock, self));
#elif defined(HAS_READERS)
            ACQUIRE(lock, self);
            (void)memory->count, (void)memory->shadow;
            RELEASE(lock, self);
#else
            ACQUIRE(lock, self);
            ++*count;
            RELEASE(lock, self);
#endif
        }
        operations += 1000;
        *at = now();
    } while (*at < end);
    return operations;
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)atoi(argv[1]), &set);
    struct memory *memory = mmap(NULL, sizeof *memory, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (sched_setaffinity(0, sizeof set, &set) || memory == MAP_FAILED) {
        perror("bare_lock");
        return 1;
    }
#ifdef HAS_PLACE
    if (JOIN(LOCK, _place)((void *)memory->lock, 0))
        return 1;
#endif
#ifdef HAS_JOIN
    const struct lock_member who = {.members = 1, .seed = 1, .selves = (char *)memory->self};
    JOIN(LOCK, _join)((void *)memory->lock, (void *)memory->self, &who);
#endif
    uint64_t span = (uint64_t)(atof(argv[2]) * 1e9), end;
    run(memory, now() + span / 10, &end);
    uint64_t begin = now(), operations = run(memory, begin + span, &end);
    printf("%llu %llu\n", (unsigned long long)operations, (unsigned long long)(end - begin));
    return 0;
}
