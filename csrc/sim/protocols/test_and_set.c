/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs of the locks that wait on one word: tas, ttas, ticket, seqlock. Their sources are named in csrc/locks/.
 */
#include "sim/protocols/protocols.h"

enum { HELD };

/* ---- tas ---- */

bool sim_tas_acquire(struct sim *m, struct sim_thread *t) {
    PROGRAM(1);
    for (;;) {
        RMW(WORD(HELD));
        if (!m->value[WORD(HELD)])
            break;
        WAIT(sim_spin_once(m, t));
    }
    SET(WORD(HELD), 1);
    WAIT(sim_leave_loop(m, t));
    PROGRAM_END;
}
bool sim_tas_release(struct sim *m, struct sim_thread *t) {
    PROGRAM(1);
    STORE(WORD(HELD), 0);
    PROGRAM_END;
}

/* ---- ttas, with and without backoff ---- */

bool sim_ttas_take(struct sim *m, struct sim_thread *t) {
    PROGRAM(2);
    for (;;) {
        RMW(my->word);
        if (!m->value[my->word])
            break;
        SET(my->word, 1);
        SPIN_WHILE(my->word, VALUE(my->word));
    }
    SET(my->word, 1);
    PROGRAM_END;
}
bool sim_ttas_acquire(struct sim *m, struct sim_thread *t) {
    PROGRAM(1);
    my->word = WORD(HELD);
    CALL(sim_ttas_take);
    PROGRAM_END;
}
bool sim_ttas_backoff_acquire(struct sim *m, struct sim_thread *t) {
    PROGRAM(1);
    my->backoff = 4;
    for (;;) {
        RMW(WORD(HELD));
        if (!m->value[WORD(HELD)])
            break;
        SET(WORD(HELD), 1);
        t->polls++;
        COMPUTE(m->pause * sim_below(m, my->backoff));
        my->backoff = my->backoff < 1024 ? 2 * my->backoff : my->backoff;
        SPIN_WHILE(WORD(HELD), VALUE(WORD(HELD)));
    }
    SET(WORD(HELD), 1);
    PROGRAM_END;
}

/* ---- ticket ---- */

enum { NEXT_TICKET, SERVING };

bool sim_ticket_acquire(struct sim *m, struct sim_thread *t) {
    PROGRAM(1);
    RMW(WORD(NEXT_TICKET));
    my->ticket = m->value[WORD(NEXT_TICKET)];
    SET(WORD(NEXT_TICKET), my->ticket + 1);
    SPIN_WHILE(WORD(SERVING), VALUE(WORD(SERVING)) != my->ticket);
    PROGRAM_END;
}
bool sim_ticket_release(struct sim *m, struct sim_thread *t) {
    PROGRAM(1);
    LOAD_AGAIN(WORD(SERVING));
    STORE(WORD(SERVING), VALUE(WORD(SERVING)) + 1);
    PROGRAM_END;
}

/* ---- seqlock: its writers exclude each other by a ttas ---- */

enum { SEQUENCE, WRITER };

bool sim_seqlock_acquire(struct sim *m, struct sim_thread *t) {
    PROGRAM(1);
    my->word = WORD(WRITER);
    CALL(sim_ttas_take);
    LOAD(WORD(SEQUENCE));
    STORE(WORD(SEQUENCE), VALUE(WORD(SEQUENCE)) + 1);
    PROGRAM_END;
}
bool sim_seqlock_release(struct sim *m, struct sim_thread *t) {
    PROGRAM(1);
    LOAD_AGAIN(WORD(SEQUENCE));
    STORE(WORD(SEQUENCE), VALUE(WORD(SEQUENCE)) + 1);
    STORE(WORD(WRITER), 0);
    PROGRAM_END;
}
bool sim_seqlock_read_acquire(struct sim *m, struct sim_thread *t) {
    PROGRAM(1);
    SPIN_WHILE(WORD(SEQUENCE), VALUE(WORD(SEQUENCE)) & 1);
    my->sequence = VALUE(WORD(SEQUENCE));
    PROGRAM_END;
}
bool sim_seqlock_read_release(struct sim *m, struct sim_thread *t) {
    PROGRAM(1);
    LOAD(WORD(SEQUENCE));
    my->consistent = VALUE(WORD(SEQUENCE)) == my->sequence;
    PROGRAM_END;
}
