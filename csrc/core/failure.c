/* SPDX-License-Identifier: Apache-2.0
 *
 * Errors: what was tried, on what, and the errno.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/core.h"

static void fill(struct pb_error *error, int code, const char *tried, const char *format, va_list arguments) {
    *error = (struct pb_error){.code = -code};
    snprintf(error->tried, sizeof error->tried, "%s", tried);
    vsnprintf(error->subject, sizeof error->subject, format, arguments);
}

int pb_error_fill(struct pb_error *error, int code, const char *tried, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fill(error, code, tried, format, arguments);
    va_end(arguments);
    return -code;
}

int pb_fail(struct pb_crew_state *crew, enum pb_status status, int code, const char *tried, const char *format, ...) {
    int expected = 0;
    if (atomic_compare_exchange_strong(&crew->failed, &expected, 1)) {
        va_list arguments;
        va_start(arguments, format);
        fill(&crew->error, code, tried, format, arguments);
        va_end(arguments);
        crew->summary.status = (int32_t)status;
    }
    return code ? -code : -ECANCELED;
}

void pb_note(struct pb_crew_state *crew, int code, const char *tried, const char *subject) {
    int expected = 0;
    if (atomic_compare_exchange_strong(&crew->noted, &expected, 1))
        pb_error_fill(&crew->note, code, tried, "%s", subject);
}
