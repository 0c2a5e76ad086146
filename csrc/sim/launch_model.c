/* SPDX-License-Identifier: Apache-2.0
 *
 * The launch workload: each thread takes one container after the other, and goes through its steps.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "sim/protocols/protocols.h"

/* namespace_sem is on lines 0 and 1, mount_lock on line 2. */
enum { NAMESPACE = 0, MOUNT_LOCK = 2 * SIM_LINE_WORDS };
enum { LAUNCH };
enum { FIRST, EACH, LAST, AFTER, LISTS };

static uint64_t step_ps(struct sim *m, const struct pb_sim_step *step) {
    double factor = step->spread > 0 ? exp(step->spread * m->spec->normal[sim_rand(m) >> 56]) : 1.0;
    return sim_ps(step->ns * factor);
}

static const struct pb_sim_step *current(const struct sim *m, const struct sim_thread *t) {
    const struct pb_sim_step *steps = m->spec->steps;
    for (int32_t i = 0; i < t->list; i++)
        steps += m->spec->lists[i];
    return steps + t->step;
}

static bool one_step(struct sim *m, struct sim_thread *t) {
    const struct pb_sim_step *at = current(m, t);
    PROGRAM(4);
    for (t->repeat = 0; t->repeat < at->count; t->repeat++) {
        t->lock = at->kind == PB_SIM_WALK || at->kind == PB_SIM_MOUNT_LOCK ? MOUNT_LOCK : NAMESPACE;
        if (at->kind == PB_SIM_COMPUTE) {
            COMPUTE(step_ps(m, at));
        } else if (at->kind == PB_SIM_SLEEP) {
            WAIT(sim_sleep(m, t, m->now + step_ps(m, at)));
        } else if (at->kind == PB_SIM_WALK) {
            do {
                CALL(sim_seqlock_read_acquire);
                COMPUTE(step_ps(m, at));
                CALL(sim_seqlock_read_release);
            } while (!my->consistent);
        } else if (at->kind == PB_SIM_MOUNT_LOCK) {
            CALL(sim_seqlock_acquire);
            COMPUTE(step_ps(m, at));
            CALL(sim_seqlock_release);
        } else if (at->kind == PB_SIM_NAMESPACE_READ) {
            CALL(sim_rwsem_read_acquire);
            COMPUTE(step_ps(m, at));
            CALL(sim_rwsem_read_release);
        } else {
            if (at->kind != PB_SIM_UNLOCK) {
                CALL(sim_rwsem_acquire);
                if (m->writers_in++)
                    m->violation = "two threads wrote the namespace at once";
            }
            if (at->kind == PB_SIM_NAMESPACE)
                COMPUTE(step_ps(m, at));
            if (at->kind != PB_SIM_LOCK) {
                m->writers_in--;
                CALL(sim_rwsem_release);
            }
        }
    }
    PROGRAM_END;
}

static void record_launch(struct sim *m, struct sim_thread *t) {
    uint64_t took = m->now - t->began;
    m->launches[t->container] = (double)took / SIM_PS;
    m->facts.launched++;
    m->facts.late += (double)took / SIM_PS > m->spec->deadline_ns;
    m->members[t->index].operations++;
    sim_record(m, 0, LAUNCH, took, 1);
}

static bool step(struct sim *m, struct sim_thread *t) {
    PROGRAM(0);
    while (m->next_container < m->spec->containers) {
        t->container = m->next_container++;
        t->began = m->spec->closed ? m->now : 0;
        for (t->list = FIRST; t->list < LISTS; t->list++) {
            int32_t layers;
            if (t->list == AFTER)
                record_launch(m, t);
            layers = t->list == EACH || (t->list == AFTER && !m->spec->after_once) ? m->spec->layers : 1;
            t->layers_left = layers;
            for (; t->layers_left; t->layers_left--) {
                for (t->step = 0; t->step < m->spec->lists[t->list]; t->step++) {
                    t->step_began = m->now;
                    CALL(one_step);
                    if (current(m, t)->phase >= 0)
                        t->phase_ps[current(m, t)->phase] += m->now - t->step_began;
                }
            }
        }
        for (int32_t i = 1; i < PB_MAX_PHASES; i++) {
            if (t->phase_ps[i])
                sim_record(m, 0, i, t->phase_ps[i], 1);
            t->phase_ps[i] = 0;
        }
    }
    m->members[t->index].stop_ns = m->now / 1000;
    if (--m->threads_left == 0)
        m->stop = m->now;
    WAIT(sim_sleep(m, t, SIM_NEVER));
    PROGRAM_END;
}

int sim_launch_start(struct sim *m) {
    m->step = step;
    m->threads_left = m->n_threads;
    m->launches = calloc((size_t)m->spec->containers, sizeof *m->launches);
    return m->launches ? 0 : -ENOMEM;
}
