/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of a launch storm: an image of layers, a folder for each container, and the target of path walks.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "workloads/launch/launch.h"

/* A file names its layer, and is padded to a size that is worth copying. */
static int write_file(const char *path, int64_t layer) {
    char content[LAUNCH_FILE_BYTES] = {0};
    snprintf(content, sizeof content, "layer %lld\n", (long long)layer);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    int rc = write(fd, content, sizeof content) == (ssize_t)sizeof content ? 0 : -errno;
    close(fd);
    return rc;
}

static int make_image(struct pb_crew_state *crew) {
    const struct launch_config *config = crew->config;
    char path[LAUNCH_PATH], file[2 * LAUNCH_PATH];
    if (pb_make_dir(crew, PB_BASE "/image"))
        return -1;
    for (int64_t i = 0; i < config->layers; i++) {
        snprintf(path, sizeof path, PB_BASE "/image/%lld", (long long)i);
        if (pb_make_dir(crew, path))
            return -1;
        snprintf(path, sizeof path, LAUNCH_LAYER, (long long)i);
        if (pb_make_dir(crew, path))
            return -1;
        for (int64_t k = 0; k < config->files; k++) {
            snprintf(file, sizeof file, "%s/f%lld-%lld", path, (long long)i, (long long)k);
            int rc = write_file(file, i);
            if (rc)
                return pb_fail(crew, PB_FAILED, -rc, "write", "%s", file);
        }
    }
    return 0;
}

static int make_containers(struct pb_crew_state *crew) {
    static const char *const names[] = {"", "/u", "/w", "/m", "/tmp"};
    const struct launch_config *config = crew->config;
    char path[LAUNCH_PATH];
    /* One more than are launched: the rehearsal's. */
    for (int64_t i = 0; i <= config->containers; i++)
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
            snprintf(path, sizeof path, PB_BASE "/c%lld%s", (long long)i, names[k]);
            if (pb_make_dir(crew, path))
                return -1;
        }
    return 0;
}

static int make_surroundings(struct pb_crew_state *crew) {
    static const char *const folders[] = {PB_BASE "/walk", PB_BASE "/walk/a", PB_BASE "/walk/a/b",
                                          PB_BASE "/walk/a/b/c"};
    const struct launch_config *config = crew->config;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        if (pb_make_dir(crew, folders[i]))
            return -1;
    int rc = write_file(PB_BASE "/walk/a/b/c/file", 0);
    if (rc)
        return pb_fail(crew, PB_FAILED, -rc, "write", PB_BASE "/walk/a/b/c/file");
    return config->table ? pb_mount_filler(crew, PB_BASE "/table", PB_BASE "/walk", config->table) : 0;
}

int launch_make_files(struct pb_crew_state *crew) {
    return make_image(crew) || make_containers(crew) || make_surroundings(crew) ? -1 : 0;
}
