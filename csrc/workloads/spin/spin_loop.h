/* SPDX-License-Identifier: Apache-2.0
 *
 * The measured loop, compiled once for each lock so that it contains no indirect call. Include with LOCK defined:
 * struct LOCK_lock, struct LOCK_self, LOCK_acquire() and LOCK_release() must exist. Defines spin_run_LOCK().
 *
 *   LOCK_SECTION(guard)  the work under the lock; the default counts
 *   LOCK_READS           the section leaves what it read in seen_count and seen_shadow
 *   LOCK_RETRIES         the same, and LOCK_release() returns false if the section must be repeated
 *   LOCK_UNOWNED         the lock has no owner: there are no handoffs to record
 */
#define SPIN_JOIN_(a, b) a##b
#define SPIN_JOIN(a, b) SPIN_JOIN_(a, b)
#ifndef LOCK_SECTION
#define LOCK_SECTION(guard) (guard)->count++
#endif
#if defined(LOCK_READS) || defined(LOCK_RETRIES)
#define SPIN_TORN (seen_count != seen_shadow)
#define LOCK_UNOWNED
#else
#define SPIN_TORN 0
#endif
#ifdef LOCK_RETRIES
#define SPIN_LEAVE(lock, self) SPIN_JOIN(LOCK, _release)(lock, self)
#else
#define SPIN_LEAVE(lock, self) (SPIN_JOIN(LOCK, _release)(lock, self), true)
#endif
#ifdef LOCK_UNOWNED
#define SPIN_OWN(guard) ((void)0)
#define SPIN_LEFT(guard, tick) ((void)0)
#define SPIN_HAD() ((void)0)
#else
#define SPIN_OWN(guard) spin_own(&owning, guard)
#define SPIN_LEFT(guard, tick) ((guard)->left_tick = (tick))
#define SPIN_HAD() spin_had(&owning, member)
#endif

_Static_assert(sizeof(struct SPIN_JOIN(LOCK, _lock)) <= SPIN_LOCK_BYTES, "the lock outgrew its place");
_Static_assert(sizeof(struct SPIN_JOIN(LOCK, _self)) <= SPIN_SELF_BYTES, "the node outgrew its place");

/* `works` is constant in each copy: without hold and think time the loop does not even test for them. */
static inline __attribute__((always_inline)) int SPIN_JOIN(spin_loop_, LOCK)(struct pb_member_state *member,
                                                                             struct pb_until until, const bool works) {
    struct spin_scratch *scratch = member->scratch;
    struct SPIN_JOIN(LOCK, _lock) *lock = spin_lock_of(member->crew);
    struct SPIN_JOIN(LOCK, _self) *self = (void *)scratch->self;
    struct spin_guard *guard = spin_guard_of(member->crew);
    struct pb_pace *hold = &scratch->hold, *think = &scratch->think;
    const bool holds = works && hold->asked_ns > 0, thinks = works && think->asked_ns > 0;
    uint64_t operations = 0, retries = 0, torn = 0, chain = scratch->chain;
    struct spin_owning owning = {.me = (uint64_t)member->index + 1};
#if defined(LOCK_READS) || defined(LOCK_RETRIES)
    uint64_t seen_count, seen_shadow;
#endif
    uint64_t longest_gap = 0;
    struct pb_sampler sampler = pb_sampler_start(member, pb_ticks());

    for (;;) {
        uint64_t left = until.operations - operations - 1;
        uint64_t unsampled = sampler.batch < left ? sampler.batch : left;
        for (uint64_t i = 0; i < unsampled; i++) {
            for (;;) {
                SPIN_JOIN(LOCK, _acquire)(lock, self);
                SPIN_OWN(guard);
                LOCK_SECTION(guard);
                if (holds)
                    chain = pb_work(chain, hold->steps[pb_pace_next(hold)]);
                if (SPIN_LEAVE(lock, self))
                    break;
                retries++;
            }
            SPIN_HAD();
            torn += SPIN_TORN;
            if (thinks)
                chain = pb_work(chain, think->steps[pb_pace_next(think)]);
        }
        /* The same operation, timed. */
        uint64_t held, entered = 0, leaving, begin = pb_ticks(), gap = begin - sampler.last_tick;
        uint32_t place = 0;
        for (;;) {
            SPIN_JOIN(LOCK, _acquire)(lock, self);
            held = pb_ticks();
            SPIN_OWN(guard);
            LOCK_SECTION(guard);
            if (holds) {
                place = pb_pace_next(hold);
                entered = pb_ticks();
                chain = pb_work(chain, hold->steps[place]);
            }
            leaving = pb_ticks();
            SPIN_LEFT(guard, leaving);
            if (SPIN_LEAVE(lock, self))
                break;
            retries++;
        }
        uint64_t end = pb_ticks();
        SPIN_HAD();
        torn += SPIN_TORN;
        operations += unsampled + 1;
        const uint64_t readings = holds ? 1 : 0;
        const uint64_t stands_for = unsampled + 1;
        pb_phase_add_sample(&member->phases[SPIN_ACQUIRE], pb_latency_ns(member, begin, held, 1), stands_for);
        pb_phase_add_sample(&member->phases[SPIN_HOLD], pb_latency_ns(member, held, leaving, 1 + readings), stands_for);
        pb_phase_add_sample(&member->phases[SPIN_OPERATION], pb_latency_ns(member, begin, end, 3 + readings),
                            stands_for);
        longest_gap = spin_max(longest_gap, spin_max(gap, end - begin));
        if (holds)
            spin_record_piece(member, hold, place, entered, leaving);
        if (thinks) {
            place = pb_pace_next(think);
            entered = pb_ticks();
            chain = pb_work(chain, think->steps[place]);
            spin_record_piece(member, think, place, entered, pb_ticks());
        }
        if (end >= until.tick || operations >= until.operations || pb_crew_failed(member->crew))
            break;
        pb_sampler_next(&sampler, &member->rng, end);
    }
    scratch->chain = chain;
    scratch->total_operations += operations;
    member->result->operations += operations;
    member->result->counters[SPIN_RETRIES] += retries;
    member->result->counters[SPIN_TORN_READS] += torn;
    member->result->longest_streak = spin_max(owning.longest_streak, owning.streak);
    member->result->longest_gap_ns = pb_ticks_to_ns(longest_gap, member->crew->ns_per_tick_fixed);
    return 0;
}

static int SPIN_JOIN(spin_run_, LOCK)(struct pb_member_state *member, struct pb_until until) {
    const struct spin_scratch *scratch = member->scratch;
    if (scratch->hold.asked_ns > 0 || scratch->think.asked_ns > 0)
        return SPIN_JOIN(spin_loop_, LOCK)(member, until, true);
    return SPIN_JOIN(spin_loop_, LOCK)(member, until, false);
}

/* Size of the lock, for the table. */
enum { SPIN_JOIN(spin_bytes_, LOCK) = sizeof(struct SPIN_JOIN(LOCK, _lock)) };

#undef SPIN_OWN
#undef SPIN_LEFT
#undef SPIN_HAD
#undef SPIN_LEAVE
#undef SPIN_TORN
#undef SPIN_JOIN
#undef SPIN_JOIN_
#undef LOCK
#undef LOCK_SECTION
#undef LOCK_READS
#undef LOCK_RETRIES
#undef LOCK_UNOWNED
