/* SPDX-License-Identifier: Apache-2.0
 *
 * The system calls of container runtimes for one root file system, by strategy.
 *
 *   plain     the host's user range: overlay over the plain layers
 *   chown     ids shifted by copying and chowning every layer, overlay over the copies
 *   binds     an id-mapped bind of each layer, overlay over those, unmount of each (containerd 2.0.0-2.0.6,
 *             2.1.0-2.1.4)
 *   fds       id-mapped detached mounts given to overlay by descriptor, nothing attached
 *   parent    the common parent of the layers id-mapped once (containerd 2.0.7, 2.1.5, 2.2.0)
 *   parentfd  that parent detached, the layers opened below it and given by descriptor
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "workloads/launch/launch.h"

/* Every call of a launch is counted. */
#define CALL(launch, expression) ((launch)->syscalls++, (expression))

static int64_t layers(const struct launch_scratch *launch) { return launch_config(launch)->layers; }

static void close_fd(struct launch_scratch *launch, int *fd) {
    if (*fd >= 0)
        CALL(launch, close(*fd));
    *fd = -1;
}

static void close_fds(struct launch_scratch *launch) {
    while (launch->n_fds > 0)
        close_fd(launch, &launch->fds[--launch->n_fds]);
    close_fd(launch, &launch->parent_fd);
}

/* A detached clone of a mount, id-mapped to the container's users. */
static int mapped_clone(struct launch_scratch *launch, const char *path) {
    int fd = CALL(launch, pb_open_tree(-1, path, PB_OPEN_TREE_CLONE | PB_OPEN_TREE_CLOEXEC));
    if (fd < 0)
        return launch_failed(launch, "open_tree(OPEN_TREE_CLONE)");
    struct pb_mount_attr attr = {
        .attr_set = PB_MOUNT_ATTR_IDMAP | (launch_config(launch)->readonly ? PB_MOUNT_ATTR_RDONLY : 0u),
        .userns_fd = (uint64_t)launch->userns,
    };
    if (CALL(launch, pb_mount_setattr(fd, "", PB_AT_EMPTY_PATH, &attr))) {
        int code = errno;
        close_fd(launch, &fd);
        errno = code;
        return launch_failed(launch, "mount_setattr(MOUNT_ATTR_IDMAP)");
    }
    return fd;
}

static int attach(struct launch_scratch *launch, int fd, const char *target) {
    int rc = CALL(launch, pb_move_mount(fd, "", -1, target, PB_MOVE_MOUNT_F_EMPTY_PATH)), code = errno;
    close_fd(launch, &fd);
    errno = code;
    if (rc)
        return launch_failed(launch, "move_mount");
    launch->attached++;
    launch_attached(launch);
    return 0;
}

static int detach(struct launch_scratch *launch, const char *target) {
    if (CALL(launch, pb_umount2(target, launch_config(launch)->umount_flags)))
        return launch_failed(launch, "umount2");
    launch->attached--;
    launch->operations++;
    launch_detached(launch);
    return 0;
}

/* Mount overlay by mount(2), its lower directories relative to `folder` so that 500 of them fit into a page. */
static int overlay_by_options(struct launch_scratch *launch, const char *folder, const char *suffix) {
    char upper[LAUNCH_PATH], work[LAUNCH_PATH], mounted[LAUNCH_PATH];
    size_t room = sizeof launch->options, n = (size_t)snprintf(launch->options, room, "lowerdir=");
    for (int64_t i = layers(launch) - 1; i >= 0 && n < room; i--)
        n += (size_t)snprintf(launch->options + n, room - n, "%lld%s%s", (long long)i, suffix, i ? ":" : "");
    launch_path(launch, "u", upper);
    launch_path(launch, "w", work);
    launch_path(launch, "m", mounted);
    if (n < room)
        n += (size_t)snprintf(launch->options + n, room - n, ",upperdir=%s,workdir=%s", upper, work);
    if (n >= LAUNCH_OPTIONS) {
        errno = E2BIG;
        return launch_failed(launch, "mount(overlay): options beyond 4 KiB");
    }
    if (CALL(launch, chdir(folder)))
        return launch_failed(launch, "chdir");
    int rc = CALL(launch, pb_mount("overlay", mounted, "overlay", 0, launch->options)), code = errno;
    if (CALL(launch, chdir("/")) && !rc)
        return launch_failed(launch, "chdir");
    errno = code;
    if (rc)
        return launch_failed(launch, "mount(overlay)");
    launch->overlay_mounted = 1;
    launch_attached(launch);
    return 0;
}

/* Mount overlay by fsopen(), its lower layers given by descriptor. */
static int overlay_by_fds(struct launch_scratch *launch) {
    char upper[LAUNCH_PATH], work[LAUNCH_PATH], mounted[LAUNCH_PATH];
    launch_path(launch, "u", upper);
    launch_path(launch, "w", work);
    launch_path(launch, "m", mounted);
    int fs = CALL(launch, pb_fsopen("overlay", PB_FSOPEN_CLOEXEC)), mount = -1, code;
    if (fs < 0)
        return launch_failed(launch, "fsopen(overlay)");
    launch->tried = NULL;
    for (int64_t i = layers(launch) - 1; i >= 0 && !launch->tried; i--)
        if (CALL(launch, pb_fsconfig(fs, PB_FSCONFIG_SET_FD, "lowerdir+", NULL, launch->fds[i])))
            launch->tried = "fsconfig(FSCONFIG_SET_FD, lowerdir+)";
    if (!launch->tried && CALL(launch, pb_fsconfig(fs, PB_FSCONFIG_SET_STRING, "upperdir", upper, 0)))
        launch->tried = "fsconfig(upperdir)";
    if (!launch->tried && CALL(launch, pb_fsconfig(fs, PB_FSCONFIG_SET_STRING, "workdir", work, 0)))
        launch->tried = "fsconfig(workdir)";
    if (!launch->tried && CALL(launch, pb_fsconfig(fs, PB_FSCONFIG_CMD_CREATE, NULL, NULL, 0)))
        launch->tried = "fsconfig(FSCONFIG_CMD_CREATE)";
    if (!launch->tried && (mount = CALL(launch, pb_fsmount(fs, PB_FSMOUNT_CLOEXEC, 0))) < 0)
        launch->tried = "fsmount(overlay)";
    code = errno;
    close_fd(launch, &fs);
    if (launch->tried) {
        errno = code;
        return -1;
    }
    if (attach(launch, mount, mounted))
        return -1;
    launch->attached--; /* attached counts binds only */
    launch->overlay_mounted = 1;
    return 0;
}

static int nothing(struct launch_scratch *launch) {
    (void)launch;
    return 0;
}

static int plain_overlay(struct launch_scratch *launch) { return overlay_by_options(launch, PB_BASE "/image", "/fs"); }

static int copy_file(struct launch_scratch *launch, const char *from, const char *to) {
    char content[LAUNCH_FILE_BYTES];
    int source = CALL(launch, open(from, O_RDONLY | O_CLOEXEC));
    if (source < 0)
        return launch_failed(launch, "open");
    ssize_t n = CALL(launch, read(source, content, sizeof content));
    CALL(launch, close(source));
    int target = CALL(launch, open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (target < 0)
        return launch_failed(launch, "open");
    bool bad = n < 0 || CALL(launch, write(target, content, (size_t)n)) != n ||
               CALL(launch, fchown(target, launch->owner, launch->owner));
    int code = errno;
    CALL(launch, close(target));
    errno = code;
    return bad ? launch_failed(launch, "copy and chown") : 0;
}

static int chown_build(struct launch_scratch *launch) {
    char folder[LAUNCH_PATH], from[2 * LAUNCH_PATH], to[2 * LAUNCH_PATH];
    for (int64_t i = 0; i < layers(launch); i++) {
        snprintf(folder, sizeof folder, PB_BASE "/c%lld/tmp/%lld", (long long)launch->container, (long long)i);
        if (CALL(launch, mkdir(folder, 0755)) || CALL(launch, chown(folder, launch->owner, launch->owner)))
            return launch_failed(launch, "mkdir and chown");
        for (int64_t k = 0; k < launch_config(launch)->files; k++) {
            snprintf(from, sizeof from, LAUNCH_LAYER "/f%lld-%lld", (long long)i, (long long)i, (long long)k);
            snprintf(to, sizeof to, "%s/f%lld-%lld", folder, (long long)i, (long long)k);
            if (copy_file(launch, from, to))
                return -1;
        }
    }
    return 0;
}
static int over_tmp(struct launch_scratch *launch, const char *suffix) {
    char folder[LAUNCH_PATH];
    launch_path(launch, "tmp", folder);
    return overlay_by_options(launch, folder, suffix);
}
static int tmp_overlay(struct launch_scratch *launch) { return over_tmp(launch, ""); }

static int binds_build(struct launch_scratch *launch) {
    char layer[LAUNCH_PATH], target[LAUNCH_PATH];
    for (int64_t i = 0; i < layers(launch); i++) {
        snprintf(layer, sizeof layer, LAUNCH_LAYER, (long long)i);
        snprintf(target, sizeof target, PB_BASE "/c%lld/tmp/%lld", (long long)launch->container, (long long)i);
        int fd = mapped_clone(launch, layer);
        if (fd < 0)
            return -1;
        if (CALL(launch, mkdir(target, 0700)) && errno != EEXIST) {
            close_fd(launch, &fd);
            return launch_failed(launch, "mkdir");
        }
        if (attach(launch, fd, target))
            return -1;
    }
    return 0;
}
static int binds_release(struct launch_scratch *launch) {
    char target[LAUNCH_PATH];
    for (int64_t i = 0, count = launch->attached; i < count; i++) {
        snprintf(target, sizeof target, PB_BASE "/c%lld/tmp/%lld", (long long)launch->container, (long long)i);
        if (detach(launch, target))
            return -1;
        CALL(launch, rmdir(target));
    }
    return 0;
}

static int fds_build(struct launch_scratch *launch) {
    char layer[LAUNCH_PATH];
    for (int64_t i = 0; i < layers(launch); i++) {
        snprintf(layer, sizeof layer, LAUNCH_LAYER, (long long)i);
        int fd = mapped_clone(launch, layer);
        if (fd < 0)
            return -1;
        launch->fds[launch->n_fds++] = fd;
    }
    return 0;
}
static int fds_release(struct launch_scratch *launch) {
    close_fds(launch);
    return 0;
}

static int parent_build(struct launch_scratch *launch) {
    char target[LAUNCH_PATH];
    launch_path(launch, "tmp", target);
    int fd = mapped_clone(launch, PB_BASE "/image");
    return fd < 0 ? -1 : attach(launch, fd, target);
}
static int parent_overlay(struct launch_scratch *launch) { return over_tmp(launch, "/fs"); }
static int parent_release(struct launch_scratch *launch) {
    char target[LAUNCH_PATH];
    launch_path(launch, "tmp", target);
    return launch->attached ? detach(launch, target) : 0;
}

static int parentfd_build(struct launch_scratch *launch) {
    char layer[32];
    launch->parent_fd = mapped_clone(launch, PB_BASE "/image");
    if (launch->parent_fd < 0)
        return -1;
    for (int64_t i = 0; i < layers(launch); i++) {
        snprintf(layer, sizeof layer, "%lld/fs", (long long)i);
        int fd = CALL(launch, openat(launch->parent_fd, layer, O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (fd < 0)
            return launch_failed(launch, "openat(O_PATH)");
        launch->fds[launch->n_fds++] = fd;
    }
    return 0;
}

const struct launch_strategy launch_strategies[] = {
    {"plain", false, false, nothing, plain_overlay, nothing},
    {"chown", true, true, chown_build, tmp_overlay, nothing},
    {"binds", true, false, binds_build, tmp_overlay, binds_release},
    {"fds", true, false, fds_build, overlay_by_fds, fds_release},
    {"parent", true, false, parent_build, parent_overlay, parent_release},
    {"parentfd", true, false, parentfd_build, overlay_by_fds, fds_release},
    {NULL, false, false, NULL, NULL, NULL},
};
