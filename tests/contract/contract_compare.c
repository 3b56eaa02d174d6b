#include "contract_trial.h"

#include <stdio.h>
#include <string.h>

/* ---- the least parts ---- */

bool contract_same_number(struct contract_trial *trial, const char *what, uint64_t table, uint64_t model)
{
    if (table != model && trial->difference[0] == '\0') {
        (void)snprintf(trial->difference, sizeof trial->difference, "%s: the table says %llu, the model %llu", what,
                       (unsigned long long)table, (unsigned long long)model);
    }
    return table == model;
}

bool contract_same_text(struct contract_trial *trial, const char *what, struct slice table, const char *model)
{
    bool is_same = slice_equal(table, slice_of(model[0] == '\0' ? NULL : model));
    if (!is_same && trial->difference[0] == '\0') {
        (void)snprintf(trial->difference, sizeof trial->difference, "%s: the table says \"%.*s\", the model \"%s\"",
                       what, SLICE_PRINT(table), model);
    }
    return is_same;
}

bool contract_same_code(struct contract_trial *trial, const char *what, const char *table, const char *model)
{
    return contract_same_text(trial, what, slice_of(table[0] == '\0' ? NULL : table), model);
}

static uint64_t now_ms(const struct contract_trial *trial)
{
    struct contract_counts counts;
    contract_model_count(trial->model, &counts);
    return counts.now_ms;
}

bool contract_same_grant(struct contract_trial *trial, const struct grant_view *grant, const struct contract_run *run,
                         bool has_metadata)
{
    uint64_t remaining_ms = run->deadline_ms - now_ms(trial);
    return contract_same_number(trial, "lock.token", grant->token, run->token) &&
           contract_same_text(trial, "lock.schedule_id", grant->schedule_id, run->schedule) &&
           contract_same_text(trial, "lock.holder", grant->holder, run->body.holder) &&
           contract_same_text(trial, "lock.occurrence", grant->occurrence, run->body.occurrence) &&
           contract_same_text(trial, "lock.metadata", grant->metadata, has_metadata ? run->body.metadata : "") &&
           contract_same_number(trial, "lock.ttl_ms", grant->ttl_ms, run->ttl_ms) &&
           contract_same_number(trial, "lock.remaining_ms", grant->remaining_ms, remaining_ms) &&
           contract_same_number(trial, "lock.acquired_at", (uint64_t)grant->acquired_wall_ms,
                                (uint64_t)run->acquired_wall_ms) &&
           contract_same_number(trial, "lock.expires_at", (uint64_t)grant->expires_wall_ms,
                                (uint64_t)trial->context.wall_ms + remaining_ms) &&
           contract_same_number(trial, "lock.attempt", grant->attempt, run->attempt) &&
           contract_same_number(trial, "lock is revoking", grant->is_revoking, run->outcome == CONTRACT_REVOKED);
}

static const char *late_name(int late_outcome)
{
    return late_outcome == RUN_OUTCOME_NONE ? "none" : run_outcome_name((enum run_outcome)late_outcome);
}

bool contract_same_run(struct contract_trial *trial, const struct run_view *view, const struct contract_run *run)
{
    bool has_ended = run->outcome != CONTRACT_RUNNING;
    return contract_same_number(trial, "run.token", view->token, run->token) &&
           contract_same_text(trial, "run.schedule_id", view->schedule_id, run->schedule) &&
           contract_same_text(trial, "run.holder", view->holder, run->body.holder) &&
           contract_same_text(trial, "run.occurrence", view->occurrence, run->body.occurrence) &&
           contract_same_code(trial, "run.outcome", run_outcome_name(view->outcome),
                              contract_result_name(run->outcome)) &&
           contract_same_code(trial, "run.late_outcome", late_name(view->late_outcome),
                              contract_result_name(run->late_outcome)) &&
           contract_same_text(trial, "run.actor", view->actor, run->actor) &&
           contract_same_text(trial, "run.reason", view->reason, run->reason) &&
           contract_same_number(trial, "run.attempt", view->attempt, run->attempt) &&
           contract_same_number(trial, "run.duration_ms", view->duration_ms,
                                has_ended ? run->ended_ms - run->granted_ms : 0) &&
           contract_same_number(trial, "run.acquired_at", (uint64_t)view->acquired_wall_ms,
                                (uint64_t)run->acquired_wall_ms) &&
           contract_same_number(trial, "run.ended_at", (uint64_t)view->ended_wall_ms,
                                has_ended ? (uint64_t)run->ended_wall_ms : 0);
}

bool contract_same_policy(struct contract_trial *trial, const struct policy_view *view,
                          const struct contract_policy_answer *policy, const char *schedule)
{
    const struct policy *table = &view->policy;
    const struct contract_policy *model = &policy->policy;
    return contract_same_text(trial, "policy.schedule_id", view->schedule_id, schedule) &&
           contract_same_number(trial, "policy.estimated_duration_ms", table->estimate_ms, model->estimate_ms) &&
           contract_same_number(trial, "policy.safety_margin_ms", table->margin_ms, model->margin_ms) &&
           contract_same_number(trial, "policy.max_ttl_ms", table->max_ttl_ms, model->max_ttl_ms) &&
           contract_same_number(trial, "policy.min_hold_ms", table->min_hold_ms, model->min_hold_ms) &&
           contract_same_number(trial, "policy.slots", table->slots, model->slots) &&
           contract_same_number(trial, "policy.max_attempts", table->max_attempts, model->max_attempts) &&
           contract_same_number(trial, "policy.expected_every_ms", table->expected_every_ms,
                                model->expected_every_ms) &&
           contract_same_text(trial, "policy.group", table->group, model->group) &&
           contract_same_text(trial, "policy.description", table->description, model->description) &&
           contract_same_number(trial, "policy has a success", view->has_success, policy->has_success) &&
           contract_same_number(trial, "policy.last_success_at",
                                view->has_success ? (uint64_t)view->last_success_wall_ms : 0,
                                policy->has_success ? (uint64_t)policy->last_success_wall_ms : 0) &&
           contract_same_number(trial, "policy is overdue from", view->overdue_ms, policy->overdue_ms);
}

bool contract_same_group(struct contract_trial *trial, const struct group_view *view,
                         const struct contract_group_answer *group)
{
    return contract_same_text(trial, "group.name", view->name, group->group.name) &&
           contract_same_number(trial, "group.slots", view->slots, group->group.slots) &&
           contract_same_number(trial, "group.held", view->held, group->held) &&
           contract_same_number(trial, "group.schedules", view->schedules, group->schedules);
}

bool contract_same_freeze(struct contract_trial *trial, const struct freeze_view *view,
                          const struct contract_freeze *freeze)
{
    uint64_t remaining_ms = freeze->deadline_ms - now_ms(trial);
    return contract_same_text(trial, "freeze.scope", view->scope, freeze->scope) &&
           contract_same_text(trial, "freeze.actor", view->actor, freeze->actor) &&
           contract_same_text(trial, "freeze.reason", view->reason, freeze->reason) &&
           contract_same_number(trial, "freeze.ttl_ms", view->ttl_ms, freeze->ttl_ms) &&
           contract_same_number(trial, "freeze.remaining_ms", view->remaining_ms, remaining_ms) &&
           contract_same_number(trial, "freeze.created_at", (uint64_t)view->created_wall_ms,
                                (uint64_t)freeze->created_wall_ms) &&
           contract_same_number(trial, "freeze.expires_at", (uint64_t)view->expires_wall_ms,
                                (uint64_t)trial->context.wall_ms + remaining_ms);
}

/* ---- answers ---- */

/* The contract doesn't say who comes first of those that end at once. */
static bool same_holders(struct contract_trial *trial, const struct outcome *outcome)
{
    const struct contract_answer *answer = &trial->answer;
    if (!contract_same_number(trial, "holders", outcome->n_holders, answer->n_holders)) {
        return false;
    }
    for (size_t i = 0; i < answer->n_holders; i++) {
        const struct grant_view *holder = &outcome->holders[i];
        size_t j = 0;
        while (j < answer->n_holders && answer->holders[j]->token != holder->token) {
            j++;
        }
        bool is_known =
            j < answer->n_holders && (j == i || answer->holders[j]->deadline_ms == answer->holders[i]->deadline_ms);
        if (!contract_same_number(trial, "holder.token", holder->token,
                                  is_known ? holder->token : answer->holders[i]->token) ||
            !contract_same_grant(trial, holder, answer->holders[j], false)) {
            return false;
        }
    }
    return true;
}

/* Of the numbers that belong to another code the contract says nothing. */
static bool same_numbers(struct contract_trial *trial, const struct outcome *outcome)
{
    const struct contract_answer *answer = &trial->answer;
    switch (outcome->code) {
    case OUTCOME_COOLING_DOWN:
        return contract_same_number(trial, "remaining_ms", outcome->remaining_ms, answer->cool_ms);
    case OUTCOME_TTL_TOO_SHORT:
        return contract_same_number(trial, "minimum_ms", outcome->minimum_ms, answer->minimum_ms) &&
               contract_same_number(trial, "estimated_duration_ms", outcome->estimate_ms, answer->estimate_ms) &&
               contract_same_number(trial, "safety_margin_ms", outcome->margin_ms, answer->margin_ms);
    case OUTCOME_TTL_TOO_LONG:
        return contract_same_number(trial, "maximum_ms", outcome->maximum_ms, answer->maximum_ms);
    default:
        return true;
    }
}

static bool same_field(struct contract_trial *trial, const struct outcome *outcome)
{
    const char *field = outcome->field == NULL ? "" : outcome->field;
    if (outcome->code == OUTCOME_INVALID_FIELD && trial->answer.field == NULL) {
        return contract_same_number(trial, "has a field", field[0] != '\0', true);
    }
    return contract_same_code(trial, "field", field, trial->answer.field == NULL ? "" : trial->answer.field);
}

/* The contract doesn't say which of two freezes is named that end at once. */
static bool same_freeze(struct contract_trial *trial, const struct outcome *outcome)
{
    struct contract_freeze named;
    char scope[CONTRACT_TEXT] = {0};
    const struct contract_freeze *expected = &trial->answer.freeze;
    if (outcome->code == OUTCOME_FROZEN && outcome->freeze.scope.len < CONTRACT_TEXT) {
        memcpy(scope, outcome->freeze.scope.base, outcome->freeze.scope.len);
        if (contract_model_freeze(trial->model, scope, &named) && named.deadline_ms == expected->deadline_ms &&
            contract_model_is_in_scope(scope, (const char *)trial->command.acquire.schedule_id.base)) {
            expected = &named;
        }
    }
    return contract_same_freeze(trial, &outcome->freeze, expected);
}

static bool same_parts(struct contract_trial *trial, const struct outcome *outcome)
{
    const struct contract_answer *answer = &trial->answer;
    return contract_same_number(trial, "has a lock", outcome->has_grant, answer->has_grant) &&
           contract_same_number(trial, "has a run", outcome->has_run, answer->has_run) &&
           contract_same_number(trial, "has a policy", outcome->has_policy, answer->has_policy) &&
           contract_same_number(trial, "has a freeze", outcome->has_freeze, answer->has_freeze) &&
           (outcome->code == OUTCOME_UNKNOWN_GROUP ||
            contract_same_number(trial, "has a group", outcome->has_group, answer->has_group)) &&
           (!answer->has_run || contract_same_run(trial, &outcome->run, &answer->run)) &&
           (!answer->has_group || contract_same_group(trial, &outcome->group, &answer->group)) &&
           (!answer->has_freeze || same_freeze(trial, outcome)) && same_field(trial, outcome);
}

static bool same_revoked(struct contract_trial *trial)
{
    if (!contract_same_number(trial, "revoked", trial->outcome.n_runs, trial->answer.n_revoked)) {
        return false;
    }
    for (size_t i = 0; i < trial->answer.n_revoked; i++) {
        if (!contract_same_run(trial, &trial->outcome.runs[i], trial->answer.revoked[i])) {
            return false;
        }
    }
    return true;
}

static bool same_outcome(struct contract_trial *trial, const struct outcome *outcome)
{
    return contract_same_code(trial, "code", outcome_code_name(outcome->code), trial->answer.code) &&
           same_parts(trial, outcome) && same_holders(trial, outcome) && same_numbers(trial, outcome);
}

bool contract_same_answer(struct contract_trial *trial)
{
    const struct outcome *outcome = &trial->outcome;
    const struct contract_answer *answer = &trial->answer;
    enum command_kind kind = trial->command.kind;
    bool is_repeatable = kind == COMMAND_ACQUIRE || kind == COMMAND_RELEASE;
    const char *name = kind == COMMAND_PUT_SCHEDULE      ? (const char *)trial->command.put_schedule.schedule_id.base
                       : kind == COMMAND_DELETE_SCHEDULE ? (const char *)trial->command.delete_schedule.schedule_id.base
                                                         : "";
    return same_outcome(trial, outcome) &&
           (!is_repeatable || contract_same_number(trial, "repeated", outcome->repeated, answer->repeated)) &&
           (!answer->has_grant || contract_same_grant(trial, &outcome->grant, &answer->grant,
                                                      kind == COMMAND_ACQUIRE || kind == COMMAND_RENEW)) &&
           (!answer->has_policy || contract_same_policy(trial, &outcome->policy, &answer->policy, name)) &&
           same_revoked(trial);
}

bool contract_same_renewal(struct contract_trial *trial, const struct outcome *result)
{
    return same_outcome(trial, result) &&
           (!trial->answer.has_grant || contract_same_grant(trial, &result->grant, &trial->answer.grant, false));
}

/* ---- what happened ---- */

bool contract_same_events(struct contract_trial *trial)
{
    const struct contract_event *events;
    size_t n = contract_model_events(trial->model, &events);
    if (!contract_same_number(trial, "events with a wrong number", trial->has_bad_event, false) ||
        !contract_same_number(trial, "events", trial->n_told, n)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const struct contract_event *told = &trial->told[i];
        const struct contract_event *event = &events[i];
        bool is_same = contract_same_number(trial, "event.kind", told->kind, event->kind) &&
                       contract_same_code(trial, "event.name", told->name, event->name) &&
                       contract_same_number(trial, "event.token", told->token, event->token) &&
                       contract_same_code(trial, "event.group", told->group, event->group) &&
                       contract_same_number(trial, "event.outcome", told->outcome, event->outcome) &&
                       contract_same_number(trial, "event.late_outcome", told->late_outcome, event->late_outcome) &&
                       contract_same_number(trial, "event is gone", told->is_gone, event->is_gone) &&
                       contract_same_number(trial, "event: revoked", told->is_newly_revoked, event->is_newly_revoked) &&
                       contract_same_number(trial, "event: freed", told->is_newly_freed, event->is_newly_freed);
        if (!is_same) {
            return false;
        }
        trial->tallies.events[event->kind]++;
    }
    return true;
}

bool contract_same_counts(struct contract_trial *trial)
{
    struct lock_table_counts table;
    struct contract_counts model;
    lock_table_count(trial->table, &table);
    contract_model_count(trial->model, &model);
    return contract_same_number(trial, "state time", table.now_ms, model.now_ms) &&
           contract_same_number(trial, "next token", table.next_token, model.next_token) &&
           contract_same_number(trial, "schedules remembered", table.schedules, model.schedules) &&
           contract_same_number(trial, "policies", table.policies, model.policies) &&
           contract_same_number(trial, "locks held", table.held, model.held) &&
           contract_same_number(trial, "groups", table.groups, model.groups) &&
           contract_same_number(trial, "freezes", table.freezes, model.freezes) &&
           contract_same_number(trial, "next end", lock_table_next_lock_deadline(trial->table), model.next_end_ms);
}
