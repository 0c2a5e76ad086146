/* SPDX-License-Identifier: Apache-2.0
 *
 * The state of a simulated machine: cores with private caches, lines that move between them, threads on CPUs.
 *
 * Time is whole picoseconds. Everything that waits has one slot in a queue of due times (time_queue.h): a thread, each
 * of its requests for lines, a shared CPU's time slice. A thread runs on without the queue while nothing else is due
 * first.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "core/core.h"
#include "core/sampler.h"
#include "sim/time_queue.h"

#define SIM_PS 1000.0      /* in a ns */
#define SIM_LINE_WORDS 8   /* guarded data on the lock's line uses the upper half */
#define SIM_STORE_BUFFER 8 /* stores in flight per thread */
/* Requesters of a thread: its store buffer, and a speculative request. The thread itself comes on top. */
#define SIM_AGENTS (SIM_STORE_BUFFER + 1)
#define SIM_QUANTILES 256
#define SIM_CONTENDED_LINES 8 /* lines that many threads want: each domain has a queue of its own there */
#define SIM_NODES (SIM_CONTENDED_LINES * SIM_LINE_WORDS) /* first word of the threads' own lines */

enum sim_class { SIM_SMT, SIM_L3, SIM_SOCKET, SIM_CROSS, SIM_CLASSES };
enum sim_state { SIM_RUNS, SIM_MEMORY, SIM_DRAINS, SIM_BUFFER_FULL, SIM_WATCHES, SIM_READY, SIM_SLEEPS };

/* In place of an agent's line: it requests none, or will request one once speculation gets there. */
enum { SIM_NO_LINE = -1, SIM_PLANNED = -2 };

/* A requester of lines: agent i below n_threads is thread i; from n_threads on, SIM_AGENTS for each thread are its
 * store buffer and, last, its speculative request. */
struct sim_agent {
    uint64_t requested_at;
    uint64_t extra; /* time that the line is in use after it came: the atomic's own */
    int32_t line;
    int32_t next;        /* behind it in the queue */
    uint64_t head_start; /* part of the transfer that is over: the request left before it was known to be needed */
    bool exclusive, served;
    bool writes; /* the request is a write; exclusive alone: a read that takes the line away */
};

/* Requests of one domain (socket or L3) for a line: a list, first come, first served, or slots to draw from. */
struct sim_queue {
    int32_t head, tail, count;
    int32_t *slots;   /* NULL: the list */
    uint64_t free_at; /* when the home, or this domain's part of it, has answered its last request */
};

struct sim_line {
    int32_t owner;         /* core that wrote it last, -1 none */
    int32_t writer;        /* CPU that wrote it last */
    int32_t watchers;      /* first of the threads that spin on their copy, -1 none */
    int32_t waiting;       /* requests in its queues */
    int32_t transit_agent; /* whose request is in flight */
    bool modified;         /* since it came */
    bool shared;           /* cores other than the owner may have copies */
    bool transit, transit_exclusive;
    bool sibling_saw; /* the writer's SMT sibling has read it since */
    uint64_t lost_at; /* in transit: copies are valid until then */
    uint64_t locked_until;
    uint64_t entered_at;   /* its present domain */
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
    int32_t core, current, run_head, run_tail, threads, slot;
    bool wants_switch;
};

struct sim_store {
    int32_t word;
    bool requested;
    int64_t value;
};

struct sim;
struct sim_thread;
/* Run a program from where it stopped. Return true when it is done, false where it waits. */
typedef bool sim_program(struct sim *m, struct sim_thread *t);

/* Data of the locks' programs that survives a wait. Threads are numbered from 1 here; 0 stands for no thread. */
struct sim_protocol {
    int32_t word;     /* that a test-and-set loop is after */
    uint64_t backoff; /* limit of the next pause, in polls */
    int64_t ticket;
    int64_t previous;     /* thread ahead in the queue */
    int64_t next;         /* thread behind in the queue */
    int64_t found;        /* cna: first waiter of this domain */
    int64_t skipped;      /* cna: head of the skipped waiters, -1 none */
    int64_t last_skipped; /* cna: the last of them */
    bool acquired;        /* qspinlock: without queueing */
    bool contended;       /* qspinlock: another thread is pending or queues */
    bool pending;         /* qspinlock: another thread is pending */
    int64_t sequence;     /* seqlock: the count that a reader began with */
    bool consistent;      /* seqlock: no writer came during the read */
    int64_t blocked_by;   /* rwsem: bits of the word that keep this thread out */
    int64_t adds;         /* rwsem: what taking it adds to the word */
    int32_t sleeps_on;    /* rwsem: word that it sleeps for, plus 1 */
};

struct sim_thread {
    int32_t index, cpu, core, domain;
    uint8_t state;
    bool timed;      /* the operation in progress */
    bool spun;       /* its spin loop has run one iteration or more */
    bool stored;     /* since its last atomic */
    bool fenced;     /* what follows its last atomic starts when that is done */
    bool early;      /* the line of its atomic is requested while stores are in flight */
    bool acquires;   /* it wants the lock */
    bool counts;     /* its sections are counted: it writes */
    bool optimistic; /* a reader that holds nothing, and reads again */
    int32_t role, line, watch_next, watch_previous, next_run;
    uint64_t left;     /* of its work, when its CPU was taken away */
    uint64_t on_since; /* on its CPU */
    /* Programs: where each level is, and their data. */
    int32_t pc[5];
    int32_t lock; /* its first word */
    struct sim_protocol protocol;
    int32_t preferred_domain; /* passed on with the lock */
    uint64_t spin_until;
    uint64_t requested_at, missed_ps, missed_until; /* its last miss */
    uint64_t hidden;                                /* time of hits since its last atomic, which overlap it */
    uint32_t polls;                                 /* iterations of the present wait */
    uint32_t past_polls[8]; /* of earlier waits, the last first: what a branch predictor knows */
    uint64_t waits_since;
    /* The store buffer, a ring. */
    struct sim_store stores[SIM_STORE_BUFFER];
    uint32_t first_store, stores_left;
    /* Workload. */
    sim_program *acquire, *release;
    uint64_t clock; /* what it read last; of a reading in progress, its end */
    uint64_t began, held, leaving, last_end, step_began;
    struct pb_sampler sampler;
    uint64_t untimed; /* operations since the last timed one */
    uint64_t phase_ps[PB_MAX_PHASES];
    int32_t previous_owner;
    /* Whether the previous owner was this thread itself: at the last acquire, the last without a wait, the last with
     * one. */
    bool reacquired[3];
    uint32_t hold_next, think_next;
    uint64_t streak;
    int64_t container;
    int32_t list, step, repeat, layers_left;
};

/* Lengths of pieces of work, in shuffled order. */
struct sim_lengths {
    uint64_t mean; /* 0: no work */
    uint32_t count;
    uint64_t length[SIM_QUANTILES];
};

struct sim {
    uint64_t now, stop, record_from;
    uint64_t limit; /* how far the running thread may go without the queue */
    struct time_queue *queue;
    int32_t n_threads, n_agents, n_cpus, n_cores, n_lines, n_domains, n_words64;
    struct sim_thread *threads;
    struct sim_agent *agents;
    struct sim_cpu *cpus;
    struct sim_core *cores;
    struct sim_line *lines;
    int64_t *value;
    uint64_t *sets;
    struct sim_queue *queues;
    int32_t *slots;
    const struct pb_sim_spec *spec;
    uint64_t local, atomic, drain, mispredict, pause, poll, service, retry, timeslice, context_switch, wake;
    double slower, overlap, migratory;
    uint32_t transfer[SIM_CLASSES][SIM_QUANTILES]; /* ps by pair */
    float pace[SIM_QUANTILES];
    uint64_t rng, pairs_seed;
    sim_program *step;
    struct sim_lengths hold, think, write_think;
    uint64_t loop, sample, reading, reading_overlap, extra;
    int64_t next_container;
    int32_t threads_left;
    int32_t last_owner; /* of the spin workload's lock, -1 none */
    uint64_t last_left;
    int32_t writers_in, readers_in; /* the section: they check the programs */
    int64_t sections;
    int32_t guard;      /* first word of the guarded data, -1 none */
    bool short_section; /* out-of-order cores see its end from its beginning */
    bool left_timed;    /* the last section was timed, so the next owner reads the clock */
    const char *violation;
    /* Results. */
    struct pb_member *members;
    struct pb_phase *phases; /* by role, then phase */
    struct pb_handoff *handoffs;
    double *launches;
    struct pb_sim_facts facts;
};
