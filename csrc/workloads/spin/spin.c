/* SPDX-License-Identifier: Apache-2.0
 *
 * spin: all members hammer one lock-protected line: acquire, count, hold, release, think.
 */
#include "workloads/spin/spin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "timing/random.h"

static int32_t domain_of(const struct pb_crew_state *crew, int32_t member) {
    return crew->spec->domains ? crew->spec->domains[member] : 0;
}

/* Refuse more members or domains than the lock has room for. */
static int check_bounds(struct pb_crew_state *crew, const struct pb_lock_info *info) {
    int32_t members = crew->spec->n_members;
    if (info->most_members && members > info->most_members)
        return pb_fail(crew, PB_FAILED, EINVAL, "starting the crew", "%s takes at most %d members, not %d", info->name,
                       info->most_members, members);
    for (int32_t i = 0; info->numa && i < members; i++)
        if (domain_of(crew, i) < 0 || domain_of(crew, i) >= SPIN_MOST_DOMAINS)
            return pb_fail(crew, PB_FAILED, EINVAL, "starting the crew", "%s takes domains 0 to %d, not %d", info->name,
                           SPIN_MOST_DOMAINS - 1, domain_of(crew, i));
    return 0;
}

/* Place the lock and the guarded data in their memory. */
static int lay_out(struct pb_crew_state *crew) {
    static const char *const guards[] = {"apart", "shared", NULL}, *const page_words[] = {"small", "huge", NULL};
    struct spin_config *config = crew->config;
    const struct spin_lock_kind *kind = config->kind;
    const char *offset;
    int shared, huge;
    if (pb_param_word(crew, "guard", guards, &shared) || pb_param_word(crew, "page", page_words, &huge) ||
        pb_param_text(crew, "line_offset", &offset))
        return -EINVAL;
    uint64_t seed = crew->spec->seed;
    config->lock_offset =
        strcmp(offset, "vary") ? strtol(offset, NULL, 10) : (int64_t)(pb_random(&seed) % (PB_PAGE / PB_LINE) * PB_LINE);
    if (config->lock_offset < 0 || config->lock_offset >= PB_PAGE || config->lock_offset % PB_LINE)
        return pb_fail(crew, PB_FAILED, EINVAL, "reading parameters",
                       "line_offset=%s must be a multiple of %d below %d", offset, PB_LINE, PB_PAGE);
    size_t behind_lock = SPIN_SHARED_GUARD_OFFSET(kind->lock_bytes);
    if (shared && !kind->info.shares_line)
        return pb_fail(crew, PB_FAILED, EINVAL, "reading parameters",
                       "guard=shared needs a lock of at most %zu bytes; %s has %zu",
                       SPIN_CACHE_LINE - sizeof(struct spin_guard), kind->info.name, kind->lock_bytes);
    config->guard_offset = config->lock_offset + (int64_t)(shared ? behind_lock : SPIN_LOCK_BYTES);
    crew->huge_line = huge;
    crew->summary.line_offset = (int32_t)config->lock_offset;
    return 0;
}

static int configure(struct pb_crew_state *crew) {
    static const char *const distributions[] = {"fixed", "exponential", "bimodal", NULL};
    struct spin_config *config = crew->config;
    const char *lock;
    if (pb_param_text(crew, "lock", &lock) || pb_param_number(crew, "hold_ns", &config->hold_ns) ||
        pb_param_number(crew, "think_ns", &config->think_ns) ||
        pb_param_number(crew, "write_think_ns", &config->write_think_ns) ||
        pb_param_number(crew, "writers", &config->writers) ||
        pb_param_word(crew, "hold_dist", distributions, &config->hold_distribution) ||
        pb_param_word(crew, "think_dist", distributions, &config->think_distribution))
        return -EINVAL;
    int32_t index = 0;
    while ((config->kind = spin_lock_kind_at(index)) && strcmp(config->kind->info.name, lock))
        index++;
    if (!config->kind)
        return pb_fail(crew, PB_FAILED, EINVAL, "finding the lock", "%s", lock);
    int rc = check_bounds(crew, &config->kind->info);
    return rc ? rc : lay_out(crew);
}

static int place_line(struct pb_crew_state *crew) {
    const struct spin_config *config = crew->config;
    const struct spin_lock_kind *kind = config->kind;
    int rc = kind->place ? kind->place(spin_lock_of(crew), crew->spec->crew == PB_CREW_PROCESSES) : 0;
    return rc ? pb_fail(crew, rc == -ENOTSUP ? PB_UNSUPPORTED : PB_FAILED, -rc, "initialising the lock", "%s",
                        kind->info.name)
              : 0;
}

/* The last members write; member 0 always reads, so that one thread alone reads. */
static bool is_writer(const struct pb_member_state *member) {
    const struct spin_config *config = member->crew->config;
    int64_t members = member->crew->spec->n_members;
    int64_t writers = config->writers < members - 1 ? config->writers : members - 1;
    return member->index >= members - writers;
}

static void join(struct pb_member_state *member, const struct spin_lock_kind *kind) {
    struct pb_crew_state *crew = member->crew;
    const struct pb_member_state *states = crew->states;
    const struct lock_member who = {
        .index = member->index,
        .members = crew->spec->n_members,
        .domain = domain_of(crew, member->index),
        .seed = member->rng,
        .selves = states[0].scratch,
        .stride = crew->spec->n_members < 2 ? 0 : (size_t)((char *)states[1].scratch - (char *)states[0].scratch),
    };
    kind->join(spin_lock_of(crew), ((struct spin_scratch *)member->scratch)->self, &who);
}

static int prepare(struct pb_member_state *member) {
    const struct spin_config *config = member->crew->config;
    const struct spin_lock_kind *kind = config->kind;
    struct spin_scratch *scratch = member->scratch;
    const bool knows_readers = kind->run_reader;
    const bool writer = knows_readers && is_writer(member);
    if (kind->join)
        join(member, kind);
    member->result->role = writer ? SPIN_WRITER : SPIN_MAIN;
    double ns_per_tick = member->crew->ns_per_tick;
    double hold = kind->readers_retry && !writer ? 0.0 : (double)config->hold_ns;
    double think = (double)(writer ? config->write_think_ns : config->think_ns);
    scratch->chain = member->rng | 1;
    pb_pace_make(&scratch->hold, hold, (enum pb_distribution)config->hold_distribution, ns_per_tick, &member->rng,
                 &scratch->chain);
    pb_pace_make(&scratch->think, think, (enum pb_distribution)config->think_distribution, ns_per_tick, &member->rng,
                 &scratch->chain);
    return 0;
}

static void settle(struct pb_member_state *member) {
    struct spin_scratch *scratch = member->scratch;
    pb_pace_correct(&scratch->hold);
    pb_pace_correct(&scratch->think);
    scratch->hold.total = scratch->think.total = (struct pb_pace_sum){0, 0, 0};
}

/* Set the mean time of the timed pieces, and the mean asked of them. */
static void report_pace(struct pb_pace *pace, double *ns, double *asked_ns) {
    pb_pace_correct(pace);
    if (pace->total.pieces > 0) {
        *ns = pace->total.ns / pace->total.pieces;
        *asked_ns = pace->total.asked_ns / pace->total.pieces;
    }
}

static void report(struct pb_member_state *member) {
    struct spin_scratch *scratch = member->scratch;
    struct pb_member *result = member->result;
    result->longest_wait_ns = member->phases[SPIN_ACQUIRE].max_ns;
    report_pace(&scratch->hold, &result->hold_ns, &result->hold_asked_ns);
    report_pace(&scratch->think, &result->think_ns, &result->think_asked_ns);
}

static int run(struct pb_member_state *member, struct pb_until until) {
    const struct spin_config *config = member->crew->config;
    const struct spin_lock_kind *kind = config->kind;
    if (kind->run_reader && member->result->role == SPIN_MAIN)
        return kind->run_reader(member, until);
    return kind->run(member, until);
}

/* Every section must be in the count: a lost one means that two members were in the section at once. */
static int verify(struct pb_crew_state *crew) {
    const struct spin_config *config = crew->config;
    const struct spin_guard *guard = spin_guard_of(crew);
    const struct spin_lock_kind *kind = config->kind;
    bool knows_readers = kind->run_reader;
    uint64_t counted = 0;
    for (int32_t i = 0; i < crew->spec->n_members; i++) {
        const struct spin_scratch *scratch = crew->states[i].scratch;
        if (!knows_readers || crew->members[i].role == SPIN_WRITER)
            counted += scratch->total_operations;
        if (crew->members[i].counters[SPIN_TORN_READS])
            return pb_fail(crew, PB_FAILED, 0, "checking consistent reads", "%s: %llu torn reads of member %d",
                           kind->info.name, (unsigned long long)crew->members[i].counters[SPIN_TORN_READS], i);
    }
    if (kind->info.excludes && counted != guard->count)
        return pb_fail(crew, PB_FAILED, 0, "checking mutual exclusion", "%s: %llu sections, %llu counted",
                       kind->info.name, (unsigned long long)counted, (unsigned long long)guard->count);
    return 0;
}

static const struct pb_workload workload = {
    .name = "spin",
    .phases = {"acquire", "hold", "operation"},
    .counters = {"torn_reads", "retries"},
    .config_bytes = sizeof(struct spin_config),
    .line_bytes = SPIN_LINE_BYTES,
    .scratch_bytes = sizeof(struct spin_scratch),
    .hands_over = true,
    .configure = configure,
    .place_line = place_line,
    .prepare = prepare,
    .run = run,
    .settle = settle,
    .report = report,
    .verify = verify,
};
PB_WORKLOAD(spin, workload);
