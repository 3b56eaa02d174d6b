/* Rules 1 and 2. What a version once said it says for ever: logs that were written under it are replayed.
 *
 * Rules 2 add groups, freezes, batches of renewals, and when a schedule is overdue. Of what was there before they change
 * nothing. */
#include "core/rules.h"

#include <stddef.h>

#include "base/limits.h"

static const struct policy default_policy = {
    .margin_ms = LIMIT_DEFAULT_MARGIN_MS,
    .max_ttl_ms = LIMIT_TTL_MS,
    .slots = 1,
    .max_attempts = 1,
};

uint32_t rules_version_newest(void)
{
    return 2;
}

static uint32_t version_needed_by_policy(const struct policy *policy)
{
    return slice_is_present(policy->group) || policy->expected_every_ms != 0 ? RULES_VERSION_GROUPS
                                                                             : RULES_VERSION_FIRST;
}

uint32_t rules_version_needed(const struct command *command)
{
    switch (command->kind) {
    case COMMAND_NOOP:
    case COMMAND_LEADER:
    case COMMAND_ACQUIRE:
    case COMMAND_RENEW:
    case COMMAND_RELEASE:
    case COMMAND_DELETE_SCHEDULE:
    case COMMAND_REVOKE:
        return RULES_VERSION_FIRST;
    case COMMAND_RULES:
        return command->rules.version;
    case COMMAND_PUT_SCHEDULE:
        return version_needed_by_policy(&command->put_schedule.policy);
    case COMMAND_RENEW_BATCH:
    case COMMAND_PUT_GROUP:
    case COMMAND_DELETE_GROUP:
    case COMMAND_PUT_FREEZE:
    case COMMAND_DELETE_FREEZE:
        return RULES_VERSION_GROUPS;
    }
    CHECK(!"a command of a known kind");
}

const struct policy *rules_default_policy(uint32_t rules_version)
{
    CHECK(rules_version >= RULES_VERSION_FIRST && rules_version <= rules_version_newest());
    return &default_policy;
}
