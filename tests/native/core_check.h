/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of core_check share.
 */
#pragma once
#include <sched.h>
#include <stdint.h>
#include <stdio.h>

#include "core/core.h"
#include "mounts/namespace.h"
#include "timing/clock.h"

#define MS INT64_C(1000000)
/* Parameters of `spin` that a check says nothing of. */
#define SPIN_PLAIN " hold_dist=fixed think_dist=fixed guard=apart line_offset=0 page=small"

#define MAX_REASONS 32

/* A trial by its words, as "lock=tas hold_ns=0", and how it is run. */
struct request {
    const char *workload, *words;
    enum pb_crew crew;
    int32_t members;
    int64_t duration_ns, warmup_ns, operations, grace_ns;
    int32_t memory;
    int32_t cpu; /* -1: the CPUs that we may use, in turn */
};

struct check {
    int64_t duration_ns, grace_ns;
    int32_t max_members;
    const char *only;
    bool stop_early;
    int32_t cpus[CPU_SETSIZE], n_cpus;
    unsigned ok, unsupported, failed;
    struct {
        char text[300];
        unsigned count;
    } reasons[MAX_REASONS];
};
extern struct check check;

void fail(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
void remember_unsupported(const struct pb_error *error);
struct request request_of(const char *workload, const char *words, int crew, int32_t members);
int run(const struct request *request, struct pb_trial **trial, struct pb_error *error);

/* core_check_faults.c: what must end as refused or failed. */
void check_bad_requests(void);
void check_meddling(void);

/* core_check_sim.c: the simulator. */
void check_simulator(void);
