/* SPDX-License-Identifier: Apache-2.0
 *
 * The least program that does what a pybench trial of one member measures: no histogram, no calibration, no
 * check. What pybench shows below this is its own cost. See tests/validation/measuring/bare.py.
 *
 *   bare ticket|mount CPU SECONDS                prints operations and the nanoseconds they took
 *   bare transfer|transfer-cas CPU,CPU SECONDS   two threads pass a line, by load and store or by compare-and-swap
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* As the core lays it out: the lock on a page of its own, what it guards on another line. */
struct line {
    _Alignas(4096) atomic_uint next;
    atomic_uint serving;
    _Alignas(1024) uint64_t count;
};

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("isb" ::: "memory");
#endif
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* Operations until the end, and the time they took; the clock is read once in a thousand. */
static uint64_t ticket(struct line *line, uint64_t end, uint64_t *at) {
    uint64_t operations = 0;
    do {
        for (int i = 0; i < 1000; i++) {
            unsigned mine = atomic_fetch_add_explicit(&line->next, 1, memory_order_relaxed);
            while (atomic_load_explicit(&line->serving, memory_order_acquire) != mine)
                relax();
            line->count++;
            atomic_store_explicit(&line->serving, mine + 1, memory_order_release);
        }
        operations += 1000;
        *at = now();
    } while (*at < end);
    return operations;
}

struct rally {
    _Alignas(4096) atomic_ullong word; /* transfers so far */
    _Alignas(4096) atomic_ullong last; /* after which there is none */
    int cpu;
    bool cas;
};

static void pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set))
        die("sched_setaffinity");
}

static void hit(struct rally *rally, unsigned long long seen) {
    if (rally->cas) {
        unsigned long long expected = seen;
        while (!atomic_compare_exchange_strong(&rally->word, &expected, seen + 1))
            expected = seen;
        return;
    }
    while (atomic_load_explicit(&rally->word, memory_order_acquire) != seen)
        ;
    atomic_store_explicit(&rally->word, seen + 1, memory_order_release);
}

static void *answer(void *argument) {
    struct rally *rally = argument;
    pin(rally->cpu);
    for (unsigned long long seen = 1;; seen += 2) {
        hit(rally, seen);
        if (seen + 1 == atomic_load_explicit(&rally->last, memory_order_relaxed))
            return NULL;
    }
}

/* Transfers both ways until the end, from the word's value on; the clock is read once in a thousand. */
static uint64_t serve(struct rally *rally, unsigned long long *seen, uint64_t end, uint64_t *at) {
    uint64_t operations = 0;
    do {
        for (int i = 0; i < 500; i++, *seen += 2)
            hit(rally, *seen);
        operations += 1000;
        *at = now();
    } while (*at < end);
    return operations;
}

static uint64_t transfers(const char *cpus, bool cas, uint64_t span, uint64_t *begin, uint64_t *at) {
    struct rally *rally = mmap(NULL, sizeof *rally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const char *comma = strchr(cpus, ',');
    pthread_t other;
    if (rally == MAP_FAILED || !comma)
        die("transfer");
    rally->cpu = atoi(comma + 1);
    rally->cas = cas;
    if (pthread_create(&other, NULL, answer, rally))
        die("pthread_create");
    unsigned long long seen = 0;
    serve(rally, &seen, now() + span / 10, at);
    *begin = now();
    uint64_t operations = serve(rally, &seen, *begin + span, at);
    atomic_store(&rally->last, seen + 2);
    hit(rally, seen);
    pthread_join(other, NULL);
    return operations;
}

static uint64_t mounts(uint64_t end, uint64_t *at) {
    uint64_t operations = 0;
    do {
        for (int i = 0; i < 8; i++) {
            if (mount("/tmp/y/s", "/tmp/d0", NULL, MS_BIND, NULL))
                die("mount");
            if (umount2("/tmp/d0", 0))
                die("umount2");
        }
        operations += 8;
        *at = now();
    } while (*at < end);
    return operations;
}

/* The trees of the core's mount workload, by the same names. */
static void prepare_mounts(void) {
    if (unshare(CLONE_NEWNS))
        die("unshare");
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("bare", "/tmp", "tmpfs", 0, "mode=755") ||
        mkdir("/tmp/y", 0755) || mount("bare", "/tmp/y", "tmpfs", 0, "mode=755") || mkdir("/tmp/y/s", 0755) ||
        mkdir("/tmp/d0", 0755))
        die("setting up");
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    pin(atoi(argv[2]));
    uint64_t span = (uint64_t)(atof(argv[3]) * 1e9), warmup = span / 10, begin, end, operations;
    if (!strcmp(argv[1], "ticket")) {
        struct line *line = mmap(NULL, sizeof *line, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (line == MAP_FAILED)
            die("mmap");
        ticket(line, now() + warmup, &end);
        begin = now();
        operations = ticket(line, begin + span, &end);
    } else if (!strncmp(argv[1], "transfer", 8)) {
        operations = transfers(argv[2], !strcmp(argv[1], "transfer-cas"), span, &begin, &end);
    } else {
        prepare_mounts();
        mounts(now() + warmup, &end);
        begin = now();
        operations = mounts(begin + span, &end);
    }
    printf("%llu %llu\n", (unsigned long long)operations, (unsigned long long)(end - begin));
    return 0;
}
