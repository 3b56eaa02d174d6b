/* model: the contract's locks once more, as simply as they can be written, to hold the lock table against.
 *
 * It was written from API.md alone and shares nothing with the server but the names of outcomes. Everything is a number
 * here: schedules, holders, keys, bodies and actors; an occurrence is which instant or which string it is. It looks
 * through everything for each answer. It is slow, and that doesn't matter. */
#ifndef BATON_TESTS_CORE_MODEL_H
#define BATON_TESTS_CORE_MODEL_H

#include "core/command.h"

enum {
    MODEL_SCHEDULES = 12,
    MODEL_SLOTS = 256,
    MODEL_KEPT_RUNS = 16,
    MODEL_OCCURRENCES = 64,
    MODEL_RUNS = MODEL_KEPT_RUNS + MODEL_SLOTS,
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
void model_revoke(struct model *model, const struct model_revocation *revocation, struct model_answer *answer);

struct model_counts {
    uint64_t held;
    uint64_t remembered; /* schedules */
    uint64_t policies;
    uint64_t forgotten;        /* schedules, so far */
    uint64_t expired;          /* grants, so far */
    uint64_t next_end_ms;      /* of a lock or of a memory; UINT64_MAX: nothing is pending */
    uint64_t next_lock_end_ms; /* UINT64_MAX: none */
};
struct model_counts model_count(const struct model *model);

int model_runs(const struct model *model, int schedule, const struct model_run **runs); /* oldest first */
const struct model_policy *model_policy(const struct model *model, int schedule);       /* NULL: none */
bool model_last_success_ms(const struct model *model, int schedule, uint64_t *at_ms);   /* false: none */

#endif
