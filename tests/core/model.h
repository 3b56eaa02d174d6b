/* model: the contract's locks once more, as simply as they can be written, to hold the lock table against.
 *
 * It was written from API.md alone and shares nothing with the server but the names of outcomes. Everything is a number
 * here: schedules, holders, keys, bodies, actors, groups (0: none) and scopes; an occurrence is which instant or which
 * string it is. It looks
 * through everything for each answer. It is slow, and that doesn't matter. */
#ifndef BATON_TESTS_CORE_MODEL_H
#define BATON_TESTS_CORE_MODEL_H

#include "core/lock_table.h"

enum {
    MODEL_SCHEDULES = 12,
    MODEL_SLOTS = 256,
    MODEL_KEPT_RUNS = 16,
    MODEL_OCCURRENCES = 64,
    MODEL_RUNS = MODEL_KEPT_RUNS + MODEL_SLOTS,
    MODEL_GROUPS = 4,
    MODEL_GROUP_HOLDERS = 64,
    MODEL_EVENTS = MODEL_SCHEDULES * MODEL_SLOTS + 16, /* of one entry's time, or of one command */
};

/* What is frozen; behind these each schedule alone. */
enum {
    MODEL_ALL,
    MODEL_ALL_BY_PREFIX,
    MODEL_FROM_ONE,
    MODEL_ONE_SCHEDULE,
    MODEL_SCOPES = MODEL_ONE_SCHEDULE + MODEL_SCHEDULES
};

enum model_kind { MODEL_NO_OCCURRENCE, MODEL_INSTANT, MODEL_STRING };

struct model_occurrence {
    enum model_kind kind;
    int64_t number; /* instants are ordered by it */
};

/* What a client sent; `spelling` is how it wrote the instant. */
struct model_ask {
    int schedule;
    int holder;
    int key;
    struct model_occurrence occurrence;
    int spelling;
    int metadata;
    bool has_ttl;
    uint64_t ttl_ms;
    bool has_estimate;
    uint64_t estimate_ms;
};

struct model_policy {
    uint64_t estimate_ms;
    uint64_t margin_ms;
    uint64_t longest_ttl_ms;
    uint64_t min_hold_ms;
    int slots;
    uint32_t max_attempts;
    int group;
    uint64_t expected_every_ms;
};

struct model_freeze {
    bool exists;
    uint64_t ttl_ms;
    uint64_t deadline_ms;
    int actor;
};

struct model_event {
    enum event_kind kind;
    int subject; /* schedule, group or scope */
    uint64_t token;
    enum run_outcome outcome;
    int late_outcome;
    int group;
    bool is_gone;
    bool is_newly_revoked;
    bool is_newly_freed;
};

struct model_revocation {
    int schedule;
    uint64_t token; /* 0: all */
    bool force;
    int actor; /* 1 … */
};

struct model_run {
    struct model_ask ask;
    uint64_t token;
    uint64_t granted_ms;
    uint64_t ended_ms;
    uint64_t deadline_ms;
    uint64_t ttl_ms;
    uint64_t granted_ttl_ms;
    uint64_t estimate_ms;
    uint64_t margin_ms;
    uint64_t longest_ttl_ms;
    enum run_outcome outcome;
    int late_outcome;
    int actor; /* 0: none */
    int group;
    uint32_t attempt;
    bool has_slot;
    bool released; /* by its holder, in time */
};

/* 0 and false where the contract has nothing to say. */
struct model_answer {
    enum outcome_code code;
    bool repeated;
    bool has_grant;
    struct model_run grant;
    bool has_run;
    struct model_run run;
    int n_holders;
    uint64_t holder_token; /* who ends first */
    uint64_t holder_deadline_ms;
    int n_revoked;
    struct model_run revoked[MODEL_SLOTS];
    uint64_t minimum_ms;
    uint64_t maximum_ms;
    uint64_t cool_ms;
    int group; /* 0: none is shown, and so below */
    uint32_t group_slots;
    uint64_t group_held;
    uint64_t group_schedules;
    bool has_freeze;
    int scope;
    struct model_freeze freeze;
    bool below_floor; /* occurrence_done only because the occurrence was forgotten */
};

struct model;
struct model *model_open(void);
void model_close(struct model *model);
void model_advance(struct model *model, uint64_t now_ms);
void model_acquire(struct model *model, const struct model_ask *ask, bool no_growth, struct model_answer *answer);
void model_renew(struct model *model, int schedule, uint64_t token, bool has_ttl, uint64_t ttl_ms,
                 struct model_answer *answer);
void model_release(struct model *model, int schedule, uint64_t token, bool has_outcome, enum run_outcome outcome,
                   struct model_answer *answer);
void model_put(struct model *model, int schedule, const struct model_policy *policy, bool no_growth,
               struct model_answer *answer);
void model_delete(struct model *model, int schedule, struct model_answer *answer);
void model_put_group(struct model *model, int group, uint32_t slots, bool no_growth, struct model_answer *answer);
void model_delete_group(struct model *model, int group, struct model_answer *answer);
void model_put_freeze(struct model *model, int scope, const struct model_freeze *freeze, bool no_growth,
                      struct model_answer *answer);
void model_delete_freeze(struct model *model, int scope, struct model_answer *answer);
void model_revoke(struct model *model, const struct model_revocation *revocation, struct model_answer *answer);

struct model_counts {
    uint64_t held;
    uint64_t remembered; /* schedules */
    uint64_t policies;
    uint64_t groups;
    uint64_t freezes;
    uint64_t forgotten;        /* schedules, so far */
    uint64_t expired;          /* grants, so far */
    uint64_t thawed;           /* freezes whose time was over, so far */
    uint64_t next_end_ms;      /* of a lock, a freeze or a memory; UINT64_MAX: nothing is pending */
    uint64_t next_lock_end_ms; /* … of a lock or a freeze */
};
struct model_counts model_count(const struct model *model);

int model_runs(const struct model *model, int schedule, const struct model_run **runs); /* oldest first */
const struct model_policy *model_policy(const struct model *model, int schedule);       /* NULL: none */
bool model_last_success_ms(const struct model *model, int schedule, uint64_t *at_ms);   /* false: none */
uint64_t model_overdue_ms(const struct model *model, int schedule);                     /* UINT64_MAX: never */
bool model_is_frozen(const struct model *model, int schedule);
/* What a grant of the schedule could be followed by, itself included, were there nothing else in its way. */
uint64_t model_free_slots(const struct model *model, int schedule);

/* What happened since the last call. */
int model_events(struct model *model, const struct model_event **events);

#endif
