/* SPDX-License-Identifier: Apache-2.0
 *
 * The search: depth first through all states of model.c, which includes this; then back from the end.
 */
#pragma once

/* --- a state as bytes: everything that decides what can come ------------------------------------------------------ */

#define MOST_BYTES (sizeof world + sizeof arena + sizeof memory + sizeof stacks + 64)
static unsigned char image[MOST_BYTES];

static unsigned char *put_bytes(unsigned char *to, const void *from, size_t bytes) {
    memcpy(to, from, bytes);
    return to + bytes;
}
static const unsigned char *get_bytes(void *to, const unsigned char *from, size_t bytes) {
    memcpy(to, from, bytes);
    return from + bytes;
}
static size_t save(void) {
    unsigned char *to = put_bytes(put_bytes(image, &world, sizeof world), &arena, sizeof arena);
    for (int i = 0; i < n_threads; i++) {
        unsigned char *sp = world.threads[i].sp;
        to = put_bytes(to, sp, (size_t)(stacks[i] + STACK_BYTES - sp));
    }
    if (weak) {
        to = put_bytes(to, memory.threads, sizeof memory.threads);
        for (int i = 0; i < MEMORY_LOCATIONS; i++) {
            const struct location *location = &memory.locations[i];
            to = put_bytes(to, &location->count, sizeof location->count);
            to = put_bytes(to, location->messages, location->count * sizeof location->messages[0]);
        }
    }
    return (size_t)(to - image);
}
static void restore(const unsigned char *from) {
    from = get_bytes(&arena, get_bytes(&world, from, sizeof world), sizeof arena);
    for (int i = 0; i < n_threads; i++) {
        unsigned char *sp = world.threads[i].sp;
        from = get_bytes(sp, from, (size_t)(stacks[i] + STACK_BYTES - sp));
    }
    if (weak) {
        from = get_bytes(memory.threads, from, sizeof memory.threads);
        for (int i = 0; i < MEMORY_LOCATIONS; i++) {
            struct location *location = &memory.locations[i];
            from = get_bytes(&location->count, from, sizeof location->count);
            from = get_bytes(location->messages, from, location->count * sizeof location->messages[0]);
        }
    }
}

static uint64_t hash(const unsigned char *bytes, size_t count) {
    uint64_t h = count, word;
    for (; count >= 8; bytes += 8, count -= 8) {
        memcpy(&word, bytes, 8);
        h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 29;
    }
    for (; count; count--)
        h = (h ^ *bytes++) * UINT64_C(0x100000001b3);
    h = (h ^ h >> 32) * UINT64_C(0xd6e8feb86659fd93);
    h ^= h >> 32;
    return h ? h : 1;
}

/* --- the states seen, by their hashes, and the steps between them ------------------------------------------------- */

static struct slot {
    uint64_t hash;
    uint32_t state;
} *table;
static size_t table_size;
static uint32_t n_states;
static struct edge {
    uint32_t from, to;
} *edges;
static size_t n_edges, edges_room;
static uint32_t *ends, n_ends;

static void *grown(void *memory_of, size_t bytes) {
    void *more = realloc(memory_of, bytes);
    if (!more)
        model_give_up("there is not enough memory");
    return more;
}

/* The number of the state, and whether it is new. */
static uint32_t enter(uint64_t value, bool *fresh) {
    if (n_states * 2u >= table_size) {
        size_t old_size = table_size;
        struct slot *old = table;
        table_size = table_size ? table_size * 2 : 1 << 16;
        table = calloc(table_size, sizeof *table);
        if (!table)
            model_give_up("there is not enough memory");
        for (size_t i = 0; i < old_size; i++)
            if (old[i].hash) {
                size_t at = old[i].hash & (table_size - 1);
                while (table[at].hash)
                    at = (at + 1) & (table_size - 1);
                table[at] = old[i];
            }
        free(old);
    }
    size_t at = value & (table_size - 1);
    while (table[at].hash && table[at].hash != value)
        at = (at + 1) & (table_size - 1);
    *fresh = !table[at].hash;
    if (*fresh) {
        if (n_states == most_states)
            model_give_up("there are too many states");
        table[at] = (struct slot){value, n_states++};
    }
    return table[at].state;
}
static void add_edge(uint32_t from, uint32_t to) {
    if (n_edges == edges_room) {
        edges_room = edges_room ? edges_room * 2 : 1 << 16;
        edges = grown(edges, edges_room * sizeof *edges);
    }
    edges[n_edges++] = (struct edge){from, to};
}

/* --- the search ----------------------------------------------------------------------------------------------------
 */

static struct frame {
    unsigned char *image;
    uint32_t state;
    int chooser; /* the thread that alone goes on, by one of its choices; -1: any */
    int next, last;
    char taken; /* for the account of what went wrong */
} *path;
static size_t depth, path_room;

static void push(uint32_t state, size_t bytes) {
    if (depth == path_room) {
        path_room = path_room ? path_room * 2 : 1024;
        path = grown(path, path_room * sizeof *path);
    }
    struct frame *frame = &path[depth++];
    *frame = (struct frame){.image = grown(NULL, bytes), .state = state, .chooser = -1, .last = n_threads};
    memcpy(frame->image, image, bytes);
    bool done = true;
    for (int i = 0; i < n_threads; i++) {
        done &= world.threads[i].status == DONE;
        if (world.threads[i].status == CHOOSES)
            frame->chooser = i, frame->last = world.choices;
    }
    if (done) {
        ends = grown(ends, (n_ends + 1) * sizeof *ends);
        ends[n_ends++] = state;
    }
}

/* Take the frame's next step, if it is one; the world is then in the state behind it. */
static bool take_step(struct frame *frame) {
    int turn = frame->next++;
    restore(frame->image);
    int thread = frame->chooser >= 0 ? frame->chooser : turn;
    if (frame->chooser < 0 && world.threads[thread].status != CAN_GO)
        return false;
    frame->taken = (char)((frame->chooser < 0 ? '0' : 'a') + turn);
    go_on(thread, frame->chooser < 0 ? 0 : turn);
    /* Fields that do not distinguish states. */
    world.current = world.choice = 0;
    return true;
}

static int tell(const char *what) {
    printf(TEXT(LOCK) ": %s (%s, %d threads, %d sections", what, weak ? "weak" : "interleaving", n_threads, n_sections);
    if (n_readers)
        printf(", %d readers", n_readers);
    printf(")\n  by the steps ");
    for (size_t i = 0; i < depth && i < 120; i++)
        putchar(path[i].taken);
    printf("%s\n", depth > 120 ? "..." : "");
    return 1;
}

static int search(void) {
    bool fresh;
    size_t bytes = save();
    push(enter(hash(image, bytes), &fresh), bytes);
    while (depth) {
        struct frame *frame = &path[depth - 1];
        if (frame->next == frame->last) {
            free(frame->image);
            depth--;
            continue;
        }
        if (!take_step(frame))
            continue;
        if (wrong)
            return tell(wrong);
        bytes = save();
        uint32_t from = frame->state, state = enter(hash(image, bytes), &fresh);
        add_edge(from, state);
        if (fresh)
            push(state, bytes);
    }
    return 0;
}

/* How many states there are from which the end cannot be reached. */
static uint32_t count_stuck(void) {
    uint32_t *first = grown(NULL, (n_states + 1) * sizeof *first), *froms = grown(NULL, n_edges * sizeof *froms + 1);
    uint32_t *queue = grown(NULL, n_states * sizeof *queue + 1), queued = 0;
    bool *reaches = calloc(n_states, 1);
    memset(first, 0, (n_states + 1) * sizeof *first);
    for (size_t i = 0; i < n_edges; i++)
        first[edges[i].to]++;
    for (uint32_t i = 1; i <= n_states; i++)
        first[i] += first[i - 1];
    for (size_t i = 0; i < n_edges; i++)
        froms[--first[edges[i].to]] = edges[i].from;
    for (uint32_t i = 0; i < n_ends; i++)
        reaches[queue[queued++] = ends[i]] = true;
    for (uint32_t i = 0; i < queued; i++)
        for (uint32_t k = first[queue[i]]; k < first[queue[i] + 1]; k++)
            if (!reaches[froms[k]])
                reaches[queue[queued++] = froms[k]] = true;
    return n_states - queued;
}

int main(int argc, char **argv) {
    if (!read_options(argc, argv))
        return 2;
    clock_t begin = clock();
    start_threads();
    if (search())
        return 1;
    uint32_t stuck = count_stuck();
    if (stuck) {
        char words[100];
        snprintf(words, sizeof words, "stuck: from %u of %u states the end cannot be reached", stuck, n_states);
        return tell(words);
    }
    printf("%u states, %zu steps, %.1f s\n", n_states, n_edges, (double)(clock() - begin) / CLOCKS_PER_SEC);
    return 0;
}
