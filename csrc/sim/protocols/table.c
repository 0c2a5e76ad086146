/* SPDX-License-Identifier: Apache-2.0
 *
 * The locks that the simulator has programs for. qspinlock-cna is not in csrc/locks/: it was proposed for kernels.
 */
#include "sim/protocols/protocols.h"

static const struct sim_lock_kind kinds[] = {
    {.name = "tas", .acquire = sim_tas_acquire, .release = sim_tas_release},
    {.name = "ttas", .acquire = sim_ttas_acquire, .release = sim_tas_release},
    {.name = "ttas-backoff", .acquire = sim_ttas_backoff_acquire, .release = sim_tas_release},
    {.name = "ticket", .acquire = sim_ticket_acquire, .release = sim_ticket_release},
    {.name = "mcs", .acquire = sim_mcs_acquire, .release = sim_mcs_release},
    {.name = "qspinlock", .acquire = sim_qspinlock_acquire, .release = sim_tas_release},
    {.name = "cna", .acquire = sim_cna_acquire, .release = sim_cna_release},
    {.name = "qspinlock-cna", .acquire = sim_qspinlock_cna_acquire, .release = sim_tas_release},
    {.name = "seqlock",
     .acquire = sim_seqlock_acquire,
     .release = sim_seqlock_release,
     .read_acquire = sim_seqlock_read_acquire,
     .read_release = sim_seqlock_read_release,
     .readers_retry = true},
    {.name = "rwsem",
     .acquire = sim_rwsem_acquire,
     .release = sim_rwsem_release,
     .read_acquire = sim_rwsem_read_acquire,
     .read_release = sim_rwsem_read_release},
    {.name = "empty", .control = SIM_EMPTY},
    {.name = "atomic-add", .control = SIM_ATOMIC_ADD},
};

const struct sim_lock_kind *sim_lock_kind_at(int32_t index) {
    return index >= 0 && index < (int32_t)(sizeof kinds / sizeof *kinds) ? &kinds[index] : NULL;
}

const char *pb_sim_lock_name(int32_t index) {
    const struct sim_lock_kind *kind = sim_lock_kind_at(index);
    return kind ? kind->name : NULL;
}
