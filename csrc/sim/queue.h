/* SPDX-License-Identifier: Apache-2.0
 *
 * What is due next: slots, each due at one time or not at all. Times within 4 us go into a wheel of buckets of about
 * 1 ns, later ones into a tournament tree. Slots due at the same time come in the order of their numbers.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define SIM_NEVER UINT64_MAX
#define QUEUE_SHIFT 10 /* ps of a bucket, log 2 */
#define QUEUE_BUCKETS 4096
#define QUEUE_WORDS (QUEUE_BUCKETS / 64)

struct sim_due_entry {
    uint64_t at;
    int32_t next, before;
    int32_t bucket; /* -1: in the tree, or nowhere */
};

struct sim_queue_of_times {
    struct sim_due_entry *slots;
    int32_t *tree; /* winners; leaves are slots */
    int32_t leaves, first; /* -1: not known */
    uint64_t summary, words[QUEUE_WORDS];
    int32_t buckets[QUEUE_BUCKETS];
};

static inline uint64_t queue_tree_at(const struct sim_queue_of_times *q, int32_t slot) {
    return q->slots[slot].bucket < 0 ? q->slots[slot].at : SIM_NEVER;
}

static inline void queue_tree_update(struct sim_queue_of_times *q, int32_t slot) {
    for (int32_t i = (q->leaves + slot) >> 1; i; i >>= 1) {
        int32_t a = q->tree[2 * i], b = q->tree[2 * i + 1];
        q->tree[i] = queue_tree_at(q, b) < queue_tree_at(q, a) ? b : a;
    }
}

static inline bool queue_before(const struct sim_queue_of_times *q, int32_t a, int32_t b) {
    return q->slots[a].at < q->slots[b].at || (q->slots[a].at == q->slots[b].at && a < b);
}

static inline void queue_take(struct sim_queue_of_times *q, int32_t slot) {
    struct sim_due_entry *entry = &q->slots[slot];
    if (entry->at == SIM_NEVER)
        return;
    if (q->first == slot)
        q->first = -1;
    entry->at = SIM_NEVER;
    int32_t bucket = entry->bucket;
    if (bucket < 0) {
        queue_tree_update(q, slot);
        return;
    }
    entry->bucket = -1;
    if (entry->next >= 0)
        q->slots[entry->next].before = entry->before;
    if (entry->before >= 0) {
        q->slots[entry->before].next = entry->next;
        return;
    }
    q->buckets[bucket] = entry->next;
    if (entry->next < 0 && !(q->words[bucket >> 6] &= ~(UINT64_C(1) << (bucket & 63))))
        q->summary &= ~(UINT64_C(1) << (bucket >> 6));
}

/* `now` is before or at every time in the queue. */
static inline void queue_put(struct sim_queue_of_times *q, int32_t slot, uint64_t at, uint64_t now) {
    queue_take(q, slot);
    if (at == SIM_NEVER)
        return;
    struct sim_due_entry *entry = &q->slots[slot];
    entry->at = at;
    if ((at >> QUEUE_SHIFT) - (now >> QUEUE_SHIFT) >= QUEUE_BUCKETS) {
        queue_tree_update(q, slot);
    } else {
        int32_t bucket = (int32_t)(at >> QUEUE_SHIFT) & (QUEUE_BUCKETS - 1);
        entry->bucket = bucket;
        entry->before = -1;
        entry->next = q->buckets[bucket];
        if (entry->next >= 0)
            q->slots[entry->next].before = slot;
        q->buckets[bucket] = slot;
        q->words[bucket >> 6] |= UINT64_C(1) << (bucket & 63);
        q->summary |= UINT64_C(1) << (bucket >> 6);
    }
    if (q->first >= 0 && queue_before(q, slot, q->first))
        q->first = slot;
}

/* The first bucket from that of `now` on, round the wheel. */
static inline int32_t queue_bucket(const struct sim_queue_of_times *q, uint64_t now) {
    int32_t from = (int32_t)(now >> QUEUE_SHIFT) & (QUEUE_BUCKETS - 1), word = from >> 6;
    uint64_t here = q->words[word] & (UINT64_MAX << (from & 63));
    if (here)
        return word * 64 + __builtin_ctzll(here);
    uint64_t later = word == 63 ? 0 : q->summary & (UINT64_MAX << (word + 1));
    if (!later)
        later = q->summary; /* round */
    word = __builtin_ctzll(later);
    return word * 64 + __builtin_ctzll(q->words[word]);
}

/* The slot that is due next; its time is SIM_NEVER if none is. */
static inline int32_t queue_first(struct sim_queue_of_times *q, uint64_t now) {
    if (q->first >= 0)
        return q->first;
    int32_t best = q->tree[1];
    if (queue_tree_at(q, best) == SIM_NEVER && !q->summary)
        return best; /* nothing at all: at SIM_NEVER, or in no bucket either */
    if (q->summary) {
        int32_t first = q->buckets[queue_bucket(q, now)];
        for (int32_t i = q->slots[first].next; i >= 0; i = q->slots[i].next)
            if (queue_before(q, i, first))
                first = i;
        if (queue_tree_at(q, best) == SIM_NEVER || queue_before(q, first, best))
            best = first;
    }
    return q->first = best;
}
