/* Rules 1, so far the only ones. What a version once said it says for ever: logs that were written under it are replayed. */
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
    return 1;
}

uint32_t rules_version_needed(const struct command *command)
{
    (void)command; /* all that there is today belongs to the first rules, and so does the command that raises them */
    return RULES_VERSION_FIRST;
}

const struct policy *rules_default_policy(uint32_t rules_version)
{
    CHECK(rules_version >= RULES_VERSION_FIRST && rules_version <= rules_version_newest());
    return &default_policy;
}
