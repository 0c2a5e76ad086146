/* SPDX-License-Identifier: Apache-2.0
 *
 * The search left to Spin: the threads of model.c, which includes this, a step at a time as lock.pml asks for it.
 */
#pragma once
#include <unistd.h>

#include "spin.h"

_Static_assert(SPIN_THREADS == MEMORY_THREADS, "Spin has a number for each thread's stack");

struct spin_state spin;

/* --- parts of states by number: exact, so that nothing is lost to a hash -------------------------------------------
 */

static struct part {
    unsigned char *bytes;
    size_t size;
    uint64_t hash;
} *parts;
static uint32_t n_parts, parts_room, *part_table;
static size_t part_table_size;

static uint64_t part_hash(const unsigned char *bytes, size_t size) {
    uint64_t h = size, word;
    for (; size >= 8; bytes += 8, size -= 8) {
        memcpy(&word, bytes, 8);
        h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 29;
    }
    for (; size; size--)
        h = (h ^ *bytes++) * UINT64_C(0x100000001b3);
    return h ^ h >> 32;
}
static void *part_grown(void *memory_of, size_t bytes) {
    void *more = realloc(memory_of, bytes);
    if (!more)
        model_give_up("there is not enough memory");
    return more;
}
static void part_put(uint32_t number) {
    size_t at = parts[number].hash & (part_table_size - 1);
    while (part_table[at])
        at = (at + 1) & (part_table_size - 1);
    part_table[at] = number + 1;
}
static uint32_t part_number(const void *bytes, size_t size) {
    if (n_parts * 2u >= part_table_size) {
        part_table_size = part_table_size ? part_table_size * 2 : 1 << 16;
        free(part_table);
        part_table = part_grown(NULL, part_table_size * sizeof *part_table);
        memset(part_table, 0, part_table_size * sizeof *part_table);
        for (uint32_t i = 0; i < n_parts; i++)
            part_put(i);
    }
    uint64_t hash = part_hash(bytes, size);
    for (size_t at = hash & (part_table_size - 1); part_table[at]; at = (at + 1) & (part_table_size - 1)) {
        const struct part *part = &parts[part_table[at] - 1];
        if (part->hash == hash && part->size == size && !memcmp(part->bytes, bytes, size))
            return part_table[at] - 1;
    }
    if (n_parts == parts_room) {
        parts_room = parts_room ? parts_room * 2 : 1 << 12;
        parts = part_grown(parts, parts_room * sizeof *parts);
    }
    parts[n_parts] = (struct part){part_grown(NULL, size + 1), size, hash};
    memcpy(parts[n_parts].bytes, bytes, size);
    part_put(n_parts);
    return n_parts++;
}
static void part_get(void *to, uint32_t number) { memcpy(to, parts[number].bytes, parts[number].size); }

/* --- states --------------------------------------------------------------------------------------------------------
 */

static uint32_t memory_number(void) {
    static unsigned char bytes[sizeof memory + sizeof(uint32_t)];
    unsigned char *to = bytes;
    memcpy(to, memory.threads, sizeof memory.threads);
    to += sizeof memory.threads;
    for (int i = 0; i < MEMORY_LOCATIONS; i++) {
        const struct location *location = &memory.locations[i];
        memcpy(to, &location->count, sizeof location->count);
        to += sizeof location->count;
        memcpy(to, location->messages, location->count * sizeof location->messages[0]);
        to += location->count * sizeof location->messages[0];
    }
    return part_number(bytes, (size_t)(to - bytes));
}
static void memory_get(uint32_t number) {
    const unsigned char *from = parts[number].bytes;
    memcpy(memory.threads, from, sizeof memory.threads);
    from += sizeof memory.threads;
    for (int i = 0; i < MEMORY_LOCATIONS; i++) {
        struct location *location = &memory.locations[i];
        memcpy(&location->count, from, sizeof location->count);
        from += sizeof location->count;
        memcpy(location->messages, from, location->count * sizeof location->messages[0]);
        from += location->count * sizeof location->messages[0];
    }
}
static void keep(void) {
    /* Fields that do not distinguish states. */
    spin.choices = (uint8_t)world.choices;
    world.choice = 0;
    if (!world.choices)
        world.current = 0;
    spin.wrong = wrong != NULL;
    spin.world = part_number(&world, sizeof world);
    spin.arena = part_number(&arena, sizeof arena);
    spin.memory = weak ? memory_number() : 0;
    for (int i = 0; i < n_threads; i++) {
        const unsigned char *sp = world.threads[i].sp;
        spin.stacks[i] = part_number(sp, (size_t)(stacks[i] + STACK_BYTES - sp));
        spin.ready[i] = world.threads[i].status == CAN_GO;
        spin.done[i] = world.threads[i].status == DONE;
    }
}

void spin_begin(void) {
    if (spin.threads) /* Spin's search went back to the beginning */
        return;
    start_threads();
    spin.threads = (uint8_t)n_threads;
    keep();
}
void spin_step(int thread, int choice) {
    part_get(&world, spin.world);
    part_get(&arena, spin.arena);
    for (int i = 0; i < n_threads; i++)
        part_get(world.threads[i].sp, spin.stacks[i]);
    if (weak)
        memory_get(spin.memory);
    go_on(thread, choice);
    if (world.choices > SPIN_MOST_CHOICES)
        model_give_up("there are too many choices at once");
    keep();
}

/* --- Spin's own main(), from the same options -----------------------------------------------------------------------
 */

int spin_main(int argc, char **argv);

static int answer; /* what was standard output: Spin's own report goes to a file, for one line of it is of interest */
static clock_t began;

/* The verifier that Spin made calls this at its end. */
void spin_exit(unsigned long errors, double states) {
    static char report[65536];
    fflush(stdout);
    ssize_t length = pread(STDOUT_FILENO, report, sizeof report - 1, 0);
    report[length < 0 ? 0 : length] = 0;
    if (errors) {
        const char *what = wrong;
        if (!what && strstr(report, ": invalid end state"))
            what = "asleep: no thread is left to wake them";
        else if (!what && strstr(report, ": acceptance cycle"))
            what = "endless: one waits for ever though all go on";
        dprintf(answer, TEXT(LOCK) ": %s (%s, %d threads, %d sections", what ? what : report,
                weak ? "weak" : "interleaving", n_threads, n_sections);
        dprintf(answer, n_readers ? ", %d readers)\n" : ")\n", n_readers);
        _exit(1);
    }
    if (strstr(report, "not completed") || strstr(report, "too small") || strstr(report, "MEMLIM"))
        model_give_up("Spin did not come to the end");
    dprintf(answer, "%.0f states, %u parts, %.1f s\n", states, n_parts, (double)(clock() - began) / CLOCKS_PER_SEC);
    _exit(0);
}

int main(int argc, char **argv) {
    char *flags[] = {argv[0], (char[]){"-m200000"}, (char[]){"-w16"}, (char[]){"-a"}, (char[]){"-f"}, NULL};
    FILE *report = tmpfile();
    if (!read_options(argc, argv) || !report)
        return 2;
    answer = dup(STDOUT_FILENO);
    dup2(fileno(report), STDOUT_FILENO);
    began = clock();
    return spin_main(spin_claim ? 5 : 3, flags);
}
