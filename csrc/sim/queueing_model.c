/* SPDX-License-Identifier: Apache-2.0
 *
 * The assumptions of a queueing model in place of the machine: threads work for an exponential time and then queue for
 * one server, whose mean time grows with the number of threads that hold or wait. Boyd-Wickizer et al., "Non-scalable
 * locks are dangerous", Linux Symposium (2012).
 */
#include <errno.h>
#include <math.h>

#include "sim/memory.h"

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
/* Return a share above 0. */
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
/* Return the time to the next end of a section, ps. In the model s_k is the rate at which k + 1 threads become k. */
static uint64_t section(struct sim *m, const struct ziggurat *z, int32_t waiting) {
    double mean = m->spec->serial_ns + m->spec->home_ns * (waiting - 1) / 2;
    return sim_ps(m->spec->fixed ? mean : exponential(m, z, mean));
}

/* Slot n_threads is the server's. An exponential section has no memory: at each arrival its rest is drawn again, from
 * the present rate. */
int sim_queueing_run(struct sim *m) {
    int32_t server = m->n_threads, head = -1, tail = -1, waiting = 0;
    bool by_number = m->spec->home_ns > 0;
    struct ziggurat z;
    ziggurat_make(&z);
    for (int32_t i = 0; i < m->n_threads; i++) {
        m->threads[i].next_run = -1;
        sim_due(m, i, sim_ps(exponential(m, &z, m->spec->work_ns)));
    }
    for (;;) {
        int32_t slot = time_first(m->queue, m->now);
        if (sim_due_at(m, slot) >= m->stop)
            break;
        if (m->facts.events >= m->spec->max_events)
            return -EOVERFLOW;
        m->now = sim_due_at(m, slot);
        m->facts.events++;
        m->facts.scheduled++;
        if (slot != server) {
            struct sim_thread *t = &m->threads[slot];
            sim_due(m, slot, SIM_NEVER);
            t->began = m->now;
            if (head < 0)
                head = slot;
            else
                m->threads[tail].next_run = slot;
            tail = slot;
            if (!waiting++ || by_number)
                sim_due(m, server, m->now + section(m, &z, waiting));
            continue;
        }
        struct sim_thread *t = &m->threads[head];
        if (m->now >= m->record_from) {
            m->members[head].operations++;
            sim_record(m, 0, 0, m->now - t->began, 1);
        }
        sim_due(m, head, m->now + sim_ps(exponential(m, &z, m->spec->work_ns)));
        head = t->next_run;
        t->next_run = -1;
        sim_due(m, server, --waiting ? m->now + section(m, &z, waiting) : SIM_NEVER);
    }
    m->now = m->stop;
    return 0;
}
