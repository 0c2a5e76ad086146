/* SPDX-License-Identifier: Apache-2.0
 *
 * A queue of due times: slots, each due at one time or not at all. Times within 4 us go into a wheel of buckets of
 * about 1 ns, later ones into a tournament tree. Slots due at the same time come in the order of their numbers.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define SIM_NEVER UINT64_MAX
#define TIME_SHIFT 10 /* log2 of the ps per bucket */
#define TIME_BUCKETS 4096
#define TIME_WORDS (TIME_BUCKETS / 64)

struct time_slot {
    uint64_t at;
    int32_t next, previous;
    int32_t bucket; /* -1: in the tree, or nowhere */
};

struct time_queue {
    struct time_slot *slots;
    int32_t *tree;         /* winners; leaves are slots */
    int32_t leaves, first; /* first -1: unknown */
    uint64_t summary, words[TIME_WORDS];
    int32_t buckets[TIME_BUCKETS];
};

static inline uint64_t time_tree_at(const struct time_queue *q, int32_t slot) {
    return q->slots[slot].bucket < 0 ? q->slots[slot].at : SIM_NEVER;
}

static inline void time_tree_update(struct time_queue *q, int32_t slot) {
    for (int32_t i = (q->leaves + slot) >> 1; i; i >>= 1) {
        int32_t a = q->tree[2 * i], b = q->tree[2 * i + 1];
        q->tree[i] = time_tree_at(q, b) < time_tree_at(q, a) ? b : a;
    }
}

static inline bool time_precedes(const struct time_queue *q, int32_t a, int32_t b) {
    return q->slots[a].at < q->slots[b].at || (q->slots[a].at == q->slots[b].at && a < b);
}

static inline void time_cancel(struct time_queue *q, int32_t slot) {
    struct time_slot *entry = &q->slots[slot];
    if (entry->at == SIM_NEVER)
        return;
    if (q->first == slot)
        q->first = -1;
    entry->at = SIM_NEVER;
    int32_t bucket = entry->bucket;
    if (bucket < 0) {
        time_tree_update(q, slot);
        return;
    }
    entry->bucket = -1;
    if (entry->next >= 0)
        q->slots[entry->next].previous = entry->previous;
    if (entry->previous >= 0) {
        q->slots[entry->previous].next = entry->next;
        return;
    }
    q->buckets[bucket] = entry->next;
    if (entry->next < 0 && !(q->words[bucket >> 6] &= ~(UINT64_C(1) << (bucket & 63))))
        q->summary &= ~(UINT64_C(1) << (bucket >> 6));
}

/* `now` is at or before every time in the queue. */
static inline void time_schedule(struct time_queue *q, int32_t slot, uint64_t at, uint64_t now) {
    time_cancel(q, slot);
    if (at == SIM_NEVER)
        return;
    struct time_slot *entry = &q->slots[slot];
    entry->at = at;
    if ((at >> TIME_SHIFT) - (now >> TIME_SHIFT) >= TIME_BUCKETS) {
        time_tree_update(q, slot);
    } else {
        int32_t bucket = (int32_t)(at >> TIME_SHIFT) & (TIME_BUCKETS - 1);
        entry->bucket = bucket;
        entry->previous = -1;
        entry->next = q->buckets[bucket];
        if (entry->next >= 0)
            q->slots[entry->next].previous = slot;
        q->buckets[bucket] = slot;
        q->words[bucket >> 6] |= UINT64_C(1) << (bucket & 63);
        q->summary |= UINT64_C(1) << (bucket >> 6);
    }
    if (q->first >= 0 && time_precedes(q, slot, q->first))
        q->first = slot;
}

/* Return the first used bucket from that of `now` on, around the wheel. */
static inline int32_t time_bucket(const struct time_queue *q, uint64_t now) {
    int32_t from = (int32_t)(now >> TIME_SHIFT) & (TIME_BUCKETS - 1), word = from >> 6;
    uint64_t here = q->words[word] & (UINT64_MAX << (from & 63));
    if (here)
        return word * 64 + __builtin_ctzll(here);
    uint64_t later = word == 63 ? 0 : q->summary & (UINT64_MAX << (word + 1));
    if (!later)
        later = q->summary; /* around */
    word = __builtin_ctzll(later);
    return word * 64 + __builtin_ctzll(q->words[word]);
}

/* Return the slot that is due next; its time is SIM_NEVER if none is. */
static inline int32_t time_first(struct time_queue *q, uint64_t now) {
    if (q->first >= 0)
        return q->first;
    int32_t best = q->tree[1];
    if (time_tree_at(q, best) == SIM_NEVER && !q->summary)
        return best; /* nothing is due */
    if (q->summary) {
        int32_t first = q->buckets[time_bucket(q, now)];
        for (int32_t i = q->slots[first].next; i >= 0; i = q->slots[i].next)
            if (time_precedes(q, i, first))
                first = i;
        if (time_tree_at(q, best) == SIM_NEVER || time_precedes(q, first, best))
            best = first;
    }
    return q->first = best;
}
