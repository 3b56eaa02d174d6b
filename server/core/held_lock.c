/* renew and release: what is done with a lock by the token that it was granted under. Both are idempotent by that token,
 * so neither has a key. Neither is ever refused for want of room. */
#include "core/table.h"

/* ---- renew ---- */

/* What the job may still need: the rest of its estimate, and the margin. */
static uint64_t renewal_minimum_ms(const struct grant_image *grant, uint64_t now_ms)
{
    uint64_t elapsed_ms = now_ms - grant->granted_ms;
    uint64_t rest_ms = grant->estimate_ms > elapsed_ms ? grant->estimate_ms - elapsed_ms : 0;
    return rest_ms + grant->margin_ms;
}

void apply_renew(struct lock_table *table, const struct renew_command *command, struct outcome *outcome)
{
    struct schedule_draft *draft = &table->draft;
    struct table_node *node = table_open_draft(table, command->schedule_id);
    struct grant_image *grant = draft_find_grant(draft, command->token);
    if (grant == NULL || grant->is_revoking) {
        outcome_refuse_lost(outcome, table, draft, draft_find_run(draft, command->token));
        return;
    }
    uint64_t ttl_ms = command->has_ttl ? command->ttl_ms : grant->granted_ttl_ms;
    uint64_t minimum_ms = renewal_minimum_ms(grant, table->numbers.now_ms);
    if (ttl_ms < minimum_ms || ttl_ms > grant->max_ttl_ms) {
        outcome->code = ttl_ms < minimum_ms ? OUTCOME_TTL_TOO_SHORT : OUTCOME_TTL_TOO_LONG;
        outcome->minimum_ms = minimum_ms;
        outcome->maximum_ms = grant->max_ttl_ms;
        outcome->estimate_ms = grant->estimate_ms;
        outcome->margin_ms = grant->margin_ms;
        return;
    }
    grant->ttl_ms = ttl_ms;
    grant->deadline_ms = table->numbers.now_ms + ttl_ms;
    table_keep(table, node, draft);
    grant = draft_find_grant(draft, command->token);
    outcome_set_grant(outcome, table, draft, grant);
    event_tell_grant(table, EVENT_RENEWED, &outcome->grant, grant->group);
}

/* ---- release ---- */

static bool outcome_can_be_reported(enum run_outcome reported)
{
    return reported == RUN_SUCCEEDED || reported == RUN_FAILED || reported == RUN_ABANDONED;
}

/* Whether the outcome was needed depends on the run, but that it is missing is a fault of the request's form. Form goes
 * before everything else in the order of checks, so it is refused whatever became of the run, as long as that is kept. */
static bool release_is_malformed(const struct release_command *command, const struct run_image *run)
{
    if (command->has_outcome) {
        return !outcome_can_be_reported(command->outcome);
    }
    return run != NULL && slice_is_present(run->occurrence);
}

/* A revoked run stays revoked, and what its job reports is kept beside that. */
static void release_grant(struct lock_table *table, struct grant_image *grant, enum run_outcome reported)
{
    struct schedule_draft *draft = &table->draft;
    uint64_t token = grant->token;
    struct run_image *run = draft_find_run(draft, token);
    if (!grant->is_revoking) {
        table_end_run(table, draft, run, reported);
    } else {
        run->is_released = true;
        run->late_outcome = (int)reported;
        if (reported == RUN_SUCCEEDED) {
            table_record_success(table, draft, run);
        }
    }
    const struct run_view view = run_view_of(draft, run);
    event_tell_run(table, EVENT_RELEASED, &view, grant->group);
    table_free_slot(table, draft, grant);
    draft_trim(draft, token);
}

/* The job reports success, but its lock is over: that is kept. The answer is lock_lost all the same, so that the client
 * learns that it ran without a lock. */
static void record_late_success(struct lock_table *table, struct table_node *node, struct run_image *run)
{
    if (run->late_outcome == RUN_SUCCEEDED) {
        return;
    }
    run->late_outcome = RUN_SUCCEEDED;
    table_record_success(table, &table->draft, run);
    table_keep(table, node, &table->draft);
    const struct run_view view = run_view_of(&table->draft, run);
    event_tell_run(table, EVENT_RELEASED, &view, (struct slice){0});
}

void apply_release(struct lock_table *table, const struct release_command *command, struct outcome *outcome)
{
    struct schedule_draft *draft = &table->draft;
    struct table_node *node = table_open_draft(table, command->schedule_id);
    struct run_image *run = draft_find_run(draft, command->token);
    struct grant_image *grant = draft_find_grant(draft, command->token);
    if (release_is_malformed(command, run)) {
        outcome_refuse_field(outcome, "outcome");
        return;
    }
    enum run_outcome reported = command->has_outcome ? command->outcome : RUN_SUCCEEDED;
    if (grant != NULL) {
        release_grant(table, grant, reported);
        table_keep(table, node, draft);
        outcome_set_run(outcome, draft, draft_find_run(draft, command->token));
    } else if (run != NULL && (outcome_can_be_reported((enum run_outcome)run->outcome) || run->is_released)) {
        outcome->repeated = true;
        outcome_set_run(outcome, draft, run);
    } else {
        if (run != NULL && reported == RUN_SUCCEEDED) {
            record_late_success(table, node, run);
        }
        outcome_refuse_lost(outcome, table, draft, draft_find_run(draft, command->token));
    }
}
