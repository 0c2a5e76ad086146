/* SPDX-License-Identifier: Apache-2.0
 *
 * The program of csrc/locks/rwsem.h: W the word, Q the tail of the queue whose waiters spin, then sleep.
 */
#include "program.h"

#define W s->lock
#define Q (s->lock + SIM_WORDS)
#define NODE(seat, k) (m->nodes + (int32_t)(seat) * SIM_WORDS + (k))
#define MINE(k) NODE(s->index, k)
#define ME ((int64_t)s->index + 1)
enum { NEXT, STATE };
enum { WAITING, GRANTED, ASLEEP };
enum { WRITER = 1, HANDOFF = 2, READER = 256 };
#define READERS (~INT64_C(255))
#define SPINS 500

/* Who sleeps for the word of this lock and should wake. */
static void wake_for(struct sim *m, int32_t lock) {
    for (int32_t i = 0; i < m->n_seats; i++)
        if (m->seats[i].state == SIM_SLEEPS && m->seats[i].d == lock + 1)
            sim_wake(m, &m->seats[i]);
}

static bool queue_acquire(struct sim *m, struct sim_seat *s) {
    PROGRAM(3);
    STORE(MINE(NEXT), 0);
    STORE(MINE(STATE), WAITING);
    RMW(Q);
    s->c = m->value[Q];
    SET(Q, ME);
    if (s->c) {
        STORE(NODE(s->c - 1, NEXT), ME);
        s->spin_until = m->now + SPINS * m->poll;
        SPIN_WHILE_UNTIL(MINE(STATE), VALUE(MINE(STATE)) == WAITING, s->spin_until);
        if (VALUE(MINE(STATE)) == WAITING) {
            RMW(MINE(STATE));
            if (m->value[MINE(STATE)] == WAITING) {
                SET(MINE(STATE), ASLEEP);
                COMPUTE(m->change); /* into the kernel, which looks once more */
                while (m->value[MINE(STATE)] == ASLEEP)
                    WAIT(sim_sleep(m, s, SIM_NEVER));
            }
        }
    }
    PROGRAM_END;
}
static bool queue_release(struct sim *m, struct sim_seat *s) {
    PROGRAM(3);
    LOAD(MINE(NEXT));
    if (!VALUE(MINE(NEXT))) {
        RMW(Q);
        if (m->value[Q] == ME) {
            SET(Q, 0);
            goto out;
        }
        SPIN_WHILE(MINE(NEXT), !VALUE(MINE(NEXT)));
    }
    s->c = VALUE(MINE(NEXT)) - 1;
    RMW(NODE(s->c, STATE));
    if (m->value[NODE(s->c, STATE)] == ASLEEP) {
        SET(NODE(s->c, STATE), GRANTED);
        COMPUTE(m->change);
        if (m->seats[s->c].state == SIM_SLEEPS)
            sim_wake(m, &m->seats[s->c]);
    } else {
        SET(NODE(s->c, STATE), GRANTED);
    }
out:
    PROGRAM_END;
}

/* Take the word if nothing in s->a is set, by adding s->b: a load, and an atomic when it looks free. */
static bool take(struct sim *m, struct sim_seat *s) {
    PROGRAM(2);
    s->spin_until = m->now + SPINS * m->poll;
    for (;;) {
        SPIN_WHILE_UNTIL(W, (VALUE(W) & (s->a | HANDOFF)) && !(VALUE(W) & HANDOFF), s->spin_until);
        if (VALUE(W) & (s->a | HANDOFF))
            break;
        RMW(W);
        if (!(m->value[W] & (s->a | HANDOFF))) {
            SET(W, m->value[W] + s->b);
            goto out;
        }
    }
    CALL(queue_acquire);
    s->spin_until = m->now + SPINS * m->poll;
    for (;;) {
        SPIN_WHILE_UNTIL(W, VALUE(W) & s->a, s->spin_until);
        if (!(VALUE(W) & s->a)) {
            RMW(W);
            if (!(m->value[W] & s->a)) {
                SET(W, (m->value[W] & ~(int64_t)HANDOFF) + s->b);
                break;
            }
            continue;
        }
        RMW(W);
        if (!(m->value[W] & s->a))
            continue;
        SET(W, m->value[W] | HANDOFF);
        s->d = s->lock + 1; /* as the futex does: queued before the last look at the word */
        COMPUTE(m->change);
        if (m->value[W] & s->a)
            WAIT(sim_sleep(m, s, SIM_NEVER));
        s->d = 0;
    }
    CALL(queue_release);
out:
    PROGRAM_END;
}

bool sim_rwsem_acquire(struct sim *m, struct sim_seat *s) {
    PROGRAM(1);
    s->a = WRITER | READERS;
    s->b = WRITER;
    CALL(take);
    PROGRAM_END;
}
bool sim_rwsem_release(struct sim *m, struct sim_seat *s) {
    PROGRAM(1);
    RMW(W);
    SET(W, m->value[W] - WRITER);
    if (m->value[W] & HANDOFF) {
        COMPUTE(m->change);
        wake_for(m, s->lock);
    }
    PROGRAM_END;
}
bool sim_rwsem_read_release(struct sim *m, struct sim_seat *s) {
    PROGRAM(1);
    RMW(W);
    SET(W, m->value[W] - READER);
    if (!(m->value[W] & READERS) && (m->value[W] & HANDOFF)) {
        COMPUTE(m->change);
        wake_for(m, s->lock);
    }
    PROGRAM_END;
}
bool sim_rwsem_read_acquire(struct sim *m, struct sim_seat *s) {
    PROGRAM(1);
    RMW(W);
    s->a = m->value[W];
    SET(W, s->a + READER);
    if (s->a & (WRITER | HANDOFF)) {
        RMW(W);
        SET(W, m->value[W] - READER);
        if (!(m->value[W] & READERS) && (m->value[W] & HANDOFF)) {
            COMPUTE(m->change);
            wake_for(m, s->lock);
        }
        s->a = WRITER;
        s->b = READER;
        CALL(take);
    }
    PROGRAM_END;
}
