/* lock_table: the replicated state machine.
 *
 * Who holds which schedule, which occurrences have run, what every token was given for. It is pure and total: the same
 * commands in the same order give the same state on every node and every build; there is no clock, no I/O, no JSON, no
 * Raft and no logging here, and no command can fail, for every refusal is an outcome. It must not know how its bytes
 * look on a disk or a wire (codec), nor who asks (node).
 *
 * Time is an argument: an entry carries the proposer's cluster time, the state's time is the largest seen, and a lock is
 * over when state time ≥ its deadline. Nothing ends between entries. */
#ifndef BATON_CORE_LOCK_TABLE_H
#define BATON_CORE_LOCK_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/checksum.h"
#include "base/error.h"
#include "base/slice.h"
#include "core/command.h"

struct lock_table;

struct lock_table *lock_table_open(void);        /* empty, time 0, next token 1; never NULL */
void lock_table_close(struct lock_table *table); /* NULL is allowed; nothing may be frozen */

/* Begins an entry: moves the state's time, and ends every lock whose deadline it has reached (in order of deadline, then
 * token), and after them every freeze (in order of deadline, then scope). Called once for each entry, before its commands. */
void lock_table_advance(struct lock_table *table, const struct apply_context *context);

/* Applies one command of the entry begun last (with its context) and fills `outcome`, whose slices are valid until the
 * next change. The schedule id, holder, key, occurrence and metadata are stored as they come, but never beyond their limits:
 * a longer or an empty one is INVALID_FIELD. Which bytes they may have is for api and codec to check. */
void lock_table_apply(struct lock_table *table, const struct apply_context *context, const struct command *command,
                      struct outcome *outcome);

/* ---- reading ---- */

/* State time at which the next thing ends or is forgotten; UINT64_MAX when nothing is pending. */
uint64_t lock_table_next_deadline(const struct lock_table *table);

/* … and the same but for forgetting, which is about days, and with the ends of freezes: the leader proposes a tick then.
 * UINT64_MAX: none. (What is overdue, or has cooled down, changes nothing in the table, so no tick is needed for it.) */
uint64_t lock_table_next_lock_deadline(const struct lock_table *table);

struct lock_table_counts {
    uint64_t now_ms; /* state time */
    int64_t wall_ms; /* wall clock of the last entry */
    uint64_t index;  /* of the last entry applied */
    uint64_t next_token;
    uint64_t next_member_id;
    uint64_t schedules; /* remembered */
    uint64_t policies;  /* schedules that have one */
    uint64_t held;      /* live grants, those that are being revoked included */
    uint64_t groups;
    uint64_t freezes;
    uint64_t state_bytes; /* counted the same on every node */
    uint64_t expirations; /* locks that ended by their deadline, since this process loaded the table */
    uint32_t rules_version;
};
void lock_table_count(const struct lock_table *table, struct lock_table_counts *counts);

/* What GET /locks/{id} shows. `holders` and `last_run` point into the table; valid until its next change or the next
 * view. `last_run` is the newest run that has ended. A schedule that nobody ever locked has no holders and no run. */
struct schedule_view {
    const struct grant_view *holders;
    size_t n_holders;
    bool frozen;
    bool has_last_run;
    struct run_view last_run;
};
void lock_table_view(struct lock_table *table, struct slice schedule_id, struct schedule_view *view);

/* How long a job takes, by the kept runs that have ended and say so: succeeded, failed or expired, but neither abandoned
 * (it didn't start) nor revoked (it was cut short). Percentiles by nearest rank. */
struct schedule_statistics {
    size_t n_runs; /* that count; the rest means nothing when it is 0 */
    uint64_t p50_ms;
    uint64_t p95_ms;
    uint64_t p99_ms;
    uint64_t last_ms; /* of the newest of them */
};
void lock_table_statistics(struct lock_table *table, struct slice schedule_id, struct schedule_statistics *statistics);

/* A page of a list. Cost O(limit + log of what is in the table), whatever matches and whatever doesn't. */
struct list_query {
    struct slice prefix;   /* of the schedule id, name or scope; absent: all */
    struct slice holder;   /* locks only; absent: any */
    struct slice after_id; /* the page begins behind this id (absent: at the first) … */
    uint64_t after_token;  /* … and, unless 0, with that id's own grants whose tokens are larger than this */
    size_t limit;          /* 1 … LIMIT_LIST */
};
/* Groups and freezes: one (false: there is none), or a page in the order of names or scopes that begin with `prefix`, behind
 * `after_id`. Views are valid until the table's next change. */
bool lock_table_group(struct lock_table *table, struct slice name, struct group_view *view);
size_t lock_table_list_groups(struct lock_table *table, const struct list_query *query, struct group_view *views,
                              bool *more);
bool lock_table_freeze_of(struct lock_table *table, struct slice scope, struct freeze_view *view);
size_t lock_table_list_freezes(struct lock_table *table, const struct list_query *query, struct freeze_view *views,
                               bool *more);
bool lock_table_is_frozen(struct lock_table *table, struct slice schedule_id);

/* What an acquire would be answered now, at state time, were it applied with nothing before it: changes nothing. For whoever
 * waits: a hint, the answer itself comes from apply, which may have no room where this says DONE. */
struct probe {
    enum outcome_code code; /* DONE: granted, or the repeat of a key */
    uint64_t remaining_ms;  /* COOLING_DOWN */
    uint64_t free_slots;    /* DONE: so many grants could follow one another now, by slots and group */
    bool is_full;           /* LOCK_HELD: every slot is taken, so that nobody else would be granted one either */
    struct slice group;     /* of the schedule's policy; absent: none; valid until the table's next change */
};
void lock_table_probe(struct lock_table *table, const struct acquire_command *command, struct probe *probe);
/* The same instant, however it is written, or the same bytes. */
bool occurrence_is_same(struct slice a, struct slice b);

/* The policy; false when the schedule has none. `view` points into the table, valid until its next change. */
bool lock_table_policy(struct lock_table *table, struct slice schedule_id, struct policy_view *view);

/* The newest `max` kept runs, newest first; the rest as above. `runs` has room for LIMIT_RUNS_PER_SCHEDULE + LIMIT_SLOTS.
 * Returns how many. */
size_t lock_table_runs(struct lock_table *table, struct slice schedule_id, size_t max, struct run_view *runs);

/* What follows the last item of a page. */
enum list_rest {
    LIST_REST_NONE,
    LIST_REST_OTHERS, /* the next item is of another schedule */
    LIST_REST_SAME,   /* the next item is of the same schedule: the next page needs after_token */
};
/* Live grants in the order of schedule ids, then tokens. Fills at most `limit` views, and returns how many. Views are valid
 * until the table's next change. */
size_t lock_table_list_locks(struct lock_table *table, const struct list_query *query, struct grant_view *views,
                             enum list_rest *rest);
/* Policies in the order of schedule ids. */
size_t lock_table_list_policies(struct lock_table *table, const struct list_query *query, struct policy_view *views,
                                bool *more);

/* ---- what happens ---- */

enum event_kind {
    EVENT_GRANTED,  /* grant */
    EVENT_RENEWED,  /* grant */
    EVENT_RELEASED, /* run; also what a holder reported late, or of a revoked run (`run.late_outcome`) */
    EVENT_EXPIRED,  /* run; the slot is free. Its outcome is `revoked` when it had been revoked before */
    EVENT_REVOKED,  /* run; `is_newly_freed` says whether its slot is free */
    EVENT_POLICY,   /* policy; `is_gone`: deleted */
    EVENT_GROUP,    /* group; the same */
    EVENT_FREEZE,   /* freeze; `is_gone`: deleted, or its time is over */
};
struct event {
    enum event_kind kind;
    uint64_t index;  /* of the entry … */
    uint32_t number; /* … and which of its events, from 0: equal on every node */
    int64_t wall_ms; /* of the entry */
    bool is_gone;
    /* That the grant or run takes, or took until now, a slot of; absent: none. Of what is reported late that isn't known. */
    struct slice group;
    union {
        struct grant_view grant; /* without metadata */
        struct run_view run;
        struct policy_view policy;
        struct group_view of_group;
        struct freeze_view freeze;
    };
};
/* Calls `event` for everything that happens in advance and apply, in order; slices are valid until it returns. It may look
 * at nothing of the table. NULL: nobody listens. */
void lock_table_observe(struct lock_table *table, void (*event)(void *arg, const struct event *event), void *arg);

/* XXH3-128 over the whole logical state in the order of schedule ids: equal on two nodes exactly when they hold the same
 * state, however their builds lay it out in memory: the bytes that are hashed are fixed for each rules_version, the
 * state's own (digest.c), so that builds of different versions agree. O(state); for tests and --state-hash-every. */
struct digest128 lock_table_digest(struct lock_table *table);

/* Aborts when an invariant of the table is broken. O(state); for tests and the simulator. */
void lock_table_check(const struct lock_table *table);

/* ---- freezing, for snapshots ----
 * lock_table_freeze costs well under a millisecond at a million locks (copy-on-write); the frozen image may be read on
 * another thread while the table goes on. One freeze at a time; thaw on the loop's thread after the reader is done. */

struct lock_table_frozen;
struct lock_table_frozen *lock_table_freeze(struct lock_table *table);
void lock_table_thaw(struct lock_table *table, struct lock_table_frozen *frozen);

/* The state's numbers, apart from the schedules. `index` is that of the last entry applied. */
struct table_image {
    uint64_t now_ms;
    int64_t wall_ms;
    uint64_t index;
    uint64_t next_token;
    uint64_t next_member_id;
    uint32_t rules_version;
};

/* One schedule, complete: everything that must survive a snapshot is in here, and nothing else. Durations and instants
 * are state time unless named wall. Slices are valid until the next lock_table_frozen_next or thaw. */
struct grant_image { /* belongs to the run with the same token */
    uint64_t token;
    uint64_t granted_ms;
    uint64_t deadline_ms;
    uint64_t ttl_ms;         /* of the grant or of its last renewal */
    uint64_t granted_ttl_ms; /* of the grant itself: what a renewal without ttl_ms gets */
    uint64_t estimate_ms;
    uint64_t margin_ms;
    uint64_t max_ttl_ms;
    struct slice metadata;
    bool is_revoking;   /* its run's outcome is RUN_REVOKED already */
    struct slice group; /* it takes a slot of this one, whatever the policy says since; absent: none */
};
struct run_image {
    uint64_t token;
    uint64_t granted_ms;
    uint64_t ended_ms; /* 0 while it runs */
    int64_t acquired_wall_ms;
    int64_t ended_wall_ms;
    struct slice holder;
    struct slice occurrence;
    struct slice idempotency_key;
    struct slice actor;
    struct slice reason;
    struct digest128 fingerprint; /* of what was sent, for idempotency_conflict */
    int outcome;
    int late_outcome;
    uint32_t attempt;
    bool is_released; /* RUN_REVOKED: its holder released it while the slot was still taken (so a repeat is 200, too) */
};
struct occurrence_image {
    struct slice name; /* as first written */
    bool is_instant;
    int64_t instant_s; /* Unix seconds */
    uint32_t instant_ns;
    uint32_t attempts; /* counted ones */
    bool succeeded;
    uint64_t run_token; /* of the newest run for it, 0: none; it may be kept no longer */
    uint64_t order;     /* age among the schedule's occurrences: smaller is older */
};
struct policy_image {
    struct policy policy;
    uint64_t created_ms; /* state time of the first PUT since there was none */
};
struct schedule_image {
    struct slice id;
    bool has_policy;
    struct policy_image policy;
    bool has_success;
    uint64_t
        last_success_ms; /* state time at which the newest successful run ended, or its late success was reported */
    int64_t last_success_wall_ms;
    bool has_floor;
    int64_t floor_s;
    uint32_t floor_ns;
    uint64_t next_order;
    uint64_t forget_ms; /* state time at which it may be forgotten; 0 while it has a lock or a policy */
    const struct grant_image *grants;
    size_t n_grants;
    const struct run_image *runs; /* oldest first */
    size_t n_runs;
    const struct occurrence_image *occurrences; /* by `order` */
    size_t n_occurrences;
};

struct group_image {
    struct slice name;
    uint32_t slots;
};
struct freeze_image {
    struct slice scope;
    struct slice actor;
    struct slice reason;
    uint64_t ttl_ms;
    uint64_t deadline_ms; /* state time */
    int64_t created_wall_ms;
};

void lock_table_frozen_table(const struct lock_table_frozen *frozen, struct table_image *image);
uint64_t lock_table_frozen_schedules(const struct lock_table_frozen *frozen);
uint64_t lock_table_frozen_groups(const struct lock_table_frozen *frozen);
uint64_t lock_table_frozen_freezes(const struct lock_table_frozen *frozen);
/* The next group, or freeze, in order; false at the end. Slices are valid until thaw. */
bool lock_table_frozen_next_group(struct lock_table_frozen *frozen, struct group_image *image);
bool lock_table_frozen_next_freeze(struct lock_table_frozen *frozen, struct freeze_image *image);
/* The next schedule, in no particular order; false at the end. */
bool lock_table_frozen_next(struct lock_table_frozen *frozen, struct schedule_image *image);

/* Filling an empty table from a snapshot: first the numbers, then every group and freeze once, then every schedule once.
 * Input is hostile until checked: ERROR_CORRUPT for what apply could never have made (unknown outcome, token not below next_token, id twice, lengths over
 * the limits, a grant without its run, …), ERROR_VERSION for rules that are newer than this build; the table may then only
 * be closed. Usable off the loop's thread. */
enum error lock_table_load_table(struct lock_table *table, const struct table_image *image) MUST_CHECK;
enum error lock_table_load_group(struct lock_table *table, const struct group_image *image) MUST_CHECK;
enum error lock_table_load_freeze(struct lock_table *table, const struct freeze_image *image) MUST_CHECK;
enum error lock_table_load_schedule(struct lock_table *table, const struct schedule_image *image) MUST_CHECK;

#endif
