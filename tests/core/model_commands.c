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

static void answer_group(struct model_answer *answer, const struct model *model, int group)
{
    answer->group = group;
    answer->group_slots = model->groups[group].slots;
    answer->group_held = group_held(model, group);
    answer->group_schedules = group_schedules(model, group);
}

static void answer_freeze(struct model_answer *answer, const struct model *model, int scope)
{
    answer->has_freeze = true;
    answer->scope = scope;
    answer->freeze = model->freezes[scope];
}

/* The oldest of all schedules. */
static void answer_group_holders(struct model_answer *answer, const struct model *model, int group)
{
    uint64_t held = group_held(model, group);
    answer->n_holders = held < MODEL_GROUP_HOLDERS ? (int)held : MODEL_GROUP_HOLDERS;
    for (int i = 0; i < MODEL_SCHEDULES; i++) {
        for (int j = 0; j < model->schedules[i].n_runs; j++) {
            const struct model_run *run = &model->schedules[i].runs[j];
            if (run->has_slot && run->group == group &&
                (answer->holder_token == 0 || run->token < answer->holder_token)) {
                answer->holder_token = run->token;
                answer->holder_deadline_ms = run->deadline_ms;
            }
        }
    }
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

static bool refuse_frozen(const struct model *model, const struct model_ask *ask, struct model_answer *answer)
{
    int scope = scope_over(model, ask->schedule);
    if (scope < 0) {
        return false;
    }
    answer->code = OUTCOME_FROZEN;
    answer_freeze(answer, model, scope);
    return true;
}

static bool refuse_group(const struct model *model, int group, struct model_answer *answer)
{
    if (group == 0 || group_held(model, group) < model->groups[group].slots) {
        return false;
    }
    answer->code = OUTCOME_GROUP_FULL;
    answer_group(answer, model, group);
    answer_group_holders(answer, model, group);
    return true;
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
        refuse_occurrence(schedule, ask, answer) || refuse_frozen(model, ask, answer) ||
        refuse_slot(model, schedule, ask, answer) || refuse_group(model, policy->group, answer)) {
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
                              .group = policy->group,
                              .outcome = RUN_RUNNING,
                              .late_outcome = RUN_OUTCOME_NONE,
                              .has_slot = true};
    run->attempt = remember_attempt(schedule, &ask->occurrence, run->token);
    answer_grant(answer, run);
    tell_run(model, run, EVENT_GRANTED);
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
    tell_run(model, run, EVENT_RENEWED);
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
        tell_run(model, run, EVENT_RELEASED);
        forget_more(schedule, token);
    } else if (run == NULL || ((run->outcome == RUN_EXPIRED || run->outcome == RUN_REVOKED) && !run->released)) {
        if (run != NULL && reported == RUN_SUCCEEDED && run->late_outcome != RUN_SUCCEEDED) {
            run->late_outcome = RUN_SUCCEEDED;
            run->group = 0; /* whose slot it had isn't known any more */
            note_success(model, schedule, run);
            tell_run(model, run, EVENT_RELEASED);
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
        bool is_running = run->outcome == RUN_RUNNING;
        if (is_running || revocation->force) {
            changed = true;
            run->actor = revocation->actor;
        }
        if (is_running) {
            end_run(model, schedule, run, RUN_REVOKED);
        }
        if (is_running || revocation->force) {
            tell(model, (struct model_event){.kind = EVENT_REVOKED,
                                             .subject = revocation->schedule,
                                             .token = run->token,
                                             .outcome = RUN_REVOKED,
                                             .late_outcome = run->late_outcome,
                                             .group = run->group,
                                             .is_newly_revoked = is_running,
                                             .is_newly_freed = revocation->force});
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
    if (policy->group != 0 && !model->groups[policy->group].exists) {
        answer->code = OUTCOME_UNKNOWN_GROUP;
        answer->group = policy->group;
        return;
    }
    bool grows = !schedule->has_policy || (policy->group != 0 && schedule->policy.group == 0);
    if (no_growth && grows) { /* all have the same description, and groups have names of one length */
        answer->code = OUTCOME_CAPACITY;
        return;
    }
    schedule->policy_since_ms = schedule->has_policy ? schedule->policy_since_ms : model->now_ms;
    schedule->has_policy = true;
    schedule->policy = *policy;
    tell(model, (struct model_event){.kind = EVENT_POLICY, .subject = number});
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
    tell(model, (struct model_event){.kind = EVENT_POLICY, .subject = number, .is_gone = true});
}

/* ---- groups and freezes ---- */

void model_put_group(struct model *model, int group, uint32_t slots, bool no_growth, struct model_answer *answer)
{
    memset(answer, 0, sizeof *answer);
    if (no_growth && !model->groups[group].exists) {
        answer->code = OUTCOME_CAPACITY;
        return;
    }
    model->groups[group] = (struct model_group){.exists = true, .slots = slots};
    answer_group(answer, model, group);
    tell(model, (struct model_event){.kind = EVENT_GROUP, .subject = group});
}

void model_delete_group(struct model *model, int group, struct model_answer *answer)
{
    memset(answer, 0, sizeof *answer);
    if (!model->groups[group].exists) {
        answer->code = OUTCOME_NOT_FOUND;
        return;
    }
    answer_group(answer, model, group);
    if (answer->group_held > 0 || answer->group_schedules > 0) {
        answer->code = OUTCOME_GROUP_IN_USE;
        return;
    }
    model->groups[group].exists = false;
    tell(model, (struct model_event){.kind = EVENT_GROUP, .subject = group, .is_gone = true});
}

void model_put_freeze(struct model *model, int scope, const struct model_freeze *freeze, bool no_growth,
                      struct model_answer *answer)
{
    memset(answer, 0, sizeof *answer);
    if (no_growth && !model->freezes[scope].exists) {
        answer->code = OUTCOME_CAPACITY;
        return;
    }
    model->freezes[scope] = *freeze;
    model->freezes[scope].exists = true;
    model->freezes[scope].deadline_ms = model->now_ms + freeze->ttl_ms;
    answer_freeze(answer, model, scope);
    tell(model, (struct model_event){.kind = EVENT_FREEZE, .subject = scope});
}

void model_delete_freeze(struct model *model, int scope, struct model_answer *answer)
{
    memset(answer, 0, sizeof *answer);
    if (!model->freezes[scope].exists) {
        answer->code = OUTCOME_NOT_FOUND;
        return;
    }
    answer_freeze(answer, model, scope);
    model->freezes[scope].exists = false;
    tell(model, (struct model_event){.kind = EVENT_FREEZE, .subject = scope, .is_gone = true});
}
