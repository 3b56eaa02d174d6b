/* Which outcomes may cross: those that an answer can be made of. Looked at on their way out, where a broken one is a bug, and
 * on their way in, so that nobody behind has to. */
#include "codec/wire.h"

static bool grant_is_valid(const struct grant_view *grant)
{
    return name_is_valid(grant->schedule_id) && printable_is_valid(grant->holder, LIMIT_NAME_BYTES) &&
           optional_printable_is_valid(grant->occurrence, LIMIT_OCCURRENCE_BYTES) &&
           (!slice_is_present(grant->metadata) || metadata_is_valid(grant->metadata));
}

static bool run_is_valid(const struct run_view *run)
{
    return name_is_valid(run->schedule_id) && printable_is_valid(run->holder, LIMIT_NAME_BYTES) &&
           optional_printable_is_valid(run->occurrence, LIMIT_OCCURRENCE_BYTES) &&
           optional_printable_is_valid(run->actor, LIMIT_NAME_BYTES) &&
           (!slice_is_present(run->reason) || sentence_is_valid(run->reason, LIMIT_REASON_BYTES)) &&
           run_outcome_is_valid(run->outcome) &&
           (run->late_outcome == RUN_OUTCOME_NONE || run_outcome_is_valid(run->late_outcome));
}

/* Holders stand in refusals, and have no metadata there. Shared ones were looked at where they are written. */
static bool holders_are_valid(const struct outcome *outcome, const struct outcome *shared)
{
    if (outcome->n_holders > LIMIT_SLOTS || (outcome->code == OUTCOME_LOCK_HELD && outcome->n_holders == 0)) {
        return false;
    }
    if (shared != NULL) {
        return outcome->n_holders > 0 && outcome->holders == shared->holders && outcome->n_holders == shared->n_holders;
    }
    for (size_t i = 0; i < outcome->n_holders; i++) {
        if (slice_is_present(outcome->holders[i].metadata) || !grant_is_valid(&outcome->holders[i])) {
            return false;
        }
    }
    return true;
}

/* Only what a revoke lists says what it did. */
static bool run_has_news(const struct run_view *run)
{
    return run->is_newly_revoked || run->is_newly_freed;
}

/* The runs are what was revoked, so that no refusal has any. */
static bool runs_are_valid(const struct outcome *outcome)
{
    if (outcome->n_runs > LIMIT_SLOTS ||
        (outcome->n_runs > 0 && (outcome->code != OUTCOME_DONE || outcome->n_holders > 0))) {
        return false;
    }
    for (size_t i = 0; i < outcome->n_runs; i++) {
        if (!run_is_valid(&outcome->runs[i])) {
            return false;
        }
    }
    return true;
}

static bool group_is_valid(const struct group_view *group)
{
    return name_is_valid(group->name) && group->slots <= LIMIT_GROUP_SLOTS;
}

static bool freeze_is_valid(const struct freeze_view *freeze)
{
    return put_freeze_is_valid(&(struct put_freeze_command){
        .scope = freeze->scope, .actor = freeze->actor, .reason = freeze->reason, .ttl_ms = freeze->ttl_ms});
}

/* What groups and freezes refuse is said with the group or the freeze. */
static bool terms_are_valid(const struct outcome *outcome)
{
    bool needs_group = outcome->code == OUTCOME_GROUP_FULL || outcome->code == OUTCOME_UNKNOWN_GROUP ||
                       outcome->code == OUTCOME_GROUP_IN_USE;
    if ((needs_group && !outcome->has_group) || (outcome->code == OUTCOME_FROZEN && !outcome->has_freeze) ||
        (outcome->code == OUTCOME_GROUP_FULL && outcome->n_holders > LIMIT_GROUP_HOLDERS)) {
        return false;
    }
    return (!outcome->has_group || group_is_valid(&outcome->group)) &&
           (!outcome->has_freeze || freeze_is_valid(&outcome->freeze));
}

/* What an answer is made of must be there: a held lock has a holder, a wrong field a name. */
static bool head_is_valid(const struct outcome *outcome)
{
    if ((outcome->code == OUTCOME_INVALID_FIELD && outcome->field == NULL) ||
        (outcome->field != NULL && !printable_is_valid(slice_of(outcome->field), OUTCOME_FIELD_BYTES))) {
        return false;
    }
    return (!outcome->has_grant || grant_is_valid(&outcome->grant)) &&
           (!outcome->has_run || (run_is_valid(&outcome->run) && !run_has_news(&outcome->run)));
}

/* What one renewal alone would be answered, but without what that never has. */
static bool result_is_valid(const struct outcome *result)
{
    if (result->repeated || result->has_policy || result->has_group || result->has_freeze || result->n_runs > 0 ||
        result->n_holders > 1 || result->n_results > 0 || result->remaining_ms != 0) {
        return false;
    }
    return head_is_valid(result) && terms_are_valid(result) && holders_are_valid(result, NULL) &&
           (!result->has_grant || !slice_is_present(result->grant.metadata));
}

static bool results_are_valid(const struct outcome *outcome)
{
    if (outcome->n_results > LIMIT_RENEWALS || (outcome->n_results > 0 && outcome->code != OUTCOME_DONE)) {
        return false;
    }
    for (size_t i = 0; i < outcome->n_results; i++) {
        if (!result_is_valid(&outcome->results[i])) {
            return false;
        }
    }
    return true;
}

bool outcome_is_valid(const struct outcome *outcome, const struct outcome *shared)
{
    if (outcome->has_policy &&
        !(name_is_valid(outcome->policy.schedule_id) && policy_is_valid(&outcome->policy.policy))) {
        return false;
    }
    return head_is_valid(outcome) && terms_are_valid(outcome) && holders_are_valid(outcome, shared) &&
           runs_are_valid(outcome) && results_are_valid(outcome);
}
