/* SPDX-License-Identifier: Apache-2.0
 *
 * The program of csrc/locks/rwsem.h: a word, and a queue whose waiters spin, then sleep.
 */
#include "sim/protocols/protocols.h"

enum { STATE = TURN };
enum { WAITING, GRANTED, ASLEEP };
enum { WRITER = 1, HANDOFF = 2, READER = 256 };
#define READERS (~INT64_C(255))
#define SPINS 500

/* Wake the threads that sleep for the word of this lock. */
static void wake_for(struct sim *m, int32_t lock) {
    for (int32_t i = 0; i < m->n_threads; i++)
        if (m->threads[i].state == SIM_SLEEPS && m->threads[i].protocol.sleeps_on == lock + 1)
            sim_wake(m, &m->threads[i]);
}

static bool queue_acquire(struct sim *m, struct sim_thread *t) {
    PROGRAM(3);
    STORE(MINE(NEXT), 0);
    STORE(MINE(STATE), WAITING);
    RMW(QUEUE_TAIL);
    my->previous = m->value[QUEUE_TAIL];
    SET(QUEUE_TAIL, ME);
    if (my->previous) {
        STORE(NODE(my->previous, NEXT), ME);
        t->spin_until = m->now + SPINS * m->poll;
        SPIN_WHILE_UNTIL(MINE(STATE), VALUE(MINE(STATE)) == WAITING, t->spin_until);
        if (VALUE(MINE(STATE)) == WAITING) {
            RMW(MINE(STATE));
            if (m->value[MINE(STATE)] == WAITING) {
                SET(MINE(STATE), ASLEEP);
                COMPUTE(m->context_switch); /* into the kernel, which checks once more */
                while (m->value[MINE(STATE)] == ASLEEP)
                    WAIT(sim_sleep(m, t, SIM_NEVER));
            }
        }
    }
    PROGRAM_END;
}
static bool queue_release(struct sim *m, struct sim_thread *t) {
    PROGRAM(3);
    LOAD(MINE(NEXT));
    if (!VALUE(MINE(NEXT))) {
        RMW(QUEUE_TAIL);
        if (m->value[QUEUE_TAIL] == ME) {
            SET(QUEUE_TAIL, 0);
            goto out;
        }
        SPIN_WHILE(MINE(NEXT), !VALUE(MINE(NEXT)));
    }
    my->next = VALUE(MINE(NEXT));
    RMW(NODE(my->next, STATE));
    if (m->value[NODE(my->next, STATE)] == ASLEEP) {
        SET(NODE(my->next, STATE), GRANTED);
        COMPUTE(m->context_switch);
        if (m->threads[my->next - 1].state == SIM_SLEEPS)
            sim_wake(m, &m->threads[my->next - 1]);
    } else {
        SET(NODE(my->next, STATE), GRANTED);
    }
out:
    PROGRAM_END;
}

/* Take the word by adding my->adds if no bit of my->blocked_by is set: a load, and an atomic when it looks free. */
static bool take(struct sim *m, struct sim_thread *t) {
    PROGRAM(2);
    t->spin_until = m->now + SPINS * m->poll;
    for (;;) {
        SPIN_WHILE_UNTIL(WORD(0), (VALUE(WORD(0)) & (my->blocked_by | HANDOFF)) && !(VALUE(WORD(0)) & HANDOFF),
                         t->spin_until);
        if (VALUE(WORD(0)) & (my->blocked_by | HANDOFF))
            break;
        RMW(WORD(0));
        if (!(m->value[WORD(0)] & (my->blocked_by | HANDOFF))) {
            SET(WORD(0), m->value[WORD(0)] + my->adds);
            goto out;
        }
    }
    CALL(queue_acquire);
    t->spin_until = m->now + SPINS * m->poll;
    for (;;) {
        SPIN_WHILE_UNTIL(WORD(0), VALUE(WORD(0)) & my->blocked_by, t->spin_until);
        if (!(VALUE(WORD(0)) & my->blocked_by)) {
            RMW(WORD(0));
            if (!(m->value[WORD(0)] & my->blocked_by)) {
                SET(WORD(0), (m->value[WORD(0)] & ~(int64_t)HANDOFF) + my->adds);
                break;
            }
            continue;
        }
        RMW(WORD(0));
        if (!(m->value[WORD(0)] & my->blocked_by))
            continue;
        SET(WORD(0), m->value[WORD(0)] | HANDOFF);
        my->sleeps_on = t->lock + 1; /* as a futex does: queued before the last check of the word */
        COMPUTE(m->context_switch);
        if (m->value[WORD(0)] & my->blocked_by)
            WAIT(sim_sleep(m, t, SIM_NEVER));
        my->sleeps_on = 0;
    }
    CALL(queue_release);
out:
    PROGRAM_END;
}

bool sim_rwsem_acquire(struct sim *m, struct sim_thread *t) {
    PROGRAM(1);
    my->blocked_by = WRITER | READERS;
    my->adds = WRITER;
    CALL(take);
    PROGRAM_END;
}
bool sim_rwsem_release(struct sim *m, struct sim_thread *t) {
    PROGRAM(1);
    RMW(WORD(0));
    SET(WORD(0), m->value[WORD(0)] - WRITER);
    if (m->value[WORD(0)] & HANDOFF) {
        COMPUTE(m->context_switch);
        wake_for(m, t->lock);
    }
    PROGRAM_END;
}
bool sim_rwsem_read_release(struct sim *m, struct sim_thread *t) {
    PROGRAM(1);
    RMW(WORD(0));
    SET(WORD(0), m->value[WORD(0)] - READER);
    if (!(m->value[WORD(0)] & READERS) && (m->value[WORD(0)] & HANDOFF)) {
        COMPUTE(m->context_switch);
        wake_for(m, t->lock);
    }
    PROGRAM_END;
}
bool sim_rwsem_read_acquire(struct sim *m, struct sim_thread *t) {
    PROGRAM(1);
    RMW(WORD(0));
    SET(WORD(0), m->value[WORD(0)] + READER);
    if (m->value[WORD(0)] & (WRITER | HANDOFF)) {
        RMW(WORD(0));
        SET(WORD(0), m->value[WORD(0)] - READER);
        if (!(m->value[WORD(0)] & READERS) && (m->value[WORD(0)] & HANDOFF)) {
            COMPUTE(m->context_switch);
            wake_for(m, t->lock);
        }
        my->blocked_by = WRITER;
        my->adds = READER;
        CALL(take);
    }
    PROGRAM_END;
}
