/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory that the model's threads share, in one of two models.
 *
 * Interleaving (weak = false): an operation takes effect at once, for all.
 *
 * Weak (weak = true): C11's relaxed, acquire and release, as messages and views (after Kang, Hur, Lahav, Vafeiadis,
 * Dreyer, "A Promising Semantics for Relaxed-Memory Concurrency", POPL 2017, without promises). Each location keeps
 * what was written to it, in order. A load may take any message that its thread does not know to be old; a release
 * leaves what its thread knows in the message, an acquire takes it over; a read-modify-write takes the last one and
 * passes on what it carried. Not modelled: a load that is done after a later store of its thread (load buffering), and
 * a write that is ordered before one that was made earlier. A store of a byte is taken as one of its word.
 */
#pragma once
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#define MEMORY_THREADS 4
#define MEMORY_LOCATIONS 32 /* of which the first guard the section: what writers wrote, what each reader read */
#define MEMORY_MESSAGES 24
#define MEMORY_GUARD 0
#define MEMORY_READ_BY(thread) (1 + (thread))
#define MEMORY_FIRST_FREE (1 + MEMORY_THREADS)

struct view {
    uint8_t at[MEMORY_LOCATIONS]; /* the oldest message that may still be read, by its place in the location */
};
struct message {
    uintptr_t value;
    struct view view;
};
struct location {
    uint32_t count; /* 0: not touched yet, the value stands in the object */
    struct message messages[MEMORY_MESSAGES];
};
struct knowledge {
    struct view now, acquirable, released;
};
struct memory {
    struct knowledge threads[MEMORY_THREADS];
    struct location locations[MEMORY_LOCATIONS];
};
extern struct memory memory;
void model_give_up(const char *why) __attribute__((noreturn));

static inline void view_join(struct view *view, const struct view *other) {
    for (int i = 0; i < MEMORY_LOCATIONS; i++)
        if (view->at[i] < other->at[i])
            view->at[i] = other->at[i];
}

/* Drop messages that no thread can read any more, and count the rest from 0. */
static inline void memory_forget(int place) {
    struct location *location = &memory.locations[place];
    uint8_t oldest = UINT8_MAX;
    for (int i = 0; i < MEMORY_THREADS; i++)
        if (memory.threads[i].now.at[place] < oldest)
            oldest = memory.threads[i].now.at[place];
    if (!oldest || !location->count)
        return;
    if (oldest >= location->count)
        oldest = (uint8_t)(location->count - 1);
    location->count -= oldest;
    memmove(location->messages, location->messages + oldest, location->count * sizeof location->messages[0]);
#define LOWER(view)                                                                                                    \
    ((view).at[place] = (uint8_t)((view).at[place] == UINT8_MAX ? UINT8_MAX /* an ended thread */                      \
                                  : (view).at[place] > oldest   ? (view).at[place] - oldest                            \
                                                                : 0))
    for (int i = 0; i < MEMORY_THREADS; i++) {
        LOWER(memory.threads[i].now);
        LOWER(memory.threads[i].acquirable);
        LOWER(memory.threads[i].released);
    }
    for (int i = 0; i < MEMORY_LOCATIONS; i++)
        for (uint32_t k = 0; k < memory.locations[i].count; k++)
            LOWER(memory.locations[i].messages[k].view);
#undef LOWER
}

/* The thread has read message `at`. */
static inline void memory_read(int thread, int place, uint32_t at, bool acquire) {
    struct knowledge *own = &memory.threads[thread];
    const struct message *message = &memory.locations[place].messages[at];
    if (own->now.at[place] < at)
        own->now.at[place] = (uint8_t)at;
    view_join(&own->acquirable, &message->view);
    if (acquire)
        view_join(&own->now, &message->view);
    view_join(&own->acquirable, &own->now);
    memory_forget(place);
}

/* The thread writes; `carried` is the view of the message that a read-modify-write took, else NULL. */
static inline void memory_write(int thread, int place, uintptr_t value, bool release, const struct view *carried) {
    struct knowledge *own = &memory.threads[thread];
    struct location *location = &memory.locations[place];
    struct message message = {.value = value, .view = release ? own->now : own->released};
    const struct message *last = &location->messages[location->count - 1];
    if (carried)
        view_join(&message.view, carried);
    message.view.at[place] = last->view.at[place];
    /* A repeated message adds nothing: so a thread that tries for ever does not grow the memory. */
    if (!(carried && last->value == value && !memcmp(&last->view, &message.view, sizeof message.view))) {
        if (location->count == MEMORY_MESSAGES)
            model_give_up("a location has too many messages");
        message.view.at[place] = (uint8_t)location->count;
        location->messages[location->count++] = message;
    }
    own->now.at[place] = (uint8_t)(location->count - 1);
    view_join(&own->acquirable, &own->now);
    memory_forget(place);
}

static inline void memory_start(struct location *location, uintptr_t value) {
    if (location->count)
        return;
    location->count = 1;
    location->messages[0] = (struct message){.value = value};
}

/* Plain access to what the lock guards: false if it races with one that did not happen before. */
static inline bool memory_knows_last(int thread, int place) {
    const struct location *location = &memory.locations[place];
    return !location->count || memory.threads[thread].now.at[place] == location->count - 1;
}
static inline bool memory_section(int thread, bool writes) {
    bool ordered = memory_knows_last(thread, MEMORY_GUARD);
    for (int i = 0; writes && i < MEMORY_THREADS; i++)
        ordered &= memory_knows_last(thread, MEMORY_READ_BY(i));
    int place = writes ? MEMORY_GUARD : MEMORY_READ_BY(thread);
    memory_start(&memory.locations[place], 0);
    memory_write(thread, place, 0, false, NULL);
    return ordered;
}
