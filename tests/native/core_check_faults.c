/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that must be refused, and crews that hang or are killed: none may end as a measurement.
 */
#define _GNU_SOURCE
#include "core_check.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void check_refusal(const char *what, const struct request *request) {
    struct pb_trial *trial = NULL;
    struct pb_error error = {0};
    int rc = run(request, &trial, &error);
    if (rc != -EINVAL || trial || error.code != rc || !error.tried[0])
        fail(what, "expected a refusal, got %d (%s: %s)", rc, error.tried, error.subject);
    else
        check.ok++;
    pb_trial_free(trial);
}

/* The trial must end as failed with this errno, soon. */
static void check_failure(const char *what, const struct request *request, int code) {
    struct pb_trial *trial = NULL;
    struct pb_error error = {0};
    uint64_t begin = pb_now_ns();
    if (run(request, &trial, &error)) {
        fail(what, "refused: %s: %s", error.tried, error.subject);
        return;
    }
    const struct pb_summary *summary = pb_trial_summary(trial);
    const struct pb_error *why = pb_trial_error(trial);
    double seconds = (double)(pb_now_ns() - begin) / 1e9;
    if (summary->status == PB_UNSUPPORTED) {
        remember_unsupported(why);
    } else if (summary->status != PB_FAILED || why->code != -code || !why->tried[0] || seconds > 10)
        fail(what, "status %d after %.1f s: %s: %s (%d)", summary->status, seconds, why->tried, why->subject,
             why->code);
    else
        check.ok++;
    pb_trial_free(trial);
    if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD)
        fail(what, "a child is left");
}

static const char *const tas = "lock=tas hold_ns=0 think_ns=0 write_think_ns=0 writers=1" SPIN_PLAIN;
static const char *const binds = "api=mount idmap=no umount=sync children=0 peers=0 table=0 fs=tmpfs";

void check_bad_requests(void) {
    const struct request good = request_of("spin", tas, PB_CREW_THREADS, 1);
    struct request bad = good;
    bad.words = "lock=nosuch hold_ns=0 think_ns=0 write_think_ns=0 writers=1" SPIN_PLAIN;
    check_refusal("unknown lock", &bad);
    bad.words = "lock=tas hold_ns=0 think_ns=0";
    check_refusal("missing parameter", &bad);
    bad.workload = "none";
    check_refusal("unknown workload", &bad);
    bad.workload = "mount", bad.words = "api=mount idmap=yes umount=sync children=0 peers=0 table=0 fs=tmpfs";
    check_refusal("idmap without open_tree", &bad);
    bad.words = "api=mount idmap=no umount=never children=0 peers=0 table=0 fs=tmpfs";
    check_refusal("unknown umount", &bad);
    bad = good, bad.members = 0;
    check_refusal("no members", &bad);
    bad = good, bad.duration_ns = 0;
    check_refusal("no duration", &bad);
    bad = good, bad.cpu = 8192;
    check_refusal("a CPU beyond all", &bad);
    for (int crew = PB_CREW_THREADS; crew <= PB_CREW_PROCESSES; crew++) {
        bad = good, bad.crew = (enum pb_crew)crew, bad.cpu = 8191;
        check_failure("a CPU that is not there", &bad, EINVAL);
        bad = good, bad.crew = (enum pb_crew)crew, bad.grace_ns = 50 * MS, bad.members = 2;
        bad.words = "lock=ticket hold_ns=10000000000 think_ns=0 write_think_ns=0 writers=1" SPIN_PLAIN;
        check_failure("a crew that hangs", &bad, ETIMEDOUT);
    }
    bad = good, bad.workload = "mount";
    bad.words = "api=mount idmap=no umount=sync children=0 peers=0 table=0 fs=/nonexistent";
    check_failure("a directory that is not there", &bad, ENOENT);
}

/* The first process of the crew whose parent is `parent`; 0 if none yet. */
static pid_t find_crew(pid_t parent) {
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    pid_t found = 0;
    while (proc && !found && (entry = readdir(proc))) {
        char path[300], text[128] = "", state;
        int of;
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        FILE *file = isdigit((unsigned char)entry->d_name[0]) ? fopen(path, "re") : NULL;
        if (file && fgets(text, sizeof text, file) && strstr(text, "(pybench-crew)") &&
            sscanf(strrchr(text, ')') + 1, " %c %d", &state, &of) == 2 && of == parent)
            found = atoi(entry->d_name);
        if (file)
            fclose(file);
    }
    if (proc)
        closedir(proc);
    return found;
}

/* A process that sends the signal to the coming crew: its leader, or one of its members. */
static pid_t start_meddler(bool member, int signal_number, int delay_ms) {
    pid_t parent = getpid(), pid = fork();
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int tries = 0; tries < 20000; tries++) {
        pid_t victim = find_crew(parent);
        if (victim && member)
            victim = find_crew(victim);
        usleep(victim ? (useconds_t)delay_ms * 1000 : 200);
        if (victim)
            _exit(kill(victim, signal_number) ? 2 : 0);
    }
    _exit(1);
}

static void check_meddled(const char *what, const struct request *request, bool member, int number, int code) {
    for (int delay_ms = 0; delay_ms <= 40; delay_ms += 20) {
        struct pb_trial *trial = NULL;
        struct pb_error error = {0};
        pid_t meddler = start_meddler(member, number, delay_ms);
        if (meddler < 0) {
            fail(what, "fork: %s", strerror(errno));
            return;
        }
        int status = 0, rc = run(request, &trial, &error);
        bool met = !rc && pb_trial_summary(trial)->status != PB_UNSUPPORTED;
        if (!met)
            kill(meddler, SIGKILL);
        if (waitpid(meddler, &status, 0) != meddler || (met && status))
            fail(what, "found no crew to signal (%#x)", (unsigned)status);
        if (rc) {
            fail(what, "refused: %s: %s", error.tried, error.subject);
            return;
        }
        const struct pb_summary *summary = pb_trial_summary(trial);
        const struct pb_error *why = pb_trial_error(trial);
        if (!met) {
            remember_unsupported(why);
        } else if (summary->status != PB_FAILED || why->code != -code || (!code && summary->signal != number)) {
            fail(what, "status %d: %s: %s (%d)", summary->status, why->tried, why->subject, why->code);
        } else {
            check.ok++;
        }
        pb_trial_free(trial);
    }
}

void check_meddling(void) {
    struct request request = request_of("spin", tas, PB_CREW_THREADS, 2);
    request.duration_ns = 20000 * MS;
    check_meddled("killed threads", &request, false, SIGKILL, 0);
    request.crew = PB_CREW_PROCESSES;
    check_meddled("killed leader", &request, false, SIGKILL, 0);
    check_meddled("killed member", &request, true, SIGKILL, 0);
    request.workload = "mount", request.words = binds;
    check_meddled("killed mounting member", &request, true, SIGKILL, 0);
    request.duration_ns = 100 * MS, request.grace_ns = 300 * MS;
    check_meddled("stopped leader", &request, false, SIGSTOP, ETIMEDOUT);
}
