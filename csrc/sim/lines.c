/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies of lines and their transfers between cores. A core may read a line that it has a copy of, and write one that
 * it has exclusively; otherwise it requests the line. A line serves one request at a time, except reads of a shared
 * line, which occupy its home for a while each. A write invalidates all other copies: every spinning thread requests
 * the line again, which makes a storm.
 */
#include "sim/memory.h"

#include <string.h>

#define SIM_REQUEST_EIGHTHS 3 /* of a transfer: the request's path to the line's home */
#define SIM_RETAIN_EIGHTHS 3  /* of the transfer that takes a line away: how long at most the owner goes on using it */

static enum sim_class class_of(const struct sim *m, int32_t a, int32_t b) {
    const struct sim_core *one = &m->cores[a], *other = &m->cores[b];
    if (a == b)
        return SIM_SMT;
    if (one->socket != other->socket)
        return SIM_CROSS;
    return one->l3 == other->l3 ? SIM_L3 : SIM_SOCKET;
}

/* Return the time of one transfer of this class: each pair of cores has its own, times a random pace. */
static uint64_t transfer(struct sim *m, enum sim_class class, int32_t a, int32_t b) {
    uint64_t pair = m->pairs_seed ^ ((uint64_t)(a < b ? a : b) << 32 | (uint64_t)(a < b ? b : a));
    uint64_t random = sim_rand(m);
    float ps = (float)m->transfer[class][pb_random(&pair) >> 56] * m->pace[random >> 56];
    return (uint64_t)ps;
}

uint64_t sim_transfer_ps(struct sim *m, int32_t from, int32_t to) {
    return transfer(m, class_of(m, from, to), from, to);
}

/* ---- threads that spin on a copy ---- */

static void watch_add(struct sim *m, struct sim_line *line, struct sim_thread *t) {
    t->watch_previous = -1;
    t->watch_next = line->watchers;
    if (line->watchers >= 0)
        m->threads[line->watchers].watch_previous = t->index;
    line->watchers = t->index;
}

void sim_unwatch(struct sim *m, struct sim_thread *t) {
    struct sim_line *line = &m->lines[t->line];
    if (t->watch_previous >= 0)
        m->threads[t->watch_previous].watch_next = t->watch_next;
    else
        line->watchers = t->watch_next;
    if (t->watch_next >= 0)
        m->threads[t->watch_next].watch_previous = t->watch_previous;
}

/* A watcher notices at its next poll, which may come at any point of an iteration of its loop. */
static void notice(struct sim *m, struct sim_thread *t, uint64_t at) {
    sim_unwatch(m, t);
    t->state = SIM_RUNS;
    t->polls += (uint32_t)((at - t->waits_since) / m->poll) + 1;
    sim_due(m, t->index, at + 1 + sim_below(m, sim_slowed(m, t, m->poll)));
    m->facts.scheduled++;
}

void sim_wake_siblings(struct sim *m, struct sim_line *line, int32_t cpu) {
    for (int32_t i = line->watchers, next; i >= 0; i = next) {
        struct sim_thread *t = &m->threads[i];
        next = t->watch_next;
        if (t->core == line->owner && t->cpu != cpu)
            notice(m, t, m->now);
    }
}

static void invalidate(struct sim *m, struct sim_line *line, int32_t core, uint64_t at) {
    for (int32_t i = line->watchers, next; i >= 0; i = next) {
        struct sim_thread *t = &m->threads[i];
        next = t->watch_next;
        if (t->core != core) {
            notice(m, t, at);
            m->facts.invalidations++;
        }
    }
}

bool sim_watch(struct sim *m, struct sim_thread *t, int32_t word, uint64_t until) {
    t->line = word / SIM_LINE_WORDS;
    struct sim_line *line = &m->lines[t->line];
    if (!sim_readable(m, line, t->core) || line->transit_exclusive)
        return sim_spin_once(m, t);
    t->spun = true;
    t->state = SIM_WATCHES;
    t->waits_since = m->now;
    watch_add(m, line, t);
    if (until != SIM_NEVER)
        sim_due(m, t->index, until);
    return false;
}
/* ---- copies ---- */

static void copy_to(const struct sim *m, struct sim_line *line, int32_t core) {
    line->copies[core >> 6] |= UINT64_C(1) << (core & 63);
    line->sockets |= UINT64_C(1) << (m->cores[core].socket & 63);
    line->l3s |= UINT64_C(1) << (m->cores[core].l3 & 63);
}
static void copy_alone(const struct sim *m, struct sim_line *line, int32_t core) {
    memset(line->copies, 0, (size_t)m->n_words64 * sizeof *line->copies);
    line->sockets = line->l3s = 0;
    copy_to(m, line, core);
}

/* Return the class of the copy nearest to the core, or farthest from it. */
static enum sim_class nearest(const struct sim *m, const struct sim_line *line, int32_t core) {
    const struct sim_core *place = &m->cores[core];
    if (!(line->sockets >> (place->socket & 63) & 1))
        return line->sockets ? SIM_CROSS : SIM_SOCKET;
    return line->l3s >> (place->l3 & 63) & 1 ? SIM_L3 : SIM_SOCKET;
}
static enum sim_class farthest(const struct sim *m, const struct sim_line *line, int32_t core) {
    const struct sim_core *place = &m->cores[core];
    if (line->sockets & ~(UINT64_C(1) << (place->socket & 63)))
        return SIM_CROSS;
    return line->l3s & ~(UINT64_C(1) << (place->l3 & 63)) ? SIM_SOCKET : SIM_L3;
}

void sim_serve(struct sim *m, struct sim_line *line, int32_t agent, int32_t others) {
    struct sim_agent *request = &m->agents[agent];
    int32_t core = sim_thread_of(m, agent)->core;
    struct sim_queue *part = line->domains ? &line->domains[m->cores[core].domain] : &line->queue;
    if (line->modified && !line->shared && line->owner != core && sim_chance(m, m->migratory))
        request->exclusive = true;
    bool shared_read = !request->exclusive && (line->shared || line->owner < 0);
    /* A read of a shared line is answered by the nearest part of the home that has a copy. */
    uint64_t *taken_until =
        shared_read && line->domains && nearest(m, line, core) <= SIM_SOCKET ? &part->free_at : &line->queue.free_at;
    uint64_t start = *taken_until > m->now ? *taken_until : m->now;
    if (m->retry && (others || start > m->now)) {
        /* A rejected request comes again after a fixed time; the first of n to come is served. */
        if (!others && m->service)
            others = (int32_t)((start - m->now) / m->service);
        start += sim_below(m, m->retry / (uint64_t)(others + 1) + 1);
        m->facts.retries += (start - request->requested_at) / m->retry + 1;
    }
    request->served = true;
    m->facts.transfers++;
    m->facts.scheduled++;
    if (shared_read) {
        uint64_t took = transfer(m, nearest(m, line, core), core, line->owner < 0 ? core : line->owner);
        *taken_until = start + m->service;
        line->shared = true;
        copy_to(m, line, core);
        sim_due(m, agent, start + took + request->extra);
        return;
    }
    uint64_t took;
    bool has_it = sim_has_copy(line->copies, core);
    if (has_it && (line->owner == core && !line->shared))
        took = m->local; /* its SMT sibling, or its own store, was faster */
    else if (line->owner < 0)
        took = transfer(m, SIM_SOCKET, core, core);
    else if (line->shared)
        took = transfer(m, farthest(m, line, core), core, line->owner);
    else
        took = sim_transfer_ps(m, line->owner, core);
    /* A request that waited at the home has arrived there, as both have in the ping-pong that transfers are from. */
    uint64_t path = others || took <= m->local ? 0 : took * SIM_REQUEST_EIGHTHS / 8;
    start += path > request->head_start ? path - request->head_start : 0;
    took = took > request->head_start + m->local ? took - request->head_start : m->local;
    line->transit = true;
    line->transit_exclusive = request->exclusive;
    line->transit_agent = agent;
    uint64_t retained = sim_below(m, took * SIM_RETAIN_EIGHTHS / 8 + 1);
    line->lost_at = start + retained;
    if (line->lost_at < line->locked_until)
        line->lost_at = line->locked_until;
    sim_due(m, agent, line->lost_at + (took - retained) + request->extra);
    if (request->exclusive)
        invalidate(m, line, core, line->lost_at);
}

void sim_read_takes(struct sim *m, struct sim_line *line) {
    if (m->now > line->lost_at || !sim_chance(m, m->migratory))
        return;
    struct sim_agent *request = &m->agents[line->transit_agent];
    request->exclusive = line->transit_exclusive = true;
    invalidate(m, line, sim_thread_of(m, line->transit_agent)->core, line->lost_at);
}

void sim_complete(struct sim *m, int32_t agent) {
    struct sim_agent *request = &m->agents[agent];
    struct sim_line *line = &m->lines[request->line];
    int32_t core = sim_thread_of(m, agent)->core;
    request->line = SIM_NO_LINE;
    if (!line->transit || line->transit_agent != agent)
        return; /* a copy of a shared line */
    line->transit = false;
    if (request->exclusive) {
        if (line->owner < 0 || m->cores[line->owner].domain != m->cores[core].domain)
            line->entered_at = m->now;
        line->modified = request->writes || (line->modified && line->owner == core);
        line->owner = core;
        line->shared = false;
        line->sibling_saw = true;
        line->writer = sim_thread_of(m, agent)->cpu;
        copy_alone(m, line, core);
    } else if (line->owner != core) {
        line->shared = true;
        copy_to(m, line, core);
    }
    line->transit_exclusive = false;
    if (line->waiting)
        sim_serve_next(m, line);
}
