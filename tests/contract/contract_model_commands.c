#include "contract_model_private.h"

#include <string.h>

#define LONGEST_TTL_MS    (7 * CONTRACT_DAY_MS)
#define LONGEST_FREEZE_MS (365 * CONTRACT_DAY_MS)

static void begin_answer(struct contract_answer *answer)
{
    memset(answer, 0, offsetof(struct contract_answer, holders));
    memset(&answer->n_holders, 0, sizeof answer->n_holders);
    memset(&answer->n_revoked, 0, sizeof *answer - offsetof(struct contract_answer, n_revoked));
    answer->code = "done";
}

static void show_run(const struct contract_run *run, struct contract_answer *answer)
{
    answer->has_run = run != NULL;
    if (run != NULL) {
        answer->run = *run;
    }
}

/* `run` is NULL when it is no longer kept. */
static void lose_lock(struct contract_model *model, const char *schedule, const struct contract_run *run,
                      struct contract_answer *answer)
{
    answer->code = "lock_lost";
    show_run(run, answer);
    answer->n_holders = contract_model_holders(model, schedule, answer->holders) > 0;
}

/* ---- renew ---- */

void contract_model_renew(struct contract_model *model, const struct contract_renewal *renewal,
                          struct contract_answer *answer)
{
    begin_answer(answer);
    struct contract_run *run = model_run(model_schedule(model, renewal->schedule), renewal->token);
    if (run == NULL || run->outcome != CONTRACT_RUNNING) {
        lose_lock(model, renewal->schedule, run, answer);
        return;
    }
    uint64_t passed_ms = model->now_ms - run->granted_ms;
    uint64_t left_ms = passed_ms < run->estimate_ms ? run->estimate_ms - passed_ms : 0;
    uint64_t ttl_ms = renewal->has_ttl ? renewal->ttl_ms : run->granted_ttl_ms;
    if (ttl_ms < left_ms + run->margin_ms) {
        answer->code = "ttl_too_short";
        answer->minimum_ms = left_ms + run->margin_ms;
        answer->estimate_ms = run->estimate_ms;
        answer->margin_ms = run->margin_ms;
    } else if (ttl_ms > run->max_ttl_ms) {
        answer->code = "ttl_too_long";
        answer->maximum_ms = run->max_ttl_ms;
    } else {
        run->ttl_ms = ttl_ms;
        run->deadline_ms = model->now_ms + ttl_ms;
        answer->has_grant = true;
        answer->grant = *run;
        (void)model_tell_run(model, CONTRACT_EVENT_RENEWED, run);
    }
}

/* ---- release ---- */

/* The holder says how it went, of a grant that still had its slot. */
static void release_slot(struct contract_model *model, struct contract_schedule *schedule, struct contract_run *run,
                         enum contract_result outcome)
{
    if (run->outcome == CONTRACT_REVOKED) {
        run->late_outcome = outcome;
    } else {
        model_end(model, run, outcome);
        if (outcome == CONTRACT_ABANDONED && run->body.occurrence[0] != '\0') {
            model_occurrence(schedule, run->body.occurrence)->attempts--;
            model->counts.given_back++;
        }
    }
    run->has_slot = false;
    run->is_released = true;
    if (outcome == CONTRACT_SUCCEEDED) {
        model_succeed(model, schedule, run);
    }
}

/* Of what is said too late only a success counts. */
static void report_late(struct contract_model *model, struct contract_schedule *schedule, struct contract_run *run,
                        enum contract_result outcome)
{
    if (outcome != CONTRACT_SUCCEEDED || run->late_outcome == CONTRACT_SUCCEEDED) {
        return;
    }
    run->late_outcome = outcome;
    model_succeed(model, schedule, run);
    model_text(model_tell_run(model, CONTRACT_EVENT_RELEASED, run)->group, "");
}

void model_release(struct contract_model *model, const struct contract_command *command, struct contract_answer *answer)
{
    struct contract_schedule *schedule = model_schedule(model, command->name);
    struct contract_run *run = model_run(schedule, command->token);
    if (run == NULL) {
        lose_lock(model, command->name, NULL, answer);
        return;
    }
    if (command->outcome == CONTRACT_NOTHING && run->body.occurrence[0] != '\0') {
        answer->code = "invalid_field";
        answer->field = "outcome";
        return;
    }
    enum contract_result outcome = command->outcome == CONTRACT_NOTHING ? CONTRACT_SUCCEEDED : command->outcome;
    if (run->is_released) {
        answer->repeated = true;
        show_run(run, answer);
    } else if (run->has_slot) {
        release_slot(model, schedule, run, outcome);
        show_run(run, answer);
        (void)model_tell_run(model, CONTRACT_EVENT_RELEASED, run);
        model_trim(model, schedule);
    } else {
        report_late(model, schedule, run, outcome);
        lose_lock(model, command->name, run, answer);
    }
}

/* ---- revoke ---- */

static void revoke_run(struct contract_model *model, struct contract_run *run, const struct contract_command *command)
{
    bool is_newly_revoked = run->outcome == CONTRACT_RUNNING;
    if (is_newly_revoked) {
        model_end(model, run, CONTRACT_REVOKED);
    }
    if (command->force) {
        run->has_slot = false;
    }
    if (is_newly_revoked || command->force) {
        model_text(run->actor, command->actor);
        model_text(run->reason, command->reason);
        struct contract_event *event = model_tell_run(model, CONTRACT_EVENT_REVOKED, run);
        event->is_newly_revoked = is_newly_revoked;
        event->is_newly_freed = command->force;
    }
}

/* It forgets no run: all that it ended are in its answer. The next grant or end does. */
void model_revoke(struct contract_model *model, const struct contract_command *command, struct contract_answer *answer)
{
    struct contract_schedule *schedule = model_schedule(model, command->name);
    const struct contract_run *named = model_run(schedule, command->token);
    if (command->token != 0 && (named == NULL || !named->has_slot)) {
        if (named != NULL && named->outcome == CONTRACT_REVOKED) {
            answer->revoked[answer->n_revoked++] = named;
        } else {
            lose_lock(model, command->name, named, answer);
        }
        return;
    }
    for (size_t i = 0; schedule != NULL && i < schedule->n_runs; i++) {
        struct contract_run *run = &schedule->runs[i];
        if (run->has_slot && (command->token == 0 || command->token == run->token)) {
            revoke_run(model, run, command);
            answer->revoked[answer->n_revoked++] = run;
        }
    }
}

/* ---- policies ---- */

/* True: the policy can't be. `field` is then where, NULL when several fields contradict each other. */
static bool is_out_of_range(const struct contract_policy *policy, const char **field)
{
    *field = NULL;
    if (policy->max_ttl_ms < 1 || policy->max_ttl_ms > LONGEST_TTL_MS) {
        *field = "max_ttl_ms";
    } else if (policy->slots < 1 || policy->slots > 256) {
        *field = "slots";
    } else if (policy->max_attempts < 1) {
        *field = "max_attempts";
    }
    return *field != NULL || policy->margin_ms > policy->max_ttl_ms ||
           policy->estimate_ms > policy->max_ttl_ms - policy->margin_ms;
}

void model_put_schedule(struct contract_model *model, const struct contract_command *command,
                        struct contract_answer *answer)
{
    const struct contract_policy *policy = &command->policy;
    if (is_out_of_range(policy, &answer->field)) {
        answer->code = "invalid_field";
        return;
    }
    if (policy->group[0] != '\0' && model_group(model, policy->group) == NULL) {
        answer->code = "unknown_group";
        return;
    }
    struct contract_schedule *schedule = model_schedule_make(model, command->name);
    schedule->created_ms = schedule->has_policy ? schedule->created_ms : model->now_ms;
    schedule->has_policy = true;
    schedule->policy = *policy;
    answer->has_policy = contract_model_policy(model, command->name, &answer->policy);
    (void)model_tell(model, CONTRACT_EVENT_POLICY, command->name);
}

void model_delete_schedule(struct contract_model *model, const struct contract_command *command,
                           struct contract_answer *answer)
{
    answer->has_policy = contract_model_policy(model, command->name, &answer->policy);
    if (!answer->has_policy) {
        answer->code = "not_found";
        return;
    }
    struct contract_schedule *schedule = model_schedule(model, command->name);
    schedule->has_policy = false;
    memset(&schedule->policy, 0, sizeof schedule->policy);
    model_forget_schedules(model);
    model_tell(model, CONTRACT_EVENT_POLICY, command->name)->is_gone = true;
}

/* ---- groups ---- */

void model_put_group(struct contract_model *model, const struct contract_command *command,
                     struct contract_answer *answer)
{
    if (command->slots > 10000) {
        answer->code = "invalid_field";
        answer->field = "slots";
        return;
    }
    struct contract_group *group = model_group(model, command->name);
    if (group == NULL) {
        group = model_group(model, "");
        MODEL_CHECK(group != NULL);
        model_text(group->name, command->name);
    }
    group->slots = command->slots;
    answer->has_group = contract_model_group(model, command->name, &answer->group);
    (void)model_tell(model, CONTRACT_EVENT_GROUP, command->name);
}

void model_delete_group(struct contract_model *model, const struct contract_command *command,
                        struct contract_answer *answer)
{
    answer->has_group = contract_model_group(model, command->name, &answer->group);
    if (!answer->has_group) {
        answer->code = "not_found";
    } else if (answer->group.held > 0 || answer->group.schedules > 0) {
        answer->code = "group_in_use";
    } else {
        *model_group(model, command->name) = (struct contract_group){.slots = 0};
        model_tell(model, CONTRACT_EVENT_GROUP, command->name)->is_gone = true;
    }
}

/* ---- freezes ---- */

static struct contract_freeze *find_freeze(struct contract_model *model, const char *scope)
{
    for (int i = 0; i < CONTRACT_FREEZES; i++) {
        if (model_text_equal(model->freezes[i].scope, scope)) {
            return &model->freezes[i];
        }
    }
    return NULL;
}

void model_put_freeze(struct contract_model *model, const struct contract_command *command,
                      struct contract_answer *answer)
{
    if (command->ttl_ms < 1 || command->ttl_ms > LONGEST_FREEZE_MS) {
        answer->code = "invalid_field";
        answer->field = "ttl_ms";
        return;
    }
    struct contract_freeze *freeze = find_freeze(model, command->name);
    if (freeze == NULL) {
        freeze = find_freeze(model, "");
        MODEL_CHECK(freeze != NULL);
    }
    *freeze = (struct contract_freeze){
        .ttl_ms = command->ttl_ms, .deadline_ms = model->now_ms + command->ttl_ms, .created_wall_ms = model->wall_ms};
    model_text(freeze->scope, command->name);
    model_text(freeze->actor, command->actor);
    model_text(freeze->reason, command->reason);
    answer->has_freeze = true;
    answer->freeze = *freeze;
    (void)model_tell(model, CONTRACT_EVENT_FREEZE, command->name);
}

void model_delete_freeze(struct contract_model *model, const struct contract_command *command,
                         struct contract_answer *answer)
{
    struct contract_freeze *freeze = find_freeze(model, command->name);
    if (freeze == NULL) {
        answer->code = "not_found";
        return;
    }
    answer->has_freeze = true;
    answer->freeze = *freeze;
    memset(freeze, 0, sizeof *freeze);
    model_tell(model, CONTRACT_EVENT_FREEZE, command->name)->is_gone = true;
}

/* ---- all of them ---- */

void contract_model_apply(struct contract_model *model, const struct contract_command *command,
                          struct contract_answer *answer)
{
    static void (*const commands[])(struct contract_model *, const struct contract_command *,
                                    struct contract_answer *) = {
        [CONTRACT_ACQUIRE] = model_acquire,
        [CONTRACT_RELEASE] = model_release,
        [CONTRACT_REVOKE] = model_revoke,
        [CONTRACT_PUT_SCHEDULE] = model_put_schedule,
        [CONTRACT_DELETE_SCHEDULE] = model_delete_schedule,
        [CONTRACT_PUT_GROUP] = model_put_group,
        [CONTRACT_DELETE_GROUP] = model_delete_group,
        [CONTRACT_PUT_FREEZE] = model_put_freeze,
        [CONTRACT_DELETE_FREEZE] = model_delete_freeze,
    };
    model->n_events = 0;
    model_mark_used(model);
    begin_answer(answer);
    switch (command->kind) {
    case CONTRACT_TICK:
    case CONTRACT_RENEW_BATCH: /* whoever asks goes through its renewals */
        break;
    case CONTRACT_RENEW:
        contract_model_renew(model, &command->renewals[0], answer);
        break;
    default:
        commands[command->kind](model, command, answer);
        break;
    }
}
