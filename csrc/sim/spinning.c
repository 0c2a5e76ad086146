/* SPDX-License-Identifier: Apache-2.0
 *
 * The spin workload as csrc/workloads/spin_loop.h runs it: acquire, own the guarded line and count there, hold,
 * release, think. It touches the same lines in the same order.
 */
#include "program.h"

enum { ACQUIRE, HOLD, OPERATION };
enum { COUNT, OWNER, SHADOW, LEFT };
#define GUARD(k) (m->guard + (k))
enum { ROLE_MAIN, ROLE_WRITER };

/* A timed operation reads the clock: behind all that is before it, while loads behind it start beside it. */
#define READ_CLOCK                                                                                                   \
    if (s->timed) {                                                                                                  \
        if (m->now < s->clock)                                                                                       \
            WAIT_(__LINE__ * 4 + 1, sim_until(m, s, s->clock));                                                      \
        COMPUTE(m->reading - m->beside);                                                                             \
        s->missed_ps = 0;                                                                                            \
        s->clock = m->now + sim_slowed(m, s, m->beside);                                                             \
    } else {                                                                                                         \
        s->clock = m->now;                                                                                           \
    }

static void entered(struct sim *m, struct sim_seat *s) {
    s->held = s->clock;
    if (s->counts) {
        m->writers_in++;
        s->before = m->last_owner;
        m->last_owner = s->index;
    } else {
        m->readers_in += !s->optimistic;
    }
    if (m->writers_in > 1 || (m->writers_in && m->readers_in))
        m->broken = "two were in the section at once";
}
static void leaves(struct sim *m, struct sim_seat *s) {
    s->leaving = s->clock;
    if (!s->counts) {
        m->readers_in -= !s->optimistic;
        return;
    }
    m->writers_in--;
    m->sections++;
    m->last_left = m->now;
    m->left_timed = s->timed;
}

static uint64_t most(uint64_t a, uint64_t b) { return a > b ? a : b; }
static uint64_t less(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

/* The guarded line is in hand: who had it before? */
static void arrived(struct sim *m, struct sim_seat *s) {
    struct pb_member *member = &m->members[s->index];
    if (s->before == s->index || s->before < 0) {
        s->run++;
    } else {
        s->run = 1;
        if (m->handoffs && m->now >= m->record_from) {
            struct pb_handoff *handoff = &m->handoffs[(size_t)s->index * (size_t)m->n_seats + (size_t)s->before];
            handoff->count++;
            handoff->timed++;
            handoff->ns += (m->now - m->last_left + 500) / 1000;
        }
    }
    if (m->now < m->record_from)
        s->run = 0;
    member->longest_streak = most(member->longest_streak, s->run);
}

/* Whose it was is a branch, foreseen if it goes as the time before or, half of the time, as when this acquire last had
 * waited, or not, as now. Who takes over from a timed section reads the clock. */
static uint64_t looks_whose(struct sim *m, struct sim_seat *s) {
    const bool own = s->before == s->index, timed = m->left_timed && !own;
    bool *alike = &s->owned[s->past[0] ? 2 : 1];
    const bool foreseen = own == (sim_below(m, 2) ? *alike : s->owned[0]);
    s->owned[0] = *alike = own;
    m->left_timed = false;
    return (foreseen ? 0 : m->exit) + (timed ? m->reading : 0);
}

static void done(struct sim *m, struct sim_seat *s) {
    struct pb_member *member = &m->members[s->index];
    if (m->facts.events > m->spec->max_events)
        m->limit = 0;
    const bool untimed = m->sample && !s->timed;
    s->untimed += untimed;
    if (m->now < m->record_from)
        return;
    member->operations++;
    if (untimed)
        return;
    /* Less the readings of the clock inside, as measured ones are. */
    const uint64_t all = s->untimed + 1;
    sim_record_sample(m, member->role, ACQUIRE, less(s->held - s->began, m->reading), all);
    sim_record_sample(m, member->role, HOLD, less(s->leaving - s->held, m->reading), all);
    sim_record_sample(m, member->role, OPERATION, less(s->clock - s->began, 3 * m->reading), all);
    member->longest_wait_ns = most(member->longest_wait_ns, (s->held - s->began) / 1000);
    member->longest_gap_ns = most(member->longest_gap_ns, (m->now - s->last_end) / 1000);
    s->last_end = m->now;
}

/* What is between two operations: the loop and thinking. One in many is timed, which takes time itself, and stands for
 * the others: as in the measured loop. */
static uint64_t between(struct sim *m, struct sim_seat *s) {
    const struct sim_lengths *think = s->role == ROLE_WRITER ? &m->write_think : &m->think;
    if (s->timed) {
        pb_sampler_next(&s->sampler, &m->rng, m->now);
        s->untimed = 0;
    }
    s->timed = m->sample && s->untimed == s->sampler.batch;
    return less(s->clock, m->now) + m->loop + sim_length(think, &s->think_next);
}

static uint64_t held_for(struct sim *m, struct sim_seat *s) {
    uint64_t ps = sim_length(&m->hold, &s->hold_next);
    if (m->extra && sim_chance(m, m->spec->extra_share))
        ps += m->extra;
    return ps;
}

static bool step(struct sim *m, struct sim_seat *s) {
    PROGRAM(0);
    for (;;) {
        READ_CLOCK;
        s->began = s->clock;
        for (;;) {
            s->looks = 0;
            s->missed_ps = 0;
            s->acquires = true;
            CALL(s->acquire);
            s->acquires = false;
            memmove(s->past + 1, s->past, sizeof s->past - sizeof *s->past);
            s->past[0] = s->looks;
            READ_CLOCK;
            entered(m, s);
            if (m->guard < 0) {
                arrived(m, s);
            } else if (s->counts) {
                WAIT(sim_load_to_store(m, s, GUARD(OWNER)));
                arrived(m, s);
                COMPUTE(looks_whose(m, s));
                STORE(GUARD(COUNT), VALUE(GUARD(COUNT)) + 1);
                if (s->before != s->index)
                    STORE(GUARD(OWNER), s->index);
            } else {
                LOAD(GUARD(SHADOW));
            }
            if ((m->hold.asked || m->extra) && !s->optimistic)
                COMPUTE(held_for(m, s));
            READ_CLOCK;
            leaves(m, s);
            CALL(s->release);
            if (!s->optimistic || s->c)
                break;
            if (m->now >= m->record_from)
                m->members[s->index].counters[1]++;
        }
        READ_CLOCK;
        done(m, s);
        COMPUTE(between(m, s));
    }
    PROGRAM_END;
}

/* The controls: one atomic addition, or nothing. */
static bool step_control(struct sim *m, struct sim_seat *s) {
    PROGRAM(0);
    for (;;) {
        s->began = s->held = m->now;
        if (s->counts) {
            RMW(GUARD(COUNT));
            SET(GUARD(COUNT), m->value[GUARD(COUNT)] + 1);
            m->sections++;
        }
        s->leaving = m->now;
        m->facts.events++; /* without it, an empty turn that takes no time would never come to max_events */
        if (s->timed)
            COMPUTE(3 * m->reading);
        s->clock = m->now;
        done(m, s);
        COMPUTE(between(m, s));
    }
    PROGRAM_END;
}

/* As csrc/work.c: exponential lengths are the expected order statistics of so many draws, shuffled; bimodal, one in
 * ten is 5.5 times the mean. */
void sim_lengths_make(struct sim_lengths *lengths, double ns, int32_t distribution, uint64_t *rng) {
    enum { FIXED, EXPONENTIAL, LONG = SIM_PACES / 10 };
    double share[SIM_PACES], sum = 0.0;
    lengths->asked = sim_ps(ns);
    lengths->count = distribution == FIXED ? 1 : SIM_PACES;
    share[0] = 1.0;
    for (uint32_t i = 0; lengths->count > 1 && i < SIM_PACES; i++) {
        sum += 1.0 / (SIM_PACES - i);
        double bimodal = i < LONG ? 5.5 : (SIM_PACES - LONG * 5.5) / (SIM_PACES - LONG);
        uint32_t other = (uint32_t)(pb_random(rng) % (i + 1));
        share[i] = share[other];
        share[other] = distribution == EXPONENTIAL ? sum : bimodal;
    }
    for (uint32_t i = 0; i < lengths->count; i++)
        lengths->length[i] = sim_ps(ns * share[i]);
}

int sim_spin_start(struct sim *m) {
    const struct pb_sim_spec *spec = m->spec;
    const struct sim_lock_kind *kind;
    int32_t index = 0;
    while ((kind = sim_lock_kind_at(index)) && strcmp(kind->name, spec->lock))
        index++;
    if (!kind)
        return -EINVAL;
    bool empty = !strcmp(kind->name, "empty"), atomic = !strcmp(kind->name, "atomic-add");
    m->step = empty || atomic ? step_control : step;
    bool untouched = spec->guard == PB_SIM_GUARD_NONE && !atomic;
    int32_t guard = spec->guard == PB_SIM_GUARD_SHARED ? SIM_WORDS / 2 : 2 * SIM_WORDS;
    m->guard = untouched ? -1 : guard;
    m->last_owner = -1;
    m->brief = spec->hold_ns * SIM_PS <= SIM_BESIDE_PS && spec->extra_share <= 0.0;
    sim_lengths_make(&m->hold, spec->hold_ns, spec->hold_distribution, &m->rng);
    sim_lengths_make(&m->think, spec->think_ns, spec->think_distribution, &m->rng);
    sim_lengths_make(&m->write_think, spec->write_think_ns, spec->think_distribution, &m->rng);
    int32_t writers = spec->writers < m->n_seats - 1 ? spec->writers : m->n_seats - 1;
    for (int32_t i = 0; i < m->n_seats; i++) {
        struct sim_seat *s = &m->seats[i];
        bool reads = kind->read_acquire && i < m->n_seats - writers;
        s->role = kind->read_acquire && !reads ? ROLE_WRITER : ROLE_MAIN;
        m->members[i].role = s->role;
        s->acquire = reads ? kind->read_acquire : kind->acquire;
        s->release = reads ? kind->read_release : kind->release;
        s->optimistic = reads && kind->readers_retry;
        s->counts = !reads && !empty;
        s->before = -1;
        s->hold_next = (uint32_t)sim_below(m, SIM_PACES);
        s->think_next = (uint32_t)sim_below(m, SIM_PACES);
        s->last_end = m->record_from;
        s->timed = m->sample;
        s->sampler = (struct pb_sampler){.target_ticks = sim_ps(PB_SAMPLE_NS),
                                         .most = m->cpus[s->cpu].seats > 1 ? PB_MOST_SHARED : UINT64_MAX};
    }
    return 0;
}

void sim_spin_check(struct sim *m) {
    if (m->guard < 0 || m->broken)
        return;
    int64_t counted = m->value[GUARD(COUNT)];
    for (int32_t i = 0; i < m->n_seats; i++) {
        const struct sim_seat *s = &m->seats[i];
        counted = sim_value(m, s, GUARD(COUNT)) > counted ? sim_value(m, s, GUARD(COUNT)) : counted;
    }
    /* Of one that is in the section, the count may be in already. */
    if (counted < m->sections || counted > m->sections + 1)
        m->broken = "a section's count was lost";
}
