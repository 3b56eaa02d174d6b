/* model: the contract's locks once more, as simply as they can be written, to hold the lock table against.
 *
 * It was written from API.md alone and shares nothing with the server but the names of outcomes. Everything is a number
 * here: schedules, holders, keys and bodies; an occurrence is which instant or which string it is. It remembers all runs
 * for ever and works out what the contract says is kept. It is slow, and that doesn't matter. */
#ifndef BATON_TESTS_CORE_MODEL_H
#define BATON_TESTS_CORE_MODEL_H

#include "core/command.h"

enum { MODEL_SCHEDULES = 12 };

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

/* 0 and false where the contract has nothing to say. */
struct model_answer {
    enum outcome_code code;
    bool repeated;
    uint64_t grant_token;
    uint64_t ttl_ms;
    uint64_t remaining_ms;
    uint32_t attempt;
    uint64_t run_token;
    enum run_outcome run_outcome;
    bool run_has_late_success;
    uint64_t run_duration_ms;
    uint64_t holder_token;
    uint64_t holder_remaining_ms;
    uint64_t minimum_ms;
    bool below_floor; /* occurrence_done only because the occurrence was forgotten */
};

struct model;
struct model *model_open(void);
void model_close(struct model *model);
void model_advance(struct model *model, uint64_t now_ms);
struct model_answer model_acquire(struct model *model, const struct model_ask *ask, bool no_growth);
struct model_answer model_renew(struct model *model, int schedule, uint64_t token, bool has_ttl, uint64_t ttl_ms);
struct model_answer model_release(struct model *model, int schedule, uint64_t token, bool has_outcome,
                                  enum run_outcome outcome);

uint64_t model_held(const struct model *model);
uint64_t model_remembered(const struct model *model);               /* schedules */
uint64_t model_forgotten(const struct model *model);                /* schedules, so far */
uint64_t model_expired(const struct model *model);                  /* grants, so far */
uint64_t model_next_end_ms(const struct model *model);              /* UINT64_MAX: nothing is pending */
uint64_t model_live_token(const struct model *model, int schedule); /* 0: not held */

#endif
