/* SPDX-License-Identifier: Apache-2.0
 *
 * Compile the measured loop for each lock of locks.def. The preprocessor has no loop, so this file includes itself once
 * for each lock: at nesting level n it compiles the nth lock, and the level after the last one ends it. locks.c, the
 * only file that includes it, defines the EACH_ and SECTION_ macros.
 */
#if EACH_KIND != KIND_end
#include EACH_HEADER

#define LOCK EACH_NESTED(EACH_ID)
#if EACH_KIND == KIND_shared
#define LOCK_SECTION SECTION_WRITE
#elif EACH_KIND == KIND_optimistic
#define LOCK_SECTION SECTION_ATOMIC_WRITE
#elif EACH_KIND == KIND_unprotected
#define LOCK_UNOWNED
#define LOCK_SECTION SECTION_UNPROTECTED
#elif EACH_KIND == KIND_atomic
#define LOCK_UNOWNED
#define LOCK_SECTION SECTION_ATOMIC_ADD
#elif EACH_KIND == KIND_empty
#define LOCK_UNOWNED
#define LOCK_SECTION SECTION_EMPTY
#endif
#include "workloads/spin/spin_loop.h"

#if EACH_KIND == KIND_shared
#define LOCK EACH_NESTED(EACH_READ_ID)
#define LOCK_READS
#define LOCK_SECTION SECTION_READ
#include "workloads/spin/spin_loop.h"
#elif EACH_KIND == KIND_optimistic
#define LOCK EACH_NESTED(EACH_READ_ID)
#define LOCK_RETRIES
#define LOCK_SECTION SECTION_ATOMIC_READ
#include "workloads/spin/spin_loop.h"
#endif

#include "locks/each_lock.h"
#endif
