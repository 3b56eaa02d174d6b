/* Rules as a later version might have them, for a second build of batond that differs in nothing else: version 2 has a
 * longer default margin, and setting a policy needs it. tests/e2e/test_rules.py runs both builds in one cluster. Linked
 * before the core library, whose own rules.c then isn't taken. */
#include "core/rules.h"

#include "base/limits.h"

uint32_t rules_version_newest(void)
{
    return 2;
}

uint32_t rules_version_needed(const struct command *command)
{
    switch (command->kind) {
    case COMMAND_RULES:
        return command->rules.version;
    case COMMAND_PUT_SCHEDULE:
        return 2;
    default:
        return 1;
    }
}

const struct policy *rules_default_policy(uint32_t rules_version)
{
    static const struct policy first = {
        .margin_ms = LIMIT_DEFAULT_MARGIN_MS, .max_ttl_ms = LIMIT_TTL_MS, .slots = 1, .max_attempts = 1};
    static const struct policy second = {
        .margin_ms = LIMIT_DEFAULT_MARGIN_MS + 15000, .max_ttl_ms = LIMIT_TTL_MS, .slots = 1, .max_attempts = 1};
    return rules_version < 2 ? &first : &second;
}
