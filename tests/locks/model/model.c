/* SPDX-License-Identifier: Apache-2.0
 *
 * A model checker for the locks, of the very code that is measured: a few threads, each on a stack of its own, take and
 * leave the lock a few times. Every atomic operation is a step; from every state each step that can come next
 * is tried, and states seen before are not entered again, so that waiting loops need no bound. Checked in every
 * state: a writer is alone in the section, and (weak) the next thread there must see what the one before wrote.
 * Checked of all states together: the end can be reached from each, so that no thread is left asleep or waiting.
 * Sleeping ends only by a wake-up, which may hit any thread asleep on the word.
 *
 *   -DLOCK=mcs -include csrc/locks/mcs.h, -DHAS_PLACE -DHAS_JOIN -DHAS_READERS as the header has it
 *   -DPB_POINTS='"placed.h"', and -DMODEL_FIFO for a lock that serves who came first
 *   -DPB_SPIN to leave the search to Spin (lock.pml)
 *
 *   model [-t THREADS] [-n SECTIONS] [-r READERS] [-w] [-l MILLIONS]
 *
 * -r: number of threads that read; -w: the weak memory model (memory.h); -l: maximum number of states, in millions.
 * Exits 1 and prints what is wrong, 0 and prints how much was searched, 3 if it was too much.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "locks/common.h"

#include "memory.h"
#include "switch.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)
#define STACK_BYTES 8192
#define CLEARED_BYTES 1024

struct memory memory;

static struct arena {
    struct JOIN(LOCK, _lock) lock;
    struct JOIN(LOCK, _self) self[MEMORY_THREADS];
} arena;

enum status { CAN_GO, CHOOSES, ASLEEP, DONE };
static struct world {
    int current, choice, choices;
    int writers_inside, readers_inside;
    struct {
        enum status status;
        const void *asleep_on;
        void *sp;
        bool begins, placed;
        uint8_t ahead; /* who had a place already when this one began, by bits */
    } threads[MEMORY_THREADS];
} world;
static alignas(16) unsigned char stacks[MEMORY_THREADS][STACK_BYTES];
static void *explorer_sp;
static bool weak, running;
static const char *wrong; /* set by a thread */
static int n_threads = 2, n_sections = 2, n_readers;
static uint32_t most_states = 20000000;
static uint8_t place_of[sizeof(struct arena) / 4 + 1]; /* a location for each object, numbered as they turn up */
static int n_places = MEMORY_FIRST_FREE;

void model_give_up(const char *why) {
    fprintf(stderr, TEXT(LOCK) ": the model is too small: %s\n", why);
    _Exit(3);
}

/* --- what the threads call ------------------------------------------------------------------------------------- */

static void pause_thread(enum status status) {
    world.threads[world.current].status = status;
    model_switch(&world.threads[world.current].sp, explorer_sp);
}
static void step(void) {
    if (!running)
        return;
    pause_thread(CAN_GO);
#ifdef MODEL_FIFO
    int self = world.current;
    if (world.threads[self].begins)
        for (int i = 0; i < n_threads; i++)
            if (world.threads[i].placed)
                world.threads[self].ahead |= (uint8_t)(1u << i);
    world.threads[self].begins = false;
#endif
}
/* First come, first served: who had its place when another had not even begun is served before it. */
void model_placed(void) {
#ifdef MODEL_FIFO
    world.threads[world.current].placed = true;
#endif
}
static void served(void) {
#ifdef MODEL_FIFO
    int self = world.current;
    if (world.threads[self].ahead)
        wrong = "order: one was served before another that had its place when it began";
    world.threads[self].placed = false;
    for (int i = 0; i < n_threads; i++)
        world.threads[i].ahead &= (uint8_t)~(1u << self);
#endif
}
static int choose(int choices) {
    if (choices < 2)
        return 0;
    world.choices = choices;
    pause_thread(CHOOSES);
    return world.choice;
}

static uintptr_t peek(const void *object, size_t size) {
    uintptr_t value = 0;
    memcpy(&value, object, size);
    return value;
}

static int place_at(void *object) {
    size_t offset = (size_t)((char *)object - (char *)&arena) / 4;
    if (offset >= sizeof place_of)
        model_give_up("an atomic object is not the lock's");
    if (!place_of[offset]) {
        if (n_places == MEMORY_LOCATIONS)
            model_give_up("there are too many locations");
        place_of[offset] = (uint8_t)n_places++;
    }
    return place_of[offset];
}
static struct location *location_of(void *object, size_t size) {
    struct location *location = &memory.locations[place_at(object)];
    memory_start(location, peek(object, size < 4 ? 4 : size));
    return location;
}

uintptr_t model_load(void *object, size_t size, int order) {
    step();
    if (!running || !weak)
        return peek(object, size);
    struct location *location = location_of(object, size);
    int place = place_at(object), thread = world.current;
    uint32_t oldest = memory.threads[thread].now.at[place];
    uint32_t at = location->count - 1 - (uint32_t)choose((int)(location->count - oldest));
    uintptr_t value = location->messages[at].value;
    memory_read(thread, place, at, order == memory_order_acquire);
    return value;
}

static void put(void *object, size_t size, uintptr_t value, int order, const struct view *carried) {
    bool release = order == memory_order_release || order == memory_order_acq_rel;
    struct location *location = weak && running ? location_of(object, size) : NULL;
    memcpy(object, &value, size);
    if (!location)
        return;
    struct view old = location->messages[location->count - 1].view;
    if (size < 4)
        carried = &old;
    memory_write(world.current, place_at(object), peek(object, size < 4 ? 4 : size), release, carried);
}

void model_store(void *object, size_t size, uintptr_t value, int order) {
    step();
    put(object, size, value, order, NULL);
}

/* A read-modify-write of the last message. */
static void change_to(void *object, size_t size, uintptr_t value, int order) {
    struct view carried = {0};
    if (weak) {
        struct location *location = location_of(object, size);
        carried = location->messages[location->count - 1].view;
        memory_read(world.current, place_at(object), location->count - 1,
                    order == memory_order_acquire || order == memory_order_acq_rel);
        carried = location->messages[location->count - 1].view; /* counted again, if a message was dropped */
    }
    put(object, size, value, order, &carried);
}

uintptr_t model_change(void *object, size_t size, enum model_change change, uintptr_t operand, int order) {
    step();
    uintptr_t old = peek(object, size), value = operand;
    if (change == MODEL_ADD)
        value = old + operand;
    else if (change == MODEL_SUB)
        value = old - operand;
    else if (change == MODEL_OR)
        value = old | operand;
    else if (change == MODEL_AND)
        value = old & operand;
    change_to(object, size, value, order);
    return old;
}

bool model_compare(void *object, size_t size, uintptr_t *expected, uintptr_t desired, int order, int failure) {
    step();
    uintptr_t last = peek(object, size);
    if (!weak) {
        if (last == *expected) {
            memcpy(object, &desired, size);
            return true;
        }
        *expected = last;
        return false;
    }
    /* It succeeds on the last message, or fails on any that differs. */
    struct location *location = location_of(object, size);
    int place = place_at(object), thread = world.current, choices = 0;
    uint32_t ways[MEMORY_MESSAGES];
    for (uint32_t at = memory.threads[thread].now.at[place]; at < location->count; at++)
        if (location->messages[at].value != *expected || at == location->count - 1)
            ways[choices++] = at;
    uint32_t at = ways[choose(choices)];
    if (location->messages[at].value == *expected) {
        change_to(object, size, desired, order);
        return true;
    }
    *expected = location->messages[at].value;
    memory_read(thread, place, at, failure == memory_order_acquire);
    return false;
}

void model_fence(int order) {
    step();
    struct knowledge *own = &memory.threads[world.current];
    if (order == memory_order_acquire || order == memory_order_acq_rel)
        own->now = own->acquirable;
    if (order == memory_order_release || order == memory_order_acq_rel)
        own->released = own->now;
}

/* The kernel looks at the word itself. */
void lock_sleep(unsigned *word, unsigned value) {
    step();
    if (*word != value)
        return;
    world.threads[world.current].asleep_on = word;
    pause_thread(ASLEEP);
}
void lock_wake(unsigned *word, int count) {
    step();
    while (count--) {
        int asleep[MEMORY_THREADS], n = 0;
        for (int i = 0; i < n_threads; i++)
            if (world.threads[i].status == ASLEEP && world.threads[i].asleep_on == word)
                asleep[n++] = i;
        if (!n)
            return;
        int woken = asleep[choose(n)];
        world.threads[woken].status = CAN_GO;
        world.threads[woken].asleep_on = NULL;
    }
}
uint32_t lock_random(uint32_t *state) {
    (void)state;
    return (uint32_t)choose(2);
}

/* --- the threads ------------------------------------------------------------------------------------------------ */

static void section(bool writes) {
    int *inside = writes ? &world.writers_inside : &world.readers_inside;
    step();
    if (world.writers_inside || (writes && world.readers_inside))
        wrong = "exclusion: two are in the section";
    ++*inside;
    if (weak && !memory_section(world.current, writes) && !wrong)
        wrong = "stale: one in the section need not see what the one before did there";
    step();
    --*inside;
}

static void live(void) {
    int index = world.current;
    for (int i = 0; i < n_sections; i++) {
#ifdef HAS_READERS
        if (index < n_readers) {
            JOIN(LOCK, _read_acquire)(&arena.lock, &arena.self[index]);
            section(false);
            JOIN(LOCK, _read_release)(&arena.lock, &arena.self[index]);
            continue;
        }
#endif
        world.threads[index].begins = true;
        JOIN(LOCK, _acquire)(&arena.lock, &arena.self[index]);
        served();
        section(true);
        JOIN(LOCK, _release)(&arena.lock, &arena.self[index]);
    }
    /* A finished thread reads nothing more. */
    for (int i = 0; i < MEMORY_LOCATIONS; i++)
        memory.threads[index].now.at[i] = UINT8_MAX;
    pause_thread(DONE);
    abort();
}

static void start_threads(void) {
#ifdef HAS_PLACE
    JOIN(LOCK, _place)(&arena.lock, true);
#endif
    for (int i = 0; i < MEMORY_THREADS; i++) {
        world.threads[i].status = i < n_threads ? CAN_GO : DONE;
        world.threads[i].sp = switch_prepare(stacks[i] + STACK_BYTES, live);
        if (i >= n_threads)
            memset(&memory.threads[i].now, UINT8_MAX, sizeof memory.threads[i].now);
#ifdef HAS_JOIN
        const struct lock_member who = {.index = i,
                                        .members = n_threads,
                                        .domain = i % 2,
                                        .selves = (char *)&arena.self[0],
                                        .stride = sizeof arena.self[0]};
        JOIN(LOCK, _join)(&arena.lock, &arena.self[i], &who);
#endif
    }
    running = true;
}

/* One step of a thread, or one choice within it. Dead data below its stack is cleared, so that it does not distinguish
 * states. */
static void go_on(int thread, int choice) {
    unsigned char *sp = world.threads[thread].sp;
    memset(sp - CLEARED_BYTES, 0, CLEARED_BYTES);
    world.current = thread;
    world.choice = choice;
    world.choices = 0;
    model_switch(&explorer_sp, sp);
}

/* False if there is no such search. */
static bool read_options(int argc, char **argv) {
    for (int option; (option = getopt(argc, argv, "t:n:r:l:w")) != -1;) {
        if (option == 't')
            n_threads = atoi(optarg);
        else if (option == 'n')
            n_sections = atoi(optarg);
        else if (option == 'r')
            n_readers = atoi(optarg);
        else if (option == 'l')
            most_states = (uint32_t)atoi(optarg) * 1000000u;
        else if (option == 'w')
            weak = true;
        else
            return false;
    }
    return n_threads >= 1 && n_threads <= MEMORY_THREADS;
}

#ifdef PB_SPIN
#include "spin_machine.h"
#else
#include "explore.h"
#endif
