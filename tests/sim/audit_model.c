/* The model: what the contract says becomes of each command. One array entry for each token that was ever given out, one
 * for each schedule; nothing is packed, indexed or forgotten. */
#include <string.h>

#include "audit_private.h"

/* The grant with this token if it is, or was, one of the schedule's. */
static struct grant *grant_of(struct audit *audit, const struct schedule *schedule, uint64_t token)
{
    struct grant *grant = audit_find_grant(audit, token);
    return grant != NULL && &audit->schedules[grant->schedule] == schedule ? grant : NULL;
}

/* ---- how runs end ---- */

static void record_success(const struct audit *audit, struct schedule *schedule, const struct grant *grant)
{
    schedule->has_success = true;
    schedule->last_success_wall_ms = audit->wall_ms;
    if (grant->occurrence >= 0 && schedule->occurrences[grant->occurrence].token == grant->token) {
        schedule->occurrences[grant->occurrence].succeeded = true;
    }
}

static void end_run(const struct audit *audit, struct schedule *schedule, struct grant *grant, enum run_outcome how)
{
    grant->outcome = how;
    grant->ended_ms = audit->now_ms;
    grant->ended_wall_ms = audit->wall_ms;
    if (how == RUN_SUCCEEDED) {
        record_success(audit, schedule, grant);
    } else if (how == RUN_ABANDONED && grant->occurrence >= 0) {
        schedule->occurrences[grant->occurrence].attempts--;
    }
}

static void free_slot(struct schedule *schedule, struct grant *grant)
{
    size_t kept = 0;
    for (size_t i = 0; i < schedule->n_live; i++) {
        if (schedule->live[i] != grant->token) {
            schedule->live[kept++] = schedule->live[i];
        }
    }
    CHECK(kept + 1 == schedule->n_live);
    schedule->n_live = kept;
    grant->live = false;
    grant->is_revoking = false;
}

/* A deadline in state time must lie at least that far, in real time, from whatever set it: 500 ppm, and a millisecond
 * for each of two roundings. */
static void check_not_early(struct audit *audit, const struct grant *grant)
{
    uint64_t least_ns = grant->ttl_ms * (1000000 - 500);
    if (audit->world->now_ns + 2 * SIM_MS < grant->set_ns + least_ns) {
        sim_fail(audit->world, "token %" PRIu64 " expired early in real time", grant->token);
    }
}

static void end_by_deadline(struct audit *audit, struct schedule *schedule, struct grant *grant)
{
    check_not_early(audit, grant);
    if (grant->is_revoking) {
        audit->counts->revoking_overdue++;
    } else {
        audit->counts->expiries++;
        end_run(audit, schedule, grant, RUN_EXPIRED);
    }
    free_slot(schedule, grant);
}

void model_advance(struct audit *audit, const struct apply_context *context)
{
    audit->now_ms = context->now_ms > audit->now_ms ? context->now_ms : audit->now_ms;
    audit->wall_ms = context->wall_ms;
    for (unsigned n = 0; n < AUDIT_SCHEDULES; n++) {
        struct schedule *schedule = &audit->schedules[n];
        for (size_t i = schedule->n_live; i > 0; i--) {
            struct grant *grant = audit_find_grant(audit, schedule->live[i - 1]);
            if (grant->deadline_ms <= audit->now_ms) {
                end_by_deadline(audit, schedule, grant);
                schedule->touched = true;
            }
        }
    }
}

/* ---- renew and release ---- */

static void model_renew(struct audit *audit, const struct ask *ask, const struct renew_command *command,
                        struct outcome *expected)
{
    struct schedule *schedule = audit_find_schedule(audit, command->schedule_id);
    struct grant *grant = grant_of(audit, schedule, command->token);
    if (grant == NULL || !grant->live || grant->is_revoking) {
        audit->counts->renewals_of_revoking += grant != NULL && grant->is_revoking;
        model_expect_lost(audit, schedule, grant, expected);
        return;
    }
    uint64_t ttl_ms = command->has_ttl ? command->ttl_ms : grant->granted_ttl_ms;
    uint64_t elapsed_ms = audit->now_ms - grant->granted_ms;
    uint64_t rest_ms = elapsed_ms < grant->estimate_ms ? grant->estimate_ms - elapsed_ms : 0;
    if (ttl_ms < rest_ms + grant->margin_ms || ttl_ms > grant->max_ttl_ms) {
        expected->code = ttl_ms < rest_ms + grant->margin_ms ? OUTCOME_TTL_TOO_SHORT : OUTCOME_TTL_TOO_LONG;
        expected->minimum_ms = rest_ms + grant->margin_ms;
        expected->maximum_ms = grant->max_ttl_ms;
        expected->estimate_ms = grant->estimate_ms;
        expected->margin_ms = grant->margin_ms;
        return;
    }
    const struct policy *policy = model_policy(schedule);
    audit->counts->renewals_on_old_terms +=
        policy->margin_ms != grant->margin_ms || policy->max_ttl_ms != grant->max_ttl_ms;
    schedule->touched = true;
    grant->ttl_ms = ttl_ms;
    grant->deadline_ms = audit->now_ms + ttl_ms;
    grant->set_ns = ask->first_ns;
    model_expect_grant(audit, grant, expected);
}

static bool was_reported(const struct grant *grant)
{
    return grant->outcome == RUN_SUCCEEDED || grant->outcome == RUN_FAILED || grant->outcome == RUN_ABANDONED ||
           grant->is_released;
}

static void release_live(struct audit *audit, struct schedule *schedule, struct grant *grant, enum run_outcome how)
{
    if (grant->is_revoking) {
        audit->counts->releases_of_revoking++;
        grant->is_released = true;
        grant->late_outcome = (int)how;
        if (how == RUN_SUCCEEDED) {
            record_success(audit, schedule, grant);
        }
    } else {
        end_run(audit, schedule, grant, how);
    }
    free_slot(schedule, grant);
    schedule->touched = true;
}

static void report_late(struct audit *audit, struct schedule *schedule, struct grant *grant, enum run_outcome how)
{
    if (how == RUN_SUCCEEDED && grant->late_outcome != RUN_SUCCEEDED) {
        audit->counts->late_successes++;
        audit->counts->late_outdated +=
            grant->occurrence >= 0 && schedule->occurrences[grant->occurrence].token != grant->token;
        grant->late_outcome = RUN_SUCCEEDED;
        record_success(audit, schedule, grant);
        schedule->touched = true;
    }
}

static void model_release(struct audit *audit, const struct release_command *command, struct outcome *expected)
{
    struct schedule *schedule = audit_find_schedule(audit, command->schedule_id);
    struct grant *grant = grant_of(audit, schedule, command->token);
    enum run_outcome how = command->has_outcome ? command->outcome : RUN_SUCCEEDED;
    bool kept = model_is_kept(audit, grant);
    if (kept && !command->has_outcome && grant->occurrence >= 0) {
        model_expect_field(expected, "outcome");
    } else if (grant != NULL && grant->live) {
        release_live(audit, schedule, grant, how);
        model_expect_run(audit, grant, expected);
    } else if (kept && was_reported(grant)) {
        expected->repeated = true;
        model_expect_run(audit, grant, expected);
    } else {
        if (kept) {
            report_late(audit, schedule, grant, how);
        }
        model_expect_lost(audit, schedule, grant, expected);
    }
}

/* ---- policies ---- */

static void expect_policy(const struct schedule *schedule, struct outcome *expected)
{
    expected->has_policy = true;
    model_show_policy(schedule, &expected->policy);
}

static void model_put(struct audit *audit, const struct put_schedule_command *command, struct outcome *expected)
{
    struct schedule *schedule = audit_find_schedule(audit, command->schedule_id);
    const struct policy *policy = &command->policy;
    bool grows = !schedule->has_policy || policy->description.len > schedule->policy.description.len;
    if (audit->hearing.no_growth && grows) {
        expected->code = OUTCOME_CAPACITY;
        return;
    }
    audit->counts->policies_put++;
    audit->counts->policies_changed_held += schedule->n_live > 0;
    audit->counts->slots_lowered += schedule->n_live > policy->slots;
    schedule->touched = true;
    schedule->has_policy = true;
    schedule->policy = *policy;
    schedule->policy.description = arena_copy(&audit->arena, policy->description);
    expect_policy(schedule, expected);
}

static void model_delete(struct audit *audit, const struct delete_schedule_command *command, struct outcome *expected)
{
    struct schedule *schedule = audit_find_schedule(audit, command->schedule_id);
    if (!schedule->has_policy) {
        expected->code = OUTCOME_NOT_FOUND;
        return;
    }
    audit->counts->policies_deleted++;
    schedule->touched = true;
    expect_policy(schedule, expected);
    schedule->has_policy = false;
}

/* ---- revoke ---- */

/* What the command does to it is in `view`; false when it does nothing. */
static bool revoke_grant(struct audit *audit, struct grant *grant, const struct revoke_command *command,
                         struct run_view *view)
{
    struct schedule *schedule = &audit->schedules[grant->schedule];
    bool revoked_before = grant->is_revoking;
    bool changes = !revoked_before || command->force;
    if (!revoked_before) {
        audit->counts->revoked_soft += !command->force;
        audit->counts->revoked_forced += command->force;
        audit->counts->revoked_by_token += command->token != 0;
        end_run(audit, schedule, grant, RUN_REVOKED);
        grant->is_revoking = true;
    }
    if (changes) {
        grant->actor = arena_copy(&audit->arena, command->actor);
        grant->reason = arena_copy(&audit->arena, command->reason);
        schedule->touched = true;
    }
    if (command->force) {
        audit->counts->revoking_forced += revoked_before;
        grant->declared_dead = true;
        free_slot(schedule, grant);
    }
    model_show_run(audit, grant, view);
    view->is_newly_revoked = !revoked_before;
    view->is_newly_freed = command->force;
    return changes;
}

static void revoke_ended(struct audit *audit, const struct schedule *schedule, const struct grant *grant,
                         struct outcome *expected)
{
    if (!model_is_kept(audit, grant) || grant->outcome != RUN_REVOKED) {
        model_expect_lost(audit, schedule, grant, expected);
        return;
    }
    expected->repeated = true;
    expected->runs = audit->runs;
    expected->n_runs = 1;
    model_show_run(audit, grant, &audit->runs[0]);
}

static void model_revoke(struct audit *audit, const struct revoke_command *command, struct outcome *expected)
{
    struct schedule *schedule = audit_find_schedule(audit, command->schedule_id);
    const struct grant *named = grant_of(audit, schedule, command->token);
    if (command->token != 0 && (named == NULL || !named->live)) {
        revoke_ended(audit, schedule, named, expected);
        return;
    }
    uint64_t tokens[LIVE] = {command->token};
    size_t n_tokens = 1;
    if (command->token == 0) {
        n_tokens = schedule->n_live;
        memcpy(tokens, schedule->live, n_tokens * sizeof tokens[0]);
    }
    bool changed = false;
    for (size_t i = 0; i < n_tokens; i++) {
        changed = revoke_grant(audit, audit_find_grant(audit, tokens[i]), command, &audit->runs[i]) || changed;
    }
    expected->runs = audit->runs;
    expected->n_runs = n_tokens;
    expected->repeated = n_tokens > 0 && !changed;
    audit->counts->revoked_again += expected->repeated;
}

void model_apply(struct audit *audit, const struct ask *ask, const struct command *command, struct outcome *expected)
{
    *expected = (struct outcome){.code = OUTCOME_DONE};
    switch (command->kind) {
    case COMMAND_NOOP:
    case COMMAND_RULES:
        break;
    case COMMAND_LEADER:
        if (command->leader.member_id_floor > audit->next_member_id) {
            audit->next_member_id = command->leader.member_id_floor;
        }
        break;
    case COMMAND_ACQUIRE:
        model_acquire(audit, ask, &command->acquire, expected);
        break;
    case COMMAND_RENEW:
        model_renew(audit, ask, &command->renew, expected);
        break;
    case COMMAND_RELEASE:
        model_release(audit, &command->release, expected);
        break;
    case COMMAND_PUT_SCHEDULE:
        model_put(audit, &command->put_schedule, expected);
        break;
    case COMMAND_DELETE_SCHEDULE:
        model_delete(audit, &command->delete_schedule, expected);
        break;
    case COMMAND_REVOKE:
        model_revoke(audit, &command->revoke, expected);
        break;
    case COMMAND_RENEW_BATCH:
    case COMMAND_PUT_GROUP:
    case COMMAND_DELETE_GROUP:
    case COMMAND_PUT_FREEZE:
    case COMMAND_DELETE_FREEZE:
        CHECK(!"a command that some client asks for");
    }
}
