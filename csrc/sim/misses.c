/* SPDX-License-Identifier: Apache-2.0
 *
 * Misses: the thread waits, its stores wait in the store buffer and are done in their order, an atomic waits for the
 * stores before it, and the core speculates past an acquire.
 */
#include "sim/memory.h"

#define SIM_SPECULATIVE_POLLS 16 /* iterations of a spin loop that a core runs ahead of a miss */

/* ---- the store buffer ---- */

static void store_request(struct sim *m, struct sim_thread *t, uint32_t place) {
    struct sim_store *store = &t->stores[place];
    store->requested = true;
    sim_request(m, m->n_threads + t->index * SIM_AGENTS + (int32_t)place, store->word / SIM_LINE_WORDS, true, 0, 0);
}
static bool requested_earlier(const struct sim_thread *t, int32_t line) {
    for (uint32_t i = 0; i + 1 < t->stores_left; i++) {
        const struct sim_store *store = &t->stores[(t->first_store + i) % SIM_STORE_BUFFER];
        if (store->requested && store->word / SIM_LINE_WORDS == line)
            return true;
    }
    return false;
}
bool sim_store_slow(struct sim *m, struct sim_thread *t, int32_t word, int64_t value) {
    uint32_t place = (t->first_store + t->stores_left++) % SIM_STORE_BUFFER;
    t->stores[place].word = word;
    t->stores[place].value = value;
    if (!t->stores[place].requested && !sim_writable(m, &m->lines[word / SIM_LINE_WORDS], t->core) &&
        !requested_earlier(t, word / SIM_LINE_WORDS))
        store_request(m, t, place);
    if (t->stores_left < SIM_STORE_BUFFER)
        return true;
    t->state = SIM_BUFFER_FULL;
    return false;
}

/* ---- speculation ---- */

/* While the miss of an acquire is in flight the core runs ahead through its spin loop, to an iteration at which an
 * earlier wait ended, and on into the section. It really requests the guarded line there, so that the owner loses it. A
 * reading of the clock is a fence. */
void sim_speculate(struct sim *m, struct sim_thread *t, int32_t missed_line) {
    struct sim_agent *agent = &m->agents[m->n_threads + t->index * SIM_AGENTS + SIM_STORE_BUFFER];
    if (m->guard < 0 || m->guard / SIM_LINE_WORDS == missed_line || agent->line != SIM_NO_LINE || t->fenced || t->timed)
        return;
    uint32_t polls = SIM_SPECULATIVE_POLLS;
    for (int i = 0; i < (int)(sizeof t->past_polls / sizeof *t->past_polls); i++)
        if (t->past_polls[i] >= t->polls && t->past_polls[i] - t->polls < polls)
            polls = t->past_polls[i] - t->polls;
    if (polls == SIM_SPECULATIVE_POLLS)
        return;
    agent->line = SIM_PLANNED;
    agent->requested_at = m->now;
    sim_due(m, (int32_t)(agent - m->agents), m->now + polls * m->poll + 1);
}
void sim_speculative_request(struct sim *m, struct sim_thread *t, int32_t agent) {
    int32_t line = m->guard / SIM_LINE_WORDS;
    bool missing = t->state == SIM_MEMORY && t->requested_at == m->agents[agent].requested_at;
    m->agents[agent].line = SIM_NO_LINE;
    if (missing && !sim_writable(m, &m->lines[line], t->core))
        sim_request(m, agent, line, t->counts, 0, 0);
}

/* ---- misses and atomics ---- */

bool sim_miss(struct sim *m, struct sim_thread *t, int32_t line, bool exclusive, uint64_t head_start) {
    if (m->cpus[t->cpu].wants_switch) {
        /* The interrupt comes first. The access is then taken as done: one line per time slice costs nothing. */
        t->state = SIM_RUNS;
        sim_due(m, t->index, m->now);
        return false;
    }
    t->state = SIM_MEMORY;
    t->requested_at = m->now;
    t->hidden = 0;
    sim_request(m, t->index, line, exclusive, 0, head_start);
    return false;
}
static void rmw_request(struct sim *m, struct sim_thread *t) {
    struct sim_line *line = &m->lines[t->line];
    uint64_t atomic = sim_slowed(m, t, sim_atomic_ps(m, t));
    if (sim_lockable(m, line, t->core)) {
        sim_lock_line(m, line, m->now + atomic);
        t->state = SIM_RUNS;
        sim_due(m, t->index, m->now + atomic);
        return;
    }
    t->state = SIM_MEMORY;
    t->requested_at = m->now;
    sim_request(m, t->index, t->line, true, sim_isolated_ps(m, atomic), 0);
}
bool sim_rmw_slow(struct sim *m, struct sim_thread *t, int32_t index) {
    t->hidden = 0;
    t->line = index;
    if (!t->stores_left) {
        rmw_request(m, t);
    } else if (sim_writable(m, &m->lines[index], t->core) || requested_earlier(t, index)) {
        t->state = SIM_DRAINS;
    } else {
        t->early = true;
        sim_miss(m, t, index, true, 0);
    }
    return false;
}
void sim_rmw_continue(struct sim *m, struct sim_thread *t) {
    t->early = false;
    if (t->stores_left)
        t->state = SIM_DRAINS;
    else
        rmw_request(m, t);
}

void sim_drain(struct sim *m, struct sim_thread *t) {
    uint32_t left_before = t->stores_left;
    while (t->stores_left) {
        struct sim_store *store = &t->stores[t->first_store];
        if (!sim_writable(m, &m->lines[store->word / SIM_LINE_WORDS], t->core)) {
            if (!store->requested)
                store_request(m, t, t->first_store);
            break;
        }
        t->first_store = (t->first_store + 1) % SIM_STORE_BUFFER;
        t->stores_left--;
        sim_set(m, t, store->word, store->value);
    }
    if (!t->stores_left && t->state == SIM_DRAINS)
        rmw_request(m, t);
    if (t->stores_left < left_before && t->state == SIM_BUFFER_FULL) {
        t->state = SIM_RUNS;
        sim_due(m, t->index, m->now);
    }
}
