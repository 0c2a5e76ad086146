/* SPDX-License-Identifier: Apache-2.0
 *
 * The registered workloads, and the ABI's lookups of names and histogram buckets.
 */
#include <string.h>

#include "core/core.h"
#include "core/histogram.h"

/* The linker names the ends of the section that PB_WORKLOAD() fills. */
extern const struct pb_workload *const __start_pb_workloads[], *const __stop_pb_workloads[];

static const struct pb_workload *workload_at(int32_t index) {
    return index >= 0 && index < __stop_pb_workloads - __start_pb_workloads ? __start_pb_workloads[index] : NULL;
}

const struct pb_workload *pb_workload_find(const char *name) {
    const struct pb_workload *found;
    for (int32_t i = 0; name && (found = workload_at(i)); i++)
        if (!strcmp(found->name, name))
            return found;
    return NULL;
}

const char *pb_workload_name(int32_t index) {
    const struct pb_workload *found = workload_at(index);
    return found ? found->name : NULL;
}

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

double pb_histogram_value(int32_t bucket) {
    return bucket >= 0 && bucket < PB_HISTOGRAM_BUCKETS ? pb_histogram_middle((uint32_t)bucket) : -1.0;
}
int32_t pb_histogram_bucket(uint64_t ns) { return (int32_t)pb_histogram_index(ns); }
int32_t pb_abi(void) { return PB_ABI; }
