/* SPDX-License-Identifier: Apache-2.0
 *
 * The core without Python, so that sanitizers and other machines can run it: short trials of every workload,
 * lock and kind of crew, and what a caller may rely on checked after each. See tests/validation/core/sanitize.py.
 *
 *   core_check [-x] [-d MS] [-g MS] [-m MEMBERS] [WORDS]
 *
 * runs trials of -d milliseconds (30) that count as hung -g milliseconds (60000) later, with up to MEMBERS (6)
 * members; with WORDS only those trials whose name holds them.
 * With -x none are run after one that failed. Prints what failed, what this host does not support, and a tally.
 * Exits 1 if anything failed.
 */
#define _GNU_SOURCE
#include "core_check.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PARAMS 24
#define MAX_CASE_MEMBERS 8
#define CONTAINERS 6

struct check check = {.duration_ns = 30 * MS, .grace_ns = 60000 * MS, .max_members = 6};

void fail(const char *name, const char *format, ...) {
    va_list words;
    va_start(words, format);
    printf("FAIL %s: ", name);
    vprintf(format, words);
    printf("\n");
    va_end(words);
    check.failed++;
}

void remember_unsupported(const struct pb_error *error) {
    char text[sizeof check.reasons[0].text];
    snprintf(text, sizeof text, "%s: %s", error->tried, strerror(-error->code));
    check.unsupported++;
    for (int i = 0; i < MAX_REASONS; i++) {
        if (!check.reasons[i].count)
            memcpy(check.reasons[i].text, text, sizeof text);
        if (!strcmp(check.reasons[i].text, text)) {
            check.reasons[i].count++;
            return;
        }
    }
}

struct request request_of(const char *workload, const char *words, int crew, int32_t members) {
    return (struct request){.workload = workload,
                            .words = words,
                            .crew = (enum pb_crew)crew,
                            .members = members,
                            .duration_ns = check.duration_ns,
                            .grace_ns = check.grace_ns,
                            .cpu = -1};
}

static const char *name_of(const struct request *request, char *name, size_t room) {
    snprintf(name, room, "%s %s crew=%s members=%d%s%s", request->workload, request->words,
             request->crew == PB_CREW_THREADS ? "threads" : "processes", request->members,
             request->operations ? " operations" : "", request->warmup_ns ? " warmup" : "");
    return name;
}

static int32_t read_params(const char *words, struct pb_param *params, int32_t room) {
    int32_t count = 0;
    while (*words && count < room) {
        struct pb_param *param = &params[count++];
        *param = (struct pb_param){.number = 0};
        for (size_t i = 0; *words && *words != '='; words++)
            param->key[i++] = *words;
        words += *words == '=';
        for (size_t i = 0; *words && *words != ' '; words++)
            param->text[i++] = *words;
        words += *words == ' ';
        if (isdigit((unsigned char)param->text[0])) {
            param->number = strtoll(param->text, NULL, 10);
            param->text[0] = 0;
        }
    }
    return count;
}

int run(const struct request *request, struct pb_trial **trial, struct pb_error *error) {
    struct pb_param params[MAX_PARAMS];
    int32_t cpus[MAX_CASE_MEMBERS], nodes[] = {0};
    for (int32_t i = 0; i < MAX_CASE_MEMBERS; i++)
        cpus[i] = request->cpu >= 0 ? request->cpu : check.cpus[i % check.n_cpus];
    struct pb_spec spec = {
        .workload = request->workload,
        .params = params,
        .n_params = read_params(request->words, params, MAX_PARAMS),
        .crew = (int32_t)request->crew,
        .n_members = request->members,
        .cpus = cpus,
        .memory = request->memory,
        .nodes = nodes,
        .n_nodes = request->memory == PB_MEMORY_LOCAL ? 0 : 1,
        .warmup_ns = request->warmup_ns,
        .duration_ns = request->duration_ns,
        .operations = request->operations,
        .grace_ns = request->grace_ns,
        .seed = 7,
    };
    return pb_trial_run(&spec, trial, error);
}

static void check_phase(const char *name, const struct pb_phase *phase, int32_t index) {
    uint64_t counted = 0;
    int32_t last = -1;
    for (int32_t i = 0; i < PB_HISTOGRAM_BUCKETS; i++)
        if (phase->histogram[i]) {
            counted += phase->histogram[i];
            last = i;
        }
    /* A sample is there for each operation it stands for, a batched call once. */
    if (counted != phase->calls && counted != phase->operations)
        fail(name, "phase %d: %llu calls, %llu in the histogram", index, (unsigned long long)phase->calls,
             (unsigned long long)counted);
    if (counted && last != pb_histogram_bucket(phase->max_ns))
        fail(name, "phase %d: the longest call is not in the last bucket", index);
    if (phase->wall_ns > counted * phase->max_ns || phase->cpu_operations > phase->operations)
        fail(name, "phase %d: sums do not fit", index);
}

static void check_member(const char *name, const struct request *request, const struct pb_trial *trial, int32_t i) {
    const struct pb_summary *summary = pb_trial_summary(trial);
    const struct pb_member *member = pb_trial_member(trial, i);
    bool may_idle = !strcmp(request->workload, "launch"); /* others may have taken every container */
    if ((!member->operations && !may_idle) || member->stop_ns <= member->start_ns || !member->tid)
        fail(name, "member %d: %llu operations in %lld ns", i, (unsigned long long)member->operations,
             (long long)(member->stop_ns - member->start_ns));
    if (request->operations && member->operations != (uint64_t)request->operations)
        fail(name, "member %d: %llu operations of %lld", i, (unsigned long long)member->operations,
             (long long)request->operations);
    if (member->cpu_start != member->cpu_asked || member->cpu_stop != member->cpu_asked)
        fail(name, "member %d: asked for CPU %d, ran on %d and %d", i, member->cpu_asked, member->cpu_start,
             member->cpu_stop);
    for (int32_t p = 0; p < summary->n_phases; p++)
        check_phase(name, pb_trial_phase(trial, i, p), p);
    /* Every mount is timed, and every unmount but the last of a batch, which only clears up. */
    if (!strcmp(request->workload, "mount")) {
        uint64_t mounts = pb_trial_phase(trial, i, 0)->operations, umounts = pb_trial_phase(trial, i, 1)->operations;
        bool batched = strstr(request->words, "umount=batch");
        if (mounts != member->operations || (batched ? umounts > mounts : umounts != mounts))
            fail(name, "member %d: %llu operations, %llu mounts, %llu unmounts", i,
                 (unsigned long long)member->operations, (unsigned long long)mounts, (unsigned long long)umounts);
    }
}

/* Each container was launched; kept ones are in the mount table. */
static void check_launches(const char *name, const struct request *request, const struct pb_trial *trial) {
    const struct pb_summary *summary = pb_trial_summary(trial);
    uint64_t launched = 0, failed = 0;
    for (int32_t i = 0; i < summary->n_members; i++) {
        const struct pb_member *member = pb_trial_member(trial, i);
        launched += member->role == 0 ? member->operations : 0;
        failed += member->counters[1];
    }
    if (strcmp("failed", pb_counter_name("launch", 1)) || failed || launched != CONTAINERS)
        fail(name, "%llu of %d launched, %llu failed: %s", (unsigned long long)launched, CONTAINERS,
             (unsigned long long)failed, pb_trial_error(trial)->tried);
    uint64_t kept = strstr(request->words, "keep=yes") ? launched : 0;
    if (summary->mounts_after != summary->mounts_before + kept)
        fail(name, "mounts: %llu, then %llu", (unsigned long long)summary->mounts_before,
             (unsigned long long)summary->mounts_after);
    if (summary->peak < summary->mounts_before + kept || summary->timeline_points < 1)
        fail(name, "peak %llu, %d points", (unsigned long long)summary->peak, summary->timeline_points);
}

static void check_trial(const struct request *request) {
    char name[500];
    name_of(request, name, sizeof name);
    bool wanted = !check.only || strstr(name, check.only);
    if (!wanted || request->members > check.max_members || (check.stop_early && check.failed))
        return;
    struct pb_trial *trial = NULL;
    struct pb_error error = {0};
    uint64_t mounts = pb_count_mounts();
    int rc = run(request, &trial, &error);
    if (rc == -ENOSYS || rc == -EPERM) { /* no mbind() in this kernel or container */
        remember_unsupported(&error);
        return;
    }
    if (rc) {
        fail(name, "refused: %s: %s (%d)", error.tried, error.subject, error.code);
        return;
    }
    const struct pb_summary *summary = pb_trial_summary(trial);
    unsigned failed_before = check.failed;
    if (summary->status == PB_UNSUPPORTED && pb_trial_error(trial)->tried[0]) {
        remember_unsupported(pb_trial_error(trial));
    } else if (summary->status != PB_OK) {
        const struct pb_error *why = pb_trial_error(trial);
        fail(name, "status %d: %s: %s (%d)", summary->status, why->tried, why->subject, why->code);
    } else {
        for (int32_t i = 0; i < summary->n_members; i++)
            check_member(name, request, trial, i);
        if (!strcmp(request->workload, "launch"))
            check_launches(name, request, trial);
        else if (summary->mounts_before != summary->mounts_after)
            fail(name, "mounts left: %llu, then %llu", (unsigned long long)summary->mounts_before,
                 (unsigned long long)summary->mounts_after);
        if (!strcmp(request->workload, "mount") && !summary->mounts_before)
            fail(name, "the mount table was not counted");
        check.ok += check.failed == failed_before;
    }
    pb_trial_free(trial);
    if (pb_count_mounts() != mounts)
        fail(name, "a mount was left on the host");
}

static void check_variants(const char *workload, const char *words, int32_t most) {
    static const int32_t counts[] = {1, 2, 4};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0] && counts[i] <= most; i++)
        for (int crew = PB_CREW_THREADS; crew <= PB_CREW_PROCESSES; crew++) {
            struct request request = request_of(workload, words, crew, counts[i]);
            /* A spin lock beyond the CPUs waits for whole time slices. */
            if (counts[i] > check.n_cpus)
                request.duration_ns /= 3;
            check_trial(&request);
        }
}

/* Trials that end by a count, long before their time. */
static void check_limited(const char *workload, const char *words, int crew, int64_t operations) {
    struct request request = request_of(workload, words, crew, 2);
    request.operations = operations;
    request.warmup_ns = MS;
    request.duration_ns = 20000 * MS;
    check_trial(&request);
}

static void check_spin(void) {
    char words[240];
    const struct pb_lock_info *lock;
    for (int32_t i = 0; (lock = pb_lock_info(i)); i++) {
        snprintf(words, sizeof words, "lock=%s hold_ns=0 think_ns=0 write_think_ns=1000 writers=1" SPIN_PLAIN,
                 lock->name);
        check_variants("spin", words, 4);
        snprintf(words, sizeof words,
                 "lock=%s hold_ns=200 think_ns=300 write_think_ns=0 writers=2 hold_dist=exponential think_dist=bimodal "
                 "guard=apart line_offset=vary page=small",
                 lock->name);
        check_variants("spin", words, strcmp(lock->name, "seqlock") ? 2 : 4); /* two writers need a third member */
        for (int crew = PB_CREW_THREADS; crew <= PB_CREW_PROCESSES; crew++)
            check_limited("spin", words, crew, 500);
    }
}

static void check_kernel_workloads(void) {
    static const char *const mounts[] = {
        "api=mount idmap=no umount=sync children=0 peers=0 table=0 fs=tmpfs",
        "api=mount idmap=no umount=detach children=0 peers=0 table=20 fs=tmpfs",
        "api=mount idmap=no umount=batch:7 children=0 peers=0 table=0 fs=tmpfs",
        "api=open_tree idmap=no umount=sync children=0 peers=0 table=0 fs=tmpfs",
        "api=open_tree idmap=no umount=batch:3 children=2 peers=2 table=5 fs=tmpfs",
        "api=open_tree idmap=yes umount=sync children=0 peers=0 table=0 fs=tmpfs",
        "api=open_tree idmap=yes umount=batch:5 children=0 peers=0 table=0 fs=tmpfs",
        "api=mount idmap=no umount=sync children=3 peers=0 table=0 fs=tmpfs",
        "api=mount idmap=no umount=sync children=0 peers=3 table=0 fs=tmpfs",
        "api=mount idmap=no umount=sync children=0 peers=0 table=0 fs=/usr",
    };
    for (size_t i = 0; i < sizeof mounts / sizeof mounts[0]; i++) {
        check_variants("mount", mounts[i], i < 4 ? 4 : 2);
        check_limited("mount", mounts[i], PB_CREW_THREADS, 20);
    }
    check_variants("stat", "depth=1 file=private", 4);
    check_variants("stat", "depth=0 file=shared", 2);
    check_variants("stat", "depth=32 file=private", 2);
}

static void check_transfer(void) {
    static const char *const methods[] = {"cas", "store", "lines"};
    char words[40];
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        for (int crew = PB_CREW_THREADS; crew <= PB_CREW_PROCESSES; crew++) {
            snprintf(words, sizeof words, "method=%s batch=%d", methods[i], crew == PB_CREW_THREADS ? 500 : 1);
            struct request request = request_of("transfer", words, crew, 2);
            check_trial(&request);
            request.warmup_ns = MS;
            check_trial(&request);
            request.warmup_ns = 0;
            request.cpu = check.cpus[0]; /* both on one CPU */
            check_trial(&request);
            check_limited("transfer", words, crew, 1);
            check_limited("transfer", words, crew, 2 * 500 + 7);
        }
}

static void check_launch(void) {
    static const char *const strategies[] = {"plain", "chown", "binds", "fds", "parent", "parentfd"};
    static const char *const variants[] = {
        "arrival=burst userns=shared umount=detach readonly=no keep=no passes=1 table=0 think_ns=0 "
        "readers=0 listers=0 walkers=0 probers=0",
        "arrival=rate:400 userns=container umount=sync readonly=yes keep=yes passes=2 table=9 think_ns=9 "
        "readers=1 listers=1 walkers=1 probers=1",
    };
    char words[400], dir[] = "/tmp/core_check.XXXXXX";
    if (!mkdtemp(dir)) {
        fail("launch", "mkdtemp: %s", strerror(errno));
        return;
    }
    for (size_t i = 0; i < sizeof strategies / sizeof strategies[0]; i++)
        for (int variant = 0; variant < 4; variant++) {
            snprintf(words, sizeof words,
                     "strategy=%s %s containers=%d layers=3 files=2 deadline_ms=30000 probe_every_ms=1 fs=%s",
                     strategies[i], variants[variant % 2], CONTAINERS, variant < 2 ? "tmpfs" : dir);
            struct request request = request_of("launch", words, variant % 2, variant % 2 ? 6 : 2);
            request.duration_ns = 20000 * MS;
            check_trial(&request);
        }
    if (rmdir(dir))
        fail("launch", "%s: %s", dir, strerror(errno));
}

int main(int argc, char **argv) {
    int option, fds = dup(0);
    uint64_t begin = pb_now_ns();
    while ((option = getopt(argc, argv, "d:g:m:x")) != -1) {
        if (option == 'd')
            check.duration_ns = atoi(optarg) * MS;
        else if (option == 'g')
            check.grace_ns = atoi(optarg) * MS;
        else if (option == 'm')
            check.max_members = atoi(optarg);
        else if (option == 'x')
            check.stop_early = true;
        else
            return 2;
    }
    check.only = argv[optind];
    close(fds);
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set))
        return 2;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set))
            check.cpus[check.n_cpus++] = (int32_t)cpu;
    setvbuf(stdout, NULL, _IOLBF, 0);

    check_spin();
    check_kernel_workloads();
    check_transfer();
    check_launch();
    for (int32_t i = 0; pb_workload_name(i); i++)
        if (!strstr(" mount spin stat launch transfer ", pb_workload_name(i)))
            printf("no trials here: workload %s\n", pb_workload_name(i));
    if (!check.only) {
        struct request bound = request_of("spin", "lock=tas hold_ns=0 think_ns=0 write_think_ns=0 writers=1" SPIN_PLAIN,
                                          PB_CREW_THREADS, 2);
        bound.memory = PB_MEMORY_BIND;
        check_trial(&bound);
        check_simulator();
        check_bad_requests();
        check_meddling();
    }
    if (dup(0) != fds)
        fail("file descriptors", "one was left open");
    for (int i = 0; i < MAX_REASONS && check.reasons[i].count; i++)
        printf("unsupported here, %u trials: %s\n", check.reasons[i].count, check.reasons[i].text);
    printf("%u checks held, %u unsupported, %u failed (%.1f s)\n", check.ok, check.unsupported, check.failed,
           (double)(pb_now_ns() - begin) / 1e9);
    return check.failed || !check.ok;
}
