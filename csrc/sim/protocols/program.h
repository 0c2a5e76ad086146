/* SPDX-License-Identifier: Apache-2.0
 *
 * The language of programs on the simulated memory: C functions that return wherever they wait, and continue there when
 * called again (a switch over line numbers; Duff, 1983; Dunkels et al., "Protothreads", SenSys 2006). Local variables
 * do not survive a wait, fields of the thread do. Each level of calls has its own place in t->pc.
 *
 * The lock is at t->lock: its words are WORD(0) to WORD(3) of one line, and QUEUE_TAIL on the next. Each thread has a
 * line of its own, its node. Threads are numbered from 1 in these words; 0 stands for no thread.
 */
#pragma once
#include "sim/memory.h"

#define WORD(k) (t->lock + (k))
#define QUEUE_TAIL (t->lock + SIM_LINE_WORDS)
#define NODE(thread, k) (SIM_NODES + ((int32_t)(thread) - 1) * SIM_LINE_WORDS + (k))
#define MINE(k) (SIM_NODES + t->index * SIM_LINE_WORDS + (k))
#define ME ((int64_t)t->index + 1)

#define PROGRAM(level)                                                                                                 \
    int32_t *const pc = &t->pc[level];                                                                                 \
    struct sim_protocol *const my = &t->protocol;                                                                      \
    (void)my;                                                                                                          \
    switch (*pc) {                                                                                                     \
    case 0:
#define PROGRAM_END                                                                                                    \
    default:                                                                                                           \
        break;                                                                                                         \
        }                                                                                                              \
        *pc = 0;                                                                                                       \
        return true
#define WAIT_(place, op)                                                                                               \
    do {                                                                                                               \
        *pc = (place);                                                                                                 \
        if (!(op))                                                                                                     \
            return false;                                                                                              \
        __attribute__((fallthrough));                                                                                  \
    case (place):;                                                                                                     \
    } while (0)
#define WAIT(op) WAIT_(__LINE__ * 4, op)
#define CALL(program)                                                                                                  \
    do {                                                                                                               \
        *pc = __LINE__ * 4;                                                                                            \
        __attribute__((fallthrough));                                                                                  \
    case __LINE__ * 4:                                                                                                 \
        if (!program(m, t))                                                                                            \
            return false;                                                                                              \
    } while (0)

#define LOAD(word) WAIT(sim_load(m, t, word))
/* A load whose address is known before the preceding miss ends. */
#define LOAD_OVERLAPPING(word) WAIT(sim_load_overlapping(m, t, word))
#define LOAD_AGAIN(word) WAIT(sim_load_again(m, t, word))
#define RMW(word) WAIT(sim_rmw(m, t, word))
#define STORE(word, v) WAIT(sim_store(m, t, word, v))
#define COMPUTE(ps) WAIT(sim_compute(m, t, ps))
#define VALUE(word) sim_value(m, t, word)
/* At the end of an atomic. */
#define SET(word, v) sim_set(m, t, word, v)
/* Spin on the core's own copy while the condition holds: nothing happens until the copy is invalidated. */
#define SPIN_WHILE_UNTIL(word, condition, deadline)                                                                    \
    for (;;) {                                                                                                         \
        WAIT_(__LINE__ * 4 + 1, sim_load(m, t, word));                                                                 \
        if (!(condition) || m->now >= (deadline)) {                                                                    \
            WAIT_(__LINE__ * 4 + 3, sim_leave_loop(m, t));                                                             \
            break;                                                                                                     \
        }                                                                                                              \
        WAIT_(__LINE__ * 4 + 2, sim_watch(m, t, word, deadline));                                                      \
    }
#define SPIN_WHILE(word, condition) SPIN_WHILE_UNTIL(word, condition, SIM_NEVER)
/* The same; the first poll overlaps the preceding miss. */
#define SPIN_OVERLAPPING_WHILE(word, condition)                                                                        \
    do {                                                                                                               \
        WAIT_(__LINE__ * 4, sim_load_overlapping(m, t, word));                                                         \
        SPIN_WHILE(word, condition);                                                                                   \
    } while (0)
