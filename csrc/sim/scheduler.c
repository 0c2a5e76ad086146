/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads on CPUs: those that share one take turns of a fixed time slice (round robin), and they sleep and wake.
 */
#include "sim/memory.h"

static struct sim_cpu *cpu_of(struct sim *m, const struct sim_thread *t) { return &m->cpus[t->cpu]; }

static void start_timeslice(struct sim *m, struct sim_cpu *cpu, uint64_t at) {
    if (cpu->slot >= 0)
        sim_due(m, cpu->slot, cpu->run_head < 0 ? SIM_NEVER : at + m->timeslice);
}

static void switch_in(struct sim *m, struct sim_thread *t, uint64_t after) {
    struct sim_cpu *cpu = cpu_of(m, t);
    cpu->current = t->index;
    cpu->wants_switch = false;
    t->state = SIM_RUNS;
    t->on_since = m->now;
    sim_due(m, t->index, m->now + after + t->left);
    m->facts.scheduled++;
    t->left = 0;
    start_timeslice(m, cpu, m->now + after);
}

/* The CPU goes to the next ready thread, or idles. */
static void switch_out(struct sim *m, struct sim_thread *t) {
    struct sim_cpu *cpu = cpu_of(m, t);
    uint64_t from = t->on_since > m->record_from ? t->on_since : m->record_from;
    if (m->now > from)
        m->members[t->index].cpu_ns += (m->now - from) / 1000;
    cpu->current = -1;
    cpu->wants_switch = false;
    if (cpu->run_head < 0) {
        m->cores[t->core].active--;
        start_timeslice(m, cpu, m->now);
        return;
    }
    struct sim_thread *next = &m->threads[cpu->run_head];
    cpu->run_head = next->next_run;
    switch_in(m, next, m->context_switch);
}

static void make_ready(struct sim *m, struct sim_thread *t) {
    struct sim_cpu *cpu = cpu_of(m, t);
    t->state = SIM_READY;
    t->next_run = -1;
    if (cpu->run_head < 0)
        cpu->run_head = t->index;
    else
        m->threads[cpu->run_tail].next_run = t->index;
    cpu->run_tail = t->index;
    if (cpu->current >= 0 && cpu->slot >= 0 && sim_due_at(m, cpu->slot) == SIM_NEVER)
        start_timeslice(m, cpu, m->now);
}

void sim_preempt(struct sim *m, struct sim_thread *t) {
    if (t->state == SIM_WATCHES)
        sim_unwatch(m, t);
    uint64_t due = sim_due_at(m, t->index);
    t->left = t->state == SIM_RUNS && due != SIM_NEVER ? due - m->now : 0;
    sim_due(m, t->index, SIM_NEVER);
    m->facts.preemptions++;
    m->members[t->index].involuntary_switches++;
    make_ready(m, t);
    switch_out(m, t);
}

void sim_end_timeslice(struct sim *m, int32_t number) {
    struct sim_cpu *cpu = &m->cpus[number];
    if (cpu->current < 0 || cpu->run_head < 0)
        return;
    struct sim_thread *t = &m->threads[cpu->current];
    if (t->state == SIM_RUNS || t->state == SIM_WATCHES)
        sim_preempt(m, t);
    else
        cpu->wants_switch = true; /* after the instruction in progress */
}

bool sim_sleep(struct sim *m, struct sim_thread *t, uint64_t until) {
    t->state = SIM_SLEEPS;
    t->left = 0;
    sim_due(m, t->index, until);
    m->members[t->index].voluntary_switches++;
    switch_out(m, t);
    return false;
}

void sim_wake(struct sim *m, struct sim_thread *t) {
    struct sim_cpu *cpu = cpu_of(m, t);
    sim_due(m, t->index, SIM_NEVER);
    if (cpu->current >= 0) {
        make_ready(m, t);
        return;
    }
    m->cores[t->core].active++;
    switch_in(m, t, m->wake);
}

void sim_start_threads(struct sim *m) {
    for (int32_t i = 0; i < m->n_threads; i++) {
        struct sim_thread *t = &m->threads[i];
        struct sim_cpu *cpu = cpu_of(m, t);
        if (cpu->current >= 0) {
            make_ready(m, t);
            continue;
        }
        m->cores[t->core].active++;
        switch_in(m, t, 0);
    }
}
