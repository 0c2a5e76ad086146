/* SPDX-License-Identifier: Apache-2.0
 *
 * The system calls of pybench's launch workload and nothing else: which tests/validation/measuring/launch.py compares
 * it with.
 *
 *   bare_launch binds|parent CONTAINERS LAYERS verify|plain CPU...
 *
 * A thread on each CPU; containers in a closed loop, one shared user namespace, a tmpfs at /tmp in a private mount
 * namespace, paths as pybench's. Prints containers, and nanoseconds from the common start to the last end. Needs
 * root. With `verify` each root is checked by reading a file of its last layer, as pybench does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* By number: the headers of older C libraries lack them. */
#define NR_OPEN_TREE 428
#define NR_MOVE_MOUNT 429
#define NR_MOUNT_SETATTR 442
#define CLONE_TREE (1u | (unsigned)O_CLOEXEC)
#define EMPTY_SOURCE 4u
#define EMPTY_PATH 0x1000u
#define ID_MAPPED 0x00100000u
#define FIRST_USER 100000u
#define PATH 96

struct attributes {
    uint64_t set, clear, propagation, userns;
};

static long containers, layers;
static int binds, verify, userns;
static atomic_long next_container;
static pthread_barrier_t start_line;

struct worker {
    pthread_t thread;
    int cpu;
    long done;
    uint64_t start_ns, stop_ns;
};

static _Noreturn void die(const char *what) {
    fprintf(stderr, "bare_launch: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void must(int bad, const char *what) {
    if (bad)
        die(what);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void put(const char *path, const char *text, size_t bytes) {
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    must(fd < 0 || write(fd, text, bytes) != (ssize_t)bytes, path);
    close(fd);
}

/* A descriptor of a user namespace of 65,536 users; the child that was born into it is gone. */
static int make_userns(void) {
    int ready[2];
    char path[64], map[64], byte;
    must(pipe2(ready, O_CLOEXEC), "pipe2");
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        must(unshare(CLONE_NEWUSER) || write(ready[1], "r", 1) != 1, "unshare(CLONE_NEWUSER)");
        for (;;)
            pause();
    }
    close(ready[1]);
    must(pid < 0 || read(ready[0], &byte, 1) != 1, "a user namespace");
    close(ready[0]);
    int n = snprintf(map, sizeof map, "0 %u 65536\n", FIRST_USER);
    snprintf(path, sizeof path, "/proc/%d/uid_map", (int)pid);
    put(path, map, (size_t)n);
    snprintf(path, sizeof path, "/proc/%d/gid_map", (int)pid);
    put(path, map, (size_t)n);
    snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    must(fd < 0, path);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return fd;
}

static void make_layout(void) {
    static const char *const parts[] = {"", "/u", "/w", "/m", "/tmp"};
    char path[PATH], content[1024] = {0};
    must(mount("pybench", "/tmp", "tmpfs", 0, "mode=755,nr_inodes=0"), "mount(tmpfs)");
    must(mount("none", "/tmp", NULL, MS_PRIVATE, NULL) || mkdir("/tmp/image", 0755), "/tmp");
    for (long i = 0; i < layers; i++) {
        snprintf(path, sizeof path, "/tmp/image/%ld", i);
        must(mkdir(path, 0755), path);
        snprintf(path, sizeof path, "/tmp/image/%ld/fs", i);
        must(mkdir(path, 0755), path);
        snprintf(path, sizeof path, "/tmp/image/%ld/fs/f%ld-0", i, i);
        snprintf(content, sizeof content, "layer %ld\n", i);
        put(path, content, sizeof content);
    }
    for (long i = 0; i < containers; i++)
        for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
            snprintf(path, sizeof path, "/tmp/c%ld%s", i, parts[k]);
            must(mkdir(path, 0755), path);
        }
}

/* open_tree, mount_setattr, move_mount, close; a directory to bind to is made when the clone is there. */
static void bind_mapped(const char *source, const char *target, int make) {
    int fd = (int)syscall(NR_OPEN_TREE, -1, source, CLONE_TREE);
    must(fd < 0, "open_tree");
    struct attributes mapped = {.set = ID_MAPPED, .userns = (uint64_t)userns};
    must(syscall(NR_MOUNT_SETATTR, fd, "", EMPTY_PATH, &mapped, sizeof mapped) != 0, "mount_setattr");
    must(make && mkdir(target, 0700), "mkdir");
    must(syscall(NR_MOVE_MOUNT, fd, "", -1, target, EMPTY_SOURCE) != 0, "move_mount");
    close(fd);
}

static void overlay(long container, const char *suffix) {
    char options[4096], folder[PATH], mounted[PATH];
    size_t room = sizeof options, n = (size_t)snprintf(options, room, "lowerdir=");
    for (long i = layers - 1; i >= 0 && n < room; i--)
        n += (size_t)snprintf(options + n, room - n, "%ld%s%s", i, suffix, i ? ":" : "");
    if (n < room)
        n += (size_t)snprintf(options + n, room - n, ",upperdir=/tmp/c%ld/u,workdir=/tmp/c%ld/w", container, container);
    errno = E2BIG;
    must(n >= room, "options of overlay");
    snprintf(folder, sizeof folder, "/tmp/c%ld/tmp", container);
    snprintf(mounted, sizeof mounted, "/tmp/c%ld/m", container);
    must(chdir(folder) || mount("overlay", mounted, "overlay", 0, options) || chdir("/"), "mount(overlay)");
}

static void check(long container) {
    char path[2 * PATH], want[32], content[32] = {0};
    struct stat seen;
    snprintf(path, sizeof path, "/tmp/c%ld/m/f%ld-0", container, layers - 1);
    snprintf(want, sizeof want, "layer %ld\n", layers - 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    must(fd < 0 || read(fd, content, sizeof content - 1) <= 0 || fstat(fd, &seen), path);
    close(fd);
    errno = EBADMSG;
    must(strncmp(content, want, strlen(want)) != 0 || seen.st_uid != FIRST_USER, path);
}

static void launch(long container) {
    char source[PATH], target[PATH];
    if (binds) {
        for (long i = 0; i < layers; i++) {
            snprintf(source, sizeof source, "/tmp/image/%ld/fs", i);
            snprintf(target, sizeof target, "/tmp/c%ld/tmp/%ld", container, i);
            bind_mapped(source, target, 1);
        }
        overlay(container, "");
        for (long i = 0; i < layers; i++) {
            snprintf(target, sizeof target, "/tmp/c%ld/tmp/%ld", container, i);
            must(umount2(target, MNT_DETACH) || rmdir(target), "umount2 of a layer");
        }
    } else {
        snprintf(target, sizeof target, "/tmp/c%ld/tmp", container);
        bind_mapped("/tmp/image", target, 0);
        overlay(container, "/fs");
        must(umount2(target, MNT_DETACH), "umount2 of the layers");
    }
    if (verify)
        check(container);
    snprintf(target, sizeof target, "/tmp/c%ld/m", container);
    must(umount2(target, MNT_DETACH), "umount2 of a root");
}

static void *work(void *argument) {
    struct worker *self = argument;
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET((size_t)self->cpu, &only);
    must(sched_setaffinity(0, sizeof only, &only) || unshare(CLONE_FS), "a thread on its CPU");
    pthread_barrier_wait(&start_line);
    self->start_ns = now_ns();
    for (long i; (i = atomic_fetch_add(&next_container, 1)) < containers; self->done++)
        launch(i);
    self->stop_ns = now_ns();
    return NULL;
}

int main(int count, char **words) {
    if (count < 6)
        return fprintf(stderr, "usage: bare_launch binds|parent CONTAINERS LAYERS verify|plain CPU...\n"), 2;
    binds = !strcmp(words[1], "binds");
    containers = strtol(words[2], NULL, 10);
    layers = strtol(words[3], NULL, 10);
    verify = !strcmp(words[4], "verify");
    unsigned threads = (unsigned)count - 5;
    struct worker *workers = calloc(threads, sizeof *workers);
    must(!workers, "calloc");
    must(unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), "a mount namespace of our own");
    make_layout();
    userns = make_userns();
    pthread_barrier_init(&start_line, NULL, threads);
    for (unsigned i = 0; i < threads; i++) {
        workers[i].cpu = atoi(words[5 + i]);
        errno = pthread_create(&workers[i].thread, NULL, work, &workers[i]);
        must(errno, "pthread_create");
    }
    uint64_t first = UINT64_MAX, last = 0;
    long done = 0;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        first = workers[i].start_ns < first ? workers[i].start_ns : first;
        last = workers[i].stop_ns > last ? workers[i].stop_ns : last;
        done += workers[i].done;
    }
    printf("%ld %llu\n", done, (unsigned long long)(last - first));
    free(workers);
    return 0;
}
