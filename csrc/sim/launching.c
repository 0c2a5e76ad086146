/* SPDX-License-Identifier: Apache-2.0
 *
 * The launch workload: each seat takes up one container after the other, and goes through its steps.
 */
#include "program.h"

#include <math.h>

/* namespace_sem is on lines 0 and 1, mount_lock on line 2. */
enum { NAMESPACE = 0, MOUNT_LOCK = 2 * SIM_WORDS };
enum { LAUNCH };
enum { FIRST, EACH, LAST, AFTER, LISTS };

static uint64_t length(struct sim *m, const struct pb_sim_step *step) {
    double factor = step->spread > 0 ? exp(step->spread * m->spec->normal[sim_rand(m) >> 56]) : 1.0;
    return sim_ps(step->ns * factor);
}

static const struct pb_sim_step *current(const struct sim *m, const struct sim_seat *s) {
    const struct pb_sim_step *steps = m->spec->steps;
    for (int32_t i = 0; i < s->list; i++)
        steps += m->spec->lists[i];
    return steps + s->step;
}

static bool one_step(struct sim *m, struct sim_seat *s) {
    const struct pb_sim_step *at = current(m, s);
    PROGRAM(4);
    for (s->turn = 0; s->turn < at->count; s->turn++) {
        s->lock = at->kind == PB_SIM_WALK || at->kind == PB_SIM_MOUNT_LOCK ? MOUNT_LOCK : NAMESPACE;
        if (at->kind == PB_SIM_COMPUTE) {
            COMPUTE(length(m, at));
        } else if (at->kind == PB_SIM_SLEEP) {
            WAIT(sim_sleep(m, s, m->now + length(m, at)));
        } else if (at->kind == PB_SIM_WALK) {
            do {
                CALL(sim_seqlock_read_acquire);
                COMPUTE(length(m, at));
                CALL(sim_seqlock_read_release);
            } while (!s->c);
        } else if (at->kind == PB_SIM_MOUNT_LOCK) {
            CALL(sim_seqlock_acquire);
            COMPUTE(length(m, at));
            CALL(sim_seqlock_release);
        } else if (at->kind == PB_SIM_NAMESPACE_READ) {
            CALL(sim_rwsem_read_acquire);
            COMPUTE(length(m, at));
            CALL(sim_rwsem_read_release);
        } else {
            if (at->kind != PB_SIM_UNLOCK) {
                CALL(sim_rwsem_acquire);
                if (m->writers_in++)
                    m->broken = "two wrote the namespace at once";
            }
            if (at->kind == PB_SIM_NAMESPACE)
                COMPUTE(length(m, at));
            if (at->kind != PB_SIM_LOCK) {
                m->writers_in--;
                CALL(sim_rwsem_release);
            }
        }
    }
    PROGRAM_END;
}

static void launched(struct sim *m, struct sim_seat *s) {
    uint64_t took = m->now - s->began;
    m->launches[s->container] = (double)took / SIM_PS;
    m->facts.launched++;
    m->facts.late += (double)took / SIM_PS > m->spec->deadline_ns;
    m->members[s->index].operations++;
    sim_record(m, 0, LAUNCH, took);
}

static bool step(struct sim *m, struct sim_seat *s) {
    PROGRAM(0);
    while (m->next_container < m->spec->containers) {
        s->container = m->next_container++;
        s->began = m->spec->closed ? m->now : 0;
        for (s->list = FIRST; s->list < LISTS; s->list++) {
            int32_t layers;
            if (s->list == AFTER)
                launched(m, s);
            layers = s->list == EACH || (s->list == AFTER && !m->spec->after_once) ? m->spec->layers : 1;
            s->layers_left = layers;
            for (; s->layers_left; s->layers_left--) {
                for (s->step = 0; s->step < m->spec->lists[s->list]; s->step++) {
                    s->step_began = m->now;
                    CALL(one_step);
                    if (current(m, s)->phase >= 0)
                        s->phase_ps[current(m, s)->phase] += m->now - s->step_began;
                }
            }
        }
        for (int32_t i = 1; i < PB_MAX_PHASES; i++) {
            if (s->phase_ps[i])
                sim_record(m, 0, i, s->phase_ps[i]);
            s->phase_ps[i] = 0;
        }
    }
    m->members[s->index].stop_ns = m->now / 1000;
    if (--m->seats_left == 0)
        m->stop = m->now;
    WAIT(sim_sleep(m, s, SIM_NEVER));
    PROGRAM_END;
}

int sim_launch_start(struct sim *m) {
    m->step = step;
    m->seats_left = m->n_seats;
    m->launches = calloc((size_t)m->spec->containers, sizeof *m->launches);
    return m->launches ? 0 : -ENOMEM;
}
