/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs of the queued spin lock: one line of three words, which its atomics see as one. The pending waiter, and the
 * first of the queue, take it by a store, as no other thread may take it then.
 */
#include "sim/protocols/protocols.h"

enum { HELD, PENDING, TAIL };

/* Take the lock without the queue; my->acquired: whether that succeeded. */
bool sim_qspinlock_try(struct sim *m, struct sim_thread *t) {
    PROGRAM(2);
    my->acquired = true;
    RMW(WORD(HELD));
    if (!m->value[WORD(HELD)] && !m->value[WORD(PENDING)] && !m->value[WORD(TAIL)]) {
        SET(WORD(HELD), 1);
        goto out;
    }
    if (!m->value[WORD(HELD)] && m->value[WORD(PENDING)] && !m->value[WORD(TAIL)])
        SPIN_WHILE(WORD(HELD), !VALUE(WORD(HELD)) && VALUE(WORD(PENDING)) && !VALUE(WORD(TAIL)));
    if (!VALUE(WORD(PENDING)) && !VALUE(WORD(TAIL))) {
        RMW(WORD(HELD));
        my->contended = m->value[WORD(PENDING)] || m->value[WORD(TAIL)];
        my->pending = m->value[WORD(PENDING)];
        SET(WORD(PENDING), 1);
        if (!my->contended) {
            SPIN_WHILE(WORD(HELD), VALUE(WORD(HELD)));
            STORE(WORD(HELD), 1);
            STORE(WORD(PENDING), 0);
            goto out;
        }
        if (!my->pending) {
            RMW(WORD(HELD));
            SET(WORD(PENDING), 0);
        }
    }
    my->acquired = false;
out:
    PROGRAM_END;
}
/* Queue and become the first; my->previous: the last waiter before. */
bool sim_qspinlock_queue(struct sim *m, struct sim_thread *t) {
    PROGRAM(2);
    STORE(MINE(NEXT), 0);
    STORE(MINE(TURN), 0);
    LOAD(WORD(TAIL));
    RMW(WORD(HELD));
    my->previous = m->value[WORD(TAIL)];
    SET(WORD(TAIL), ME);
    if (my->previous) {
        STORE(NODE(my->previous, NEXT), ME);
        SPIN_WHILE(MINE(TURN), !VALUE(MINE(TURN)));
    }
    PROGRAM_END;
}
bool sim_qspinlock_acquire(struct sim *m, struct sim_thread *t) {
    PROGRAM(1);
    CALL(sim_qspinlock_try);
    if (my->acquired)
        goto out;
    CALL(sim_qspinlock_queue);
    for (;;) {
        SPIN_WHILE(WORD(HELD), VALUE(WORD(HELD)) || VALUE(WORD(PENDING)));
        if (VALUE(WORD(TAIL)) != ME)
            break;
        RMW(WORD(HELD));
        if (!m->value[WORD(HELD)] && !m->value[WORD(PENDING)] && m->value[WORD(TAIL)] == ME) {
            SET(WORD(HELD), 1);
            SET(WORD(TAIL), 0);
            goto out;
        }
    }
    STORE(WORD(HELD), 1);
    SPIN_OVERLAPPING_WHILE(MINE(NEXT), !VALUE(MINE(NEXT)));
    STORE(NODE(VALUE(MINE(NEXT)), TURN), 1);
out:
    PROGRAM_END;
}

/* ---- qspinlock-cna: the same with the queue of cna, as proposed for kernels. While the first waiter waits for the
 * word, it looks for the next one of its domain, one waiter per iteration ---- */

/* Skip waiters of other domains; my->next becomes the waiter to follow, 0 if none came yet. */
static bool qspinlock_cna_order(struct sim *m, struct sim_thread *t) {
    PROGRAM(2);
    LOAD(MINE(NEXT));
    my->next = VALUE(MINE(NEXT));
    while (my->next && m->threads[my->next - 1].domain != t->preferred_domain) {
        LOAD(WORD(HELD));
        if (!VALUE(WORD(HELD)) && !VALUE(WORD(PENDING)))
            break;
        LOAD(NODE(my->next, NEXT));
        my->found = VALUE(NODE(my->next, NEXT));
        if (!my->found)
            break; /* the last of the queue stays */
        STORE(NODE(my->next, NEXT), 0);
        if (my->skipped > 0) {
            LOAD(NODE(my->skipped, SKIPPED_TAIL));
            STORE(NODE(VALUE(NODE(my->skipped, SKIPPED_TAIL)), NEXT), my->next);
        } else {
            my->skipped = my->next;
        }
        STORE(NODE(my->skipped, SKIPPED_TAIL), my->next);
        my->next = my->found;
        STORE(MINE(NEXT), my->next);
    }
    PROGRAM_END;
}
bool sim_qspinlock_cna_acquire(struct sim *m, struct sim_thread *t) {
    PROGRAM(1);
    CALL(sim_qspinlock_try);
    if (my->acquired)
        goto out;
    CALL(sim_qspinlock_queue);
    if (!my->previous) {
        my->skipped = -1;
        t->preferred_domain = t->domain;
    } else {
        my->skipped = VALUE(MINE(TURN));
    }
    CALL(qspinlock_cna_order);
    for (;;) {
        SPIN_WHILE(WORD(HELD), VALUE(WORD(HELD)) || VALUE(WORD(PENDING)));
        if (VALUE(WORD(TAIL)) != ME)
            break;
        my->last_skipped = 0;
        if (my->skipped > 0) {
            LOAD(NODE(my->skipped, SKIPPED_TAIL));
            my->last_skipped = VALUE(NODE(my->skipped, SKIPPED_TAIL));
        }
        RMW(WORD(HELD));
        if (!m->value[WORD(HELD)] && !m->value[WORD(PENDING)] && m->value[WORD(TAIL)] == ME) {
            SET(WORD(HELD), 1);
            SET(WORD(TAIL), my->last_skipped);
            if (my->skipped > 0) {
                m->threads[my->skipped - 1].preferred_domain = m->threads[my->skipped - 1].domain;
                STORE(NODE(my->skipped, TURN), -1);
            }
            goto out;
        }
    }
    STORE(WORD(HELD), 1);
    SPIN_OVERLAPPING_WHILE(MINE(NEXT), !VALUE(MINE(NEXT)));
    my->next = VALUE(MINE(NEXT));
    if (my->skipped > 0 && !sim_below(m, CNA_LEAVES_ONE_IN)) {
        LOAD(NODE(my->skipped, SKIPPED_TAIL));
        STORE(NODE(VALUE(NODE(my->skipped, SKIPPED_TAIL)), NEXT), my->next);
        my->next = my->skipped;
        my->skipped = -1;
        m->threads[my->next - 1].preferred_domain = m->threads[my->next - 1].domain;
    } else {
        m->threads[my->next - 1].preferred_domain = t->preferred_domain;
    }
    STORE(NODE(my->next, TURN), my->skipped);
out:
    PROGRAM_END;
}
