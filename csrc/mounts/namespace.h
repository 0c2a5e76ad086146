/* SPDX-License-Identifier: Apache-2.0
 *
 * Where mounts are made: a mount namespace of the crew's own, private, with a tmpfs over an existing
 * directory. Nothing is made on the host's file systems, so nothing can be left there.
 */
#pragma once
#include "core/core.h"

/* Where the crew's tmpfs is mounted. It hides the host's directory of that name from the crew only. */
#define PB_BASE "/tmp"

/* Leave the host's mount namespace; without the privilege, through a user namespace of our own. */
int pb_namespace_enter(struct pb_crew_state *crew);

/* A file descriptor of a new user namespace that maps its users to the range-th range of the host's (without
 * privilege there is one range of one user: our own); negative errno on failure. */
int pb_user_namespace_fd(struct pb_crew_state *crew, uint32_t range);
/* The user that such a namespace maps its user 0 to, as this process sees it. */
uint32_t pb_mapped_user(const struct pb_crew_state *crew, uint32_t range);

int pb_make_dir(struct pb_crew_state *crew, const char *path);
/* A private tmpfs. */
int pb_mount_tmpfs(struct pb_crew_state *crew, const char *path);
/* A tmpfs at `parent` with `count` bind mounts of `source` in it, named 0, 1, ... */
int pb_mount_filler(struct pb_crew_state *crew, const char *parent, const char *source, int64_t count);

/* A new folder below `dir` on the host, mounted at PB_BASE, private. A guard process of its own session removes it
 * once no member of the crew is left, however they ended; the trial ends after that. */
int pb_mount_host_folder(struct pb_crew_state *crew, const char *dir);

/* Lines of this process's mount table. */
uint64_t pb_count_mounts(void);
