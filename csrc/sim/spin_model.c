/* SPDX-License-Identifier: Apache-2.0
 *
 * The spin workload as csrc/workloads/spin/spin_loop.h runs it: acquire, own the guarded line and count there, hold,
 * release, think. It touches the same lines in the same order.
 */
#include <errno.h>
#include <string.h>

#include "sim/protocols/program.h"

enum { ACQUIRE, HOLD, OPERATION };
enum { COUNT, OWNER, SHADOW, LEFT };
#define GUARD(k) (m->guard + (k))
enum { ROLE_MAIN, ROLE_WRITER };

/* A timed operation reads the clock: after everything before it, while loads behind it overlap it. */
#define READ_CLOCK                                                                                                     \
    if (t->timed) {                                                                                                    \
        if (m->now < t->clock)                                                                                         \
            WAIT_(__LINE__ * 4 + 1, sim_until(m, t, t->clock));                                                        \
        COMPUTE(m->reading - m->reading_overlap);                                                                      \
        t->missed_ps = 0;                                                                                              \
        t->clock = m->now + sim_slowed(m, t, m->reading_overlap);                                                      \
    } else {                                                                                                           \
        t->clock = m->now;                                                                                             \
    }

static void enter_section(struct sim *m, struct sim_thread *t) {
    t->held = t->clock;
    if (t->counts) {
        m->writers_in++;
        t->previous_owner = m->last_owner;
        m->last_owner = t->index;
    } else {
        m->readers_in += !t->optimistic;
    }
    if (m->writers_in > 1 || (m->writers_in && m->readers_in))
        m->violation = "two threads were in the section at once";
}
static void leave_section(struct sim *m, struct sim_thread *t) {
    t->leaving = t->clock;
    if (!t->counts) {
        m->readers_in -= !t->optimistic;
        return;
    }
    m->writers_in--;
    m->sections++;
    m->last_left = m->now;
    m->left_timed = t->timed;
}

static uint64_t max(uint64_t a, uint64_t b) { return a > b ? a : b; }
static uint64_t minus(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

/* The guarded line has come: count from whom the lock was taken over. */
static void count_handoff(struct sim *m, struct sim_thread *t) {
    struct pb_member *member = &m->members[t->index];
    if (t->previous_owner == t->index || t->previous_owner < 0) {
        t->streak++;
    } else {
        t->streak = 1;
        if (m->handoffs && m->now >= m->record_from) {
            struct pb_handoff *handoff =
                &m->handoffs[(size_t)t->index * (size_t)m->n_threads + (size_t)t->previous_owner];
            handoff->count++;
            handoff->timed++;
            handoff->ns += (m->now - m->last_left + 500) / 1000;
        }
    }
    if (m->now < m->record_from)
        t->streak = 0;
    member->longest_streak = max(member->longest_streak, t->streak);
}

/* Return the time to check the previous owner, ps. The check is a branch, predicted to go as at the last acquire or,
 * half of the time, as at the last acquire that waited, or did not, as this one. A thread that takes over from a timed
 * section reads the clock. */
static uint64_t owner_check_ps(struct sim *m, struct sim_thread *t) {
    const bool own = t->previous_owner == t->index, timed = m->left_timed && !own;
    bool *alike = &t->reacquired[t->past_polls[0] ? 2 : 1];
    const bool predicted = own == (sim_below(m, 2) ? *alike : t->reacquired[0]);
    t->reacquired[0] = *alike = own;
    m->left_timed = false;
    return (predicted ? 0 : m->mispredict) + (timed ? m->reading : 0);
}

static void record_operation(struct sim *m, struct sim_thread *t) {
    struct pb_member *member = &m->members[t->index];
    if (m->facts.events > m->spec->max_events)
        m->limit = 0;
    const bool untimed = m->sample && !t->timed;
    t->untimed += untimed;
    if (m->now < m->record_from)
        return;
    member->operations++;
    if (untimed)
        return;
    /* Readings of the clock inside are subtracted, as from measured latencies. */
    const uint64_t stands_for = t->untimed + 1;
    sim_record(m, member->role, ACQUIRE, minus(t->held - t->began, m->reading), stands_for);
    sim_record(m, member->role, HOLD, minus(t->leaving - t->held, m->reading), stands_for);
    sim_record(m, member->role, OPERATION, minus(t->clock - t->began, 3 * m->reading), stands_for);
    member->longest_wait_ns = max(member->longest_wait_ns, (t->held - t->began) / 1000);
    member->longest_gap_ns = max(member->longest_gap_ns, (m->now - t->last_end) / 1000);
    t->last_end = m->now;
}

/* The lengths that the measured loop goes through, see timing/work.h. */
static void make_lengths(struct sim_lengths *lengths, double ns, int32_t distribution, uint64_t *rng) {
    double share[PB_PACE_LENGTHS];
    lengths->mean = sim_ps(ns);
    lengths->count = pb_pace_shares(share, (enum pb_distribution)distribution, rng);
    for (uint32_t i = 0; i < lengths->count; i++)
        lengths->length[i] = sim_ps(ns * share[i]);
}
static uint64_t next_length(const struct sim_lengths *lengths, uint32_t *next) {
    return lengths->length[lengths->count == 1 ? 0 : (*next)++ % PB_PACE_LENGTHS];
}

/* Return the time between two operations, ps: the loop and think time. As in the measured loop, a sample of the
 * operations is timed, which takes time itself. */
static uint64_t think_ps(struct sim *m, struct sim_thread *t) {
    const struct sim_lengths *think = t->role == ROLE_WRITER ? &m->write_think : &m->think;
    if (t->timed) {
        pb_sampler_next(&t->sampler, &m->rng, m->now);
        t->untimed = 0;
    }
    t->timed = m->sample && t->untimed == t->sampler.batch;
    return minus(t->clock, m->now) + m->loop + next_length(think, &t->think_next);
}

static uint64_t hold_ps(struct sim *m, struct sim_thread *t) {
    uint64_t ps = next_length(&m->hold, &t->hold_next);
    if (m->extra && sim_chance(m, m->spec->extra_share))
        ps += m->extra;
    return ps;
}

static bool run_operations(struct sim *m, struct sim_thread *t) {
    PROGRAM(0);
    for (;;) {
        READ_CLOCK;
        t->began = t->clock;
        for (;;) {
            t->polls = 0;
            t->missed_ps = 0;
            t->acquires = true;
            CALL(t->acquire);
            t->acquires = false;
            memmove(t->past_polls + 1, t->past_polls, sizeof t->past_polls - sizeof *t->past_polls);
            t->past_polls[0] = t->polls;
            READ_CLOCK;
            enter_section(m, t);
            if (m->guard < 0) {
                count_handoff(m, t);
            } else if (t->counts) {
                WAIT(sim_load_to_store(m, t, GUARD(OWNER)));
                count_handoff(m, t);
                COMPUTE(owner_check_ps(m, t));
                STORE(GUARD(COUNT), VALUE(GUARD(COUNT)) + 1);
                if (t->previous_owner != t->index)
                    STORE(GUARD(OWNER), t->index);
            } else {
                LOAD(GUARD(SHADOW));
            }
            if ((m->hold.mean || m->extra) && !t->optimistic)
                COMPUTE(hold_ps(m, t));
            READ_CLOCK;
            leave_section(m, t);
            CALL(t->release);
            if (!t->optimistic || t->protocol.consistent)
                break;
            if (m->now >= m->record_from)
                m->members[t->index].counters[1]++;
        }
        READ_CLOCK;
        record_operation(m, t);
        COMPUTE(think_ps(m, t));
    }
    PROGRAM_END;
}

/* The controls: one atomic addition, or nothing. */
static bool run_control(struct sim *m, struct sim_thread *t) {
    PROGRAM(0);
    for (;;) {
        t->began = t->held = m->now;
        if (t->counts) {
            RMW(GUARD(COUNT));
            SET(GUARD(COUNT), m->value[GUARD(COUNT)] + 1);
            m->sections++;
        }
        t->leaving = m->now;
        m->facts.events++; /* so that an empty iteration, which takes no time, reaches max_events */
        if (t->timed)
            COMPUTE(3 * m->reading);
        t->clock = m->now;
        record_operation(m, t);
        COMPUTE(think_ps(m, t));
    }
    PROGRAM_END;
}

int sim_spin_start(struct sim *m) {
    const struct pb_sim_spec *spec = m->spec;
    const struct sim_lock_kind *kind;
    int32_t index = 0;
    while ((kind = sim_lock_kind_at(index)) && strcmp(kind->name, spec->lock))
        index++;
    if (!kind)
        return -EINVAL;
    const bool counts = kind->control != SIM_EMPTY;
    m->step = kind->control == SIM_NO_CONTROL ? run_operations : run_control;
    bool untouched = spec->guard == PB_SIM_GUARD_NONE && kind->control != SIM_ATOMIC_ADD;
    int32_t guard = spec->guard == PB_SIM_GUARD_SHARED ? SIM_LINE_WORDS / 2 : 2 * SIM_LINE_WORDS;
    m->guard = untouched ? -1 : guard;
    m->last_owner = -1;
    m->short_section = spec->hold_ns * SIM_PS <= SIM_OVERLAP_PS && spec->extra_share <= 0.0;
    make_lengths(&m->hold, spec->hold_ns, spec->hold_distribution, &m->rng);
    make_lengths(&m->think, spec->think_ns, spec->think_distribution, &m->rng);
    make_lengths(&m->write_think, spec->write_think_ns, spec->think_distribution, &m->rng);
    int32_t writers = spec->writers < m->n_threads - 1 ? spec->writers : m->n_threads - 1;
    for (int32_t i = 0; i < m->n_threads; i++) {
        struct sim_thread *t = &m->threads[i];
        bool reads = kind->read_acquire && i < m->n_threads - writers;
        t->role = kind->read_acquire && !reads ? ROLE_WRITER : ROLE_MAIN;
        m->members[i].role = t->role;
        t->acquire = reads ? kind->read_acquire : kind->acquire;
        t->release = reads ? kind->read_release : kind->release;
        t->optimistic = reads && kind->readers_retry;
        t->counts = !reads && counts;
        t->previous_owner = -1;
        t->hold_next = (uint32_t)sim_below(m, SIM_QUANTILES);
        t->think_next = (uint32_t)sim_below(m, SIM_QUANTILES);
        t->last_end = m->record_from;
        t->timed = m->sample;
        t->sampler = (struct pb_sampler){.target_ticks = sim_ps(PB_SAMPLE_NS),
                                         .most = m->cpus[t->cpu].threads > 1 ? PB_MOST_SHARED : UINT64_MAX};
    }
    return 0;
}

void sim_spin_check(struct sim *m) {
    if (m->guard < 0 || m->violation)
        return;
    int64_t counted = m->value[GUARD(COUNT)];
    for (int32_t i = 0; i < m->n_threads; i++) {
        const struct sim_thread *t = &m->threads[i];
        counted = sim_value(m, t, GUARD(COUNT)) > counted ? sim_value(m, t, GUARD(COUNT)) : counted;
    }
    /* A thread within the section may have counted already. */
    if (counted < m->sections || counted > m->sections + 1)
        m->violation = "a section's count was lost";
}
