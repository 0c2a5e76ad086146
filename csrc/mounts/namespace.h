/* SPDX-License-Identifier: Apache-2.0
 *
 * The crew's own private mount namespace, with a tmpfs over an existing directory. Nothing is made on the host's file
 * systems, so nothing can be left there.
 */
#pragma once
#include "core/core.h"

/* Mount point of the crew's tmpfs. It hides the host's directory of that name from the crew only. */
#define PB_BASE "/tmp"

/* Leave the host's mount namespace; without the privilege, through a new user namespace. */
int pb_namespace_enter(struct pb_crew_state *crew);

/* Return a file descriptor of a new user namespace that maps its users to a range of the host's, or a negative errno.
 * Without privilege there is one range of one user, the caller. */
int pb_user_namespace_fd(struct pb_crew_state *crew, uint32_t range);
/* Return the user that such a namespace maps its user 0 to, as this process sees it. */
uint32_t pb_mapped_user(const struct pb_crew_state *crew, uint32_t range);

int pb_make_dir(struct pb_crew_state *crew, const char *path);
/* Detach what is mounted at PB_BASE. The end of the namespace would do that late, and disturb the next trial. */
int pb_unmount_base(struct pb_crew_state *crew);
/* Mount a private tmpfs. */
int pb_mount_tmpfs(struct pb_crew_state *crew, const char *path);
/* Mount a tmpfs at `parent`, and `count` bind mounts of `source` in it, named 0, 1, ... */
int pb_mount_filler(struct pb_crew_state *crew, const char *parent, const char *source, int64_t count);

/* Make a folder below `dir` on the host, and mount it at PB_BASE, private. A guard process in a session of its own
 * removes it once no process of the crew is left, however the crew ended; the trial ends after that. */
int pb_mount_host_folder(struct pb_crew_state *crew, const char *dir);

/* Return the number of lines of this process's mount table. */
uint64_t pb_count_mounts(void);
