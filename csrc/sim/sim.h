/* SPDX-License-Identifier: Apache-2.0
 *
 * The discrete-event machine: cores with private caches, lines that move between them, seats (threads) on CPUs.
 *
 * Time is whole picoseconds. Everything that waits has one slot in a queue of due times (queue.h): a seat, each of its
 * requests for lines, a shared CPU's time slice. A seat runs ahead of the queue as long as nothing else is due before.
 */
#pragma once
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "core/histogram.h"
#include "timing/random.h"
#include "core/sampler.h"
#include "queue.h"

#define SIM_PS 1000.0 /* in a ns */
#define SIM_WORDS 8   /* a line; what the lock guards may lie on the upper half of its own */
#define SIM_BUFFER 8  /* stores on their way */
#define SIM_SLOTS (SIM_BUFFER + 1) /* and a line asked for before it is known to be wanted */
#define SIM_PACES 256
#define SIM_HOT 8 /* lines that many want: each domain has a queue of its own there */
#define SIM_PAST 8 /* waits that a branch predictor remembers */
#define SIM_FORESEEN 64 /* turns of a spin loop whose end it foresees, whatever they were before */
#define SIM_AHEAD 16    /* turns that a core runs ahead while a miss is on its way */
#define SIM_BESIDE_PS 20000 /* how far a core runs ahead of an instruction that waits */
#define SIM_ALONE_PS 10000  /* so long behind a wait an atomic has nothing to run beside */
#define SIM_WAY 3  /* the way to a line's home is so many eighths of a transfer, */
#define SIM_KEPT 3 /* and the owner goes on using the line for up to so many of one that takes it away */
#define SIM_BESIDE_READING 2 /* loads behind a reading of the clock do not wait for this part of it */

enum sim_class { SIM_SMT, SIM_L3, SIM_SOCKET, SIM_CROSS, SIM_CLASSES };
enum sim_state { SIM_RUNS, SIM_MEMORY, SIM_DRAINS, SIM_FULL, SIM_WATCHES, SIM_READY, SIM_SLEEPS };

#define SIM_NOTHING (-1) /* in place of a line: asks for none, */
#define SIM_SOON (-2)    /* or will, unless what it runs ahead of is there before */

/* Who asks for a line: a seat (0 to n - 1), or a store on its way, or a core that runs ahead of its seat's wait (from n
 * on, SIM_SLOTS for each seat, the last for what runs ahead). */
struct sim_agent {
    uint64_t asked_at;
    uint64_t extra; /* that the line is taken up after it came: the atomic's own time */
    int32_t line;
    int32_t next;   /* behind it in the queue */
    uint64_t ahead; /* of its time is over: it was asked for before it was known to be wanted */
    bool exclusive, served;
    bool writes; /* it asked for that; exclusive alone: a read that takes the line away */
};

/* Requests of one domain (socket or L3) for a line, first come first; or in no order, to be drawn from. */
struct sim_queue {
    int32_t head, tail, count;
    int32_t *slots; /* if drawn */
    uint64_t free_at; /* when the home, or this domain's part of it, has answered what it took */
};

struct sim_line {
    int32_t owner;         /* core that wrote it last, -1 none */
    int32_t writer;        /* CPU that did */
    int32_t watchers;      /* first of the seats that spin on their copy, -1 none */
    int32_t waiting;       /* requests in its queues */
    int32_t transit_agent; /* whose request is under way */
    bool modified;         /* since it came */
    bool shared;           /* there may be copies beside the owner's */
    bool transit, transit_exclusive;
    bool sibling_saw; /* the writer's sibling has looked since */
    uint64_t lost_at; /* under way: until then copies are good */
    uint64_t locked_until;
    uint64_t entered_at; /* its domain */
    uint64_t sockets, l3s; /* sets (modulo 64) of places with copies */
    uint64_t *copies;      /* set of cores */
    struct sim_queue queue;
    struct sim_queue *domains; /* NULL: queue alone */
};

struct sim_core {
    int32_t socket, l3, domain;
    int32_t active; /* CPUs at work */
};

struct sim_cpu {
    int32_t core, current, run_head, run_tail, seats, slot;
    bool wants_switch;
};

struct sim_store {
    int32_t word;
    bool asked;
    int64_t value;
};

struct sim;
struct sim_seat;
/* True when it is done; false where it waits. */
typedef bool sim_program(struct sim *m, struct sim_seat *s);

struct sim_seat {
    int32_t index, cpu, core, domain;
    uint8_t state;
    bool timed;      /* its operation under way */
    bool turned;     /* its spin loop, once at least */
    bool stored;     /* since its last atomic */
    bool fenced;     /* what is behind its last atomic starts when that is done */
    bool early;      /* the line of its atomic is asked for while stores are still on their way */
    bool acquires;   /* it wants the lock */
    bool counts;     /* its sections are counted: it writes */
    bool optimistic; /* a reader that holds nothing, and reads again */
    int32_t role, line, watch_next, watch_before, next_run;
    uint64_t left; /* of its work, when its CPU was taken away */
    uint64_t on_since; /* on its CPU */
    /* Programs: where each level is, and what they keep. */
    int32_t pc[5];
    int32_t lock; /* first word */
    int64_t a, b, c, d;
    int32_t prefers; /* a domain, as it came with a lock */
    uint64_t spin_until;
    uint64_t asked_at, missed_ps, missed_until; /* its last miss */
    uint64_t hidden; /* time of hits since its last atomic */
    uint32_t looks; /* turns of this wait so far, */
    uint32_t past[SIM_PAST]; /* and of those before, the last first */
    uint64_t waits_since;
    /* Stores on their way, a ring. */
    struct sim_store stores[SIM_BUFFER];
    uint32_t first_store, stores_left;
    /* Workload. */
    sim_program *acquire, *release;
    uint64_t clock; /* what it read last: of a reading under way, its end */
    uint64_t began, held, leaving, last_end, step_began, inside_ps;
    struct pb_sampler sampler;
    uint64_t untimed; /* operations since the last timed one */
    uint64_t phase_ps[PB_MAX_PHASES];
    int32_t before; /* who had the lock, */
    bool owned[3];  /* and whether that was itself: the time before; when it last had not waited, and when it had */
    uint32_t hold_next, think_next;
    uint64_t run;
    int64_t container;
    int32_t list, step, turn, layers_left;
};

struct sim_lengths {
    uint64_t asked; /* 0: none */
    uint32_t count;
    uint64_t length[SIM_PACES];
};

struct sim {
    uint64_t now, stop, record_from;
    uint64_t limit; /* how far the running seat may go ahead of the queue */
    struct sim_queue_of_times *queue;
    int32_t n_seats, n_agents, n_cpus, n_cores, n_lines, n_domains, n_words64;
    struct sim_seat *seats;
    struct sim_agent *agents;
    struct sim_cpu *cpus;
    struct sim_core *cores;
    struct sim_line *lines;
    int64_t *value;
    uint64_t *sets;
    struct sim_queue *queues;
    int32_t *slots;
    int32_t nodes; /* first word of the seats' own lines */
    const struct pb_sim_spec *spec;
    uint64_t local, atomic, drain, exit, pause, poll, service, retry, slice, change, wake;
    double slower, overlap, migratory;
    uint32_t transfer[SIM_CLASSES][SIM_PACES]; /* ps by pair */
    float pace[SIM_PACES];
    uint64_t rng, pairs_seed;
    sim_program *step;
    struct sim_lengths hold, think, write_think;
    uint64_t loop, sample, reading, beside, extra;
    int64_t next_container;
    int32_t seats_left;
    int32_t last_owner; /* of the spin workload's lock, to tell handoffs by; -1 none */
    uint64_t last_left;
    int32_t writers_in, readers_in; /* to check the programs by */
    int64_t sections;
    int32_t guard; /* first word of what the lock guards, -1 nothing */
    bool brief; /* out-of-order cores see a section's end from its beginning */
    bool left_timed; /* the last section was timed, and the next owner reads the clock */
    const char *broken;
    /* Results. */
    struct pb_member *members;
    struct pb_phase *phases; /* by role, then phase */
    struct pb_handoff *handoffs;
    double *launches;
    struct pb_sim_facts facts;
};

/* ---- time ---- */
static inline uint64_t sim_next_due(const struct sim *m) { return m->queue->slots[queue_first(m->queue, m->now)].at; }
static inline uint64_t sim_due_at(const struct sim *m, int32_t slot) { return m->queue->slots[slot].at; }
static inline void sim_due(struct sim *m, int32_t slot, uint64_t at) { queue_put(m->queue, slot, at, m->now); }

static inline uint64_t sim_rand(struct sim *m) { return pb_random(&m->rng); }
/* From 0 to below 1. */
static inline double sim_share(uint64_t random) { return (double)(random >> 11) * 0x1p-53; }
/* Drawn only where it is open. */
static inline bool sim_chance(struct sim *m, double chance) {
    return chance >= 1.0 || (chance > 0.0 && sim_share(sim_rand(m)) < chance);
}
/* From 0 to below `most`. */
static inline uint64_t sim_below(struct sim *m, uint64_t most) {
    return (uint64_t)(((pb_uint128)sim_rand(m) * most) >> 64);
}

/* What a CPU does by itself takes longer while its sibling is at work. */
static inline uint64_t sim_slowed(const struct sim *m, const struct sim_seat *s, uint64_t ps) {
    return m->cores[s->core].active > 1 ? (uint64_t)((double)ps * m->slower) : ps;
}

/* Go on at `at`: true if nothing else is due before; else the seat waits. */
static inline bool sim_until(struct sim *m, struct sim_seat *s, uint64_t at) {
    if (at < m->limit && at <= sim_next_due(m)) {
        m->now = at;
        return true;
    }
    s->state = SIM_RUNS;
    sim_due(m, s->index, at);
    m->facts.scheduled++;
    return false;
}
static inline bool sim_compute(struct sim *m, struct sim_seat *s, uint64_t ps) {
    return sim_until(m, s, m->now + sim_slowed(m, s, ps));
}

/* A turn of a wait that found nothing. */
static inline bool sim_turn(struct sim *m, struct sim_seat *s) {
    s->turned = true;
    s->looks++;
    return sim_compute(m, s, m->pause);
}

/* ---- memory: lines.c ---- */
void sim_request(struct sim *m, int32_t agent, int32_t line, bool exclusive, uint64_t extra, uint64_t ahead);
void sim_complete(struct sim *m, int32_t agent);
void sim_wake_siblings(struct sim *m, struct sim_line *line, int32_t cpu);
void sim_unwatch(struct sim *m, struct sim_seat *s);
void sim_read_takes(struct sim *m, struct sim_line *line);
void sim_runs_ahead(struct sim *m, struct sim_seat *s, int32_t missed);
void sim_prefetch(struct sim *m, struct sim_seat *s, int32_t agent);
bool sim_watch(struct sim *m, struct sim_seat *s, int32_t word, uint64_t until);
bool sim_store_slow(struct sim *m, struct sim_seat *s, int32_t word, int64_t value);
bool sim_miss(struct sim *m, struct sim_seat *s, int32_t line, bool exclusive, uint64_t ahead);
bool sim_rmw_slow(struct sim *m, struct sim_seat *s, int32_t line);
void sim_drain(struct sim *m, struct sim_seat *s);
void sim_rmw_goes_on(struct sim *m, struct sim_seat *s);
uint64_t sim_distance(struct sim *m, int32_t from, int32_t to);

static inline bool sim_in(const uint64_t *set, int32_t i) { return set[i >> 6] >> (i & 63) & 1; }

/* A copy that can be read: one under way elsewhere is good until the invalidation arrives. */
static inline bool sim_readable(const struct sim *m, const struct sim_line *line, int32_t core) {
    if (!sim_in(line->copies, core))
        return false;
    return !line->transit || !line->transit_exclusive || m->now < line->lost_at;
}
static inline bool sim_writable(const struct sim *m, const struct sim_line *line, int32_t core) {
    return line->owner == core && !line->shared && (!line->transit || m->now < line->lost_at);
}
/* An atomic needs the line to itself in the second half of its time, and then keeps it to its end. */
static inline bool sim_lockable(const struct sim *m, const struct sim_line *line, int32_t core) {
    return line->owner == core && !line->shared && (!line->transit || m->now + m->atomic / 2 < line->lost_at);
}
/* The stores behind it are ready and go out before the line does. */
static inline void sim_lock_line(struct sim *m, struct sim_line *line, uint64_t end) {
    line->locked_until = end + 2 * m->local;
    if (line->transit && line->lost_at < line->locked_until)
        line->lost_at = line->locked_until;
}
/* What it costs to see what the sibling wrote into the cache that both share. */
static inline uint64_t sim_sibling(struct sim *m, struct sim_line *line, const struct sim_seat *s) {
    if (line->writer == s->cpu || line->sibling_saw || line->owner != s->core)
        return 0;
    line->sibling_saw = true;
    return sim_distance(m, s->core, s->core);
}
static inline void sim_set(struct sim *m, const struct sim_seat *s, int32_t word, int64_t value) {
    struct sim_line *line = &m->lines[word / SIM_WORDS];
    m->value[word] = value;
    if (!line->modified && line->transit && !line->transit_exclusive && !line->shared)
        sim_read_takes(m, line);
    line->modified = true;
    line->writer = s->cpu;
    line->sibling_saw = false;
    if (line->watchers >= 0)
        sim_wake_siblings(m, line, s->cpu);
}
/* As this seat sees it: its own stores on their way first. */
static inline int64_t sim_value(const struct sim *m, const struct sim_seat *s, int32_t word) {
    for (uint32_t i = s->stores_left; i; i--) {
        const struct sim_store *store = &s->stores[(s->first_store + i - 1) % SIM_BUFFER];
        if (store->word == word)
            return store->value;
    }
    return m->value[word];
}

static inline bool sim_hit(struct sim *m, struct sim_seat *s, struct sim_line *line) {
    uint64_t took = sim_slowed(m, s, m->local) + sim_sibling(m, line, s);
    s->hidden += took;
    return sim_until(m, s, m->now + took);
}
static inline bool sim_load(struct sim *m, struct sim_seat *s, int32_t word) {
    struct sim_line *line = &m->lines[word / SIM_WORDS];
    m->facts.events++;
    if (sim_readable(m, line, s->core))
        return sim_hit(m, s, line);
    if (s->acquires)
        sim_runs_ahead(m, s, word / SIM_WORDS);
    return sim_miss(m, s, word / SIM_WORDS, false, 0);
}
/* Once more, behind a section: out of order it was done right behind the first, before the line could be lost, unless
 * a reading of the clock or long work is between. */
static inline bool sim_load_again(struct sim *m, struct sim_seat *s, int32_t word) {
    if (s->timed || !m->brief)
        return sim_load(m, s, word);
    m->facts.events++;
    return sim_hit(m, s, &m->lines[word / SIM_WORDS]);
}
/* How long ago a request left that does not depend on the miss right before it: together with that one, if it was
 * foreseen that it would be wanted. */
static inline uint64_t sim_ahead(const struct sim *m, const struct sim_seat *s) {
    return !s->fenced && s->looks <= SIM_FORESEEN && m->now <= s->missed_until + SIM_BESIDE_PS ? s->missed_ps : 0;
}
static inline bool sim_load_beside(struct sim *m, struct sim_seat *s, int32_t word) {
    struct sim_line *line = &m->lines[word / SIM_WORDS];
    m->facts.events++;
    if (sim_readable(m, line, s->core))
        return sim_hit(m, s, line);
    return sim_miss(m, s, word / SIM_WORDS, false, sim_ahead(m, s));
}
/* A load with a store to the same line right behind it: the line is asked for as for the store. */
static inline bool sim_load_to_store(struct sim *m, struct sim_seat *s, int32_t word) {
    struct sim_line *line = &m->lines[word / SIM_WORDS];
    m->facts.events++;
    if (sim_writable(m, line, s->core))
        return sim_hit(m, s, line);
    return sim_miss(m, s, word / SIM_WORDS, true, 0);
}
/* Out of a spin loop: a branch that was expected to go otherwise, unless the wait was as long as the one before. */
static inline bool sim_leave_loop(struct sim *m, struct sim_seat *s) {
    if (!s->turned)
        return true;
    s->turned = false;
    return s->looks == s->past[0] || sim_compute(m, s, m->exit);
}
static inline uint64_t sim_atomic(struct sim *m, struct sim_seat *s) {
    uint64_t took = m->atomic + (s->stored ? m->drain : 0);
    s->stored = false;
    return took;
}
/* Beside others an atomic takes half of what it takes alone. */
static inline uint64_t sim_alone(const struct sim *m, uint64_t atomic) {
    return atomic + (uint64_t)((double)atomic * m->overlap);
}
/* An atomic: what is stored is out before. At its end the caller reads and writes the word in one go. Hits since the
 * atomic before are done beside it. */
static inline bool sim_rmw(struct sim *m, struct sim_seat *s, int32_t word) {
    struct sim_line *line = &m->lines[word / SIM_WORDS];
    m->facts.events++;
    s->fenced = !sim_chance(m, m->overlap);
    if (s->acquires && !sim_lockable(m, line, s->core))
        sim_runs_ahead(m, s, word / SIM_WORDS);
    if (s->stores_left || !sim_lockable(m, line, s->core))
        return sim_rmw_slow(m, s, word / SIM_WORDS);
    uint64_t took = sim_slowed(m, s, sim_atomic(m, s));
    if (m->now <= s->missed_until + SIM_ALONE_PS)
        took = sim_alone(m, took);
    uint64_t start = m->now > s->clock ? m->now : s->clock; /* not beside a reading */
    uint64_t end = start + (took > s->hidden ? took - s->hidden : 0) + sim_sibling(m, line, s);
    s->hidden = 0;
    sim_lock_line(m, line, end);
    return sim_until(m, s, end);
}
/* Stored when the line is there; the seat goes on meanwhile. */
static inline bool sim_store(struct sim *m, struct sim_seat *s, int32_t word, int64_t value) {
    m->facts.events++;
    s->stored = true;
    if (!s->stores_left && sim_writable(m, &m->lines[word / SIM_WORDS], s->core)) {
        sim_set(m, s, word, value);
        return true;
    }
    return sim_store_slow(m, s, word, value);
}

/* ---- CPUs: cpus.c ---- */
void sim_start_cpus(struct sim *m);
void sim_slice_ends(struct sim *m, int32_t cpu);
void sim_preempt(struct sim *m, struct sim_seat *s);
/* Off the CPU: until it is woken, or `until`. Always false. */
bool sim_sleep(struct sim *m, struct sim_seat *s, uint64_t until);
void sim_wake(struct sim *m, struct sim_seat *s);

/* ---- programs ---- */
struct sim_lock_kind {
    const char *name;
    sim_program *acquire, *release;
    sim_program *read_acquire, *read_release; /* NULL: tells no readers */
    bool readers_retry;
};
/* The program at a place of the table, NULL past the end; programs.c. */
const struct sim_lock_kind *sim_lock_kind_at(int32_t index);
sim_program sim_seqlock_read_acquire, sim_seqlock_read_release, sim_seqlock_acquire, sim_seqlock_release;
sim_program sim_rwsem_acquire, sim_rwsem_release, sim_rwsem_read_acquire, sim_rwsem_read_release;

int sim_spin_start(struct sim *m);
/* Whether what was counted under the lock is what was done. */
void sim_spin_check(struct sim *m);
int sim_launch_start(struct sim *m);
int sim_oracle_run(struct sim *m);
static inline void sim_record_sample(struct sim *m, int32_t role, int32_t phase, uint64_t ps, uint64_t stands_for) {
    pb_phase_add_sample(&m->phases[role * PB_MAX_PHASES + phase], (ps + 500) / 1000, stands_for);
}
static inline void sim_record(struct sim *m, int32_t role, int32_t phase, uint64_t ps) {
    sim_record_sample(m, role, phase, ps, 1);
}
void sim_lengths_make(struct sim_lengths *lengths, double ns, int32_t distribution, uint64_t *rng);
static inline uint64_t sim_length(const struct sim_lengths *lengths, uint32_t *next) {
    return lengths->length[lengths->count == 1 ? 0 : (*next)++ % SIM_PACES];
}
static inline uint64_t sim_ps(double ns) { return (uint64_t)(ns * SIM_PS + 0.5); }
