/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that wait for a line, and which of them its home serves next.
 */
#include "sim/memory.h"

static void enqueue(struct sim *m, struct sim_line *line, int32_t agent) {
    struct sim_queue *queue =
        line->domains ? &line->domains[m->cores[sim_thread_of(m, agent)->core].domain] : &line->queue;
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

/* A central queue in each socket draws among its requests, as rejected ones race to come again. Between the sockets,
 * each with one request in service, the home draws too. */
static int32_t choose_central(struct sim *m, struct sim_line *line) {
    int32_t contenders = 0;
    for (int32_t i = 0; i < m->n_domains; i++)
        contenders += line->domains[i].count > 0;
    int32_t chosen = (int32_t)sim_below(m, (uint64_t)contenders);
    for (int32_t i = 0;; i++)
        if (line->domains[i].count && chosen-- == 0)
            return take(m, line, &line->domains[i]);
}
/* In the L3 cluster where the line is, requests from inside and one probe from outside are served in the order of their
 * arrival there. The probe is for the nearest cluster, and for the longest wait of several. */
static int32_t choose_cluster(struct sim *m, struct sim_line *line) {
    int32_t here = line->owner < 0 ? 0 : m->cores[line->owner].domain, best = -1;
    const struct sim_core *owner = line->owner < 0 ? NULL : &m->cores[line->owner];
    struct sim_queue *inside = &line->domains[here];
    uint64_t longest_wait_since = SIM_NEVER;
    bool best_near = false;
    for (int32_t i = 0; inside->count != line->waiting && i < m->n_domains; i++) {
        const struct sim_queue *queue = &line->domains[i];
        if (i == here || !queue->count)
            continue;
        uint64_t since = m->agents[queue->head].requested_at;
        bool near = owner && m->cores[sim_thread_of(m, queue->head)->core].socket == owner->socket;
        if (best < 0 || (near && !best_near) || (near == best_near && since < longest_wait_since)) {
            best = i;
            longest_wait_since = since;
            best_near = near;
        }
    }
    if (best < 0)
        return take(m, line, inside);
    uint64_t probe = longest_wait_since > line->entered_at ? longest_wait_since : line->entered_at;
    if (inside->count && m->agents[inside->head].requested_at <= probe)
        return take(m, line, inside);
    return take(m, line, &line->domains[best]);
}

void sim_serve_next(struct sim *m, struct sim_line *line) {
    while (line->waiting && !line->transit) {
        int32_t agent = !line->domains                       ? take(m, line, &line->queue)
                        : m->spec->service == PB_SIM_CENTRAL ? choose_central(m, line)
                                                             : choose_cluster(m, line);
        sim_serve(m, line, agent, line->waiting + 1);
    }
}

void sim_request(struct sim *m, int32_t agent, int32_t index, bool exclusive, uint64_t extra, uint64_t head_start) {
    struct sim_line *line = &m->lines[index];
    m->agents[agent] = (struct sim_agent){.requested_at = m->now,
                                          .extra = extra,
                                          .line = index,
                                          .next = -1,
                                          .head_start = head_start,
                                          .exclusive = exclusive,
                                          .writes = exclusive};
    if (line->transit)
        enqueue(m, line, agent);
    else
        sim_serve(m, line, agent, 0);
}
