/* SPDX-License-Identifier: Apache-2.0
 *
 * Inline fast paths of the simulated memory: loads, stores and atomics that hit, and time. Each returns true if the
 * thread goes on at once, false if it waits.
 */
#pragma once
#include "core/histogram.h"
#include "sim/sim.h"
#include "timing/random.h"
#include "timing/work.h"

#define SIM_PREDICTED_POLLS 64 /* a spin loop's end within this many iterations is predicted */
#define SIM_OVERLAP_PS 20000   /* how far a core runs ahead of an instruction that waits */
#define SIM_ISOLATED_PS 10000  /* an atomic within this time after a wait overlaps nothing */

/* ---- time ---- */

static inline uint64_t sim_next_due(const struct sim *m) { return m->queue->slots[time_first(m->queue, m->now)].at; }
static inline uint64_t sim_due_at(const struct sim *m, int32_t slot) { return m->queue->slots[slot].at; }
static inline void sim_due(struct sim *m, int32_t slot, uint64_t at) { time_schedule(m->queue, slot, at, m->now); }

static inline uint64_t sim_rand(struct sim *m) { return pb_random(&m->rng); }
/* Map random bits to a share from 0 to below 1. */
static inline double sim_share(uint64_t random) { return (double)(random >> 11) * 0x1p-53; }
/* Draws only where the outcome is open. */
static inline bool sim_chance(struct sim *m, double chance) {
    return chance >= 1.0 || (chance > 0.0 && sim_share(sim_rand(m)) < chance);
}
/* Return a random number from 0 to below `limit`. */
static inline uint64_t sim_below(struct sim *m, uint64_t limit) {
    return (uint64_t)(((pb_uint128)sim_rand(m) * limit) >> 64);
}
static inline uint64_t sim_ps(double ns) { return (uint64_t)(ns * SIM_PS + 0.5); }

/* Work within a CPU takes longer while its SMT sibling is at work. */
static inline uint64_t sim_slowed(const struct sim *m, const struct sim_thread *t, uint64_t ps) {
    return m->cores[t->core].active > 1 ? (uint64_t)((double)ps * m->slower) : ps;
}
/* Go on at `at`: at once if nothing else is due before. */
static inline bool sim_until(struct sim *m, struct sim_thread *t, uint64_t at) {
    if (at < m->limit && at <= sim_next_due(m)) {
        m->now = at;
        return true;
    }
    t->state = SIM_RUNS;
    sim_due(m, t->index, at);
    m->facts.scheduled++;
    return false;
}
static inline bool sim_compute(struct sim *m, struct sim_thread *t, uint64_t ps) {
    return sim_until(m, t, m->now + sim_slowed(m, t, ps));
}
/* One iteration of a spin loop that found nothing. */
static inline bool sim_spin_once(struct sim *m, struct sim_thread *t) {
    t->spun = true;
    t->polls++;
    return sim_compute(m, t, m->pause);
}
/* Leave a spin loop: a mispredicted branch, unless the wait was as long as the one before. */
static inline bool sim_leave_loop(struct sim *m, struct sim_thread *t) {
    if (!t->spun)
        return true;
    t->spun = false;
    return t->polls == t->past_polls[0] || sim_compute(m, t, m->mispredict);
}

/* Return the thread that an agent belongs to. */
static inline const struct sim_thread *sim_thread_of(const struct sim *m, int32_t agent) {
    return &m->threads[agent < m->n_threads ? agent : (agent - m->n_threads) / SIM_AGENTS];
}

/* ---- copies ---- */

static inline bool sim_has_copy(const uint64_t *set, int32_t core) { return set[core >> 6] >> (core & 63) & 1; }

/* A copy of a line in transit is readable until the invalidation arrives. */
static inline bool sim_readable(const struct sim *m, const struct sim_line *line, int32_t core) {
    if (!sim_has_copy(line->copies, core))
        return false;
    return !line->transit || !line->transit_exclusive || m->now < line->lost_at;
}
static inline bool sim_writable(const struct sim *m, const struct sim_line *line, int32_t core) {
    return line->owner == core && !line->shared && (!line->transit || m->now < line->lost_at);
}
/* An atomic needs the line exclusively in the second half of its time, and then keeps it to its end. */
static inline bool sim_lockable(const struct sim *m, const struct sim_line *line, int32_t core) {
    return line->owner == core && !line->shared && (!line->transit || m->now + m->atomic / 2 < line->lost_at);
}
/* Stores right behind the atomic are done before the line leaves. */
static inline void sim_lock_line(struct sim *m, struct sim_line *line, uint64_t end) {
    line->locked_until = end + 2 * m->local;
    if (line->transit && line->lost_at < line->locked_until)
        line->lost_at = line->locked_until;
}
/* Return the extra time of a hit on what the SMT sibling wrote into their shared cache, ps. */
static inline uint64_t sim_sibling_ps(struct sim *m, struct sim_line *line, const struct sim_thread *t) {
    if (line->writer == t->cpu || line->sibling_saw || line->owner != t->core)
        return 0;
    line->sibling_saw = true;
    return sim_transfer_ps(m, t->core, t->core);
}
static inline void sim_set(struct sim *m, const struct sim_thread *t, int32_t word, int64_t value) {
    struct sim_line *line = &m->lines[word / SIM_LINE_WORDS];
    m->value[word] = value;
    if (!line->modified && line->transit && !line->transit_exclusive && !line->shared)
        sim_read_takes(m, line);
    line->modified = true;
    line->writer = t->cpu;
    line->sibling_saw = false;
    if (line->watchers >= 0)
        sim_wake_siblings(m, line, t->cpu);
}
/* Return the word as this thread sees it: its own stores in flight come first. */
static inline int64_t sim_value(const struct sim *m, const struct sim_thread *t, int32_t word) {
    for (uint32_t i = t->stores_left; i; i--) {
        const struct sim_store *store = &t->stores[(t->first_store + i - 1) % SIM_STORE_BUFFER];
        if (store->word == word)
            return store->value;
    }
    return m->value[word];
}

/* ---- loads ---- */

static inline bool sim_hit(struct sim *m, struct sim_thread *t, struct sim_line *line) {
    uint64_t took = sim_slowed(m, t, m->local) + sim_sibling_ps(m, line, t);
    t->hidden += took;
    return sim_until(m, t, m->now + took);
}
static inline bool sim_load(struct sim *m, struct sim_thread *t, int32_t word) {
    struct sim_line *line = &m->lines[word / SIM_LINE_WORDS];
    m->facts.events++;
    if (sim_readable(m, line, t->core))
        return sim_hit(m, t, line);
    if (t->acquires)
        sim_speculate(m, t, word / SIM_LINE_WORDS);
    return sim_miss(m, t, word / SIM_LINE_WORDS, false, 0);
}
/* Load a word of the acquire again behind the section. An out-of-order core did that before the line could be lost,
 * unless a reading of the clock or long work lies between. */
static inline bool sim_load_again(struct sim *m, struct sim_thread *t, int32_t word) {
    if (t->timed || !m->short_section)
        return sim_load(m, t, word);
    m->facts.events++;
    return sim_hit(m, t, &m->lines[word / SIM_LINE_WORDS]);
}
/* Return how long ago a request left that does not depend on the miss right before it, ps: together with that one, if
 * it was predicted that it would be needed. */
static inline uint64_t sim_head_start(const struct sim *m, const struct sim_thread *t) {
    bool predicted = !t->fenced && t->polls <= SIM_PREDICTED_POLLS && m->now <= t->missed_until + SIM_OVERLAP_PS;
    return predicted ? t->missed_ps : 0;
}
/* Load a word whose address is known before the preceding miss ends: the two overlap. */
static inline bool sim_load_overlapping(struct sim *m, struct sim_thread *t, int32_t word) {
    struct sim_line *line = &m->lines[word / SIM_LINE_WORDS];
    m->facts.events++;
    if (sim_readable(m, line, t->core))
        return sim_hit(m, t, line);
    return sim_miss(m, t, word / SIM_LINE_WORDS, false, sim_head_start(m, t));
}
/* Load a word with a store to its line right behind: the line is requested as for the store. */
static inline bool sim_load_to_store(struct sim *m, struct sim_thread *t, int32_t word) {
    struct sim_line *line = &m->lines[word / SIM_LINE_WORDS];
    m->facts.events++;
    if (sim_writable(m, line, t->core))
        return sim_hit(m, t, line);
    return sim_miss(m, t, word / SIM_LINE_WORDS, true, 0);
}

/* ---- atomics and stores ---- */

static inline uint64_t sim_atomic_ps(struct sim *m, struct sim_thread *t) {
    uint64_t took = m->atomic + (t->stored ? m->drain : 0);
    t->stored = false;
    return took;
}
/* An atomic that overlaps others takes half of its time alone. */
static inline uint64_t sim_isolated_ps(const struct sim *m, uint64_t atomic) {
    return atomic + (uint64_t)((double)atomic * m->overlap);
}
/* Do an atomic behind the stores in flight; at its end the caller reads and writes the word at once. Hits since the
 * previous atomic overlap it. */
static inline bool sim_rmw(struct sim *m, struct sim_thread *t, int32_t word) {
    struct sim_line *line = &m->lines[word / SIM_LINE_WORDS];
    m->facts.events++;
    t->fenced = !sim_chance(m, m->overlap);
    if (t->acquires && !sim_lockable(m, line, t->core))
        sim_speculate(m, t, word / SIM_LINE_WORDS);
    if (t->stores_left || !sim_lockable(m, line, t->core))
        return sim_rmw_slow(m, t, word / SIM_LINE_WORDS);
    uint64_t took = sim_slowed(m, t, sim_atomic_ps(m, t));
    if (m->now <= t->missed_until + SIM_ISOLATED_PS)
        took = sim_isolated_ps(m, took);
    uint64_t start = m->now > t->clock ? m->now : t->clock; /* it does not overlap a reading of the clock */
    uint64_t end = start + (took > t->hidden ? took - t->hidden : 0) + sim_sibling_ps(m, line, t);
    t->hidden = 0;
    sim_lock_line(m, line, end);
    return sim_until(m, t, end);
}
/* Store when the line is there; the thread goes on meanwhile. */
static inline bool sim_store(struct sim *m, struct sim_thread *t, int32_t word, int64_t value) {
    m->facts.events++;
    t->stored = true;
    if (!t->stores_left && sim_writable(m, &m->lines[word / SIM_LINE_WORDS], t->core)) {
        sim_set(m, t, word, value);
        return true;
    }
    return sim_store_slow(m, t, word, value);
}

/* ---- results ---- */

/* Record a latency that stands for a number of operations. */
static inline void sim_record(struct sim *m, int32_t role, int32_t phase, uint64_t ps, uint64_t stands_for) {
    pb_phase_add_sample(&m->phases[role * PB_MAX_PHASES + phase], (ps + 500) / 1000, stands_for);
}
