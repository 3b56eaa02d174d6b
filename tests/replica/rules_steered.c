#include "rules_steered.h"

#include <stddef.h>

#include "base/limits.h"

uint32_t rules_steered_newest = RULES_VERSION_FIRST;

uint32_t rules_version_newest(void)
{
    return rules_steered_newest;
}

uint32_t rules_version_needed(const struct command *command)
{
    if (command->kind == COMMAND_RULES) {
        return command->rules.version;
    }
    return command->kind == COMMAND_PUT_SCHEDULE && rules_steered_newest > 1 ? 2 : 1;
}

const struct policy *rules_default_policy(uint32_t rules_version)
{
    static const struct policy policy = {
        .margin_ms = LIMIT_DEFAULT_MARGIN_MS, .max_ttl_ms = LIMIT_TTL_MS, .slots = 1, .max_attempts = 1};
    CHECK(rules_version >= RULES_VERSION_FIRST && rules_version <= rules_steered_newest);
    return &policy;
}
