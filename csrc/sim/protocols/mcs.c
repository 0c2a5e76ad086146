/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs of the queue locks whose tail is the lock: mcs and cna.
 */
#include "sim/protocols/protocols.h"

enum { TAIL };

/* ---- mcs ---- */

bool sim_mcs_acquire(struct sim *m, struct sim_thread *t) {
    PROGRAM(1);
    STORE(MINE(NEXT), 0);
    STORE(MINE(TURN), 0);
    RMW(WORD(TAIL));
    my->previous = m->value[WORD(TAIL)];
    SET(WORD(TAIL), ME);
    if (my->previous) {
        STORE(NODE(my->previous, NEXT), ME);
        SPIN_WHILE(MINE(TURN), !VALUE(MINE(TURN)));
    }
    PROGRAM_END;
}
bool sim_mcs_release(struct sim *m, struct sim_thread *t) {
    PROGRAM(1);
    LOAD_OVERLAPPING(MINE(NEXT));
    if (!VALUE(MINE(NEXT))) {
        RMW(WORD(TAIL));
        if (m->value[WORD(TAIL)] == ME) {
            SET(WORD(TAIL), 0);
            goto out;
        }
        SPIN_OVERLAPPING_WHILE(MINE(NEXT), !VALUE(MINE(NEXT)));
    }
    STORE(NODE(VALUE(MINE(NEXT)), TURN), 1);
out:
    PROGRAM_END;
}

/* ---- cna: a node's turn is 0 while it waits. With the lock it is the first skipped waiter, -1 if none was skipped
 * ---- */

bool sim_cna_acquire(struct sim *m, struct sim_thread *t) {
    PROGRAM(1);
    STORE(MINE(NEXT), 0);
    STORE(MINE(TURN), 0);
    RMW(WORD(TAIL));
    my->previous = m->value[WORD(TAIL)];
    SET(WORD(TAIL), ME);
    if (my->previous) {
        STORE(NODE(my->previous, NEXT), ME);
        SPIN_WHILE(MINE(TURN), !VALUE(MINE(TURN)));
    } else {
        STORE(MINE(TURN), -1);
    }
    PROGRAM_END;
}
/* Set my->found to the first waiter of this domain from my->next on, 0 if none, and skip the waiters before it. */
static bool cna_find(struct sim *m, struct sim_thread *t) {
    PROGRAM(2);
    my->last_skipped = 0;
    for (my->found = my->next; my->found && m->threads[my->found - 1].domain != t->domain;
         my->found = VALUE(NODE(my->found, NEXT))) {
        my->last_skipped = my->found;
        LOAD(NODE(my->found, NEXT));
    }
    if (my->found && my->last_skipped) {
        STORE(NODE(my->last_skipped, NEXT), 0);
        if (my->skipped > 0) {
            LOAD(NODE(my->skipped, SKIPPED_TAIL));
            STORE(NODE(VALUE(NODE(my->skipped, SKIPPED_TAIL)), NEXT), my->next);
        } else {
            my->skipped = my->next;
        }
        STORE(NODE(my->skipped, SKIPPED_TAIL), my->last_skipped);
    }
    PROGRAM_END;
}
/* Hand over to my->next or a waiter behind it, or to the skipped. */
static bool cna_hand_over(struct sim *m, struct sim_thread *t) {
    PROGRAM(3);
    my->found = 0;
    if (my->skipped <= 0 || sim_below(m, CNA_LEAVES_ONE_IN))
        CALL(cna_find);
    if (my->found) {
        STORE(NODE(my->found, TURN), my->skipped);
    } else if (my->skipped > 0) {
        LOAD(NODE(my->skipped, SKIPPED_TAIL));
        STORE(NODE(VALUE(NODE(my->skipped, SKIPPED_TAIL)), NEXT), my->next);
        STORE(NODE(my->skipped, TURN), -1);
    } else {
        STORE(NODE(my->next, TURN), -1);
    }
    PROGRAM_END;
}
bool sim_cna_release(struct sim *m, struct sim_thread *t) {
    PROGRAM(1);
    LOAD_OVERLAPPING(MINE(TURN));
    my->skipped = VALUE(MINE(TURN));
    LOAD_OVERLAPPING(MINE(NEXT));
    my->next = VALUE(MINE(NEXT));
    if (!my->next) {
        my->last_skipped = 0;
        if (my->skipped > 0) {
            LOAD(NODE(my->skipped, SKIPPED_TAIL));
            my->last_skipped = VALUE(NODE(my->skipped, SKIPPED_TAIL));
        }
        RMW(WORD(TAIL));
        if (m->value[WORD(TAIL)] == ME) {
            SET(WORD(TAIL), my->last_skipped);
            if (my->skipped > 0)
                STORE(NODE(my->skipped, TURN), -1);
            goto out;
        }
        SPIN_OVERLAPPING_WHILE(MINE(NEXT), !VALUE(MINE(NEXT)));
        my->next = VALUE(MINE(NEXT));
    }
    CALL(cna_hand_over);
out:
    PROGRAM_END;
}
