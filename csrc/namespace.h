/* SPDX-License-Identifier: Apache-2.0
 *
 * Where mounts are made: a mount namespace of the crew's own, private, with a tmpfs over an existing
 * directory. Nothing is made on the host's file systems, so nothing can be left there.
 */
#pragma once
#include "core.h"

/* Where the crew's tmpfs is mounted. It hides the host's directory of that name from the crew only. */
#define PB_BASE "/tmp"

/* Leave the host's mount namespace; without the privilege, through a user namespace of our own. */
int pb_namespace_enter(struct pb_crew_state *crew);

/* A file descriptor of a new user namespace that maps its user 0 to another one; negative errno on failure. */
int pb_user_namespace_fd(struct pb_crew_state *crew);

/* Lines of this process's mount table. */
uint64_t pb_count_mounts(void);
