/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions that the simulator's files share. `m` is the machine, `t` the acting thread.
 */
#pragma once
#include "sim/types.h"

/* ---- machine.c ---- */

/* Make the machine of m->spec. Return 0, -ENOMEM, or -EINVAL for a place that is out of range. */
int sim_make_machine(struct sim *m);
void sim_free_machine(struct sim *m);

/* ---- lines.c: copies of lines and their transfers ---- */

/* Return the time of one transfer between two cores, ps. */
uint64_t sim_transfer_ps(struct sim *m, int32_t from, int32_t to);
/* Begin to serve a request; `others` were waiting too when it was chosen (0: it found the line free). */
void sim_serve(struct sim *m, struct sim_line *line, int32_t agent, int32_t others);
/* The line that the agent requested has come. */
void sim_complete(struct sim *m, int32_t agent);
/* The owner modifies the line before the probe of a read reaches it: the read may take the line away. */
void sim_read_takes(struct sim *m, struct sim_line *line);
/* Spin on a copy: poll again only when the copy is gone, or at `until`. */
bool sim_watch(struct sim *m, struct sim_thread *t, int32_t word, uint64_t until);
void sim_unwatch(struct sim *m, struct sim_thread *t);
/* The owner's cache changed the line: its SMT sibling sees that. */
void sim_wake_siblings(struct sim *m, struct sim_line *line, int32_t cpu);

/* ---- home.c: queues for lines ---- */

void sim_request(struct sim *m, int32_t agent, int32_t line, bool exclusive, uint64_t extra, uint64_t head_start);
void sim_serve_next(struct sim *m, struct sim_line *line);

/* ---- misses.c: misses of a thread, its store buffer, speculation ---- */

bool sim_miss(struct sim *m, struct sim_thread *t, int32_t line, bool exclusive, uint64_t head_start);
bool sim_store_slow(struct sim *m, struct sim_thread *t, int32_t word, int64_t value);
bool sim_rmw_slow(struct sim *m, struct sim_thread *t, int32_t line);
/* The line that an atomic requested early has come. */
void sim_rmw_continue(struct sim *m, struct sim_thread *t);
/* Do all stores from the oldest on whose lines are there; then continue the thread if it waits for that. */
void sim_drain(struct sim *m, struct sim_thread *t);
/* An acquire has missed: plan the speculative request for the guarded line. */
void sim_speculate(struct sim *m, struct sim_thread *t, int32_t missed_line);
/* Speculation reached the guarded line: request it, unless the miss is over. */
void sim_speculative_request(struct sim *m, struct sim_thread *t, int32_t agent);

/* ---- scheduler.c: threads on CPUs ---- */

void sim_start_threads(struct sim *m);
void sim_end_timeslice(struct sim *m, int32_t cpu);
void sim_preempt(struct sim *m, struct sim_thread *t);
/* Leave the CPU until woken, or until `until`. Returns false: the program waits. */
bool sim_sleep(struct sim *m, struct sim_thread *t, uint64_t until);
void sim_wake(struct sim *m, struct sim_thread *t);

/* ---- the workloads: spin_model.c, launch_model.c, queueing_model.c ---- */

int sim_spin_start(struct sim *m);
/* Set m->violation if the count under the lock is not the number of sections. */
void sim_spin_check(struct sim *m);
int sim_launch_start(struct sim *m);
int sim_queueing_run(struct sim *m);

/* ---- protocols/: the locks as programs ---- */

struct sim_lock_kind {
    const char *name;
    sim_program *acquire, *release;
    sim_program *read_acquire, *read_release; /* NULL: no readers */
    bool readers_retry;
    enum { SIM_NO_CONTROL, SIM_EMPTY, SIM_ATOMIC_ADD } control;
};
/* Return the program at a place of the table, NULL past the end; protocols/table.c. */
const struct sim_lock_kind *sim_lock_kind_at(int32_t index);
