/* What clients are told: a grant is in the account, and a refusal is true. */
#include "audit_private.h"

#define MARGIN_MS 30000u /* without a policy */

static void raise_floor(struct audit *audit, uint64_t index)
{
    audit->floor = index > audit->floor ? index : audit->floor;
}

static void acquired_grant(struct audit *audit, struct key *key, const struct audit_times *times, bool heard,
                           const struct outcome *outcome)
{
    uint64_t token = outcome->grant.token;
    struct grant *grant = audit_find_grant(audit, token);
    char name[64];
    if (grant == NULL) {
        sim_fail(audit->world, "token %" PRIu64 " was acknowledged and never applied", token);
        return;
    }
    if (key->token != NO_TOKEN && key->token != token && !audit_key_forgotten(audit, key)) {
        sim_fail(audit->world, "key %" PRIu64 " got token %" PRIu64 " after %" PRIu64, key->acquire.key, token,
                 key->token);
    }
    if (grant->shown && grant->key != key->acquire.key) {
        sim_fail(audit->world, "token %" PRIu64 " was given for two keys", token);
    }
    audit_schedule_name(key->acquire.schedule, name);
    if (!outcome->has_grant || !audit_slice_is(outcome->grant.schedule_id, name) ||
        !audit_names_occurrence(outcome->grant.occurrence, key->acquire.occurrence) ||
        outcome->grant.remaining_ms > outcome->grant.ttl_ms || outcome->grant.remaining_ms == 0) {
        sim_fail(audit->world, "the answer with token %" PRIu64 " doesn't fit its request", token);
    }
    if (grant->ended_index != 0 && grant->ended_index <= times->index) {
        sim_fail(audit->world, "token %" PRIu64 " was answered as held after it had ended", token);
    }
    key->token = token;
    raise_floor(audit, grant->issued_index);
    uint64_t first = audit_believe_until(times->first_ns, outcome->grant.ttl_ms);
    uint64_t this = audit_believe_until(times->this_ns, outcome->grant.remaining_ms);
    if (heard) {
        audit_make_ask(audit, token)->belief_ns = first < this ? first : this;
    }
}

static bool ttl_is_short(const struct key *key)
{
    return key->acquire.ttl_ms < key->acquire.estimate_ms + MARGIN_MS;
}

/* Was the schedule held at some point after this attempt began? */
static bool was_held(struct audit *audit, const struct key *key, const struct audit_times *times,
                     const struct outcome *outcome)
{
    if (outcome->n_holders == 0) {
        return false;
    }
    const struct grant *grant = audit_find_grant(audit, outcome->holders[0].token);
    return grant != NULL && (!grant->shown || grant->schedule == key->acquire.schedule) &&
           (grant->ended_index == 0 || grant->ended_index > times->index);
}

static bool was_attempted(struct audit *audit, const struct key *key)
{
    for (size_t i = 0; i < audit->n_grants; i++) {
        const struct grant *grant = &audit->grants[i];
        bool same = grant->shown && grant->schedule == key->acquire.schedule &&
                    audit_find_key(audit, grant->key)->acquire.occurrence == key->acquire.occurrence;
        if (same || (!grant->shown && grant->ended_index != 0)) {
            return true;
        }
    }
    return false;
}

static void acquire_refused(struct audit *audit, struct key *key, const struct audit_times *times, bool altered,
                            const struct outcome *outcome)
{
    struct counts *counts = audit->counts;
    bool honest = false;
    switch (outcome->code) {
    case OUTCOME_LOCK_HELD:
        counts->refused_lock_held++;
        honest = was_held(audit, key, times, outcome);
        break;
    case OUTCOME_GRANT_ENDED:
        counts->refused_grant_ended++;
        honest = key->token != NO_TOKEN ? audit_find_grant(audit, key->token)->ended_index != 0 : key->possible > 1;
        break;
    case OUTCOME_OCCURRENCE_DONE:
        counts->refused_occurrence_done++;
        honest = key->acquire.occurrence >= 0 && was_attempted(audit, key);
        break;
    case OUTCOME_ATTEMPTS_EXHAUSTED:
        counts->refused_attempts_exhausted++;
        honest = key->acquire.occurrence >= 0 && was_attempted(audit, key);
        break;
    case OUTCOME_TTL_TOO_SHORT:
        counts->refused_ttl_too_short++;
        honest = ttl_is_short(key) && outcome->minimum_ms == key->acquire.estimate_ms + MARGIN_MS;
        break;
    case OUTCOME_TTL_TOO_LONG:
        counts->refused_ttl_too_long++;
        honest = key->acquire.ttl_ms > LIMIT_TTL_MS && outcome->maximum_ms == LIMIT_TTL_MS;
        break;
    case OUTCOME_IDEMPOTENCY_CONFLICT:
        counts->refused_idempotency_conflict++;
        honest = altered;
        break;
    case OUTCOME_CAPACITY:
        counts->refused_capacity++;
        honest = audit->capacity_allowed;
        break;
    default:
        break;
    }
    if (!honest) {
        sim_fail(audit->world, "key %" PRIu64 " was refused with %s, which isn't true", key->acquire.key,
                 outcome_code_name(outcome->code));
    }
}

void audit_acquired(struct audit *audit, uint64_t key_number, const struct audit_times *times, bool altered, bool heard,
                    const struct outcome *outcome)
{
    struct key *key = audit_find_key(audit, key_number);
    if (outcome->code != OUTCOME_DONE) {
        acquire_refused(audit, key, times, altered, outcome);
        key->possible--;
        return;
    }
    audit->counts->repeats += outcome->repeated;
    if ((altered && !audit_key_forgotten(audit, key)) || ttl_is_short(key) || key->acquire.ttl_ms > LIMIT_TTL_MS) {
        sim_fail(audit->world, "key %" PRIu64 " was granted against the rules", key_number);
    }
    acquired_grant(audit, key, times, heard, outcome);
}

static bool has_ended(struct audit *audit, uint64_t token)
{
    const struct grant *grant = audit_find_grant(audit, token);
    return grant != NULL && grant->ended_index != 0;
}

void audit_renewed(struct audit *audit, uint64_t token, const struct audit_times *times, bool heard,
                   const struct outcome *outcome)
{
    if (heard) {
        audit_renew_settled(audit, token, times->this_ns);
    }
    const struct grant *grant = audit_find_grant(audit, token);
    switch (outcome->code) {
    case OUTCOME_DONE:
        if (outcome->grant.token != token || (grant->ended_index != 0 && grant->ended_index <= times->index)) {
            sim_fail(audit->world, "token %" PRIu64 " was renewed after it had ended", token);
        }
        audit->counts->renewals++;
        if (heard) {
            audit_make_ask(audit, token)->belief_ns = audit_believe_until(times->this_ns, outcome->grant.remaining_ms);
        }
        break;
    case OUTCOME_LOCK_LOST:
        audit->counts->refused_lock_lost++;
        if (!has_ended(audit, token)) {
            sim_fail(audit->world, "token %" PRIu64 " is called lost and is held", token);
        }
        break;
    case OUTCOME_TTL_TOO_SHORT:
        audit->counts->refused_ttl_too_short++;
        break;
    default:
        sim_fail(audit->world, "a renewal was refused with %s", outcome_code_name(outcome->code));
    }
}

void audit_released(struct audit *audit, uint64_t token, enum run_outcome asked, const struct outcome *outcome)
{
    const struct grant *grant = audit_find_grant(audit, token);
    if (!has_ended(audit, token)) {
        sim_fail(audit->world, "a release of token %" PRIu64 " was answered and it is still held", token);
        return;
    }
    const struct ask *ask = audit_find_ask(audit, token);
    if (outcome->code == OUTCOME_DONE) {
        audit->counts->releases++;
        raise_floor(audit, grant->ended_index);
        if (!outcome->has_run || outcome->run.token != token || !ask->release[outcome->run.outcome] ||
            (!outcome->repeated && outcome->run.outcome != asked)) {
            sim_fail(audit->world, "the release of token %" PRIu64 " as %s was answered with %s", token,
                     run_outcome_name(asked), run_outcome_name(outcome->run.outcome));
        }
    } else if (outcome->code == OUTCOME_LOCK_LOST) {
        audit->counts->refused_lock_lost++;
    } else {
        sim_fail(audit->world, "a release was refused with %s", outcome_code_name(outcome->code));
    }
}

void audit_read(struct audit *audit, const char *node, uint64_t floor, struct lock_table *table)
{
    struct lock_table_counts counts;
    lock_table_count(table, &counts);
    audit->counts->reads++;
    if (counts.index < floor) {
        sim_fail(audit->world, "a read on %s shows index %" PRIu64 ", and %" PRIu64 " had been acknowledged before",
                 node, counts.index, floor);
    }
    raise_floor(audit, counts.index);
}
