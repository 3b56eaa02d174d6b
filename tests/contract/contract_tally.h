/* contract_tally: how often what is meant to happen in a run has happened. A run that refuses everything, or grants
 * everything, agrees with any model. */
#ifndef BATON_TESTS_CONTRACT_TALLY_H
#define BATON_TESTS_CONTRACT_TALLY_H

#include "contract_model.h"

/* X(name, text, least in 100,000 steps) */
#define CONTRACT_TALLY_TABLE(X)                                                                                        \
    X(GRANTED, "grants", 5000)                                                                                         \
    X(REPEATED_KEY, "repeats of a key", 60)                                                                            \
    X(RENEWED, "renewals", 1000)                                                                                       \
    X(BATCHES, "batches of renewals", 1000)                                                                            \
    X(RELEASED, "releases", 1500)                                                                                      \
    X(REPEATED_RELEASE, "repeats of a release", 1000)                                                                  \
    X(GIVEN_BACK, "abandoned grants of an occurrence", 250)                                                            \
    X(LATE_OUTCOME, "late outcomes", 800)                                                                              \
    X(LATE_SUCCESS, "late successes", 700)                                                                             \
    X(REVOKED_SOFTLY, "soft revocations", 300)                                                                         \
    X(REVOKED_BY_FORCE, "forced revocations", 250)                                                                     \
    X(REVOKED_SEVERAL, "revocations of several grants", 30)                                                            \
    X(REVOKED_RELEASED, "releases of what was revoked", 130)                                                           \
    X(EXPIRED, "expiries", 2500)                                                                                       \
    X(THAWED, "ends of a freeze", 600)                                                                                 \
    X(BELOW_FLOOR, "hits of the floor", 700)                                                                           \
    X(FLOOR_RAISED, "forgotten instants", 1500)                                                                        \
    X(STRING_FORGOTTEN, "forgotten strings", 500)                                                                      \
    X(SCHEDULE_FORGOTTEN, "forgotten schedules", 3)                                                                    \
    X(POLICY_SET, "policies set", 1200)                                                                                \
    X(GROUP_SET, "groups set", 400)                                                                                    \
    X(FREEZE_SET, "freezes set", 600)                                                                                  \
    X(LOOKED, "looks at everything", 2000)                                                                             \
    X(RELOADED, "reloads", 20)                                                                                         \
    X(TTL_TOO_SHORT, "ttl_too_short", 3000)                                                                            \
    X(TTL_TOO_LONG, "ttl_too_long", 700)                                                                               \
    X(OCCURRENCE_DONE, "occurrence_done", 1300)                                                                        \
    X(ATTEMPTS_EXHAUSTED, "attempts_exhausted", 900)                                                                   \
    X(FROZEN, "frozen", 500)                                                                                           \
    X(LOCK_HELD, "lock_held", 2000)                                                                                    \
    X(COOLING_DOWN, "cooling_down", 350)                                                                               \
    X(GROUP_FULL, "group_full", 500)                                                                                   \
    X(LOCK_LOST, "lock_lost", 8000)                                                                                    \
    X(IDEMPOTENCY_CONFLICT, "idempotency_conflict", 300)                                                               \
    X(GRANT_ENDED, "grant_ended", 350)                                                                                 \
    X(UNKNOWN_GROUP, "unknown_group", 120)                                                                             \
    X(GROUP_IN_USE, "group_in_use", 120)                                                                               \
    X(NOT_FOUND, "not_found", 600)                                                                                     \
    X(INVALID_FIELD, "invalid_field", 2000)

enum contract_tally_name {
#define X(name, text, least) CONTRACT_TALLY_##name,
    CONTRACT_TALLY_TABLE(X)
#undef X
        CONTRACT_TALLY_NAMES,
};

struct contract_tally {
    uint64_t steps;
    uint64_t counts[CONTRACT_TALLY_NAMES];
};

void contract_tally_answer(struct contract_tally *tally, const struct contract_command *command,
                           const struct contract_answer *answer);
/* What the model counts itself; once, at the end of a run. */
void contract_tally_run(struct contract_tally *tally, const struct contract_model *model);
/* Prints all, and says whether each happened often enough; fewer than 100,000 steps are always enough. */
bool contract_tally_is_enough(const struct contract_tally *tally);

#endif
