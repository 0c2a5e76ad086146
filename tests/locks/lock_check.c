/* SPDX-License-Identifier: Apache-2.0
 *
 * Hammer one lock: the guarded data must stay whole, every member must get the lock, and, for a FIFO lock, members must
 * be served in the order of their arrival. Built for each lock by `scripts/validate locks`:
 *
 *   -DLOCK=mcs -include csrc/locks/mcs.h, -DHAS_PLACE -DHAS_JOIN -DHAS_READERS -DREADERS_RETRY as the header has it
 *   -DPB_POINTS='"points.h"' -Itests/locks/adversary to use -a and -f
 *
 *   lock_check [-m MEMBERS] [-d MS] [-p] [-a] [-f] [-w WRITERS]
 *
 * -p: processes, not threads; -a: delays at random before and after every atomic operation; -f: order of service; -w:
 * number of members that write (all). Members do short rounds and meet after each, so that a member left asleep is
 * missed. Exits 1 and prints what is wrong in one line, or 0 and prints how much was done.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "locks/common.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)
#define MOST_MEMBERS 16
#define LOG_ROOM (1 << 19)
#define STUCK_MS 2500

#ifdef PB_POINTS
__thread struct point_state point;
#else
#define POINT_BEFORE() ((void)0)
#endif

struct member {
    alignas(4096) unsigned char self[sizeof(struct JOIN(LOCK, _self))];
    alignas(128) uint64_t sections, torn;
    uint32_t random;
};
static struct shared {
    alignas(4096) unsigned char lock[sizeof(struct JOIN(LOCK, _lock))];
    alignas(128) uint64_t count;
    uint64_t shadow;
    alignas(128) uint64_t clock;
    alignas(128) atomic_uint arrived, round, stop, finished, progress;
    int members, writers, ms;
    bool processes, adversary, fifo;
    struct member member[MOST_MEMBERS];
    uint32_t logged;
    struct {
        uint64_t start, placed;
    } log[LOG_ROOM];
} *shared;

static void start_point(struct member *member, int index) {
    member->random = (uint32_t)index * 2654435761u + 12345u;
#ifdef PB_POINTS
    point = (struct point_state){.random = member->random, .clock = &shared->clock, .before = shared->adversary};
    /* A delay after the operation that gives a place would hide how early it was. */
    point.after = shared->adversary && !shared->fifo;
#endif
}

/* The writer's section: lost counts betray two at once. */
static void write_section(uint64_t start) {
    volatile uint64_t *count = &shared->count, *shadow = &shared->shadow;
    uint64_t next = *count + 1;
    *count = next;
    POINT_BEFORE();
    *shadow = next;
#ifdef PB_POINTS
    if (shared->fifo && shared->logged < LOG_ROOM) {
        shared->log[shared->logged].start = start;
        shared->log[shared->logged++].placed = point.placed;
    }
#else
    (void)start;
#endif
    POINT_BEFORE();
}

static void write_once(struct member *member) {
    struct JOIN(LOCK, _lock) *lock = (void *)shared->lock;
    struct JOIN(LOCK, _self) *self = (void *)member->self;
    uint64_t start = shared->fifo ? __atomic_fetch_add(&shared->clock, 1, __ATOMIC_RELAXED) : 0;
    JOIN(LOCK, _acquire)(lock, self);
    write_section(start);
    JOIN(LOCK, _release)(lock, self);
    member->sections++;
}

#ifdef HAS_READERS
static void read_once(struct member *member) {
    struct JOIN(LOCK, _lock) *lock = (void *)shared->lock;
    struct JOIN(LOCK, _self) *self = (void *)member->self;
    volatile uint64_t *count = &shared->count, *shadow = &shared->shadow;
    for (;;) {
        JOIN(LOCK, _read_acquire)(lock, self);
        uint64_t second = *shadow;
        POINT_BEFORE();
        uint64_t first = *count;
#ifdef READERS_RETRY
        if (!JOIN(LOCK, _read_release)(lock, self))
            continue;
#else
        JOIN(LOCK, _read_release)(lock, self);
#endif
        member->torn += first != second;
        return;
    }
}
#endif

static bool meet(void) {
    unsigned round = atomic_load(&shared->round);
    if (atomic_fetch_add(&shared->arrived, 1) + 1 == (unsigned)shared->members) {
        atomic_store(&shared->arrived, 0);
        atomic_fetch_add(&shared->progress, 1);
        /* All go on, or all stop. */
        atomic_store(&shared->round, round + (atomic_load(&shared->stop) ? 1u << 31 : 1u));
    }
    while (atomic_load(&shared->round) == round)
        sched_yield();
    return atomic_load(&shared->round) < 1u << 31;
}

static void live(int index) {
    struct member *member = &shared->member[index];
    bool writer = index >= shared->members - shared->writers;
    cpu_set_t all, one;
    sched_getaffinity(0, sizeof all, &all);
    int turn = index % CPU_COUNT(&all);
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && turn-- == 0)
            CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    start_point(member, index);
#ifdef HAS_JOIN
    const struct lock_member who = {.index = index,
                                    .members = shared->members,
                                    .domain = index % 2,
                                    .seed = 7,
                                    .selves = (char *)shared->member[0].self,
                                    .stride = sizeof(struct member)};
    JOIN(LOCK, _join)(shared->lock, member->self, &who);
#endif
    while (meet())
        for (uint32_t left = 1 + lock_random(&member->random) % 64; left; left--) {
            if (writer)
                write_once(member);
#ifdef HAS_READERS
            else
                read_once(member);
#endif
        }
    atomic_fetch_add(&shared->finished, 1);
}

static void *live_as_thread(void *argument) {
    live((int)(intptr_t)argument);
    return NULL;
}

static int wrong(const char *format, unsigned long long a, unsigned long long b) {
    printf(TEXT(LOCK) ": ");
    printf(format, a, b);
    printf("\n");
    fflush(stdout);
    return 1;
}

/* Wrong if a member started after another had its place, and was served before it. */
static int check_order(void) {
    uint64_t earliest = UINT64_MAX;
    for (uint32_t i = shared->logged; i-- > 0;) {
        if (earliest < shared->log[i].start)
            return wrong("order: the %lluth of %llu served came after another had its place", i, shared->logged);
        if (shared->log[i].placed < earliest)
            earliest = shared->log[i].placed;
    }
    return 0;
}

/* Waits for the members; they are stuck if no round ends for long. */
static bool wait_for_members(void) {
    const struct timespec tick = {0, 5000000};
    unsigned seen = 0;
    for (int ms = 0, since = 0; atomic_load(&shared->finished) < (unsigned)shared->members; ms += 5, since += 5) {
        if (ms >= shared->ms)
            atomic_store(&shared->stop, 1);
        if (atomic_load(&shared->progress) != seen)
            since = 0;
        seen = atomic_load(&shared->progress);
        if (since > STUCK_MS)
            return false;
        nanosleep(&tick, NULL);
    }
    return true;
}

static bool run(void) {
    pthread_t threads[MOST_MEMBERS];
    pid_t children[MOST_MEMBERS];
    for (int i = 0; i < shared->members; i++)
        if (!shared->processes) {
            pthread_create(&threads[i], NULL, live_as_thread, (void *)(intptr_t)i);
        } else if (!(children[i] = fork())) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            live(i);
            _exit(0);
        }
    bool ended = wait_for_members();
    for (int i = 0; i < shared->members; i++)
        if (shared->processes) {
            if (!ended)
                kill(children[i], SIGKILL);
            waitpid(children[i], NULL, 0);
        } else if (ended) {
            pthread_join(threads[i], NULL);
        }
    return ended;
}

int main(int argc, char **argv) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 2;
    shared->members = 2, shared->ms = 200, shared->writers = MOST_MEMBERS;
    for (int option; (option = getopt(argc, argv, "m:d:w:paf")) != -1;) {
        if (option == 'm')
            shared->members = atoi(optarg);
        else if (option == 'd')
            shared->ms = atoi(optarg);
        else if (option == 'w')
            shared->writers = atoi(optarg);
        else if (option == 'p')
            shared->processes = true;
        else if (option == 'a')
            shared->adversary = true;
        else if (option == 'f')
            shared->fifo = true;
        else
            return 2;
    }
    if (shared->members < 1 || shared->members > MOST_MEMBERS)
        return 2;
#ifdef HAS_PLACE
    if (JOIN(LOCK, _place)(shared->lock, shared->processes))
        return 2;
#endif
    bool ended = run();
    uint64_t sections = 0, torn = 0;
    for (int i = 0; i < shared->members; i++) {
        sections += shared->member[i].sections;
        torn += shared->member[i].torn;
    }
    if (torn)
        _exit(wrong("torn: %llu reads during a write, of %llu sections", torn, sections));
    if (!ended)
        _exit(wrong("stuck: a member waits for ever, after %llu rounds", atomic_load(&shared->progress), 0));
    if (sections != shared->count)
        return wrong("exclusion: %llu sections, %llu counted", sections, shared->count);
    if (shared->fifo && check_order())
        return 1;
    printf("%llu sections in %u rounds\n", (unsigned long long)sections, atomic_load(&shared->progress));
    return 0;
}
