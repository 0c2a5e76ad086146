/* SPDX-License-Identifier: Apache-2.0
 *
 * transfer: two members pass a cache line back and forth. An operation is one one-way transfer, half a round trip.
 *
 *   cas    both change one word from the other's value to their own by compare-and-swap, and wait by trying. A failed
 *          try takes the line too: this is the cost of locks that are contended by CAS.
 *   store  both load one word until they see the other's value, then store their own
 *   lines  as store, but each stores to a line of its own that the other watches, as queue locks hand over
 *
 * The word counts transfers, so that a lost one shows. Transfers are timed in batches of round trips: a tick counter
 * may step by 10 ns, and a reading costs as much as a transfer. A batch ends while its last message is in flight, which
 * hides the reading: even batches of one show how round trips differ. The mean of each batch is recorded twice: rounded
 * to ns as a timed operation of the phase, and in ps as a value of the timeline.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>

#include "core/core.h"
#include "core/histogram.h"
#include "timing/clock.h"

/* Longest batch of two members that share a CPU, where each transfer is a context switch. */
#define ROUND_TRIPS_SHARED 16u
/* Polls, many times the longest transfer, after which the other member may be off its CPU. A pause then shows a
 * hypervisor or emulator that this CPU waits, so that it may run the other; members that share a CPU yield. */
#define PATIENCE (1u << 12)
#define PATIENCE_SHARED 64u

enum transfer_method { TRANSFER_CAS, TRANSFER_STORE, TRANSFER_LINES };

struct transfer_config {
    int method;
    int64_t batch; /* round trips */
};

struct transfer_line {
    alignas(PB_PAGE) _Atomic uint64_t word;   /* written by both; with `lines`, by member 0 only */
    alignas(PB_PAGE) _Atomic uint64_t answer; /* with `lines`, written by member 1 */
    alignas(PB_PAGE) _Atomic uint64_t last;   /* transfer after which the run ends, set by member 0 beforehand */
};

struct transfer_scratch {
    uint64_t next;         /* the value that this member waits for next */
    uint64_t made;         /* transfers since the line was made, warm-up included */
    uint64_t stride, skip; /* one batch in `stride` goes into the timeline */
};

static int configure(struct pb_crew_state *crew) {
    static const char *const methods[] = {"cas", "store", "lines", NULL};
    struct transfer_config *config = crew->config;
    if (pb_param_word(crew, "method", methods, &config->method) || pb_param_number(crew, "batch", &config->batch))
        return -EINVAL;
    if (config->batch < 1)
        return pb_fail(crew, PB_FAILED, EINVAL, "reading parameters", "batch must be 1 or more");
    if (crew->spec->n_members != 2)
        return pb_fail(crew, PB_FAILED, EINVAL, "starting the crew", "transfer takes 2 members, not %d",
                       crew->spec->n_members);
    return 0;
}

static int prepare(struct pb_member_state *member) {
    struct transfer_scratch *scratch = member->scratch;
    scratch->next = (uint64_t)member->index;
    return 0;
}

/* Wait for the value `next` and answer with the one after it. Returns false if the crew failed meanwhile. */
static inline __attribute__((always_inline)) bool pass_on(struct pb_crew_state *crew, const int method,
                                                          _Atomic uint64_t *watched, _Atomic uint64_t *own,
                                                          uint64_t next, unsigned patience) {
    for (unsigned polls = 0;;) {
        uint64_t expected = next;
        if (method == TRANSFER_CAS) {
            if (atomic_compare_exchange_strong_explicit(own, &expected, next + 1, memory_order_acq_rel,
                                                        memory_order_relaxed))
                return true;
        } else if (atomic_load_explicit(watched, memory_order_acquire) == next) {
            atomic_store_explicit(own, next + 1, memory_order_release);
            return true;
        }
        if (++polls == patience) {
            if (pb_crew_failed(crew))
                return false;
            if (patience == PATIENCE_SHARED)
                sched_yield();
            else
                pb_relax();
            polls = 0;
        }
    }
}

/* Record the mean of a batch. */
static void keep(struct pb_member_state *member, uint64_t tick, uint64_t ticks, uint64_t transfers) {
    struct pb_crew_state *crew = member->crew;
    struct transfer_scratch *scratch = member->scratch;
    double ns = (double)ticks * crew->ns_per_tick / (double)transfers;
    pb_phase_add(&member->phases[0], (uint64_t)(ns + 0.5));
    if (scratch->skip--)
        return;
    if (pb_timeline_keep(crew, tick, (uint64_t)(ns * 1000.0 + 0.5)))
        scratch->stride *= 2;
    scratch->skip = scratch->stride - 1;
}

/* Member 0 keeps the time and sets the end. `method` and `index` are constant in each copy. */
static inline __attribute__((always_inline)) int play(struct pb_member_state *member, struct pb_until until,
                                                      const int method, const int index) {
    struct pb_crew_state *crew = member->crew;
    struct transfer_line *line = crew->line;
    struct transfer_scratch *scratch = member->scratch;
    _Atomic uint64_t *own = method == TRANSFER_LINES && index ? &line->answer : &line->word;
    _Atomic uint64_t *watched = method == TRANSFER_LINES && !index ? &line->answer : &line->word;
    const bool shared = crew->spec->cpus[0] == crew->spec->cpus[1];
    const unsigned patience = shared ? PATIENCE_SHARED : PATIENCE;
    const uint64_t asked = (uint64_t)((const struct transfer_config *)crew->config)->batch;
    const uint64_t round_trips = shared && asked > ROUND_TRIPS_SHARED ? ROUND_TRIPS_SHARED : asked;
    uint64_t operations = 0, next = scratch->next, begin = pb_ticks(), took = 0;
    for (bool last = false; !last;) {
        uint64_t left = until.operations - operations;
        uint64_t batch = round_trips < left ? round_trips : left;
        if (!index && (last = batch == left || begin + took >= until.tick))
            /* The transfers themselves release this store: the other member sees it in time. */
            atomic_store_explicit(&line->last, next + 2 * batch, memory_order_relaxed);
        for (uint64_t i = 0; i < batch; i++, next += 2)
            if (!pass_on(crew, method, watched, own, next, patience))
                return -ECANCELED;
        operations += batch;
        if (index) {
            last = atomic_load_explicit(&line->last, memory_order_relaxed) == next - 1;
        } else {
            uint64_t end = pb_ticks();
            took = end - begin;
            keep(member, end, took, 2 * batch);
            begin = end;
        }
    }
    scratch->next = next;
    scratch->made += operations;
    member->result->operations += operations;
    return 0;
}

static int run(struct pb_member_state *member, struct pb_until until) {
    const struct transfer_config *config = member->crew->config;
    if (!member->index) {
        struct transfer_scratch *scratch = member->scratch;
        scratch->stride = 1;
        scratch->skip = 0;
        member->crew->timeline.count = 0; /* drop the warm-up's points */
    }
    switch (2 * config->method + member->index) {
    case 2 * TRANSFER_CAS:
        return play(member, until, TRANSFER_CAS, 0);
    case 2 * TRANSFER_CAS + 1:
        return play(member, until, TRANSFER_CAS, 1);
    case 2 * TRANSFER_STORE:
        return play(member, until, TRANSFER_STORE, 0);
    case 2 * TRANSFER_STORE + 1:
        return play(member, until, TRANSFER_STORE, 1);
    case 2 * TRANSFER_LINES:
        return play(member, until, TRANSFER_LINES, 0);
    default:
        return play(member, until, TRANSFER_LINES, 1);
    }
}

/* Both members must have made the same number of transfers, and the line must have counted them all. */
static int verify(struct pb_crew_state *crew) {
    const struct transfer_config *config = crew->config;
    struct transfer_line *line = crew->line;
    const struct transfer_scratch *ping = crew->states[0].scratch, *pong = crew->states[1].scratch;
    uint64_t counted = atomic_load(config->method == TRANSFER_LINES ? &line->answer : &line->word);
    if (ping->made != pong->made || counted != ping->made + pong->made)
        return pb_fail(crew, PB_FAILED, 0, "checking transfers", "%llu and %llu made, %llu counted",
                       (unsigned long long)ping->made, (unsigned long long)pong->made, (unsigned long long)counted);
    return 0;
}

static const struct pb_workload workload = {
    .name = "transfer",
    .phases = {"transfer"},
    .config_bytes = sizeof(struct transfer_config),
    .line_bytes = sizeof(struct transfer_line),
    .scratch_bytes = sizeof(struct transfer_scratch),
    .configure = configure,
    .prepare = prepare,
    .run = run,
    .verify = verify,
};
PB_WORKLOAD(transfer, workload);
