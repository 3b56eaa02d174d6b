/* Rules as a later version might have them, for a second build of batond that differs in nothing else: version 3 has a
 * longer default margin, and setting a policy needs it; 1 and 2 are as they ship. tests/e2e/test_rules.py runs both builds in one cluster. Linked
 * before the core library, whose own rules.c then isn't taken. */
#include "core/rules.h"

#include "base/limits.h"

uint32_t rules_version_newest(void)
{
    return 3;
}

uint32_t rules_version_needed(const struct command *command)
{
    switch (command->kind) {
    case COMMAND_RULES:
        return command->rules.version;
    case COMMAND_PUT_SCHEDULE:
        return 3;
    case COMMAND_RENEW_BATCH:
    case COMMAND_PUT_GROUP:
    case COMMAND_DELETE_GROUP:
    case COMMAND_PUT_FREEZE:
    case COMMAND_DELETE_FREEZE:
        return 2;
    default:
        return 1;
    }
}

const struct policy *rules_default_policy(uint32_t rules_version)
{
    static const struct policy first = {
        .margin_ms = LIMIT_DEFAULT_MARGIN_MS, .max_ttl_ms = LIMIT_TTL_MS, .slots = 1, .max_attempts = 1};
    static const struct policy third = {
        .margin_ms = LIMIT_DEFAULT_MARGIN_MS + 15000, .max_ttl_ms = LIMIT_TTL_MS, .slots = 1, .max_attempts = 1};
    return rules_version < 3 ? &first : &third;
}
