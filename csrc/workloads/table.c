/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of workloads, and the lookups of the ABI. To add one: a file here, its line in the table.
 */
#include <string.h>

#include "../core.h"
#include "../histogram.h"
#include "spin.h"

extern const struct pb_workload pb_workload_launch, pb_workload_mount, pb_workload_spin, pb_workload_stat,
    pb_workload_transfer;

static const struct pb_workload *const workloads[] = {
    &pb_workload_launch,
    &pb_workload_mount,
    &pb_workload_spin,
    &pb_workload_stat,
    &pb_workload_transfer,
};
#define COUNT ((int32_t)(sizeof workloads / sizeof workloads[0]))

const struct pb_workload *pb_workload_find(const char *name) {
    for (int32_t i = 0; name && i < COUNT; i++)
        if (!strcmp(workloads[i]->name, name))
            return workloads[i];
    return NULL;
}

const char *pb_workload_name(int32_t index) { return index >= 0 && index < COUNT ? workloads[index]->name : NULL; }

const char *pb_phase_name(const char *workload, int32_t phase) {
    const struct pb_workload *found = pb_workload_find(workload);
    return found && phase >= 0 && phase < PB_MAX_PHASES ? found->phases[phase] : NULL;
}

int32_t pb_phase_role(const char *workload, int32_t phase) {
    const struct pb_workload *found = pb_workload_find(workload);
    return found && phase >= 0 && phase < PB_MAX_PHASES ? found->phase_roles[phase] : 0;
}

const char *pb_counter_name(const char *workload, int32_t counter) {
    const struct pb_workload *found = pb_workload_find(workload);
    return found && counter >= 0 && counter < PB_MAX_COUNTERS ? found->counters[counter] : NULL;
}

static const struct spin_lock_kind *lock_at(int32_t index) {
    for (int32_t i = 0; i <= index; i++)
        if (!spin_locks[i].info.name)
            return NULL;
    return index < 0 ? NULL : &spin_locks[index];
}
const char *pb_lock_name(int32_t index) {
    const struct spin_lock_kind *kind = lock_at(index);
    return kind ? kind->info.name : NULL;
}
const struct pb_lock_info *pb_lock_info(int32_t index) {
    const struct spin_lock_kind *kind = lock_at(index);
    return kind ? &kind->info : NULL;
}

double pb_histogram_value(int32_t bucket) {
    return bucket >= 0 && bucket < PB_HISTOGRAM_BUCKETS ? pb_histogram_middle((uint32_t)bucket) : -1.0;
}
int32_t pb_histogram_bucket(uint64_t ns) { return (int32_t)pb_histogram_index(ns); }
int32_t pb_abi(void) { return PB_ABI; }
