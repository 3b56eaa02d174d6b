/* The model's answers. */
#include "model_private.h"

#include <string.h>

static void answer_run(struct model_answer *answer, const struct model_run *run)
{
    if (run != NULL) {
        answer->has_run = true;
        answer->run = *run;
    }
}

static void answer_grant(struct model_answer *answer, const struct model_run *run)
{
    answer->has_grant = true;
    answer->grant = *run;
}

static void answer_holders(struct model_answer *answer, struct model_schedule *schedule)
{
    const struct model_run *first = ends_first(schedule);
    answer->n_holders = count_slots(schedule);
    answer->holder_token = first == NULL ? 0 : first->token;
    answer->holder_deadline_ms = first == NULL ? 0 : first->deadline_ms;
}

static void answer_lost(struct model_answer *answer, struct model_schedule *schedule, uint64_t token)
{
    answer->code = OUTCOME_LOCK_LOST;
    answer_run(answer, find_run(schedule, token));
    answer_holders(answer, schedule);
    answer->n_holders = answer->n_holders > 0 ? 1 : 0; /* only who ends first */
}

/* ---- acquire ---- */

/* As it was sent: another spelling of the same instant is another body. */
static bool same_body(const struct model_ask *a, const struct model_ask *b)
{
    return a->holder == b->holder && a->metadata == b->metadata && a->has_ttl == b->has_ttl &&
           (!a->has_ttl || a->ttl_ms == b->ttl_ms) && a->has_estimate == b->has_estimate &&
           (!a->has_estimate || a->estimate_ms == b->estimate_ms) && same_occurrence(&a->occurrence, &b->occurrence) &&
           (a->occurrence.kind != MODEL_INSTANT || a->spelling == b->spelling);
}

static bool answer_repeat(struct model_schedule *schedule, const struct model_ask *ask, struct model_answer *answer)
{
    for (int i = 0; i < schedule->n_runs; i++) {
        const struct model_run *run = &schedule->runs[i];
        if (run->ask.key != ask->key) {
            continue;
        }
        if (!same_body(&run->ask, ask)) {
            answer->code = OUTCOME_IDEMPOTENCY_CONFLICT;
        } else if (run->outcome != RUN_RUNNING) {
            answer->code = OUTCOME_GRANT_ENDED;
            answer_run(answer, run);
        } else {
            answer->repeated = true;
            answer_grant(answer, run);
        }
        return true;
    }
    return false;
}

static uint64_t estimate_of(const struct model_policy *policy, const struct model_ask *ask)
{
    uint64_t estimate_ms = ask->has_estimate ? ask->estimate_ms : 0;
    return estimate_ms > policy->estimate_ms ? estimate_ms : policy->estimate_ms;
}

static uint64_t ttl_of(const struct model_policy *policy, const struct model_ask *ask)
{
    return ask->has_ttl ? ask->ttl_ms : estimate_of(policy, ask) + policy->margin_ms;
}

static bool refuse_ttl(const struct model_policy *policy, const struct model_ask *ask, struct model_answer *answer)
{
    uint64_t estimate_ms = estimate_of(policy, ask);
    if (!ask->has_ttl && estimate_ms == 0) {
        answer->code = OUTCOME_INVALID_FIELD;
        return true;
    }
    uint64_t ttl_ms = ttl_of(policy, ask);
    if (ttl_ms < estimate_ms + policy->margin_ms) {
        answer->code = OUTCOME_TTL_TOO_SHORT;
    } else if (ttl_ms > policy->longest_ttl_ms) {
        answer->code = OUTCOME_TTL_TOO_LONG;
    } else {
        return false;
    }
    answer->minimum_ms = estimate_ms + policy->margin_ms;
    answer->maximum_ms = policy->longest_ttl_ms;
    return true;
}

static bool refuse_forgotten(struct model_schedule *schedule, const struct model_ask *ask, struct model_answer *answer)
{
    if (ask->occurrence.kind == MODEL_STRING || !schedule->has_floor || ask->occurrence.number > schedule->floor) {
        return false;
    }
    answer->code = OUTCOME_OCCURRENCE_DONE;
    answer->below_floor = true;
    for (int i = schedule->n_runs - 1; i >= 0 && !answer->has_run; i--) {
        if (same_occurrence(&schedule->runs[i].ask.occurrence, &ask->occurrence)) {
            answer_run(answer, &schedule->runs[i]);
        }
    }
    return true;
}

static bool refuse_occurrence(struct model_schedule *schedule, const struct model_ask *ask, struct model_answer *answer)
{
    if (ask->occurrence.kind == MODEL_NO_OCCURRENCE) {
        return false;
    }
    const struct model_memory *memory = find_memory(schedule, &ask->occurrence);
    if (memory == NULL) {
        return refuse_forgotten(schedule, ask, answer);
    }
    if (memory->succeeded) {
        answer->code = OUTCOME_OCCURRENCE_DONE;
        answer_run(answer, find_run(schedule, memory->last_token));
    } else if (find_slot(schedule, memory->last_token) != NULL) {
        answer->code = OUTCOME_LOCK_HELD;
        answer_holders(answer, schedule);
    } else if (memory->attempts >= policy_of(schedule)->max_attempts) {
        answer->code = OUTCOME_ATTEMPTS_EXHAUSTED;
        answer_run(answer, find_run(schedule, memory->last_token));
    } else {
        return false;
    }
    return true;
}

static bool refuse_slot(const struct model *model, struct model_schedule *schedule, const struct model_ask *ask,
                        struct model_answer *answer)
{
    bool has_one = false;
    for (int i = 0; i < schedule->n_runs; i++) {
        has_one = has_one || (schedule->runs[i].has_slot && schedule->runs[i].ask.holder == ask->holder);
    }
    if (has_one || count_slots(schedule) >= policy_of(schedule)->slots) {
        answer->code = OUTCOME_LOCK_HELD;
        answer_holders(answer, schedule);
        return true;
    }
    if (schedule->n_runs > 0) {
        uint64_t over_ms = schedule->runs[schedule->n_runs - 1].granted_ms + policy_of(schedule)->min_hold_ms;
        if (over_ms > model->now_ms) {
            answer->code = OUTCOME_COOLING_DOWN;
            answer->cool_ms = over_ms - model->now_ms;
            return true;
        }
    }
    return false;
}

static uint32_t remember_attempt(struct model_schedule *schedule, const struct model_occurrence *occurrence,
                                 uint64_t token)
{
    if (occurrence->kind == MODEL_NO_OCCURRENCE) {
        return 0;
    }
    struct model_memory *memory = find_memory(schedule, occurrence);
    if (memory == NULL) {
        memory = &schedule->memories[schedule->n_memories++];
        *memory = (struct model_memory){.occurrence = *occurrence};
    }
    memory->last_token = token;
    return ++memory->attempts;
}

void model_acquire(struct model *model, const struct model_ask *ask, bool no_growth, struct model_answer *answer)
{
    struct model_schedule *schedule = &model->schedules[ask->schedule];
    const struct model_policy *policy = policy_of(schedule);
    memset(answer, 0, sizeof *answer);
    if (answer_repeat(schedule, ask, answer) || refuse_ttl(policy, ask, answer) ||
        refuse_occurrence(schedule, ask, answer) || refuse_slot(model, schedule, ask, answer)) {
        return;
    }
    if (no_growth) {
        answer->code = OUTCOME_CAPACITY;
        return;
    }
    uint64_t ttl_ms = ttl_of(policy, ask);
    struct model_run *run = &schedule->runs[schedule->n_runs++];
    *run = (struct model_run){.ask = *ask,
                              .token = model->next_token++,
                              .granted_ms = model->now_ms,
                              .deadline_ms = model->now_ms + ttl_ms,
                              .ttl_ms = ttl_ms,
                              .granted_ttl_ms = ttl_ms,
                              .estimate_ms = estimate_of(policy, ask),
                              .margin_ms = policy->margin_ms,
                              .longest_ttl_ms = policy->longest_ttl_ms,
                              .outcome = RUN_RUNNING,
                              .late_outcome = RUN_OUTCOME_NONE,
                              .has_slot = true};
    run->attempt = remember_attempt(schedule, &ask->occurrence, run->token);
    answer_grant(answer, run);
    forget_more(schedule, 0);
}

/* ---- what is done by token ---- */

void model_renew(struct model *model, int number, uint64_t token, bool has_ttl, uint64_t ttl_ms,
                 struct model_answer *answer)
{
    struct model_schedule *schedule = &model->schedules[number];
    struct model_run *run = find_slot(schedule, token);
    memset(answer, 0, sizeof *answer);
    if (run == NULL || run->outcome != RUN_RUNNING) {
        answer_lost(answer, schedule, token);
        return;
    }
    uint64_t elapsed_ms = model->now_ms - run->granted_ms;
    uint64_t minimum_ms = run->margin_ms + (run->estimate_ms > elapsed_ms ? run->estimate_ms - elapsed_ms : 0);
    uint64_t wanted_ms = has_ttl ? ttl_ms : run->granted_ttl_ms;
    if (wanted_ms < minimum_ms || wanted_ms > run->longest_ttl_ms) {
        answer->code = wanted_ms < minimum_ms ? OUTCOME_TTL_TOO_SHORT : OUTCOME_TTL_TOO_LONG;
        answer->minimum_ms = minimum_ms;
        answer->maximum_ms = run->longest_ttl_ms;
        return;
    }
    run->ttl_ms = wanted_ms;
    run->deadline_ms = model->now_ms + wanted_ms;
    answer_grant(answer, run);
}

static void release_slot(struct model *model, struct model_schedule *schedule, struct model_run *run,
                         enum run_outcome reported)
{
    if (run->outcome == RUN_RUNNING) {
        end_run(model, schedule, run, reported);
    } else {
        run->late_outcome = (int)reported;
        run->released = true;
        if (reported == RUN_SUCCEEDED) {
            note_success(model, schedule, run);
        }
    }
    free_slot(model, schedule, run);
}

void model_release(struct model *model, int number, uint64_t token, bool has_outcome, enum run_outcome outcome,
                   struct model_answer *answer)
{
    struct model_schedule *schedule = &model->schedules[number];
    struct model_run *run = find_run(schedule, token);
    memset(answer, 0, sizeof *answer);
    if (run != NULL && run->ask.occurrence.kind != MODEL_NO_OCCURRENCE && !has_outcome) {
        answer->code = OUTCOME_INVALID_FIELD;
        return;
    }
    enum run_outcome reported = has_outcome ? outcome : RUN_SUCCEEDED;
    if (run != NULL && run->has_slot) {
        release_slot(model, schedule, run, reported);
        answer_run(answer, run);
        forget_more(schedule, token);
    } else if (run == NULL || ((run->outcome == RUN_EXPIRED || run->outcome == RUN_REVOKED) && !run->released)) {
        if (run != NULL && reported == RUN_SUCCEEDED && run->late_outcome != RUN_SUCCEEDED) {
            run->late_outcome = RUN_SUCCEEDED;
            note_success(model, schedule, run);
        }
        answer_lost(answer, schedule, token);
    } else {
        answer->repeated = true;
        answer_run(answer, run);
    }
}

void model_revoke(struct model *model, const struct model_revocation *revocation, struct model_answer *answer)
{
    struct model_schedule *schedule = &model->schedules[revocation->schedule];
    memset(answer, 0, sizeof *answer);
    struct model_run *run = find_run(schedule, revocation->token);
    if (revocation->token != 0 && (run == NULL || !run->has_slot)) {
        if (run == NULL || run->outcome != RUN_REVOKED) {
            answer_lost(answer, schedule, revocation->token);
            return;
        }
        answer->repeated = true;
        answer->revoked[answer->n_revoked++] = *run;
        return;
    }
    bool changed = false;
    for (int i = 0; i < schedule->n_runs; i++) {
        run = &schedule->runs[i];
        if (!run->has_slot || (revocation->token != 0 && run->token != revocation->token)) {
            continue;
        }
        if (run->outcome == RUN_RUNNING || revocation->force) {
            changed = true;
            run->actor = revocation->actor;
        }
        if (run->outcome == RUN_RUNNING) {
            end_run(model, schedule, run, RUN_REVOKED);
        }
        if (revocation->force) {
            free_slot(model, schedule, run);
        }
        answer->revoked[answer->n_revoked++] = *run;
    }
    answer->repeated = answer->n_revoked > 0 && !changed;
}

/* ---- policies ---- */

void model_put(struct model *model, int number, const struct model_policy *policy, bool no_growth,
               struct model_answer *answer)
{
    struct model_schedule *schedule = &model->schedules[number];
    memset(answer, 0, sizeof *answer);
    if (no_growth && !schedule->has_policy) { /* all have the same description */
        answer->code = OUTCOME_CAPACITY;
        return;
    }
    schedule->has_policy = true;
    schedule->policy = *policy;
}

void model_delete(struct model *model, int number, struct model_answer *answer)
{
    struct model_schedule *schedule = &model->schedules[number];
    memset(answer, 0, sizeof *answer);
    if (!schedule->has_policy) {
        answer->code = OUTCOME_NOT_FOUND;
        return;
    }
    schedule->has_policy = false;
    schedule->idle_since_ms = model->now_ms;
}
