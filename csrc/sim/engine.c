/* SPDX-License-Identifier: Apache-2.0
 *
 * One simulation: run to its end, and its results.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/core.h"
#include "sim/memory.h"

struct pb_sim {
    struct sim sim;
};

/* ---- running ---- */

static void resume(struct sim *m, struct sim_thread *t) {
    const struct sim_cpu *cpu = &m->cpus[t->cpu];
    sim_due(m, t->index, SIM_NEVER);
    if (t->state == SIM_SLEEPS) {
        sim_wake(m, t);
        return;
    }
    if (t->state == SIM_MEMORY) {
        sim_complete(m, t->index);
        t->missed_ps = m->now - t->requested_at;
        t->missed_until = m->now;
        t->fenced &= t->early || m->agents[t->index].extra;
        if (t->early) {
            sim_rmw_continue(m, t);
            return;
        }
    } else if (t->state == SIM_WATCHES) {
        sim_unwatch(m, t);
    }
    t->state = SIM_RUNS;
    m->limit = cpu->wants_switch ? 0 : m->stop;
    m->step(m, t);
    if (cpu->wants_switch && cpu->current == t->index && (t->state == SIM_RUNS || t->state == SIM_WATCHES))
        sim_preempt(m, t);
}

/* Continue a request that its thread does not wait for: a store, or a speculative one. */
static void continue_agent(struct sim *m, int32_t slot) {
    int32_t place = slot - m->n_threads;
    struct sim_thread *t = &m->threads[place / SIM_AGENTS];
    sim_due(m, slot, SIM_NEVER);
    if (m->agents[slot].line == SIM_PLANNED) {
        sim_speculative_request(m, t, slot);
        return;
    }
    sim_complete(m, slot);
    if (place % SIM_AGENTS < SIM_STORE_BUFFER) {
        t->stores[place % SIM_AGENTS].requested = false;
        sim_drain(m, t);
    }
}

static void end_timeslice(struct sim *m, int32_t slot) {
    sim_due(m, slot, SIM_NEVER);
    for (int32_t i = 0; i < m->n_cpus; i++)
        if (m->cpus[i].slot == slot)
            sim_end_timeslice(m, i);
}

static int run_events(struct sim *m) {
    static const char deadlock[] = "all wait, and nothing will come";
    for (;;) {
        int32_t slot = time_first(m->queue, m->now);
        uint64_t at = sim_due_at(m, slot);
        if (at >= m->stop)
            break;
        m->now = at;
        if (slot < m->n_threads)
            resume(m, &m->threads[slot]);
        else if (slot < m->n_agents)
            continue_agent(m, slot);
        else
            end_timeslice(m, slot);
        if (m->facts.events > m->spec->max_events || m->facts.scheduled > m->spec->max_events)
            return -EOVERFLOW;
    }
    if (sim_next_due(m) == SIM_NEVER && !m->violation && m->spec->workload == PB_SIM_SPIN)
        m->violation = deadlock;
    if (m->spec->workload == PB_SIM_LAUNCH) {
        if (m->threads_left)
            m->violation = deadlock;
        m->stop = m->now;
    }
    m->now = m->stop;
    return 0;
}

static void finish_members(struct sim *m) {
    for (int32_t i = 0; i < m->n_threads; i++) {
        struct pb_member *member = &m->members[i];
        const struct sim_thread *t = &m->threads[i];
        member->start_ns = m->record_from / 1000;
        if (!member->stop_ns)
            member->stop_ns = m->stop / 1000;
        uint64_t from = t->on_since > m->record_from ? t->on_since : m->record_from;
        if (m->cpus[t->cpu].current == i && m->stop > from)
            member->cpu_ns += (m->stop - from) / 1000;
        if (m->hold.mean && t->counts)
            member->hold_ns = member->hold_asked_ns = m->spec->hold_ns;
    }
    m->facts.simulated_ns = (double)m->stop / SIM_PS;
}

static int start_workload(struct sim *m) {
    switch (m->spec->workload) {
    case PB_SIM_SPIN:
        return sim_spin_start(m);
    case PB_SIM_LAUNCH:
        return sim_launch_start(m);
    default:
        return 0;
    }
}

static int run(struct sim *m) {
    if (m->spec->workload == PB_SIM_QUEUEING)
        return sim_queueing_run(m);
    sim_start_threads(m);
    int rc = run_events(m);
    if (!rc && m->spec->workload == PB_SIM_SPIN)
        sim_spin_check(m);
    return rc;
}

/* ---- the ABI ---- */

int pb_sim_run(const struct pb_sim_spec *spec, struct pb_sim **sim, struct pb_error *error) {
    *error = (struct pb_error){0};
    *sim = NULL;
    if (spec->n_threads < 1 || spec->n_threads > PB_MAX_MEMBERS)
        return pb_error_fill(error, EINVAL, "making the machine", "%d threads", spec->n_threads);
    struct pb_sim *made = calloc(1, sizeof *made);
    if (!made)
        return pb_error_fill(error, ENOMEM, "making the machine", "%s", "");
    struct sim *m = &made->sim;
    m->spec = spec;
    int rc = sim_make_machine(m);
    m->rng = spec->seed * 2 + 1;
    m->pairs_seed = sim_rand(m);
    if (!rc)
        rc = start_workload(m);
    if (rc) {
        pb_error_fill(error, -rc, "making the machine", "%s", rc == -ENOMEM ? "" : "a place or the lock is unknown");
        goto failed;
    }
    rc = run(m);
    if (rc) {
        pb_error_fill(error, -rc, "simulating", "max_events reached before the end");
        goto failed;
    }
    if (m->violation) {
        rc = pb_error_fill(error, EPROTO, "checking the simulated lock", "%s", m->violation);
        goto failed;
    }
    finish_members(m);
    m->spec = NULL; /* the caller's */
    *sim = made;
    return 0;
failed:
    pb_sim_free(made);
    return rc;
}

void pb_sim_free(struct pb_sim *sim) {
    if (sim)
        sim_free_machine(&sim->sim);
    free(sim);
}

const struct pb_sim_facts *pb_sim_facts(const struct pb_sim *sim) { return &sim->sim.facts; }
struct pb_member *pb_sim_member(const struct pb_sim *sim, int32_t thread) { return &sim->sim.members[thread]; }
struct pb_phase *pb_sim_phase(const struct pb_sim *sim, int32_t role, int32_t phase) {
    return &sim->sim.phases[role * PB_MAX_PHASES + phase];
}
const struct pb_handoff *pb_sim_handoffs(const struct pb_sim *sim, int32_t thread) {
    const struct sim *m = &sim->sim;
    return m->handoffs ? m->handoffs + (size_t)thread * (size_t)m->n_threads : NULL;
}
const double *pb_sim_launches(const struct pb_sim *sim) { return sim->sim.launches; }
