/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions that the files of the core share.
 */
#pragma once
#include "core/crew.h"

/* ---- parameters.c: return 0, or -EINVAL after pb_fail(). A missing key is an error: Python fills in the defaults ----
 */

int pb_param_number(struct pb_crew_state *crew, const char *key, int64_t *value);
int pb_param_text(struct pb_crew_state *crew, const char *key, const char **value);
/* Find the parameter's index in a list of words that ends with NULL. */
int pb_param_word(struct pb_crew_state *crew, const char *key, const char *const *words, int *value);

/* ---- failure.c: `code` is a positive errno, 0 if none applies ---- */

/* Fill an error: what was tried, and on what. Returns -code. */
int pb_error_fill(struct pb_error *error, int code, const char *tried, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Record the trial's first failure. Returns -code, or -ECANCELED. */
int pb_fail(struct pb_crew_state *crew, enum pb_status status, int code, const char *tried, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Record the first of the failures that a workload counts and survives. */
void pb_note(struct pb_crew_state *crew, int code, const char *tried, const char *subject);

/* ---- timeline.c ---- */

/* Keep a point, `tick` after the crew's start. Returns true if there was no room and every second point was dropped. */
bool pb_timeline_keep(struct pb_crew_state *crew, uint64_t tick, uint64_t value);
/* Add to the value, and keep a point if one is due. */
void pb_timeline_add(struct pb_crew_state *crew, int64_t change);

int pb_leader_main(struct pb_crew_state *crew);                /* leader.c */
int pb_member_main(struct pb_crew_state *crew, int32_t index); /* member.c */

/* Return the workload of that name, or NULL; tables.c. */
const struct pb_workload *pb_workload_find(const char *name);
