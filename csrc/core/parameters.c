/* SPDX-License-Identifier: Apache-2.0
 *
 * A workload's parameters, by key.
 */
#include <errno.h>
#include <string.h>

#include "core/core.h"

static const struct pb_param *find(struct pb_crew_state *crew, const char *key) {
    for (int32_t i = 0; i < crew->spec->n_params; i++)
        if (!strncmp(crew->spec->params[i].key, key, sizeof crew->spec->params[i].key))
            return &crew->spec->params[i];
    pb_fail(crew, PB_FAILED, EINVAL, "reading parameters", "%s is missing", key);
    return NULL;
}

int pb_param_number(struct pb_crew_state *crew, const char *key, int64_t *value) {
    const struct pb_param *param = find(crew, key);
    if (!param)
        return -EINVAL;
    *value = param->number;
    return 0;
}

int pb_param_text(struct pb_crew_state *crew, const char *key, const char **value) {
    const struct pb_param *param = find(crew, key);
    if (!param)
        return -EINVAL;
    *value = param->text;
    return 0;
}

int pb_param_word(struct pb_crew_state *crew, const char *key, const char *const *words, int *value) {
    const char *text;
    if (pb_param_text(crew, key, &text))
        return -EINVAL;
    for (int i = 0; words[i]; i++)
        if (!strcmp(words[i], text)) {
            *value = i;
            return 0;
        }
    return pb_fail(crew, PB_FAILED, EINVAL, "reading parameters", "invalid %s=%s", key, text);
}
