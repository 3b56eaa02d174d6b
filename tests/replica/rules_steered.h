/* rules_steered: core's rules for a cluster of several builds in one process. Linked in front of core, whose own rules.c then
 * isn't taken. `rules_steered_newest` is what the build knows whose code runs now; cluster.c sets it. Setting a policy
 * needs rules 2; what is granted under is the same in all. */
#ifndef BATON_TESTS_REPLICA_RULES_STEERED_H
#define BATON_TESTS_REPLICA_RULES_STEERED_H

#include "core/rules.h"

extern uint32_t rules_steered_newest;

#endif
