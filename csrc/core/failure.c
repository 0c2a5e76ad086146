/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/core.h"

void pb_say(struct pb_error *error, int code, const char *tried, const char *subject) {
    *error = (struct pb_error){.code = -code};
    snprintf(error->tried, sizeof error->tried, "%s", tried);
    snprintf(error->subject, sizeof error->subject, "%s", subject);
}

int pb_fail(struct pb_crew_state *crew, enum pb_status status, int code, const char *tried, const char *format, ...) {
    int expected = 0;
    if (atomic_compare_exchange_strong(&crew->failed, &expected, 1)) {
        va_list words;
        va_start(words, format);
        crew->error.code = -code;
        snprintf(crew->error.tried, sizeof crew->error.tried, "%s", tried);
        vsnprintf(crew->error.subject, sizeof crew->error.subject, format, words);
        va_end(words);
        crew->summary.status = (int32_t)status;
    }
    return code ? -code : -ECANCELED;
}

void pb_note(struct pb_crew_state *crew, int code, const char *tried, const char *subject) {
    int expected = 0;
    if (atomic_compare_exchange_strong(&crew->noted, &expected, 1))
        pb_say(&crew->note, code, tried, subject);
}
