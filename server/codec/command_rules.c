/* What the contract allows in a command, and in the policy of one. */
#include <stdlib.h>

#include "codec/wire.h"
#include "core/rules.h"

static bool ttl_is_valid(bool has_ttl, uint64_t ttl_ms)
{
    return !has_ttl || (ttl_ms >= 1 && ttl_ms <= LIMIT_NUMBER_MAX);
}

static bool acquire_is_valid(const struct acquire_command *acquire)
{
    return name_is_valid(acquire->schedule_id) && printable_is_valid(acquire->holder, LIMIT_NAME_BYTES) &&
           printable_is_valid(acquire->idempotency_key, LIMIT_OCCURRENCE_BYTES) &&
           (!slice_is_present(acquire->occurrence) ||
            printable_is_valid(acquire->occurrence, LIMIT_OCCURRENCE_BYTES)) &&
           (!slice_is_present(acquire->metadata) || metadata_is_valid(acquire->metadata)) &&
           ttl_is_valid(acquire->has_ttl, acquire->ttl_ms) &&
           (!acquire->has_estimate || acquire->estimate_ms <= LIMIT_NUMBER_MAX);
}

static bool release_is_valid(const struct release_command *release)
{
    bool reported =
        release->outcome == RUN_SUCCEEDED || release->outcome == RUN_FAILED || release->outcome == RUN_ABANDONED;
    return name_is_valid(release->schedule_id) && (!release->has_outcome || reported);
}

static bool renew_is_valid(const struct renew_command *renew)
{
    return name_is_valid(renew->schedule_id) && ttl_is_valid(renew->has_ttl, renew->ttl_ms);
}

static int compare_renewals(const void *a, const void *b)
{
    const struct renew_command *const *left = a;
    const struct renew_command *const *right = b;
    if ((*left)->token != (*right)->token) {
        return (*left)->token < (*right)->token ? -1 : 1;
    }
    return slice_compare((*left)->schedule_id, (*right)->schedule_id);
}

static bool renew_batch_is_valid(const struct renew_batch_command *batch)
{
    const struct renew_command *sorted[LIMIT_RENEWALS];
    if (batch->n_renewals < 1 || batch->n_renewals > LIMIT_RENEWALS) {
        return false;
    }
    for (size_t i = 0; i < batch->n_renewals; i++) {
        if (!renew_is_valid(&batch->renewals[i])) {
            return false;
        }
        sorted[i] = &batch->renewals[i];
    }
    qsort(sorted, batch->n_renewals, sizeof sorted[0], compare_renewals);
    for (size_t i = 1; i < batch->n_renewals; i++) {
        if (compare_renewals(&sorted[i - 1], &sorted[i]) == 0) {
            return false;
        }
    }
    return true;
}

bool policy_is_valid(const struct policy *policy)
{
    return policy_field_out_of_range(policy) == NULL &&
           (!slice_is_present(policy->group) || name_is_valid(policy->group)) &&
           (!slice_is_present(policy->description) || sentence_is_valid(policy->description, LIMIT_REASON_BYTES));
}

static bool put_schedule_is_valid(const struct put_schedule_command *put)
{
    return name_is_valid(put->schedule_id) && policy_is_valid(&put->policy);
}

static bool revoke_is_valid(const struct revoke_command *revoke)
{
    return name_is_valid(revoke->schedule_id) && printable_is_valid(revoke->actor, LIMIT_NAME_BYTES) &&
           revoke->reason.len > 0 && sentence_is_valid(revoke->reason, LIMIT_REASON_BYTES);
}

bool put_freeze_is_valid(const struct put_freeze_command *put)
{
    return freeze_scope_is_valid(put->scope) && printable_is_valid(put->actor, LIMIT_NAME_BYTES) &&
           put->reason.len > 0 && sentence_is_valid(put->reason, LIMIT_REASON_BYTES) && put->ttl_ms >= 1 &&
           put->ttl_ms <= LIMIT_FREEZE_MS;
}

bool command_is_valid(const struct command *command)
{
    switch (command->kind) {
    case COMMAND_NOOP:
    case COMMAND_LEADER:
        return true;
    case COMMAND_ACQUIRE:
        return acquire_is_valid(&command->acquire);
    case COMMAND_RENEW:
        return renew_is_valid(&command->renew);
    case COMMAND_RELEASE:
        return release_is_valid(&command->release);
    case COMMAND_RULES:
        return command->rules.version >= RULES_VERSION_FIRST && command->rules.version <= rules_version_newest();
    case COMMAND_PUT_SCHEDULE:
        return put_schedule_is_valid(&command->put_schedule);
    case COMMAND_DELETE_SCHEDULE:
        return name_is_valid(command->delete_schedule.schedule_id);
    case COMMAND_REVOKE:
        return revoke_is_valid(&command->revoke);
    case COMMAND_RENEW_BATCH:
        return renew_batch_is_valid(&command->renew_batch);
    case COMMAND_PUT_GROUP:
        return name_is_valid(command->put_group.name) && command->put_group.slots <= LIMIT_GROUP_SLOTS;
    case COMMAND_DELETE_GROUP:
        return name_is_valid(command->delete_group.name);
    case COMMAND_PUT_FREEZE:
        return put_freeze_is_valid(&command->put_freeze);
    case COMMAND_DELETE_FREEZE:
        return freeze_scope_is_valid(command->delete_freeze.scope);
    }
    return false;
}
