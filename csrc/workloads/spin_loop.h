/* SPDX-License-Identifier: Apache-2.0
 *
 * The measured loop, compiled once for each lock so that no indirect call sits in it. Include with LOCK
 * defined: struct LOCK_lock, struct LOCK_self, LOCK_acquire() and LOCK_release() must exist.
 *   LOCK_SECTION(guard)  what is done under the lock; the default counts
 *   LOCK_READS           the section leaves what it read in seen_count and seen_shadow
 *   LOCK_RETRIES         so it does, and LOCK_release() tells whether it held: it is done again if not
 * Defines spin_run_LOCK().
 */
#define SPIN_JOIN_(a, b) a##b
#define SPIN_JOIN(a, b) SPIN_JOIN_(a, b)
#ifndef LOCK_SECTION
#define LOCK_SECTION(guard) (guard)->count++
#endif
#if defined(LOCK_READS) || defined(LOCK_RETRIES)
#define SPIN_TORN (seen_count != seen_shadow)
#else
#define SPIN_TORN 0
#endif
#ifdef LOCK_RETRIES
#define SPIN_LEAVE(lock, self) SPIN_JOIN(LOCK, _release)(lock, self)
#else
#define SPIN_LEAVE(lock, self) (SPIN_JOIN(LOCK, _release)(lock, self), true)
#endif

_Static_assert(sizeof(struct SPIN_JOIN(LOCK, _lock)) <= SPIN_LOCK_BYTES, "the lock outgrew its place");
_Static_assert(sizeof(struct SPIN_JOIN(LOCK, _self)) <= SPIN_SELF_BYTES, "the node outgrew its place");

/* `works` is constant in each copy: without hold and think time not even their tests are in the loop. */
static inline __attribute__((always_inline)) int SPIN_JOIN(spin_loop_, LOCK)(struct pb_seat *seat,
                                                                             struct pb_until until, const bool works) {
    struct spin_line *line = seat->crew->line;
    struct spin_scratch *scratch = seat->scratch;
    struct SPIN_JOIN(LOCK, _lock) *lock = (void *)line->lock;
    struct SPIN_JOIN(LOCK, _self) *self = (void *)scratch->self;
    struct spin_guard *guard = &line->guard;
    const uint64_t hold = scratch->hold_steps, think = scratch->think_steps;
    uint64_t operations = 0, retries = 0, torn = 0, chain = scratch->chain;
#if defined(LOCK_READS) || defined(LOCK_RETRIES)
    uint64_t seen_count, seen_shadow;
#endif
    struct pb_sampler sampler = pb_sampler_start(seat, pb_ticks());

    for (;;) {
        uint64_t left = until.operations - operations - 1;
        uint64_t unsampled = sampler.batch < left ? sampler.batch : left;
        for (uint64_t i = 0; i < unsampled; i++) {
            for (;;) {
                SPIN_JOIN(LOCK, _acquire)(lock, self);
                LOCK_SECTION(guard);
                if (works)
                    chain = pb_work(chain, hold);
                if (SPIN_LEAVE(lock, self))
                    break;
                retries++;
            }
            torn += SPIN_TORN;
            if (works)
                chain = pb_work(chain, think);
        }
        uint64_t held, leaving, begin = pb_ticks();
        for (;;) {
            SPIN_JOIN(LOCK, _acquire)(lock, self);
            held = pb_ticks();
            LOCK_SECTION(guard);
            if (works)
                chain = pb_work(chain, hold);
            leaving = pb_ticks();
            if (SPIN_LEAVE(lock, self))
                break;
            retries++;
        }
        uint64_t end = pb_ticks();
        torn += SPIN_TORN;
        pb_phase_add(&seat->phases[SPIN_ACQUIRE], pb_latency_ns(seat, begin, held, 1));
        pb_phase_add(&seat->phases[SPIN_HOLD], pb_latency_ns(seat, held, leaving, 1));
        pb_phase_add(&seat->phases[SPIN_OPERATION], pb_latency_ns(seat, begin, end, 3));
        if (works)
            chain = pb_work(chain, think);
        operations += unsampled + 1;
        if (end >= until.tick || operations >= until.operations || pb_crew_failed(seat->crew))
            break;
        pb_sampler_next(&sampler, seat, end);
    }
    scratch->chain = chain;
    scratch->total_operations += operations;
    seat->member->operations += operations;
    seat->member->counters[SPIN_RETRIES] += retries;
    seat->member->counters[SPIN_TORN_READS] += torn;
    for (int phase = SPIN_ACQUIRE; phase <= SPIN_OPERATION; phase++)
        seat->phases[phase].operations = seat->phases[phase].calls;
    return 0;
}

static int SPIN_JOIN(spin_run_, LOCK)(struct pb_seat *seat, struct pb_until until) {
    const struct spin_scratch *scratch = seat->scratch;
    if (scratch->hold_steps || scratch->think_steps)
        return SPIN_JOIN(spin_loop_, LOCK)(seat, until, true);
    return SPIN_JOIN(spin_loop_, LOCK)(seat, until, false);
}

#undef SPIN_LEAVE
#undef SPIN_TORN
#undef SPIN_JOIN
#undef SPIN_JOIN_
#undef LOCK
#undef LOCK_SECTION
#undef LOCK_READS
#undef LOCK_RETRIES
