#include "contract_core_private.h"

static struct slice slice(const char *text)
{
    return slice_of(text[0] == '\0' ? NULL : text);
}

static struct command make_renewal_command(const struct contract_command *from, struct renew_command *renewals)
{
    for (int i = 0; i < from->n_renewals; i++) {
        const struct contract_renewal *renewal = &from->renewals[i];
        renewals[i] = (struct renew_command){.schedule_id = slice(renewal->schedule),
                                             .token = renewal->token,
                                             .has_ttl = renewal->has_ttl,
                                             .ttl_ms = renewal->ttl_ms};
    }
    if (from->kind == CONTRACT_RENEW) {
        return (struct command){.kind = COMMAND_RENEW, .renew = renewals[0]};
    }
    return (struct command){.kind = COMMAND_RENEW_BATCH,
                            .renew_batch = {.renewals = renewals, .n_renewals = (size_t)from->n_renewals}};
}

static struct command make_acquire(const struct contract_command *from)
{
    const struct contract_body *body = &from->body;
    return (struct command){.kind = COMMAND_ACQUIRE,
                            .acquire = {.schedule_id = slice(from->name),
                                        .holder = slice(body->holder),
                                        .occurrence = slice(body->occurrence),
                                        .idempotency_key = slice(from->key),
                                        .metadata = slice(body->metadata),
                                        .has_ttl = body->has_ttl,
                                        .ttl_ms = body->ttl_ms,
                                        .has_estimate = body->has_estimate,
                                        .estimate_ms = body->estimate_ms}};
}

static struct command make_release(const struct contract_command *from)
{
    static const enum run_outcome outcomes[] = {
        [CONTRACT_SUCCEEDED] = RUN_SUCCEEDED, [CONTRACT_FAILED] = RUN_FAILED, [CONTRACT_ABANDONED] = RUN_ABANDONED};
    return (struct command){.kind = COMMAND_RELEASE,
                            .release = {.schedule_id = slice(from->name),
                                        .token = from->token,
                                        .has_outcome = from->outcome != CONTRACT_NOTHING,
                                        .outcome = outcomes[from->outcome]}};
}

static struct command make_put_schedule(const struct contract_command *from)
{
    const struct contract_policy *policy = &from->policy;
    return (struct command){.kind = COMMAND_PUT_SCHEDULE,
                            .put_schedule = {.schedule_id = slice(from->name),
                                             .policy = {.estimate_ms = policy->estimate_ms,
                                                        .margin_ms = policy->margin_ms,
                                                        .max_ttl_ms = policy->max_ttl_ms,
                                                        .min_hold_ms = policy->min_hold_ms,
                                                        .slots = policy->slots,
                                                        .max_attempts = policy->max_attempts,
                                                        .description = slice(policy->description),
                                                        .group = slice(policy->group),
                                                        .expected_every_ms = policy->expected_every_ms}}};
}

struct command core_command(const struct contract_command *from, struct renew_command *renewals)
{
    struct slice name = slice(from->name);
    switch (from->kind) {
    case CONTRACT_ACQUIRE:
        return make_acquire(from);
    case CONTRACT_RENEW:
    case CONTRACT_RENEW_BATCH:
        return make_renewal_command(from, renewals);
    case CONTRACT_RELEASE:
        return make_release(from);
    case CONTRACT_REVOKE:
        return (struct command){.kind = COMMAND_REVOKE,
                                .revoke = {.schedule_id = name,
                                           .actor = slice(from->actor),
                                           .reason = slice(from->reason),
                                           .token = from->token,
                                           .force = from->force}};
    case CONTRACT_PUT_SCHEDULE:
        return make_put_schedule(from);
    case CONTRACT_DELETE_SCHEDULE:
        return (struct command){.kind = COMMAND_DELETE_SCHEDULE, .delete_schedule = {.schedule_id = name}};
    case CONTRACT_PUT_GROUP:
        return (struct command){.kind = COMMAND_PUT_GROUP, .put_group = {.name = name, .slots = from->slots}};
    case CONTRACT_DELETE_GROUP:
        return (struct command){.kind = COMMAND_DELETE_GROUP, .delete_group = {.name = name}};
    case CONTRACT_PUT_FREEZE:
        return (struct command){
            .kind = COMMAND_PUT_FREEZE,
            .put_freeze = {
                .scope = name, .actor = slice(from->actor), .reason = slice(from->reason), .ttl_ms = from->ttl_ms}};
    case CONTRACT_DELETE_FREEZE:
        return (struct command){.kind = COMMAND_DELETE_FREEZE, .delete_freeze = {.scope = name}};
    case CONTRACT_TICK:
        break;
    }
    return (struct command){.kind = COMMAND_NOOP};
}
