/* SPDX-License-Identifier: Apache-2.0
 *
 * Control: the loop without a lock, which counts on the shared line by one atomic addition.
 */
#pragma once
#include "none.h"

#define atomic_add_lock none_lock
#define atomic_add_self none_self
#define atomic_add_acquire none_acquire
#define atomic_add_release none_release
