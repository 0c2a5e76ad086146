/* SPDX-License-Identifier: Apache-2.0
 *
 * transfer: two members pass a cache line back and forth. An operation is one one-way transfer, half a round trip.
 *
 *   cas    both swing one word from the other's value to their own by compare-and-swap, and wait by trying: a
 *          failed try takes the line too, so this is what locks that are fought for by CAS pay
 *   store  both load one word until they see the other's value, then store their own over it
 *   lines  as store, but each stores to a line of its own that the other watches, as queue locks hand over
 *
 * The word counts transfers, so that none can be lost unseen. Transfers are timed in batches of some round trips: a
 * tick counter may step by 10 ns, and reading it costs as much as a transfer. A batch ends while its last message is
 * under way, so that the reading hides behind that: even batches of one show how round trips differ. Means of batches
 * are kept twice: rounded to a ns in the phase, as an operation that was timed, and as the timeline's values, in ps.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>

#include "timing/clock.h"
#include "core/core.h"
#include "core/histogram.h"

/* Where both share a CPU, each transfer is a switch of tasks: batches are no longer than this. */
#define ROUND_TRIPS_SHARED 16u
/* Looks in vain, many times what any transfer takes, before the other may be off its CPU. Then a pause tells a
   hypervisor or emulator that this CPU waits, which may run the other instead; those who share a CPU yield. */
#define PATIENCE (1u << 12)
#define PATIENCE_SHARED 64u

enum transfer_method { TRANSFER_CAS, TRANSFER_STORE, TRANSFER_LINES };

struct transfer_config {
    int method;
    int64_t batch; /* round trips */
};

struct transfer_line {
    alignas(PB_PAGE) _Atomic uint64_t word;  /* both write it; with `lines`, member 0 alone */
    alignas(PB_PAGE) _Atomic uint64_t answer; /* member 1's with `lines` */
    alignas(PB_PAGE) _Atomic uint64_t last;  /* transfer after which the run ends; member 0 names it beforehand */
};

struct transfer_scratch {
    uint64_t seen; /* the value that this member waits for next */
    uint64_t made; /* transfers since the line was made, warm-up included */
    uint64_t stride, skip; /* every stride-th batch is in the timeline */
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

static int prepare(struct pb_seat *seat) {
    struct transfer_scratch *scratch = seat->scratch;
    scratch->seen = (uint64_t)seat->index;
    return 0;
}

/* Wait for `seen` and answer with the next number; false if the crew failed meanwhile. */
static inline __attribute__((always_inline)) bool pass_on(struct pb_crew_state *crew, const int method,
                                                          _Atomic uint64_t *watched, _Atomic uint64_t *own,
                                                          uint64_t seen, unsigned patience) {
    for (unsigned looks = 0;;) {
        uint64_t expected = seen;
        if (method == TRANSFER_CAS) {
            if (atomic_compare_exchange_strong_explicit(own, &expected, seen + 1, memory_order_acq_rel,
                                                        memory_order_relaxed))
                return true;
        } else if (atomic_load_explicit(watched, memory_order_acquire) == seen) {
            atomic_store_explicit(own, seen + 1, memory_order_release);
            return true;
        }
        if (++looks == patience) {
            if (pb_crew_failed(crew))
                return false;
            if (patience == PATIENCE_SHARED)
                sched_yield();
            else
                pb_relax();
            looks = 0;
        }
    }
}

/* The mean of a batch. */
static void keep(struct pb_seat *seat, uint64_t tick, uint64_t ticks, uint64_t transfers) {
    struct pb_crew_state *crew = seat->crew;
    struct transfer_scratch *scratch = seat->scratch;
    double ns = (double)ticks * crew->ns_per_tick / (double)transfers;
    pb_phase_add(&seat->phases[0], (uint64_t)(ns + 0.5));
    if (scratch->skip--)
        return;
    if (pb_timeline_keep(crew, tick, (uint64_t)(ns * 1000.0 + 0.5)))
        scratch->stride *= 2;
    scratch->skip = scratch->stride - 1;
}

/* Member 0 keeps the time and says when the end comes; `method` and `index` are constant in each copy. */
static inline __attribute__((always_inline)) int play(struct pb_seat *seat, struct pb_until until, const int method,
                                                      const int index) {
    struct pb_crew_state *crew = seat->crew;
    struct transfer_line *line = crew->line;
    struct transfer_scratch *scratch = seat->scratch;
    _Atomic uint64_t *own = method == TRANSFER_LINES && index ? &line->answer : &line->word;
    _Atomic uint64_t *watched = method == TRANSFER_LINES && !index ? &line->answer : &line->word;
    const bool shared = crew->spec->cpus[0] == crew->spec->cpus[1];
    const unsigned patience = shared ? PATIENCE_SHARED : PATIENCE;
    const uint64_t asked = (uint64_t)((const struct transfer_config *)crew->config)->batch;
    const uint64_t round_trips = shared && asked > ROUND_TRIPS_SHARED ? ROUND_TRIPS_SHARED : asked;
    uint64_t operations = 0, seen = scratch->seen, begin = pb_ticks(), took = 0;
    for (bool last = false; !last;) {
        uint64_t left = until.operations - operations;
        uint64_t batch = round_trips < left ? round_trips : left;
        if (!index && (last = batch == left || begin + took >= until.tick))
            /* Seen by the other before it counts: the transfers themselves are the release. */
            atomic_store_explicit(&line->last, seen + 2 * batch, memory_order_relaxed);
        for (uint64_t i = 0; i < batch; i++, seen += 2)
            if (!pass_on(crew, method, watched, own, seen, patience))
                return -ECANCELED;
        operations += batch;
        if (index) {
            last = atomic_load_explicit(&line->last, memory_order_relaxed) == seen - 1;
        } else {
            uint64_t end = pb_ticks();
            took = end - begin;
            keep(seat, end, took, 2 * batch);
            begin = end;
        }
    }
    scratch->seen = seen;
    scratch->made += operations;
    seat->member->operations += operations;
    return 0;
}

static int run(struct pb_seat *seat, struct pb_until until) {
    const struct transfer_config *config = seat->crew->config;
    if (!seat->index) {
        struct transfer_scratch *scratch = seat->scratch;
        scratch->stride = 1;
        scratch->skip = 0;
        seat->crew->timeline.count = 0; /* the warm-up's */
    }
    switch (2 * config->method + seat->index) {
    case 2 * TRANSFER_CAS:
        return play(seat, until, TRANSFER_CAS, 0);
    case 2 * TRANSFER_CAS + 1:
        return play(seat, until, TRANSFER_CAS, 1);
    case 2 * TRANSFER_STORE:
        return play(seat, until, TRANSFER_STORE, 0);
    case 2 * TRANSFER_STORE + 1:
        return play(seat, until, TRANSFER_STORE, 1);
    case 2 * TRANSFER_LINES:
        return play(seat, until, TRANSFER_LINES, 0);
    default:
        return play(seat, until, TRANSFER_LINES, 1);
    }
}

/* Both made the same, and the line counted them all. */
static int verify(struct pb_crew_state *crew) {
    const struct transfer_config *config = crew->config;
    struct transfer_line *line = crew->line;
    const struct transfer_scratch *ping = crew->seats[0].scratch, *pong = crew->seats[1].scratch;
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
