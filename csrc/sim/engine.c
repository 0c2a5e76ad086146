/* SPDX-License-Identifier: Apache-2.0
 *
 * One simulation: made from its specification, run to its end, and asked for what came of it.
 */
#include "sim.h"

struct pb_sim {
    struct sim sim;
};

static void say(struct pb_error *error, int code, const char *tried, const char *subject) {
    *error = (struct pb_error){.code = code};
    strncpy(error->tried, tried, sizeof error->tried - 1);
    strncpy(error->subject, subject, sizeof error->subject - 1);
}

/* ---- making ---- */
static int32_t most_of(const struct pb_sim_spec *spec, size_t offset) {
    int32_t most = 0;
    for (int32_t i = 0; i < spec->n_seats; i++) {
        int32_t number;
        memcpy(&number, (const char *)&spec->seats[i] + offset, sizeof number);
        if (number < 0 || number >= PB_MAX_MEMBERS)
            return -1;
        most = number > most ? number : most;
    }
    return most + 1;
}
#define COUNT_OF(spec, field) most_of(spec, offsetof(struct pb_sim_seat, field))

static void *make(size_t count, size_t bytes) { return calloc(count ? count : 1, bytes); }

static void set_times(struct sim *m) {
    const struct pb_sim_spec *spec = m->spec;
    bool launches = spec->workload == PB_SIM_LAUNCH;
    m->stop = launches ? SIM_NEVER / 2 : sim_ps(spec->warmup_ns + spec->duration_ns);
    m->record_from = launches ? 0 : sim_ps(spec->warmup_ns);
    m->local = sim_ps(spec->local_ns);
    m->atomic = sim_ps(spec->atomic_ns);
    m->drain = sim_ps(spec->drain_ns);
    m->exit = sim_ps(spec->exit_ns);
    m->pause = sim_ps(spec->pause_ns);
    m->poll = m->pause + m->local + 1;
    m->service = sim_ps(spec->service_ns);
    m->retry = spec->service == PB_SIM_CENTRAL ? sim_ps(spec->retry_ns) : 0;
    m->slice = sim_ps(spec->timeslice_ns) + 1;
    m->change = sim_ps(spec->switch_ns);
    m->wake = sim_ps(spec->wake_ns);
    m->loop = sim_ps(spec->loop_ns);
    m->sample = sim_ps(spec->sample_ns);
    m->reading = m->sample / 3;
    m->beside = m->reading / SIM_BESIDE_READING;
    m->extra = sim_ps(spec->extra_ns);
    m->slower = spec->smt_slowdown;
    m->overlap = spec->atomic_overlap;
    m->migratory = spec->migratory;
    for (int class = 0; class < SIM_CLASSES; class++)
        for (int i = 0; i < SIM_PACES; i++)
            m->transfer[class][i] = (uint32_t)sim_ps(spec->transfer[class * SIM_PACES + i]);
    for (int i = 0; i < SIM_PACES; i++)
        m->pace[i] = (float)spec->pace[i];
}

static void place_seats(struct sim *m) {
    for (int32_t i = 0; i < m->n_agents; i++)
        m->agents[i].line = SIM_NOTHING;
    for (int32_t i = 0; i < m->n_cpus; i++)
        m->cpus[i] = (struct sim_cpu){.core = -1, .current = -1, .run_head = -1, .run_tail = -1, .slot = -1};
    for (int32_t i = 0; i < m->n_seats; i++) {
        const struct pb_sim_seat *place = &m->spec->seats[i];
        m->seats[i] = (struct sim_seat){.index = i, .cpu = place->cpu, .core = place->core,
                                        .domain = place->domain, .line = -1, .next_run = -1};
        m->cores[place->core] = (struct sim_core){
            .socket = place->socket, .l3 = place->l3,
            .domain = m->spec->service == PB_SIM_CENTRAL ? place->socket
                      : m->spec->service == PB_SIM_CLUSTER ? place->l3 : 0};
        m->cpus[place->cpu].core = place->core;
        m->cpus[place->cpu].seats++;
        m->members[i].cpu_asked = m->members[i].cpu_start = m->members[i].cpu_stop = place->cpu;
        m->members[i].node = -1;
    }
    for (int32_t i = 0, slot = m->n_agents; i < m->n_cpus; i++)
        if (m->cpus[i].seats > 1)
            m->cpus[i].slot = slot++;
}

static void make_lines(struct sim *m) {
    bool parted = m->spec->service != PB_SIM_NONE;
    int32_t *slots = m->slots;
    for (int32_t i = 0; i < m->n_lines; i++) {
        struct sim_line *line = &m->lines[i];
        *line = (struct sim_line){.owner = -1, .writer = -1, .watchers = -1, .sibling_saw = true,
                                  .copies = m->sets + (size_t)i * (size_t)m->n_words64};
        if (i >= SIM_HOT || !parted)
            continue;
        line->domains = m->queues + i * m->n_domains;
        for (int32_t d = 0; m->slots && d < m->n_domains; d++) {
            line->domains[d].slots = slots;
            for (int32_t seat = 0; seat < m->n_seats; seat++)
                slots += m->cores[m->seats[seat].core].domain == d ? SIM_SLOTS + 1 : 0;
        }
    }
    m->nodes = SIM_HOT * SIM_WORDS;
}

static int make_queue(struct sim *m, size_t slots) {
    struct sim_queue_of_times *q = m->queue = make(1, sizeof *q);
    if (!q)
        return -ENOMEM;
    for (q->leaves = 2; (size_t)q->leaves < slots; q->leaves *= 2)
        ;
    q->slots = make((size_t)q->leaves, sizeof *q->slots);
    q->tree = make(2 * (size_t)q->leaves, sizeof *q->tree);
    if (!q->slots || !q->tree)
        return -ENOMEM;
    q->first = -1;
    for (int32_t i = 0; i < QUEUE_BUCKETS; i++)
        q->buckets[i] = -1;
    for (int32_t i = 0; i < q->leaves; i++) {
        q->slots[i] = (struct sim_due_entry){.at = SIM_NEVER, .next = -1, .before = -1, .bucket = -1};
        q->tree[q->leaves + i] = i;
    }
    for (int32_t i = q->leaves - 1; i; i--)
        q->tree[i] = q->tree[2 * i];
    return 0;
}

static int make_machine(struct sim *m) {
    const struct pb_sim_spec *spec = m->spec;
    int32_t sockets = COUNT_OF(spec, socket), l3s = COUNT_OF(spec, l3);
    m->n_seats = spec->n_seats;
    m->n_cpus = COUNT_OF(spec, cpu);
    m->n_cores = COUNT_OF(spec, core);
    if (m->n_cpus < 1 || m->n_cores < 1 || sockets < 1 || l3s < 1)
        return -EINVAL;
    m->n_domains = spec->service == PB_SIM_CENTRAL ? sockets : spec->service == PB_SIM_CLUSTER ? l3s : 1;
    m->n_lines = SIM_HOT + m->n_seats;
    m->n_words64 = (m->n_cores + 63) / 64;
    m->n_agents = (SIM_SLOTS + 1) * m->n_seats;
    size_t seats = (size_t)m->n_seats, agents = (size_t)m->n_agents, slots = agents + (size_t)m->n_cpus;
    int rc = make_queue(m, slots);
    if (rc)
        return rc;
    m->seats = make(seats, sizeof *m->seats);
    m->agents = make(agents, sizeof *m->agents);
    m->cpus = make((size_t)m->n_cpus, sizeof *m->cpus);
    m->cores = make((size_t)m->n_cores, sizeof *m->cores);
    m->lines = make((size_t)m->n_lines, sizeof *m->lines);
    m->value = make((size_t)m->n_lines * SIM_WORDS, sizeof *m->value);
    m->sets = make((size_t)m->n_lines * (size_t)m->n_words64, sizeof *m->sets);
    m->queues = make(SIM_HOT * (size_t)m->n_domains, sizeof *m->queues);
    m->slots = spec->service == PB_SIM_CENTRAL ? make(SIM_HOT * agents, sizeof *m->slots) : NULL;
    m->members = make(seats, sizeof *m->members);
    m->phases = make(2 * PB_MAX_PHASES, sizeof *m->phases);
    bool hands_off = spec->workload == PB_SIM_SPIN && m->n_seats <= PB_MAX_HANDOFF_MEMBERS;
    m->handoffs = hands_off ? make(seats * seats, sizeof *m->handoffs) : NULL;
    if (!m->seats || !m->agents || !m->cpus || !m->cores || !m->lines || !m->value || !m->sets ||
        !m->queues || !m->members || !m->phases || (spec->service == PB_SIM_CENTRAL && !m->slots) ||
        (hands_off && !m->handoffs))
        return -ENOMEM;
    set_times(m);
    place_seats(m);
    make_lines(m);
    return 0;
}

/* ---- running ---- */
static void seat_goes_on(struct sim *m, struct sim_seat *s) {
    const struct sim_cpu *cpu = &m->cpus[s->cpu];
    sim_due(m, s->index, SIM_NEVER);
    if (s->state == SIM_SLEEPS) {
        sim_wake(m, s);
        return;
    }
    if (s->state == SIM_MEMORY) {
        sim_complete(m, s->index);
        s->missed_ps = m->now - s->asked_at;
        s->missed_until = m->now;
        s->fenced &= s->early || m->agents[s->index].extra;
        if (s->early) {
            sim_rmw_goes_on(m, s);
            return;
        }
    } else if (s->state == SIM_WATCHES) {
        sim_unwatch(m, s);
    }
    s->state = SIM_RUNS;
    m->limit = cpu->wants_switch ? 0 : m->stop;
    m->step(m, s);
    if (cpu->wants_switch && cpu->current == s->index && (s->state == SIM_RUNS || s->state == SIM_WATCHES))
        sim_preempt(m, s);
}

static int go(struct sim *m) {
    for (;;) {
        int32_t slot = queue_first(m->queue, m->now);
        uint64_t at = sim_due_at(m, slot);
        if (at >= m->stop)
            break;
        m->now = at;
        if (slot < m->n_seats) {
            seat_goes_on(m, &m->seats[slot]);
        } else if (slot < m->n_agents) {
            int32_t place = slot - m->n_seats;
            struct sim_seat *s = &m->seats[place / SIM_SLOTS];
            sim_due(m, slot, SIM_NEVER);
            if (m->agents[slot].line == SIM_SOON) {
                sim_prefetch(m, s, slot);
            } else {
                sim_complete(m, slot);
                if (place % SIM_SLOTS < SIM_BUFFER) {
                    s->stores[place % SIM_SLOTS].asked = false;
                    sim_drain(m, s);
                }
            }
        } else {
            sim_due(m, slot, SIM_NEVER);
            for (int32_t i = 0; i < m->n_cpus; i++)
                if (m->cpus[i].slot == slot)
                    sim_slice_ends(m, i);
        }
        if (m->facts.events > m->spec->max_events || m->facts.scheduled > m->spec->max_events)
            return -EOVERFLOW;
    }
    if (sim_next_due(m) == SIM_NEVER && !m->broken && m->spec->workload == PB_SIM_SPIN)
        m->broken = "all wait, and nothing will come";
    if (m->spec->workload == PB_SIM_LAUNCH) {
        if (m->seats_left)
            m->broken = "all wait, and nothing will come";
        m->stop = m->now;
    }
    m->now = m->stop;
    return 0;
}

static void settle(struct sim *m) {
    for (int32_t i = 0; i < m->n_seats; i++) {
        struct pb_member *member = &m->members[i];
        const struct sim_seat *s = &m->seats[i];
        member->start_ns = m->record_from / 1000;
        if (!member->stop_ns)
            member->stop_ns = m->stop / 1000;
        uint64_t from = s->on_since > m->record_from ? s->on_since : m->record_from;
        if (m->cpus[s->cpu].current == i && m->stop > from)
            member->cpu_ns += (m->stop - from) / 1000;
        if (m->hold.asked && s->counts)
            member->hold_ns = member->hold_asked_ns = m->spec->hold_ns;
    }
    m->facts.simulated_ns = (double)m->stop / SIM_PS;
}

static int run(struct sim *m, struct pb_error *error) {
    int rc = make_machine(m);
    m->rng = m->spec->seed * 2 + 1;
    m->pairs_seed = sim_rand(m);
    if (!rc && m->spec->workload == PB_SIM_SPIN)
        rc = sim_spin_start(m);
    else if (!rc && m->spec->workload == PB_SIM_LAUNCH)
        rc = sim_launch_start(m);
    if (rc) {
        say(error, rc, "making the machine", rc == -ENOMEM ? "" : "a place or the lock is unknown");
        return rc;
    }
    if (m->spec->workload == PB_SIM_ORACLE) {
        rc = sim_oracle_run(m);
    } else {
        sim_start_cpus(m);
        rc = go(m);
    }
    if (rc)
        say(error, rc, "simulating", "max_events reached before the end");
    if (!rc && m->spec->workload == PB_SIM_SPIN)
        sim_spin_check(m);
    if (!rc && m->broken) {
        say(error, -EPROTO, "checking the simulated lock", m->broken);
        rc = -EPROTO;
    }
    settle(m);
    return rc;
}

int pb_sim_run(const struct pb_sim_spec *spec, struct pb_sim **sim, struct pb_error *error) {
    *error = (struct pb_error){0};
    *sim = NULL;
    if (spec->n_seats < 1 || spec->n_seats > PB_MAX_MEMBERS) {
        say(error, -EINVAL, "making the machine", "too few or too many seats");
        return -EINVAL;
    }
    struct pb_sim *made = calloc(1, sizeof *made);
    if (!made) {
        say(error, -ENOMEM, "making the machine", "");
        return -ENOMEM;
    }
    made->sim.spec = spec;
    int rc = run(&made->sim, error);
    made->sim.spec = NULL; /* the caller's: gone when this returns */
    if (rc) {
        pb_sim_free(made);
        return rc;
    }
    *sim = made;
    return 0;
}

void pb_sim_free(struct pb_sim *sim) {
    if (!sim)
        return;
    struct sim *m = &sim->sim;
    if (m->queue) {
        free(m->queue->slots);
        free(m->queue->tree);
    }
    void *all[] = {m->queue, m->seats, m->agents, m->cpus, m->cores, m->lines, m->value, m->sets,
                   m->queues, m->slots, m->members, m->phases, m->handoffs, m->launches};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    free(sim);
}

const struct pb_sim_facts *pb_sim_facts(const struct pb_sim *sim) { return &sim->sim.facts; }
struct pb_member *pb_sim_member(const struct pb_sim *sim, int32_t seat) { return &sim->sim.members[seat]; }
struct pb_phase *pb_sim_phase(const struct pb_sim *sim, int32_t role, int32_t phase) {
    return &sim->sim.phases[role * PB_MAX_PHASES + phase];
}
const struct pb_handoff *pb_sim_handoffs(const struct pb_sim *sim, int32_t seat) {
    const struct sim *m = &sim->sim;
    return m->handoffs ? m->handoffs + (size_t)seat * (size_t)m->n_seats : NULL;
}
const double *pb_sim_launches(const struct pb_sim *sim) { return sim->sim.launches; }
