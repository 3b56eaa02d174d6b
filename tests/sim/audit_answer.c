/* What clients are told: each answer is the outcome of a command that was applied after it was asked, which the model
 * has judged already; and from it follows what a holder may believe. */
#include "audit_private.h"

static void raise_floor(struct audit *audit, uint64_t index)
{
    audit->floor = index > audit->floor ? index : audit->floor;
}

/* The application whose outcome it is; each is the outcome of one attempt. NULL: there is none. */
static struct application *find_application(struct audit *audit, const struct ask *ask,
                                            const struct audit_answer *answer)
{
    for (size_t at = ask->last_application; at != 0; at = audit->applications[at - 1].previous) {
        struct application *application = &audit->applications[at - 1];
        if (application->index <= answer->times.index) {
            return NULL;
        }
        if (!application->answered && application->fingerprint == answer->fingerprint) {
            return application;
        }
    }
    return NULL;
}

static void hear_acquired(struct audit *audit, const struct ask *ask, const struct audit_answer *answer)
{
    const struct outcome *outcome = answer->outcome;
    if (outcome->code == OUTCOME_DONE) {
        uint64_t first = audit_believe_until(answer->times.first_ns, outcome->grant.ttl_ms);
        uint64_t this = audit_believe_until(answer->times.this_ns, outcome->grant.remaining_ms);
        audit_find_grant(audit, outcome->grant.token)->belief_ns = first < this ? first : this;
    } else if (outcome->code == OUTCOME_GRANT_ENDED) {
        audit_find_grant(audit, audit_find_key(audit, ask->key)->token)->belief_ns = 0;
    }
}

static void hear_renewed(struct audit *audit, const struct ask *ask, const struct audit_answer *answer)
{
    const struct outcome *outcome = answer->outcome;
    struct grant *grant = audit_find_grant(audit, ask->token);
    audit_settle_renewal(audit, ask, answer->times.this_ns);
    if (outcome->code == OUTCOME_DONE) {
        grant->belief_ns = audit_believe_until(answer->times.this_ns, outcome->grant.remaining_ms);
    } else if (outcome->code == OUTCOME_LOCK_LOST) {
        grant->belief_ns = 0;
    }
}

static void count_answer(struct counts *counts, const struct ask *ask, enum outcome_code code)
{
    counts->renewals += ask->kind == COMMAND_RENEW && code == OUTCOME_DONE;
    counts->releases += ask->kind == COMMAND_RELEASE && code == OUTCOME_DONE;
    counts->refused_lock_held += code == OUTCOME_LOCK_HELD;
    counts->refused_lock_lost += code == OUTCOME_LOCK_LOST;
    counts->refused_grant_ended += code == OUTCOME_GRANT_ENDED;
    counts->refused_occurrence_done += code == OUTCOME_OCCURRENCE_DONE;
    counts->refused_attempts_exhausted += code == OUTCOME_ATTEMPTS_EXHAUSTED;
    counts->refused_cooling_down += code == OUTCOME_COOLING_DOWN;
    counts->refused_idempotency_conflict += code == OUTCOME_IDEMPOTENCY_CONFLICT;
    counts->refused_ttl_too_short += code == OUTCOME_TTL_TOO_SHORT;
    counts->refused_ttl_too_long += code == OUTCOME_TTL_TOO_LONG;
    counts->refused_capacity += code == OUTCOME_CAPACITY;
    counts->refused_not_found += code == OUTCOME_NOT_FOUND;
    counts->refused_invalid_field += code == OUTCOME_INVALID_FIELD;
}

void audit_answered(struct audit *audit, const struct audit_answer *answer)
{
    const struct ask *ask = &audit->asks[answer->ask];
    struct application *application = find_application(audit, ask, answer);
    count_answer(audit->counts, ask, answer->outcome->code);
    if (application == NULL) {
        sim_fail(audit->world, "a command of kind %d was answered with %s, which didn't come out of it", (int)ask->kind,
                 outcome_code_name(answer->outcome->code));
        return;
    }
    application->answered = true;
    raise_floor(audit, application->index);
    if (answer->heard && ask->kind == COMMAND_ACQUIRE) {
        hear_acquired(audit, ask, answer);
    } else if (answer->heard && ask->kind == COMMAND_RENEW) {
        hear_renewed(audit, ask, answer);
    }
}
