#include "core/command.h"

static const char *const outcome_names[] = {
#define X(name, text) text,
    OUTCOME_TABLE(X)
#undef X
};

static const char *const run_names[] = {"running", "succeeded", "failed", "abandoned", "expired", "revoked"};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

const char *outcome_code_name(enum outcome_code code)
{
    CHECK((size_t)code < COUNT(outcome_names));
    return outcome_names[code];
}

const char *run_outcome_name(enum run_outcome outcome)
{
    CHECK((size_t)outcome < COUNT(run_names));
    return run_names[outcome];
}

bool run_outcome_parse(struct slice name, enum run_outcome *outcome)
{
    for (size_t i = 0; i < COUNT(run_names); i++) {
        if (slice_equal(name, slice_of(run_names[i]))) {
            *outcome = (enum run_outcome)i;
            return true;
        }
    }
    return false;
}

static bool policy_answers(const struct outcome *outcome, struct slice schedule_id)
{
    return outcome->has_policy && slice_equal(outcome->policy.schedule_id, schedule_id);
}

static bool runs_answer(const struct outcome *outcome, struct slice schedule_id)
{
    for (size_t i = 0; i < outcome->n_runs; i++) {
        if (outcome->runs[i].outcome != RUN_REVOKED || !slice_equal(outcome->runs[i].schedule_id, schedule_id)) {
            return false;
        }
    }
    return true;
}

static bool group_answers(const struct outcome *outcome, struct slice name)
{
    return outcome->has_group && slice_equal(outcome->group.name, name);
}

static bool freeze_answers(const struct outcome *outcome, struct slice scope)
{
    return outcome->has_freeze && slice_equal(outcome->freeze.scope, scope);
}

static bool result_answers(const struct outcome *result, const struct renew_command *renewal)
{
    if (result->n_results != 0) {
        return false;
    }
    return result->code != OUTCOME_DONE || (result->has_grant && result->grant.token == renewal->token &&
                                            slice_equal(result->grant.schedule_id, renewal->schedule_id));
}

static bool results_answer(const struct outcome *outcome, const struct renew_batch_command *batch)
{
    if (outcome->n_results != batch->n_renewals) {
        return false;
    }
    for (size_t i = 0; i < outcome->n_results; i++) {
        if (!result_answers(&outcome->results[i], &batch->renewals[i])) {
            return false;
        }
    }
    return true;
}

bool outcome_answers(const struct outcome *outcome, const struct command *command)
{
    if (outcome->code != OUTCOME_DONE) {
        return true; /* a refusal needs nothing of the command */
    }
    const struct slice granted = outcome->has_grant ? outcome->grant.schedule_id : (struct slice){0};
    switch (command->kind) {
    case COMMAND_ACQUIRE:
        return slice_equal(granted, command->acquire.schedule_id);
    case COMMAND_RENEW:
        return slice_equal(granted, command->renew.schedule_id);
    case COMMAND_RELEASE:
        return outcome->has_run && slice_equal(outcome->run.schedule_id, command->release.schedule_id);
    case COMMAND_PUT_SCHEDULE:
        return policy_answers(outcome, command->put_schedule.schedule_id);
    case COMMAND_DELETE_SCHEDULE:
        return policy_answers(outcome, command->delete_schedule.schedule_id);
    case COMMAND_REVOKE:
        return runs_answer(outcome, command->revoke.schedule_id);
    case COMMAND_RENEW_BATCH:
        return results_answer(outcome, &command->renew_batch);
    case COMMAND_PUT_GROUP:
        return group_answers(outcome, command->put_group.name);
    case COMMAND_DELETE_GROUP:
        return group_answers(outcome, command->delete_group.name);
    case COMMAND_PUT_FREEZE:
        return freeze_answers(outcome, command->put_freeze.scope);
    case COMMAND_DELETE_FREEZE:
        return freeze_answers(outcome, command->delete_freeze.scope);
    case COMMAND_NOOP:
    case COMMAND_LEADER:
    case COMMAND_RULES:
        break;
    }
    return true;
}
