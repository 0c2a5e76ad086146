/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines between cores. A core may read a line of which it has a copy, and write one that it has alone; else it asks,
 * and the line serves one request at a time but for reads of a shared line, which only take up the home for a while
 * each. A write takes all other copies away: whoever spins on one asks again, and so a storm is made.
 */
#include "sim.h"

static enum sim_class class_of(const struct sim *m, int32_t a, int32_t b) {
    const struct sim_core *one = &m->cores[a], *other = &m->cores[b];
    if (a == b)
        return SIM_SMT;
    if (one->socket != other->socket)
        return SIM_CROSS;
    return one->l3 == other->l3 ? SIM_L3 : SIM_SOCKET;
}

/* A class's transfer for a pair, which keeps its own, at the pace of this time. */
static uint64_t transfer(struct sim *m, enum sim_class class, int32_t a, int32_t b) {
    uint64_t pair = m->pairs_seed ^ ((uint64_t)(a < b ? a : b) << 32 | (uint64_t)(a < b ? b : a));
    uint64_t random = sim_rand(m);
    float ps = (float)m->transfer[class][pb_random(&pair) >> 56] * m->pace[random >> 56];
    return (uint64_t)ps;
}

uint64_t sim_distance(struct sim *m, int32_t from, int32_t to) {
    return transfer(m, class_of(m, from, to), from, to);
}

/* ---- who spins on a copy ---- */
static void watch_add(struct sim *m, struct sim_line *line, struct sim_seat *s) {
    s->watch_before = -1;
    s->watch_next = line->watchers;
    if (line->watchers >= 0)
        m->seats[line->watchers].watch_before = s->index;
    line->watchers = s->index;
}

void sim_unwatch(struct sim *m, struct sim_seat *s) {
    struct sim_line *line = &m->lines[s->line];
    if (s->watch_before >= 0)
        m->seats[s->watch_before].watch_next = s->watch_next;
    else
        line->watchers = s->watch_next;
    if (s->watch_next >= 0)
        m->seats[s->watch_next].watch_before = s->watch_before;
}

/* It notices at its next look, which may come at any point of a turn of its loop. */
static void notice(struct sim *m, struct sim_seat *s, uint64_t at) {
    sim_unwatch(m, s);
    s->state = SIM_RUNS;
    s->looks += (uint32_t)((at - s->waits_since) / m->poll) + 1;
    sim_due(m, s->index, at + 1 + sim_below(m, sim_slowed(m, s, m->poll)));
    m->facts.scheduled++;
}

/* The cache that holds the line changed it: who shares that cache sees so. */
void sim_wake_siblings(struct sim *m, struct sim_line *line, int32_t cpu) {
    for (int32_t i = line->watchers, next; i >= 0; i = next) {
        struct sim_seat *s = &m->seats[i];
        next = s->watch_next;
        if (s->core == line->owner && s->cpu != cpu)
            notice(m, s, m->now);
    }
}

static void invalidate(struct sim *m, struct sim_line *line, int32_t core, uint64_t at) {
    for (int32_t i = line->watchers, next; i >= 0; i = next) {
        struct sim_seat *s = &m->seats[i];
        next = s->watch_next;
        if (s->core != core) {
            notice(m, s, at);
            m->facts.invalidations++;
        }
    }
}

/* A turn of a spin loop that found nothing: look again only when the copy is gone. */
bool sim_watch(struct sim *m, struct sim_seat *s, int32_t word, uint64_t until) {
    s->line = word / SIM_WORDS;
    struct sim_line *line = &m->lines[s->line];
    if (!sim_readable(m, line, s->core) || line->transit_exclusive)
        return sim_turn(m, s);
    s->turned = true;
    s->state = SIM_WATCHES;
    s->waits_since = m->now;
    watch_add(m, line, s);
    if (until != SIM_NEVER)
        sim_due(m, s->index, until);
    return false;
}

/* ---- service ---- */
static struct sim_queue *queue_of(const struct sim *m, struct sim_line *line, int32_t core) {
    return line->domains ? &line->domains[m->cores[core].domain] : &line->queue;
}
static inline const struct sim_seat *seat_of(const struct sim *m, int32_t agent) {
    return &m->seats[agent < m->n_seats ? agent : (agent - m->n_seats) / SIM_SLOTS];
}
static inline int32_t core_of(const struct sim *m, int32_t agent) { return seat_of(m, agent)->core; }

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

/* Class of the copy that is the nearest to the core, or of the farthest. */
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

/* Begin to serve a request; `others` were waiting too when it was chosen (0: it found the line free). */
static void serve(struct sim *m, struct sim_line *line, int32_t agent, int32_t others) {
    struct sim_agent *asks = &m->agents[agent];
    int32_t core = core_of(m, agent);
    struct sim_queue *part = queue_of(m, line, core);
    if (line->modified && !line->shared && line->owner != core && sim_chance(m, m->migratory))
        asks->exclusive = true;
    bool shared_read = !asks->exclusive && (line->shared || line->owner < 0);
    /* Reads of a line that others read as well are answered by the nearest part of the home that has it. */
    uint64_t *taken_until = shared_read && line->domains && nearest(m, line, core) <= SIM_SOCKET ? &part->free_at
                                                                                            : &line->queue.free_at;
    uint64_t start = *taken_until > m->now ? *taken_until : m->now;
    if (m->retry && (others || start > m->now)) {
        /* Rejected, it comes again after a fixed time; the first of n to come is served. */
        if (!others && m->service)
            others = (int32_t)((start - m->now) / m->service);
        start += sim_below(m, m->retry / (uint64_t)(others + 1) + 1);
        m->facts.retries += (start - asks->asked_at) / m->retry + 1;
    }
    asks->served = true;
    m->facts.transfers++;
    m->facts.scheduled++;
    if (shared_read) {
        uint64_t took = transfer(m, nearest(m, line, core), core, line->owner < 0 ? core : line->owner);
        *taken_until = start + m->service;
        line->shared = true;
        copy_to(m, line, core);
        sim_due(m, agent, start + took + asks->extra);
        return;
    }
    uint64_t took;
    bool has_it = sim_in(line->copies, core);
    if (has_it && (line->owner == core && !line->shared))
        took = m->local; /* its sibling, or its own store, was faster */
    else if (line->owner < 0)
        took = transfer(m, SIM_SOCKET, core, core);
    else if (line->shared)
        took = transfer(m, farthest(m, line, core), core, line->owner);
    else
        took = sim_distance(m, line->owner, core);
    /* One that waits at the home has its way there behind it, as both have in the ping-pong that transfers are from. */
    uint64_t way = others || took <= m->local ? 0 : took * SIM_WAY / 8;
    start += way > asks->ahead ? way - asks->ahead : 0;
    took = took > asks->ahead + m->local ? took - asks->ahead : m->local;
    line->transit = true;
    line->transit_exclusive = asks->exclusive;
    line->transit_agent = agent;
    uint64_t kept = sim_below(m, took * SIM_KEPT / 8 + 1);
    line->lost_at = start + kept;
    if (line->lost_at < line->locked_until)
        line->lost_at = line->locked_until;
    sim_due(m, agent, line->lost_at + (took - kept) + asks->extra);
    if (asks->exclusive)
        invalidate(m, line, core, line->lost_at);
}

/* The owner modifies the line before the probe of a read reaches it. */
void sim_read_takes(struct sim *m, struct sim_line *line) {
    if (m->now > line->lost_at || !sim_chance(m, m->migratory))
        return;
    struct sim_agent *asks = &m->agents[line->transit_agent];
    asks->exclusive = line->transit_exclusive = true;
    invalidate(m, line, core_of(m, line->transit_agent), line->lost_at);
}

/* ---- queues ---- */
static void enqueue(struct sim *m, struct sim_line *line, int32_t agent) {
    struct sim_queue *queue = queue_of(m, line, core_of(m, agent));
    line->waiting++;
    if (queue->slots) {
        queue->slots[queue->count++] = agent;
        return;
    }
    m->agents[agent].next = -1;
    if (queue->count++)
        m->agents[queue->tail].next = agent;
    else
        queue->head = agent;
    queue->tail = agent;
}
static int32_t take(struct sim *m, struct sim_line *line, struct sim_queue *queue) {
    int32_t agent;
    line->waiting--;
    if (queue->slots) {
        uint64_t place = sim_below(m, (uint64_t)queue->count);
        agent = queue->slots[place];
        queue->slots[place] = queue->slots[--queue->count];
        return agent;
    }
    agent = queue->head;
    queue->head = m->agents[agent].next;
    queue->count--;
    return agent;
}

/* A central queue in each socket: one in service, whoever comes first after it is next there. Between the sockets, each
 * with one request in service, the line's home has no favourites. */
static int32_t choose_central(struct sim *m, struct sim_line *line) {
    int32_t contenders = 0;
    for (int32_t i = 0; i < m->n_domains; i++)
        contenders += line->domains[i].count > 0;
    int32_t chosen = (int32_t)sim_below(m, (uint64_t)contenders);
    for (int32_t i = 0;; i++)
        if (line->domains[i].count && chosen-- == 0)
            return take(m, line, &line->domains[i]);
}
/* By L3 cluster: in the cluster where the line is, those inside and one probe from outside are served in the order in
 * which they came there; the probe is for the nearest cluster, and for the one that waits longest of several. */
static int32_t choose_cluster(struct sim *m, struct sim_line *line) {
    int32_t here = line->owner < 0 ? 0 : m->cores[line->owner].domain, best = -1;
    const struct sim_core *owner = line->owner < 0 ? NULL : &m->cores[line->owner];
    struct sim_queue *inside = &line->domains[here];
    uint64_t best_asked = SIM_NEVER;
    bool best_near = false;
    for (int32_t i = 0; inside->count != line->waiting && i < m->n_domains; i++) {
        const struct sim_queue *queue = &line->domains[i];
        if (i == here || !queue->count)
            continue;
        uint64_t asked = m->agents[queue->head].asked_at;
        bool near = owner && m->cores[core_of(m, queue->head)].socket == owner->socket;
        if (best < 0 || (near && !best_near) || (near == best_near && asked < best_asked)) {
            best = i;
            best_asked = asked;
            best_near = near;
        }
    }
    if (best < 0)
        return take(m, line, inside);
    uint64_t probe = best_asked > line->entered_at ? best_asked : line->entered_at;
    if (inside->count && m->agents[inside->head].asked_at <= probe)
        return take(m, line, inside);
    return take(m, line, &line->domains[best]);
}

static void serve_next(struct sim *m, struct sim_line *line) {
    while (line->waiting && !line->transit) {
        int32_t agent = !line->domains        ? take(m, line, &line->queue)
                        : m->spec->service == PB_SIM_CENTRAL ? choose_central(m, line)
                                                             : choose_cluster(m, line);
        serve(m, line, agent, line->waiting + 1);
    }
}

void sim_request(struct sim *m, int32_t agent, int32_t index, bool exclusive, uint64_t extra,
                 uint64_t ahead) {
    struct sim_line *line = &m->lines[index];
    m->agents[agent] = (struct sim_agent){.asked_at = m->now, .extra = extra, .line = index, .next = -1,
                                          .ahead = ahead, .exclusive = exclusive, .writes = exclusive};
    if (line->transit)
        enqueue(m, line, agent);
    else
        serve(m, line, agent, 0);
}

/* The line came. */
void sim_complete(struct sim *m, int32_t agent) {
    struct sim_agent *asked = &m->agents[agent];
    struct sim_line *line = &m->lines[asked->line];
    int32_t core = core_of(m, agent);
    asked->line = SIM_NOTHING;
    if (!line->transit || line->transit_agent != agent)
        return; /* a copy of a shared line */
    line->transit = false;
    if (asked->exclusive) {
        if (line->owner < 0 || m->cores[line->owner].domain != m->cores[core].domain)
            line->entered_at = m->now;
        line->modified = asked->writes || (line->modified && line->owner == core);
        line->owner = core;
        line->shared = false;
        line->sibling_saw = true;
        line->writer = seat_of(m, agent)->cpu;
        copy_alone(m, line, core);
    } else if (line->owner != core) {
        line->shared = true;
        copy_to(m, line, core);
    }
    line->transit_exclusive = false;
    if (line->waiting)
        serve_next(m, line);
}

/* ---- stores on their way, and atomics that wait for them ----
 * Each store asks for its line at once; they are done in their order. */
static void store_ask(struct sim *m, struct sim_seat *s, uint32_t place) {
    struct sim_store *store = &s->stores[place];
    store->asked = true;
    sim_request(m, m->n_seats + s->index * SIM_SLOTS + (int32_t)place, store->word / SIM_WORDS, true, 0, 0);
}
static bool asked_before(const struct sim_seat *s, int32_t line) {
    for (uint32_t i = 0; i + 1 < s->stores_left; i++) {
        const struct sim_store *store = &s->stores[(s->first_store + i) % SIM_BUFFER];
        if (store->asked && store->word / SIM_WORDS == line)
            return true;
    }
    return false;
}
bool sim_store_slow(struct sim *m, struct sim_seat *s, int32_t word, int64_t value) {
    uint32_t place = (s->first_store + s->stores_left++) % SIM_BUFFER;
    s->stores[place].word = word;
    s->stores[place].value = value;
    if (!s->stores[place].asked && !sim_writable(m, &m->lines[word / SIM_WORDS], s->core) &&
        !asked_before(s, word / SIM_WORDS))
        store_ask(m, s, place);
    if (s->stores_left < SIM_BUFFER)
        return true;
    s->state = SIM_FULL;
    return false;
}

static void rmw_ask(struct sim *m, struct sim_seat *s) {
    struct sim_line *line = &m->lines[s->line];
    uint64_t atomic = sim_slowed(m, s, sim_atomic(m, s));
    if (sim_lockable(m, line, s->core)) {
        sim_lock_line(m, line, m->now + atomic);
        s->state = SIM_RUNS;
        sim_due(m, s->index, m->now + atomic);
        return;
    }
    s->state = SIM_MEMORY;
    s->asked_at = m->now;
    sim_request(m, s->index, s->line, true, sim_alone(m, atomic), 0);
}
/* While the miss of an acquire is on its way the core runs ahead: turns of the loop, until one at which a wait of late
 * ended, and then into the section. What the lock guards is asked for there in earnest: whoever has it loses it. A
 * reading of the clock is a fence. */
void sim_runs_ahead(struct sim *m, struct sim_seat *s, int32_t missed) {
    struct sim_agent *agent = &m->agents[m->n_seats + s->index * SIM_SLOTS + SIM_BUFFER];
    if (m->guard < 0 || m->guard / SIM_WORDS == missed || agent->line != SIM_NOTHING || s->fenced || s->timed)
        return;
    uint32_t turns = SIM_AHEAD;
    for (int i = 0; i < SIM_PAST; i++)
        if (s->past[i] >= s->looks && s->past[i] - s->looks < turns)
            turns = s->past[i] - s->looks;
    if (turns == SIM_AHEAD)
        return;
    agent->line = SIM_SOON;
    agent->asked_at = m->now;
    sim_due(m, (int32_t)(agent - m->agents), m->now + turns * m->poll + 1);
}
/* It got there, unless the miss is over. */
void sim_prefetch(struct sim *m, struct sim_seat *s, int32_t agent) {
    int32_t line = m->guard / SIM_WORDS;
    bool ahead = s->state == SIM_MEMORY && s->asked_at == m->agents[agent].asked_at;
    m->agents[agent].line = SIM_NOTHING;
    if (ahead && !sim_writable(m, &m->lines[line], s->core))
        sim_request(m, agent, line, s->counts, 0, 0);
}

bool sim_miss(struct sim *m, struct sim_seat *s, int32_t line, bool exclusive, uint64_t ahead) {
    if (m->cpus[s->cpu].wants_switch) {
        /* The interrupt is first. Once a time slice, a line is had for nothing afterwards. */
        s->state = SIM_RUNS;
        sim_due(m, s->index, m->now);
        return false;
    }
    s->state = SIM_MEMORY;
    s->asked_at = m->now;
    s->hidden = 0;
    sim_request(m, s->index, line, exclusive, 0, ahead);
    return false;
}
bool sim_rmw_slow(struct sim *m, struct sim_seat *s, int32_t index) {
    s->hidden = 0;
    s->line = index;
    if (!s->stores_left) {
        rmw_ask(m, s);
    } else if (sim_writable(m, &m->lines[index], s->core) || asked_before(s, index)) {
        s->state = SIM_DRAINS;
    } else {
        s->early = true;
        sim_miss(m, s, index, true, 0);
    }
    return false;
}
/* The line that was asked for early is there. */
void sim_rmw_goes_on(struct sim *m, struct sim_seat *s) {
    s->early = false;
    if (s->stores_left)
        s->state = SIM_DRAINS;
    else
        rmw_ask(m, s);
}

/* Do all stores from the oldest on whose line is there; then whoever waits for that goes on. */
void sim_drain(struct sim *m, struct sim_seat *s) {
    uint32_t before = s->stores_left;
    while (s->stores_left) {
        struct sim_store *store = &s->stores[s->first_store];
        if (!sim_writable(m, &m->lines[store->word / SIM_WORDS], s->core)) {
            if (!store->asked)
                store_ask(m, s, s->first_store);
            break;
        }
        s->first_store = (s->first_store + 1) % SIM_BUFFER;
        s->stores_left--;
        sim_set(m, s, store->word, store->value);
    }
    if (!s->stores_left && s->state == SIM_DRAINS)
        rmw_ask(m, s);
    if (s->stores_left < before && s->state == SIM_FULL) {
        s->state = SIM_RUNS;
        sim_due(m, s->index, m->now);
    }
}
