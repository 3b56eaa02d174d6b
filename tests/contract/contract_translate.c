#include "contract_trial.h"

static struct slice text(const char *text)
{
    return slice_of(text[0] == '\0' ? NULL : text);
}

static struct acquire_command translate_acquire(const struct contract_command *command)
{
    const struct contract_body *body = &command->body;
    return (struct acquire_command){.schedule_id = text(command->name),
                                    .holder = text(body->holder),
                                    .occurrence = text(body->occurrence),
                                    .idempotency_key = text(command->key),
                                    .metadata = text(body->metadata),
                                    .has_ttl = body->has_ttl,
                                    .ttl_ms = body->ttl_ms,
                                    .has_estimate = body->has_estimate,
                                    .estimate_ms = body->estimate_ms};
}

static struct renew_command translate_renewal(const struct contract_renewal *renewal)
{
    return (struct renew_command){.schedule_id = text(renewal->schedule),
                                  .token = renewal->token,
                                  .has_ttl = renewal->has_ttl,
                                  .ttl_ms = renewal->ttl_ms};
}

static struct release_command translate_release(const struct contract_command *command)
{
    struct release_command release = {.schedule_id = text(command->name), .token = command->token};
    release.has_outcome = command->outcome != CONTRACT_NOTHING;
    release.outcome = command->outcome == CONTRACT_FAILED      ? RUN_FAILED
                      : command->outcome == CONTRACT_ABANDONED ? RUN_ABANDONED
                                                               : RUN_SUCCEEDED;
    return release;
}

static struct policy translate_policy(const struct contract_policy *policy)
{
    return (struct policy){.estimate_ms = policy->estimate_ms,
                           .margin_ms = policy->margin_ms,
                           .max_ttl_ms = policy->max_ttl_ms,
                           .min_hold_ms = policy->min_hold_ms,
                           .slots = policy->slots,
                           .max_attempts = policy->max_attempts,
                           .description = text(policy->description),
                           .group = text(policy->group),
                           .expected_every_ms = policy->expected_every_ms};
}

static void translate_batch(struct contract_trial *trial, const struct contract_command *command)
{
    for (int i = 0; i < command->n_renewals; i++) {
        trial->renewals[i] = translate_renewal(&command->renewals[i]);
    }
    trial->command.renew_batch =
        (struct renew_batch_command){.renewals = trial->renewals, .n_renewals = (size_t)command->n_renewals};
}

static void translate_rest(struct contract_trial *trial, const struct contract_command *command)
{
    struct command *to = &trial->command;
    switch (command->kind) {
    case CONTRACT_PUT_SCHEDULE:
        to->put_schedule = (struct put_schedule_command){text(command->name), translate_policy(&command->policy)};
        break;
    case CONTRACT_DELETE_SCHEDULE:
        to->delete_schedule.schedule_id = text(command->name);
        break;
    case CONTRACT_PUT_GROUP:
        to->put_group = (struct put_group_command){text(command->name), command->slots};
        break;
    case CONTRACT_DELETE_GROUP:
        to->delete_group.name = text(command->name);
        break;
    case CONTRACT_PUT_FREEZE:
        to->put_freeze = (struct put_freeze_command){text(command->name), text(command->actor), text(command->reason),
                                                     command->ttl_ms};
        break;
    case CONTRACT_DELETE_FREEZE:
        to->delete_freeze.scope = text(command->name);
        break;
    default:
        break;
    }
}

void contract_command_translate(struct contract_trial *trial, const struct contract_record *record)
{
    static const enum command_kind kinds[] = {
        [CONTRACT_TICK] = COMMAND_NOOP,
        [CONTRACT_ACQUIRE] = COMMAND_ACQUIRE,
        [CONTRACT_RENEW] = COMMAND_RENEW,
        [CONTRACT_RENEW_BATCH] = COMMAND_RENEW_BATCH,
        [CONTRACT_RELEASE] = COMMAND_RELEASE,
        [CONTRACT_REVOKE] = COMMAND_REVOKE,
        [CONTRACT_PUT_SCHEDULE] = COMMAND_PUT_SCHEDULE,
        [CONTRACT_DELETE_SCHEDULE] = COMMAND_DELETE_SCHEDULE,
        [CONTRACT_PUT_GROUP] = COMMAND_PUT_GROUP,
        [CONTRACT_DELETE_GROUP] = COMMAND_DELETE_GROUP,
        [CONTRACT_PUT_FREEZE] = COMMAND_PUT_FREEZE,
        [CONTRACT_DELETE_FREEZE] = COMMAND_DELETE_FREEZE,
    };
    const struct contract_command *command = &record->command;
    struct command *to = &trial->command;
    *to = (struct command){.kind = kinds[command->kind]};
    switch (command->kind) {
    case CONTRACT_ACQUIRE:
        to->acquire = translate_acquire(command);
        break;
    case CONTRACT_RENEW:
        to->renew = translate_renewal(&command->renewals[0]);
        break;
    case CONTRACT_RENEW_BATCH:
        translate_batch(trial, command);
        break;
    case CONTRACT_RELEASE:
        to->release = translate_release(command);
        break;
    case CONTRACT_REVOKE:
        to->revoke = (struct revoke_command){text(command->name), text(command->actor), text(command->reason),
                                             command->token, command->force};
        break;
    default:
        translate_rest(trial, command);
        break;
    }
}
