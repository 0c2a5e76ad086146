/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulator under the sanitizers: every program on machines with one socket and several, crowded and not; the
 * engine itself fails a run in which two are in a section or a count is lost.
 */
#define _GNU_SOURCE
#include "core_check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 13

static struct pb_sim_spec spec_of(const struct pb_sim_thread *threads, int32_t count, int32_t service) {
    struct pb_sim_spec spec = {.threads = threads,
                               .n_threads = count,
                               .service = service,
                               .local_ns = 0.5,
                               .atomic_ns = 5,
                               .atomic_overlap = 0.5,
                               .migratory = 0.5,
                               .drain_ns = 1,
                               .exit_ns = 6,
                               .pause_ns = 10,
                               .smt_slowdown = 1.3,
                               .service_ns = 10,
                               .retry_ns = 20,
                               .timeslice_ns = 5000,
                               .switch_ns = 300,
                               .wake_ns = 500,
                               .duration_ns = 50000,
                               .seed = 1,
                               .max_events = 100000000,
                               .guard = PB_SIM_GUARD_APART,
                               .writers = 2,
                               .hold_ns = 30,
                               .think_ns = 100,
                               .write_think_ns = 200,
                               .loop_ns = 1};
    for (int i = 0; i < 1024; i++)
        spec.transfer[i] = 10.0 * (1 + i / 256) + i % 7;
    for (int i = 0; i < 256; i++) {
        spec.normal[i] = (i - 127.5) / 64;
        spec.pace[i] = 1 + 0.1 * spec.normal[i];
    }
    return spec;
}

static void check_run(const char *what, const struct pb_sim_spec *spec, bool launches) {
    struct pb_sim *sim = NULL;
    struct pb_error error = {0};
    if (pb_sim_run(spec, &sim, &error)) {
        fail(what, "%s: %s (%d)", error.tried, error.subject, error.code);
        return;
    }
    uint64_t done = 0;
    for (int32_t i = 0; i < spec->n_threads; i++)
        done += pb_sim_member(sim, i)->operations;
    if (!done || (launches && pb_sim_facts(sim)->launched != (uint64_t)spec->containers))
        fail(what, "did nothing, or not all");
    else
        check.ok++;
    pb_sim_free(sim);
}

void check_simulator(void) {
    static const struct pb_sim_step steps[] = {
        {.kind = PB_SIM_LOCK, .count = 1, .phase = 1},
        {.kind = PB_SIM_MOUNT_LOCK, .count = 1, .phase = 1, .ns = 200},
        {.kind = PB_SIM_UNLOCK, .count = 1, .phase = 1},
        {.kind = PB_SIM_WALK, .count = 3, .phase = 2, .ns = 50},
        {.kind = PB_SIM_SLEEP, .count = 1, .phase = -1, .ns = 3000, .spread = 0.5}};
    struct pb_sim_thread threads[THREADS];
    struct pb_error error;
    struct pb_sim *sim;
    for (int32_t cpus = 3; cpus <= THREADS; cpus += 10) {
        for (int32_t i = 0; i < THREADS; i++)
            threads[i] = (struct pb_sim_thread){i % cpus, i % cpus / 2, i % cpus / 4, i % cpus / 8, i % cpus / 8};
        for (int32_t service = PB_SIM_NONE; service <= PB_SIM_CLUSTER; service++) {
            struct pb_sim_spec spec = spec_of(threads, THREADS, service);
            const char *lock;
            for (int32_t i = 0; (lock = pb_sim_lock_name(i)); i++) {
                strcpy(spec.lock, lock);
                check_run(lock, &spec, false);
            }
            spec.workload = PB_SIM_LAUNCH;
            spec.steps = steps;
            spec.lists[1] = 5;
            spec.containers = 20;
            spec.layers = 3;
            check_run("simulated launches", &spec, true);
            spec.workload = PB_SIM_QUEUEING;
            spec.work_ns = 1000;
            spec.serial_ns = 100;
            spec.home_ns = 50;
            check_run("the queueing model", &spec, false);
        }
    }
    struct pb_sim_spec spec = spec_of(threads, THREADS, PB_SIM_NONE);
    strcpy(spec.lock, "clh");
    if (pb_sim_run(&spec, &sim, &error) != -EINVAL || sim)
        fail("simulator", "a lock without a program was not refused");
    strcpy(spec.lock, "ticket");
    spec.max_events = 100;
    if (pb_sim_run(&spec, &sim, &error) != -EOVERFLOW || sim)
        fail("simulator", "went beyond max_events");
    check.ok += 2;
}
