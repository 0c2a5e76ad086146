/* SPDX-License-Identifier: Apache-2.0
 *
 * CPUs that several seats share, by turns of a fixed time slice (round robin), and seats that sleep.
 */
#include "sim.h"

static struct sim_cpu *cpu_of(struct sim *m, const struct sim_seat *s) { return &m->cpus[s->cpu]; }

static void slice_starts(struct sim *m, struct sim_cpu *cpu, uint64_t at) {
    if (cpu->slot >= 0)
        sim_due(m, cpu->slot, cpu->run_head < 0 ? SIM_NEVER : at + m->slice);
}

static void comes_on(struct sim *m, struct sim_seat *s, uint64_t after) {
    struct sim_cpu *cpu = cpu_of(m, s);
    cpu->current = s->index;
    cpu->wants_switch = false;
    s->state = SIM_RUNS;
    s->on_since = m->now;
    sim_due(m, s->index, m->now + after + s->left);
    m->facts.scheduled++;
    s->left = 0;
    slice_starts(m, cpu, m->now + after);
}

/* The CPU goes to the next that is ready, or idle. */
static void goes_off(struct sim *m, struct sim_seat *s) {
    struct sim_cpu *cpu = cpu_of(m, s);
    uint64_t from = s->on_since > m->record_from ? s->on_since : m->record_from;
    if (m->now > from)
        m->members[s->index].cpu_ns += (m->now - from) / 1000;
    cpu->current = -1;
    cpu->wants_switch = false;
    if (cpu->run_head < 0) {
        m->cores[s->core].active--;
        slice_starts(m, cpu, m->now);
        return;
    }
    struct sim_seat *next = &m->seats[cpu->run_head];
    cpu->run_head = next->next_run;
    comes_on(m, next, m->change);
}

static void is_ready(struct sim *m, struct sim_seat *s) {
    struct sim_cpu *cpu = cpu_of(m, s);
    s->state = SIM_READY;
    s->next_run = -1;
    if (cpu->run_head < 0)
        cpu->run_head = s->index;
    else
        m->seats[cpu->run_tail].next_run = s->index;
    cpu->run_tail = s->index;
    if (cpu->current >= 0 && cpu->slot >= 0 && sim_due_at(m, cpu->slot) == SIM_NEVER)
        slice_starts(m, cpu, m->now);
}

void sim_preempt(struct sim *m, struct sim_seat *s) {
    if (s->state == SIM_WATCHES)
        sim_unwatch(m, s);
    uint64_t due = sim_due_at(m, s->index);
    s->left = s->state == SIM_RUNS && due != SIM_NEVER ? due - m->now : 0;
    sim_due(m, s->index, SIM_NEVER);
    m->facts.preemptions++;
    m->members[s->index].involuntary_switches++;
    is_ready(m, s);
    goes_off(m, s);
}

void sim_slice_ends(struct sim *m, int32_t number) {
    struct sim_cpu *cpu = &m->cpus[number];
    if (cpu->current < 0 || cpu->run_head < 0)
        return;
    struct sim_seat *s = &m->seats[cpu->current];
    if (s->state == SIM_RUNS || s->state == SIM_WATCHES)
        sim_preempt(m, s);
    else
        cpu->wants_switch = true; /* an instruction under way is finished first */
}

bool sim_sleep(struct sim *m, struct sim_seat *s, uint64_t until) {
    s->state = SIM_SLEEPS;
    s->left = 0;
    sim_due(m, s->index, until);
    m->members[s->index].voluntary_switches++;
    goes_off(m, s);
    return false;
}

void sim_wake(struct sim *m, struct sim_seat *s) {
    struct sim_cpu *cpu = cpu_of(m, s);
    sim_due(m, s->index, SIM_NEVER);
    if (cpu->current >= 0) {
        is_ready(m, s);
        return;
    }
    m->cores[s->core].active++;
    comes_on(m, s, m->wake);
}

/* All seats are ready at time 0. */
void sim_start_cpus(struct sim *m) {
    for (int32_t i = 0; i < m->n_seats; i++) {
        struct sim_seat *s = &m->seats[i];
        struct sim_cpu *cpu = cpu_of(m, s);
        if (cpu->current >= 0) {
            is_ready(m, s);
            continue;
        }
        m->cores[s->core].active++;
        comes_on(m, s, 0);
    }
}
