/* SPDX-License-Identifier: Apache-2.0
 *
 * The locks' programs, as in csrc/locks/, where each one's source is named. The lock is at s->lock: its words are
 * W(0) to W(3) of one line and Q of the next; each seat has a line of its own, its node.
 */
#include "program.h"

#define W(k) (s->lock + (k))
#define Q (s->lock + SIM_WORDS)
#define NODE(seat, k) (m->nodes + (int32_t)(seat) * SIM_WORDS + (k))
#define MINE(k) NODE(s->index, k)
#define ME ((int64_t)s->index + 1) /* 0 is nobody */
enum { NEXT, TURN, SKIPPED_TAIL };

/* ---- no lock ---- */
static bool nothing(struct sim *m, struct sim_seat *s) {
    (void)m;
    (void)s;
    return true;
}

/* ---- tas ---- */
static bool tas_acquire(struct sim *m, struct sim_seat *s) {
    PROGRAM(1);
    for (;;) {
        RMW(W(0));
        if (!m->value[W(0)])
            break;
        WAIT(sim_turn(m, s));
    }
    SET(W(0), 1);
    WAIT(sim_leave_loop(m, s));
    PROGRAM_END;
}
static bool tas_release(struct sim *m, struct sim_seat *s) {
    PROGRAM(1);
    STORE(W(0), 0);
    PROGRAM_END;
}

/* ---- ttas, with and without backoff; the word is at s->a ---- */
static bool ttas_take(struct sim *m, struct sim_seat *s) {
    PROGRAM(2);
    for (;;) {
        RMW((int32_t)s->a);
        if (!m->value[s->a])
            break;
        SET((int32_t)s->a, 1);
        SPIN_WHILE((int32_t)s->a, VALUE((int32_t)s->a));
    }
    SET((int32_t)s->a, 1);
    PROGRAM_END;
}
static bool ttas_acquire(struct sim *m, struct sim_seat *s) {
    PROGRAM(1);
    s->a = W(0);
    CALL(ttas_take);
    PROGRAM_END;
}
static bool ttas_backoff_acquire(struct sim *m, struct sim_seat *s) {
    PROGRAM(1);
    s->a = 4;
    for (;;) {
        RMW(W(0));
        if (!m->value[W(0)])
            break;
        SET(W(0), 1);
        s->looks++;
        COMPUTE(m->pause * sim_below(m, (uint64_t)s->a));
        s->a = s->a < 1024 ? 2 * s->a : s->a;
        SPIN_WHILE(W(0), VALUE(W(0)));
    }
    SET(W(0), 1);
    PROGRAM_END;
}

/* ---- ticket: W(0) the next, W(1) the one served ---- */
static bool ticket_acquire(struct sim *m, struct sim_seat *s) {
    PROGRAM(1);
    RMW(W(0));
    s->a = m->value[W(0)];
    SET(W(0), s->a + 1);
    SPIN_WHILE(W(1), VALUE(W(1)) != s->a);
    PROGRAM_END;
}
static bool ticket_release(struct sim *m, struct sim_seat *s) {
    PROGRAM(1);
    LOAD_AGAIN(W(1));
    STORE(W(1), VALUE(W(1)) + 1);
    PROGRAM_END;
}

/* ---- mcs: W(0) the tail ---- */
static bool mcs_acquire(struct sim *m, struct sim_seat *s) {
    PROGRAM(1);
    STORE(MINE(NEXT), 0);
    STORE(MINE(TURN), 0);
    RMW(W(0));
    s->a = m->value[W(0)];
    SET(W(0), ME);
    if (s->a) {
        STORE(NODE(s->a - 1, NEXT), ME);
        SPIN_WHILE(MINE(TURN), !VALUE(MINE(TURN)));
    }
    PROGRAM_END;
}
static bool mcs_release(struct sim *m, struct sim_seat *s) {
    PROGRAM(1);
    LOAD_BESIDE(MINE(NEXT));
    if (!VALUE(MINE(NEXT))) {
        RMW(W(0));
        if (m->value[W(0)] == ME) {
            SET(W(0), 0);
            goto out;
        }
        SPIN_BESIDE_WHILE(MINE(NEXT), !VALUE(MINE(NEXT)));
    }
    STORE(NODE(VALUE(MINE(NEXT)) - 1, TURN), 1);
out:
    PROGRAM_END;
}

/* ---- qspinlock: one line of three words, which its atomics see as one: held, pending, tail. Who waits alone, and the
 * first of the queue, take it by a store, as nobody else may. ---- */
/* Without the queue: s->c tells whether it has the lock. */
static bool qspinlock_try(struct sim *m, struct sim_seat *s) {
    PROGRAM(2);
    s->c = 1;
    RMW(W(0));
    if (!m->value[W(0)] && !m->value[W(1)] && !m->value[W(2)]) {
        SET(W(0), 1);
        goto out;
    }
    if (!m->value[W(0)] && m->value[W(1)] && !m->value[W(2)])
        SPIN_WHILE(W(0), !VALUE(W(0)) && VALUE(W(1)) && !VALUE(W(2)));
    if (!VALUE(W(1)) && !VALUE(W(2))) {
        RMW(W(0));
        s->a = m->value[W(1)] || m->value[W(2)];
        s->b = m->value[W(1)];
        SET(W(1), 1);
        if (!s->a) {
            SPIN_WHILE(W(0), VALUE(W(0)));
            STORE(W(0), 1);
            STORE(W(1), 0);
            goto out;
        }
        if (!s->b) {
            RMW(W(0));
            SET(W(1), 0);
        }
    }
    s->c = 0;
out:
    PROGRAM_END;
}
/* Become the first of the queue; s->a: who was last before. */
static bool qspinlock_queue(struct sim *m, struct sim_seat *s) {
    PROGRAM(2);
    STORE(MINE(NEXT), 0);
    STORE(MINE(TURN), 0);
    LOAD(W(2));
    RMW(W(0));
    s->a = m->value[W(2)];
    SET(W(2), ME);
    if (s->a) {
        STORE(NODE(s->a - 1, NEXT), ME);
        SPIN_WHILE(MINE(TURN), !VALUE(MINE(TURN)));
    }
    PROGRAM_END;
}
static bool qspinlock_acquire(struct sim *m, struct sim_seat *s) {
    PROGRAM(1);
    CALL(qspinlock_try);
    if (s->c)
        goto out;
    CALL(qspinlock_queue);
    for (;;) {
        SPIN_WHILE(W(0), VALUE(W(0)) || VALUE(W(1)));
        if (VALUE(W(2)) != ME)
            break;
        RMW(W(0));
        if (!m->value[W(0)] && !m->value[W(1)] && m->value[W(2)] == ME) {
            SET(W(0), 1);
            SET(W(2), 0);
            goto out;
        }
    }
    STORE(W(0), 1);
    SPIN_BESIDE_WHILE(MINE(NEXT), !VALUE(MINE(NEXT)));
    STORE(NODE(VALUE(MINE(NEXT)) - 1, TURN), 1);
out:
    PROGRAM_END;
}

/* ---- cna: W(0) the tail; a turn is 0 waiting, -1 the lock and nobody skipped, else the lock and the first skipped ---- */
#define CNA_LEAVES_ONE_IN 65536
static bool cna_acquire(struct sim *m, struct sim_seat *s) {
    PROGRAM(1);
    STORE(MINE(NEXT), 0);
    STORE(MINE(TURN), 0);
    RMW(W(0));
    s->a = m->value[W(0)];
    SET(W(0), ME);
    if (s->a) {
        STORE(NODE(s->a - 1, NEXT), ME);
        SPIN_WHILE(MINE(TURN), !VALUE(MINE(TURN)));
    } else {
        STORE(MINE(TURN), -1);
    }
    PROGRAM_END;
}
/* From the waiter s->b on, the first of this domain: s->c, 0 if none; those before it go to the skipped. */
static bool cna_find(struct sim *m, struct sim_seat *s) {
    PROGRAM(2);
    s->d = 0;
    for (s->c = s->b; s->c && m->seats[s->c - 1].domain != s->domain; s->c = VALUE(NODE(s->c - 1, NEXT))) {
        s->d = s->c;
        LOAD(NODE(s->c - 1, NEXT));
    }
    if (s->c && s->d) {
        STORE(NODE(s->d - 1, NEXT), 0);
        if (s->a > 0) {
            LOAD(NODE(s->a - 1, SKIPPED_TAIL));
            STORE(NODE(VALUE(NODE(s->a - 1, SKIPPED_TAIL)) - 1, NEXT), s->b);
        } else {
            s->a = s->b;
        }
        STORE(NODE(s->a - 1, SKIPPED_TAIL), s->d);
    }
    PROGRAM_END;
}
/* To the waiter s->b or one behind it, or to the skipped (s->a). */
static bool cna_hand_over(struct sim *m, struct sim_seat *s) {
    PROGRAM(3);
    s->c = 0;
    if (s->a <= 0 || sim_below(m, CNA_LEAVES_ONE_IN))
        CALL(cna_find);
    if (s->c) {
        STORE(NODE(s->c - 1, TURN), s->a);
    } else if (s->a > 0) {
        LOAD(NODE(s->a - 1, SKIPPED_TAIL));
        STORE(NODE(VALUE(NODE(s->a - 1, SKIPPED_TAIL)) - 1, NEXT), s->b);
        STORE(NODE(s->a - 1, TURN), -1);
    } else {
        STORE(NODE(s->b - 1, TURN), -1);
    }
    PROGRAM_END;
}
static bool cna_release(struct sim *m, struct sim_seat *s) {
    PROGRAM(1);
    LOAD_BESIDE(MINE(TURN));
    s->a = VALUE(MINE(TURN));
    LOAD_BESIDE(MINE(NEXT));
    s->b = VALUE(MINE(NEXT));
    if (!s->b) {
        s->d = 0;
        if (s->a > 0) {
            LOAD(NODE(s->a - 1, SKIPPED_TAIL));
            s->d = VALUE(NODE(s->a - 1, SKIPPED_TAIL));
        }
        RMW(W(0));
        if (m->value[W(0)] == ME) {
            SET(W(0), s->d);
            if (s->a > 0)
                STORE(NODE(s->a - 1, TURN), -1);
            goto out;
        }
        SPIN_BESIDE_WHILE(MINE(NEXT), !VALUE(MINE(NEXT)));
        s->b = VALUE(MINE(NEXT));
    }
    CALL(cna_hand_over);
out:
    PROGRAM_END;
}

/* ---- the same with the queue of cna, as kernels were proposed to have it: while the first of the queue waits for the
 * word it looks for who is to be first after it, one waiter a turn ---- */
/* s->a as a turn; s->b the waiter behind, 0 if none yet. */
static bool qspinlock_cna_order(struct sim *m, struct sim_seat *s) {
    PROGRAM(2);
    LOAD(MINE(NEXT));
    s->b = VALUE(MINE(NEXT));
    while (s->b && m->seats[s->b - 1].domain != s->prefers) {
        LOAD(W(0));
        if (!VALUE(W(0)) && !VALUE(W(1)))
            break;
        LOAD(NODE(s->b - 1, NEXT));
        s->c = VALUE(NODE(s->b - 1, NEXT));
        if (!s->c)
            break; /* the last of the queue stays */
        STORE(NODE(s->b - 1, NEXT), 0);
        if (s->a > 0) {
            LOAD(NODE(s->a - 1, SKIPPED_TAIL));
            STORE(NODE(VALUE(NODE(s->a - 1, SKIPPED_TAIL)) - 1, NEXT), s->b);
        } else {
            s->a = s->b;
        }
        STORE(NODE(s->a - 1, SKIPPED_TAIL), s->b);
        s->b = s->c;
        STORE(MINE(NEXT), s->b);
    }
    PROGRAM_END;
}
static bool qspinlock_cna_acquire(struct sim *m, struct sim_seat *s) {
    PROGRAM(1);
    CALL(qspinlock_try);
    if (s->c)
        goto out;
    CALL(qspinlock_queue);
    if (!s->a) {
        s->a = -1;
        s->prefers = s->domain;
    } else {
        s->a = VALUE(MINE(TURN));
    }
    CALL(qspinlock_cna_order);
    for (;;) {
        SPIN_WHILE(W(0), VALUE(W(0)) || VALUE(W(1)));
        if (VALUE(W(2)) != ME)
            break;
        s->d = 0;
        if (s->a > 0) {
            LOAD(NODE(s->a - 1, SKIPPED_TAIL));
            s->d = VALUE(NODE(s->a - 1, SKIPPED_TAIL));
        }
        RMW(W(0));
        if (!m->value[W(0)] && !m->value[W(1)] && m->value[W(2)] == ME) {
            SET(W(0), 1);
            SET(W(2), s->d);
            if (s->a > 0) {
                m->seats[s->a - 1].prefers = m->seats[s->a - 1].domain;
                STORE(NODE(s->a - 1, TURN), -1);
            }
            goto out;
        }
    }
    STORE(W(0), 1);
    SPIN_BESIDE_WHILE(MINE(NEXT), !VALUE(MINE(NEXT)));
    s->b = VALUE(MINE(NEXT));
    if (s->a > 0 && !sim_below(m, CNA_LEAVES_ONE_IN)) {
        LOAD(NODE(s->a - 1, SKIPPED_TAIL));
        STORE(NODE(VALUE(NODE(s->a - 1, SKIPPED_TAIL)) - 1, NEXT), s->b);
        s->b = s->a;
        s->a = -1;
        m->seats[s->b - 1].prefers = m->seats[s->b - 1].domain;
    } else {
        m->seats[s->b - 1].prefers = s->prefers;
    }
    STORE(NODE(s->b - 1, TURN), s->a);
out:
    PROGRAM_END;
}

/* ---- seqlock: W(0) the count, W(1) the writers' ttas ---- */
bool sim_seqlock_acquire(struct sim *m, struct sim_seat *s) {
    PROGRAM(1);
    s->a = W(1);
    CALL(ttas_take);
    LOAD(W(0));
    STORE(W(0), VALUE(W(0)) + 1);
    PROGRAM_END;
}
bool sim_seqlock_release(struct sim *m, struct sim_seat *s) {
    PROGRAM(1);
    LOAD_AGAIN(W(0));
    STORE(W(0), VALUE(W(0)) + 1);
    STORE(W(1), 0);
    PROGRAM_END;
}
bool sim_seqlock_read_acquire(struct sim *m, struct sim_seat *s) {
    PROGRAM(1);
    SPIN_WHILE(W(0), VALUE(W(0)) & 1);
    s->b = VALUE(W(0));
    PROGRAM_END;
}
/* s->c: nothing was written meanwhile. */
bool sim_seqlock_read_release(struct sim *m, struct sim_seat *s) {
    PROGRAM(1);
    LOAD(W(0));
    s->c = VALUE(W(0)) == s->b;
    PROGRAM_END;
}

static const struct sim_lock_kind sim_locks[] = {
    {.name = "tas", .acquire = tas_acquire, .release = tas_release},
    {.name = "ttas", .acquire = ttas_acquire, .release = tas_release},
    {.name = "ttas-backoff", .acquire = ttas_backoff_acquire, .release = tas_release},
    {.name = "ticket", .acquire = ticket_acquire, .release = ticket_release},
    {.name = "mcs", .acquire = mcs_acquire, .release = mcs_release},
    {.name = "qspinlock", .acquire = qspinlock_acquire, .release = tas_release},
    {.name = "cna", .acquire = cna_acquire, .release = cna_release},
    {.name = "qspinlock-cna", .acquire = qspinlock_cna_acquire, .release = tas_release},
    {.name = "seqlock", .acquire = sim_seqlock_acquire, .release = sim_seqlock_release,
     .read_acquire = sim_seqlock_read_acquire, .read_release = sim_seqlock_read_release, .readers_retry = true},
    {.name = "rwsem", .acquire = sim_rwsem_acquire, .release = sim_rwsem_release,
     .read_acquire = sim_rwsem_read_acquire, .read_release = sim_rwsem_read_release},
    {.name = "empty", .acquire = nothing, .release = nothing},
    {.name = "atomic-add", .acquire = nothing, .release = nothing},
};

const struct sim_lock_kind *sim_lock_kind_at(int32_t index) {
    return index >= 0 && index < (int32_t)(sizeof sim_locks / sizeof *sim_locks) ? &sim_locks[index] : NULL;
}

const char *pb_sim_lock_name(int32_t index) {
    const struct sim_lock_kind *kind = sim_lock_kind_at(index);
    return kind ? kind->name : NULL;
}
