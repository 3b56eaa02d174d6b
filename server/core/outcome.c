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
    case COMMAND_NOOP:
    case COMMAND_LEADER:
    case COMMAND_RULES:
        break;
    }
    return true;
}
