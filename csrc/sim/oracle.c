/* SPDX-License-Identifier: Apache-2.0
 *
 * The queueing model's assumptions in place of the machine: seats that work for an exponential time and then queue
 * for one server, whose mean time grows with the number k that hold or wait. Boyd-Wickizer et al., "Non-scalable
 * locks are dangerous", Linux Symposium (2012).
 */
#include "sim.h"

#include <math.h>

/* Exponential draws by the ziggurat method: Marsaglia and Tsang, Journal of Statistical Software 5 (8), 2000. Layer i
 * is as wide as x[i] and lies between heights y[i] and y[i + 1]; all have the same area. The lowest holds the tail. */
#define LAYERS 256
#define TAIL 7.69711747013104972      /* begins there, for 256 layers */
#define AREA 3.9496598225815571993e-3 /* of each */
struct ziggurat {
    double x[LAYERS + 1], y[LAYERS + 1];
};

static void ziggurat_make(struct ziggurat *z) {
    z->x[0] = AREA / exp(-TAIL);
    z->x[1] = TAIL;
    z->y[0] = 0.0;
    for (int i = 1; i < LAYERS; i++) {
        z->y[i] = exp(-z->x[i]);
        z->x[i + 1] = i + 1 < LAYERS ? -log(AREA / z->x[i] + z->y[i]) : 0.0;
    }
    z->y[LAYERS] = 1.0;
}
/* Never 0. */
static double uniform(struct sim *m) { return sim_share(sim_rand(m)) + 0x1p-54; }
static double exponential(struct sim *m, const struct ziggurat *z, double mean) {
    for (;;) {
        const uint64_t random = sim_rand(m);
        const uint32_t i = random % LAYERS;
        const double x = sim_share(random) * z->x[i];
        if (x < z->x[i + 1])
            return mean * x;
        if (!i)
            return mean * (TAIL - log(uniform(m)));
        if (z->y[i] + uniform(m) * (z->y[i + 1] - z->y[i]) < exp(-x))
            return mean * x;
    }
}
/* In the model s_k is the rate at which k + 1 become k. */
static uint64_t section(struct sim *m, const struct ziggurat *z, int32_t waiting) {
    double mean = m->spec->serial_ns + m->spec->home_ns * (waiting - 1) / 2;
    return sim_ps(m->spec->fixed ? mean : exponential(m, z, mean));
}

/* Slot n_seats is the server's. An exponential section has no memory: whoever comes or goes, what is left of it is
 * drawn anew from the rate that is now. */
int sim_oracle_run(struct sim *m) {
    int32_t server = m->n_seats, head = -1, tail = -1, waiting = 0;
    bool by_number = m->spec->home_ns > 0;
    struct ziggurat z;
    ziggurat_make(&z);
    for (int32_t i = 0; i < m->n_seats; i++) {
        m->seats[i].next_run = -1;
        sim_due(m, i, sim_ps(exponential(m, &z, m->spec->a_ns)));
    }
    for (;;) {
        int32_t slot = queue_first(m->queue, m->now);
        if (sim_due_at(m, slot) >= m->stop)
            break;
        if (m->facts.events >= m->spec->max_events)
            return -EOVERFLOW;
        m->now = sim_due_at(m, slot);
        m->facts.events++;
        m->facts.scheduled++;
        if (slot != server) {
            struct sim_seat *s = &m->seats[slot];
            sim_due(m, slot, SIM_NEVER);
            s->began = m->now;
            if (head < 0)
                head = slot;
            else
                m->seats[tail].next_run = slot;
            tail = slot;
            if (!waiting++ || by_number)
                sim_due(m, server, m->now + section(m, &z, waiting));
            continue;
        }
        struct sim_seat *s = &m->seats[head];
        if (m->now >= m->record_from) {
            m->members[head].operations++;
            sim_record(m, 0, 0, m->now - s->began);
        }
        sim_due(m, head, m->now + sim_ps(exponential(m, &z, m->spec->a_ns)));
        head = s->next_run;
        s->next_run = -1;
        sim_due(m, server, --waiting ? m->now + section(m, &z, waiting) : SIM_NEVER);
    }
    m->now = m->stop;
    return 0;
}
