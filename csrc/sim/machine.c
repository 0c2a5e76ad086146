/* SPDX-License-Identifier: Apache-2.0
 *
 * A machine, made from its specification.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim/memory.h"

#define SIM_READING_OVERLAP 2 /* loads behind a reading of the clock overlap this part of it */

/* Return how many places the threads name: the highest number plus 1; 0 if one is out of range. */
static int32_t count_places(const struct pb_sim_spec *spec, size_t offset) {
    int32_t most = 0;
    for (int32_t i = 0; i < spec->n_threads; i++) {
        int32_t number;
        memcpy(&number, (const char *)&spec->threads[i] + offset, sizeof number);
        if (number < 0 || number >= PB_MAX_MEMBERS)
            return 0;
        most = number > most ? number : most;
    }
    return most + 1;
}
#define COUNT_OF(spec, field) count_places(spec, offsetof(struct pb_sim_thread, field))

static void *make(size_t count, size_t bytes) { return calloc(count ? count : 1, bytes); }

static void set_times(struct sim *m) {
    const struct pb_sim_spec *spec = m->spec;
    bool launches = spec->workload == PB_SIM_LAUNCH;
    m->stop = launches ? SIM_NEVER / 2 : sim_ps(spec->warmup_ns + spec->duration_ns);
    m->record_from = launches ? 0 : sim_ps(spec->warmup_ns);
    m->local = sim_ps(spec->local_ns);
    m->atomic = sim_ps(spec->atomic_ns);
    m->drain = sim_ps(spec->drain_ns);
    m->mispredict = sim_ps(spec->exit_ns);
    m->pause = sim_ps(spec->pause_ns);
    m->poll = m->pause + m->local + 1;
    m->service = sim_ps(spec->service_ns);
    m->retry = spec->service == PB_SIM_CENTRAL ? sim_ps(spec->retry_ns) : 0;
    m->timeslice = sim_ps(spec->timeslice_ns) + 1;
    m->context_switch = sim_ps(spec->switch_ns);
    m->wake = sim_ps(spec->wake_ns);
    m->loop = sim_ps(spec->loop_ns);
    m->sample = sim_ps(spec->sample_ns);
    m->reading = m->sample / 3;
    m->reading_overlap = m->reading / SIM_READING_OVERLAP;
    m->extra = sim_ps(spec->extra_ns);
    m->slower = spec->smt_slowdown;
    m->overlap = spec->atomic_overlap;
    m->migratory = spec->migratory;
    for (int class = 0; class < SIM_CLASSES; class++)
        for (int i = 0; i < SIM_QUANTILES; i++)
            m->transfer[class][i] = (uint32_t)sim_ps(spec->transfer[class * SIM_QUANTILES + i]);
    for (int i = 0; i < SIM_QUANTILES; i++)
        m->pace[i] = (float)spec->pace[i];
}

static void place_threads(struct sim *m) {
    for (int32_t i = 0; i < m->n_agents; i++)
        m->agents[i].line = SIM_NO_LINE;
    for (int32_t i = 0; i < m->n_cpus; i++)
        m->cpus[i] = (struct sim_cpu){.core = -1, .current = -1, .run_head = -1, .run_tail = -1, .slot = -1};
    for (int32_t i = 0; i < m->n_threads; i++) {
        const struct pb_sim_thread *place = &m->spec->threads[i];
        m->threads[i] = (struct sim_thread){
            .index = i, .cpu = place->cpu, .core = place->core, .domain = place->domain, .line = -1, .next_run = -1};
        m->cores[place->core] = (struct sim_core){.socket = place->socket,
                                                  .l3 = place->l3,
                                                  .domain = m->spec->service == PB_SIM_CENTRAL   ? place->socket
                                                            : m->spec->service == PB_SIM_CLUSTER ? place->l3
                                                                                                 : 0};
        m->cpus[place->cpu].core = place->core;
        m->cpus[place->cpu].threads++;
        m->members[i].cpu_asked = m->members[i].cpu_start = m->members[i].cpu_stop = place->cpu;
        m->members[i].node = -1;
    }
    for (int32_t i = 0, slot = m->n_agents; i < m->n_cpus; i++)
        if (m->cpus[i].threads > 1)
            m->cpus[i].slot = slot++;
}

static void make_lines(struct sim *m) {
    bool parted = m->spec->service != PB_SIM_NONE;
    int32_t *slots = m->slots;
    for (int32_t i = 0; i < m->n_lines; i++) {
        struct sim_line *line = &m->lines[i];
        *line = (struct sim_line){.owner = -1,
                                  .writer = -1,
                                  .watchers = -1,
                                  .sibling_saw = true,
                                  .copies = m->sets + (size_t)i * (size_t)m->n_words64};
        if (i >= SIM_CONTENDED_LINES || !parted)
            continue;
        line->domains = m->queues + i * m->n_domains;
        for (int32_t d = 0; m->slots && d < m->n_domains; d++) {
            line->domains[d].slots = slots;
            for (int32_t thread = 0; thread < m->n_threads; thread++)
                slots += m->cores[m->threads[thread].core].domain == d ? SIM_AGENTS + 1 : 0;
        }
    }
}

static bool make_queue(struct sim *m, size_t slots) {
    struct time_queue *q = m->queue = make(1, sizeof *q);
    if (!q)
        return false;
    for (q->leaves = 2; (size_t)q->leaves < slots; q->leaves *= 2)
        ;
    q->slots = make((size_t)q->leaves, sizeof *q->slots);
    q->tree = make(2 * (size_t)q->leaves, sizeof *q->tree);
    if (!q->slots || !q->tree)
        return false;
    q->first = -1;
    for (int32_t i = 0; i < TIME_BUCKETS; i++)
        q->buckets[i] = -1;
    for (int32_t i = 0; i < q->leaves; i++) {
        q->slots[i] = (struct time_slot){.at = SIM_NEVER, .next = -1, .previous = -1, .bucket = -1};
        q->tree[q->leaves + i] = i;
    }
    for (int32_t i = q->leaves - 1; i; i--)
        q->tree[i] = q->tree[2 * i];
    return true;
}

/* Return false if memory is short. */
static bool allocate(struct sim *m) {
    const bool central = m->spec->service == PB_SIM_CENTRAL;
    const bool hands_over = m->spec->workload == PB_SIM_SPIN && m->n_threads <= PB_MAX_HANDOFF_MEMBERS;
    const size_t threads = (size_t)m->n_threads, agents = (size_t)m->n_agents, lines = (size_t)m->n_lines;
    m->threads = make(threads, sizeof *m->threads);
    m->agents = make(agents, sizeof *m->agents);
    m->cpus = make((size_t)m->n_cpus, sizeof *m->cpus);
    m->cores = make((size_t)m->n_cores, sizeof *m->cores);
    m->lines = make(lines, sizeof *m->lines);
    m->value = make(lines * SIM_LINE_WORDS, sizeof *m->value);
    m->sets = make(lines * (size_t)m->n_words64, sizeof *m->sets);
    m->queues = make(SIM_CONTENDED_LINES * (size_t)m->n_domains, sizeof *m->queues);
    m->slots = central ? make(SIM_CONTENDED_LINES * agents, sizeof *m->slots) : NULL;
    m->members = make(threads, sizeof *m->members);
    m->phases = make(2 * PB_MAX_PHASES, sizeof *m->phases);
    m->handoffs = hands_over ? make(threads * threads, sizeof *m->handoffs) : NULL;
    return m->threads && m->agents && m->cpus && m->cores && m->lines && m->value && m->sets && m->queues &&
           m->members && m->phases && (m->slots || !central) && (m->handoffs || !hands_over);
}

int sim_make_machine(struct sim *m) {
    const struct pb_sim_spec *spec = m->spec;
    int32_t sockets = COUNT_OF(spec, socket), l3s = COUNT_OF(spec, l3);
    m->n_threads = spec->n_threads;
    m->n_cpus = COUNT_OF(spec, cpu);
    m->n_cores = COUNT_OF(spec, core);
    if (m->n_cpus < 1 || m->n_cores < 1 || sockets < 1 || l3s < 1)
        return -EINVAL;
    m->n_domains = spec->service == PB_SIM_CENTRAL ? sockets : spec->service == PB_SIM_CLUSTER ? l3s : 1;
    m->n_lines = SIM_CONTENDED_LINES + m->n_threads;
    m->n_words64 = (m->n_cores + 63) / 64;
    m->n_agents = (SIM_AGENTS + 1) * m->n_threads;
    if (!make_queue(m, (size_t)m->n_agents + (size_t)m->n_cpus) || !allocate(m))
        return -ENOMEM;
    set_times(m);
    place_threads(m);
    make_lines(m);
    return 0;
}

void sim_free_machine(struct sim *m) {
    if (m->queue) {
        free(m->queue->slots);
        free(m->queue->tree);
    }
    void *all[] = {m->queue, m->threads, m->agents, m->cpus,    m->cores,  m->lines,    m->value,
                   m->sets,  m->queues,  m->slots,  m->members, m->phases, m->handoffs, m->launches};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}
