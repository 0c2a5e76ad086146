/* SPDX-License-Identifier: Apache-2.0
 *
 * Control: the loop without a lock, which does nothing at all: the cost of the loop alone.
 */
#pragma once
#include "none.h"

#define empty_lock none_lock
#define empty_self none_self
#define empty_acquire none_acquire
#define empty_release none_release
