/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole ABI of the core: plain structs and coarse calls. cffi reads this file itself, so that constants are its
 * only preprocessor lines; from C, include "core/core.h".
 *
 * Calls return 0 or a negative errno and fill a pb_error. The core never prints or exits, and keeps no state between
 * calls. All times are nanoseconds of CLOCK_MONOTONIC unless a name says otherwise.
 */

#define PB_ABI 6
#define PB_MAX_MEMBERS 4096
#define PB_MAX_PHASES 16
#define PB_MAX_COUNTERS 16
#define PB_MAX_HANDOFF_MEMBERS 1024
#define PB_TIMELINE_POINTS 1024
/* Latency histogram: 64 buckets per octave, so that a bucket's middle is within 0.8 % of its values. */
#define PB_HISTOGRAM_BUCKETS 2304

enum pb_crew { PB_CREW_THREADS = 0, PB_CREW_PROCESSES = 1 };
enum pb_memory { PB_MEMORY_LOCAL = 0, PB_MEMORY_BIND = 1, PB_MEMORY_INTERLEAVE = 2 };

/* How a trial ended. Only PB_OK carries results. */
enum pb_status {
    PB_OK = 0,
    PB_UNSUPPORTED = 1, /* this kernel or user cannot do it: the error names what was tried */
    PB_FAILED = 2,      /* a call failed, a member died or hung, or an invariant broke */
    PB_INTERRUPTED = 3  /* a signal interrupted the caller; the crew is gone */
};

struct pb_error {
    int32_t code;      /* negative errno, 0 if none applies */
    char tried[96];    /* "mount_setattr(MOUNT_ATTR_IDMAP)" */
    char subject[160]; /* on what, or with which values */
};

/* A workload's parameter: a number, or a text. */
struct pb_param {
    char key[24];
    int64_t number;
    char text[256];
};

struct pb_spec {
    const char *workload;
    const struct pb_param *params;
    int32_t n_params;
    int32_t crew; /* enum pb_crew */
    int32_t n_members;
    const int32_t *cpus;    /* a CPU for each member */
    const int32_t *domains; /* a NUMA domain for each member, from 0; NULL: all 0 */
    int32_t memory;         /* enum pb_memory: where the contended line lives */
    const int32_t *nodes;   /* for BIND and INTERLEAVE */
    int32_t n_nodes;
    int64_t warmup_ns;
    int64_t duration_ns;
    int64_t operations; /* stop each member after this number instead; 0: by time only */
    int64_t grace_ns;   /* beyond warmup and duration, before the crew counts as hung */
    uint64_t seed;
};

struct pb_phase {
    uint64_t calls;      /* times the phase was entered and timed */
    uint64_t operations; /* represented by those calls: a batched unmount is many, a sample stands for untimed ones */
    uint64_t wall_ns;    /* of the calls, each weighted by the operations it stands for, as in the histogram */
    uint64_t cpu_calls;  /* calls for which on-CPU time was read as well */
    uint64_t cpu_operations;
    uint64_t cpu_ns;      /* on-CPU time of cpu_calls */
    uint64_t cpu_wall_ns; /* wall time of cpu_calls */
    uint64_t max_ns;
    uint64_t histogram[PB_HISTOGRAM_BUCKETS];
};

struct pb_member {
    int32_t cpu_asked;
    int32_t cpu_start; /* CPU at the start of the run, and at its end */
    int32_t cpu_stop;
    int32_t role; /* defined by the workload; the operations of role 0 are the throughput */
    int32_t tid;
    int32_t node; /* NUMA node of its private memory, -1 unknown */
    uint64_t operations;
    uint64_t start_ns;
    uint64_t stop_ns;
    uint64_t cpu_ns;
    uint64_t voluntary_switches;
    uint64_t involuntary_switches;
    uint64_t minor_faults;
    uint64_t waited_ns; /* runnable but not on its CPU, by the scheduler's count; 0 where it keeps none */
    uint64_t counters[PB_MAX_COUNTERS]; /* defined by the workload, named by pb_counter_name() */
    /* Mean time of the timed pieces of hold and think work, and the mean asked of the same pieces; 0: none. */
    double hold_ns, hold_asked_ns, think_ns, think_asked_ns;
    double work_before_ns, work_after_ns; /* a fixed piece of work right before and right after the run */
    /* The tick counter in ns minus CLOCK_MONOTONIC, from a base that all members share, at start and stop. */
    double clock_start_ns, clock_stop_ns;
    uint64_t longest_streak;  /* most operations in a row without another owner in between */
    uint64_t longest_wait_ns; /* longest timed acquire */
    uint64_t longest_gap_ns;  /* longest time from one timed operation to the next, an upper bound of every wait */
};

struct pb_summary {
    int32_t status; /* enum pb_status */
    int32_t n_members;
    int32_t n_phases;
    int32_t n_counters;
    int32_t signal;          /* the signal that ended a member, 0 if none */
    int32_t line_node;       /* NUMA node of the contended line before the run, -1 unknown */
    int32_t line_node_after; /* the same after the run */
    int32_t line_offset;     /* of the contended line in its page, bytes */
    int64_t line_page_bytes; /* size of that page; 0: no huge page was asked for */
    int32_t user_namespace;  /* 1: within a user namespace, new or the caller's, that has no ranges of users */
    int32_t tick_is_tsc;
    double ns_per_tick;
    double timer_ns;      /* cost of one reading of the tick counter; subtracted from latencies */
    double timer_step_ns; /* the counter's step: the resolution of latencies */
    uint64_t setup_ns;
    uint64_t teardown_ns;
    uint64_t mounts_before; /* lines of the crew's mount table before and after; 0 for other workloads */
    uint64_t mounts_after;
    uint64_t peak;           /* highest value of the timeline */
    int32_t timeline_points; /* 0: the workload keeps none */
};

/* One point of a value over the trial, such as the length of the mount table. */
struct pb_point {
    uint64_t ns; /* since the common start */
    uint64_t value;
};

/* The handoffs to a member from one other member, which owned the lock right before. */
struct pb_handoff {
    uint64_t count;
    uint64_t timed; /* number of timed ones */
    uint64_t ns;    /* sum over the timed ones: from the other's leaving to the guarded line's arrival */
};

/* A lock of the spin workload; see csrc/locks/locks.def. */
struct pb_lock_info {
    const char *name;
    const char *family;   /* spin, queue, sleeping, reader-writer, control */
    const char *space;    /* memory of a lock with n members */
    const char *fairness; /* FIFO: first come, first served; bounded: no member is overtaken without limit; none */
    const char *waiting;  /* spin, spin then park, sleep, none */
    const char *source;   /* where it was published */
    int32_t most_members; /* largest crew, 0: unlimited */
    int8_t numa;          /* 1: uses the members' NUMA domains */
    int8_t readers;       /* 1: distinguishes readers and writers */
    int8_t excludes;      /* 1: its sections are counted, and a lost one fails the trial */
    int8_t shares_line;   /* 1: the guarded data fits behind it on its cache line */
};

/* ---- the simulator: a discrete-event machine instead of this host ---- */

enum pb_sim_service { PB_SIM_NONE = 0, PB_SIM_CENTRAL = 1, PB_SIM_CLUSTER = 2 };
enum pb_sim_workload { PB_SIM_SPIN = 0, PB_SIM_LAUNCH = 1, PB_SIM_QUEUEING = 2 };
enum pb_sim_guard { PB_SIM_GUARD_NONE = 0, PB_SIM_GUARD_APART = 1, PB_SIM_GUARD_SHARED = 2 };
enum pb_sim_step_kind {
    PB_SIM_COMPUTE = 0,
    PB_SIM_WALK = 1,
    PB_SIM_NAMESPACE = 2,
    PB_SIM_NAMESPACE_READ = 3,
    PB_SIM_MOUNT_LOCK = 4,
    PB_SIM_SLEEP = 5,
    PB_SIM_LOCK = 6,
    PB_SIM_UNLOCK = 7
};

/* A thread's place; each kind of place is numbered from 0 without gaps. */
struct pb_sim_thread {
    int32_t cpu, core, l3, socket, domain;
};

struct pb_sim_step {
    int32_t kind; /* enum pb_sim_step_kind */
    int32_t count;
    int32_t phase; /* -1 none */
    double ns;
    double spread; /* sigma of a log-normal factor on ns */
};

struct pb_sim_spec {
    const struct pb_sim_thread *threads;
    int32_t n_threads, workload, service;
    double transfer[1024]; /* 256 quantiles of a pair's one-way transfer for smt, l3, socket, cross-socket */
    double pace[256];      /* quantiles of a single transfer, in transfers of its pair */
    double normal[256];    /* quantiles of the standard normal distribution */
    double local_ns, atomic_ns, atomic_overlap, migratory, drain_ns, exit_ns, pause_ns, smt_slowdown, service_ns,
        retry_ns;
    double timeslice_ns, switch_ns, wake_ns, duration_ns, warmup_ns;
    uint64_t seed, max_events;
    /* spin */
    char lock[24];
    int32_t guard, hold_distribution, think_distribution, writers;
    double extra_share; /* share of the sections that take extra_ns longer */
    double extra_ns, hold_ns, think_ns, write_think_ns, loop_ns, sample_ns;
    /* launch: four consecutive lists of steps: first, per layer, last, and after the launch */
    const struct pb_sim_step *steps;
    int32_t lists[4];
    int32_t containers, layers, closed;
    int32_t after_once; /* the list after the launch runs once, rather than per layer */
    double deadline_ns;
    /* the queueing model: work, section, and twice the time that each waiting thread adds to the section */
    double work_ns, serial_ns, home_ns;
    int32_t fixed;
};

struct pb_sim_facts {
    uint64_t events;    /* memory accesses */
    uint64_t scheduled; /* events that went through the event queue */
    uint64_t transfers, retries, invalidations, preemptions, launched, late;
    double simulated_ns;
};

struct pb_sim;

/* Simulate. On 0, *sim must be freed; -ENOMEM, -EINVAL, or -EOVERFLOW after max_events fill the error. */
int pb_sim_run(const struct pb_sim_spec *spec, struct pb_sim **sim, struct pb_error *error);
const struct pb_sim_facts *pb_sim_facts(const struct pb_sim *sim);
/* The caller may change the CPU numbers in it. */
struct pb_member *pb_sim_member(const struct pb_sim *sim, int32_t thread);
/* Over all threads of a role. */
struct pb_phase *pb_sim_phase(const struct pb_sim *sim, int32_t role, int32_t phase);
/* As pb_trial_handoffs(). */
const struct pb_handoff *pb_sim_handoffs(const struct pb_sim *sim, int32_t thread);
/* Latency of each container in ns; 0: it did not end. */
const double *pb_sim_launches(const struct pb_sim *sim);
void pb_sim_free(struct pb_sim *sim);
/* Name of the lock at this place of the simulator's table of programs, NULL past the end. */
const char *pb_sim_lock_name(int32_t index);

struct pb_trial;

/* Run one trial. On 0, *trial must be freed, and its summary's status shows whether it has results. */
int pb_trial_run(const struct pb_spec *spec, struct pb_trial **trial, struct pb_error *error);
const struct pb_summary *pb_trial_summary(const struct pb_trial *trial);
/* Why the status is not PB_OK; with PB_OK, the first of the failures that the workload counts and survives, if any. */
const struct pb_error *pb_trial_error(const struct pb_trial *trial);
const struct pb_member *pb_trial_member(const struct pb_trial *trial, int32_t member);
const struct pb_phase *pb_trial_phase(const struct pb_trial *trial, int32_t member, int32_t phase);
/* By previous owner; NULL if the workload hands nothing over, or the crew is too large. */
const struct pb_handoff *pb_trial_handoffs(const struct pb_trial *trial, int32_t member);
const struct pb_point *pb_trial_timeline(const struct pb_trial *trial);
void pb_trial_free(struct pb_trial *trial);

/* Tables; NULL past the end. */
const char *pb_workload_name(int32_t index);
const char *pb_phase_name(const char *workload, int32_t phase);
/* Role of the members that time a phase. */
int32_t pb_phase_role(const char *workload, int32_t phase);
const char *pb_counter_name(const char *workload, int32_t counter);
const struct pb_lock_info *pb_lock_info(int32_t index);

/* Middle of a histogram bucket in ns. */
double pb_histogram_value(int32_t bucket);
int32_t pb_histogram_bucket(uint64_t ns);
int32_t pb_abi(void);

/* Return the time of one pause of a waiting loop on the calling thread's CPU, ns: the minimum of several rounds. */
double pb_relax_ns(void);
/* Return the cost of a mispredicted branch on that CPU, ns; negative if there is no memory for the test. */
double pb_mispredict_ns(void);
