/* rules: what of the state machine depends on the replicated rules_version (law 1).
 *
 * The state's own version selects what is in force, never the build's: builds of different versions in one cluster apply
 * the same rules until a COMMAND_RULES entry raises them, which the leader proposes once every member can. All that
 * differs between versions is asked for here, so that tests/rules can link a build with other rules. */
#ifndef BATON_CORE_RULES_H
#define BATON_CORE_RULES_H

#include <stdint.h>

#include "core/command.h"

/* What is in force where a log begins, on every build: a log is replayed by newer ones than it was begun by. */
#define RULES_VERSION_FIRST  1u
/* … and since when there are groups, freezes and batches of renewals. */
#define RULES_VERSION_GROUPS 2u

/* The newest rules that this build can apply. */
uint32_t rules_version_newest(void);

/* The lowest version that `command` may be applied under: below it the leader doesn't propose it. Of a COMMAND_RULES, what
 * it raises the rules to. */
uint32_t rules_version_needed(const struct command *command);

/* What a schedule without a policy is granted under. */
const struct policy *rules_default_policy(uint32_t rules_version);

#endif
