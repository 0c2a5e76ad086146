/* SPDX-License-Identifier: Apache-2.0
 *
 * The programs of the locks, for the table and for the launch workload.
 */
#pragma once
#include "sim/protocols/program.h"

/* Words of a node. */
enum { NEXT, TURN, SKIPPED_TAIL };
/* The holder goes to the skipped waiters once in about this many handoffs, see csrc/locks/cna.h. */
#define CNA_LEAVES_ONE_IN 65536

sim_program sim_tas_acquire, sim_tas_release, sim_ttas_take, sim_ttas_acquire, sim_ttas_backoff_acquire;
sim_program sim_ticket_acquire, sim_ticket_release, sim_mcs_acquire, sim_mcs_release, sim_cna_acquire, sim_cna_release;
sim_program sim_qspinlock_try, sim_qspinlock_queue, sim_qspinlock_acquire, sim_qspinlock_cna_acquire;
sim_program sim_seqlock_acquire, sim_seqlock_release, sim_seqlock_read_acquire, sim_seqlock_read_release;
sim_program sim_rwsem_acquire, sim_rwsem_release, sim_rwsem_read_acquire, sim_rwsem_read_release;
