/* SPDX-License-Identifier: Apache-2.0
 *
 * How programs on the simulated memory are written: as C functions that stop wherever they wait and go on there when
 * they are called again (a switch over line numbers; Duff, 1983; Dunkels et al., "Protothreads", SenSys 2006). Locals
 * do not live across a wait; the seat keeps what must. Each level of calls has a place of its own in s->pc.
 */
#pragma once
#include "sim.h"

#define PROGRAM(level)                                                                                               \
    int32_t *const pc = &s->pc[level];                                                                               \
    switch (*pc) {                                                                                                   \
    case 0:
#define PROGRAM_END                                                                                                  \
    default:                                                                                                         \
        break;                                                                                                       \
    }                                                                                                                \
    *pc = 0;                                                                                                         \
    return true
#define WAIT_(place, op)                                                                                             \
    do {                                                                                                             \
        *pc = (place);                                                                                               \
        if (!(op))                                                                                                   \
            return false;                                                                                            \
        __attribute__((fallthrough));                                                                                \
    case (place):;                                                                                                   \
    } while (0)
#define WAIT(op) WAIT_(__LINE__ * 4, op)
#define CALL(program)                                                                                                \
    do {                                                                                                             \
        *pc = __LINE__ * 4;                                                                                          \
        __attribute__((fallthrough));                                                                                \
    case __LINE__ * 4:                                                                                               \
        if (!program(m, s))                                                                                          \
            return false;                                                                                            \
    } while (0)

#define LOAD(word) WAIT(sim_load(m, s, word))
/* One whose address is known before the miss that it follows. */
#define LOAD_BESIDE(word) WAIT(sim_load_beside(m, s, word))
#define LOAD_AGAIN(word) WAIT(sim_load_again(m, s, word))
#define RMW(word) WAIT(sim_rmw(m, s, word))
#define STORE(word, v) WAIT(sim_store(m, s, word, v))
#define COMPUTE(ps) WAIT(sim_compute(m, s, ps))
#define VALUE(word) sim_value(m, s, word)
/* At the end of an atomic. */
#define SET(word, v) sim_set(m, s, word, v)
/* Spin on the core's own copy while the condition holds: nothing happens until the copy is taken away. */
#define SPIN_WHILE_UNTIL(word, condition, deadline)                                                                  \
    for (;;) {                                                                                                       \
        WAIT_(__LINE__ * 4 + 1, sim_load(m, s, word));                                                               \
        if (!(condition) || m->now >= (deadline)) {                                                                  \
            WAIT_(__LINE__ * 4 + 3, sim_leave_loop(m, s));                                                           \
            break;                                                                                                   \
        }                                                                                                            \
        WAIT_(__LINE__ * 4 + 2, sim_watch(m, s, word, deadline));                                                    \
    }
#define SPIN_WHILE(word, condition) SPIN_WHILE_UNTIL(word, condition, SIM_NEVER)
/* The same, its first look beside the miss that it follows. */
#define SPIN_BESIDE_WHILE(word, condition)                                                                           \
    do {                                                                                                             \
        WAIT_(__LINE__ * 4, sim_load_beside(m, s, word));                                                            \
        SPIN_WHILE(word, condition);                                                                                 \
    } while (0)
