/* renew and release: what is done with a lock by the token that it was granted under. Both are idempotent by that token,
 * so neither has a key. Neither is ever refused for want of room. */
#include "core/table.h"

/* Fills the draft with the schedule; NULL when it isn't remembered, and then the draft is empty. */
static struct table_node *open_schedule(struct lock_table *table, struct slice schedule_id)
{
    struct table_node *node = table_find(table, schedule_id);
    if (node != NULL) {
        schedule_unpack(node->schedule, &table->draft);
    } else {
        schedule_draft_init(&table->draft, schedule_id);
    }
    return node;
}

static void refuse_lost(struct lock_table *table, const struct run_image *run, struct outcome *outcome)
{
    outcome->code = OUTCOME_LOCK_LOST;
    outcome_set_run(outcome, &table->draft, run);
    outcome_set_holders(outcome, table, &table->draft);
}

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
    struct table_node *node = open_schedule(table, command->schedule_id);
    struct grant_image *grant = draft_find_grant(draft, command->token);
    if (grant == NULL) {
        refuse_lost(table, draft_find_run(draft, command->token), outcome);
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
    table_commit(table, node, draft);
    outcome_set_grant(outcome, table, draft, draft_find_grant(draft, command->token));
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

/* The job reports success, but its lock is over: that is kept, and closes its occurrence unless another run of it was
 * granted since. The answer is lock_lost all the same, so that the client learns that it ran without a lock. */
static void record_late_success(struct lock_table *table, struct table_node *node, uint64_t token)
{
    struct schedule_draft *draft = &table->draft;
    struct run_image *run = draft_find_run(draft, token);
    if (run->late_outcome == RUN_SUCCEEDED) {
        return;
    }
    run->late_outcome = RUN_SUCCEEDED;
    if (slice_is_present(run->occurrence)) {
        struct occurrence_key key = occurrence_key_of(run->occurrence);
        struct occurrence_image *occurrence = draft_find_occurrence(draft, &key);
        if (occurrence != NULL && occurrence->run_token == token) {
            occurrence->succeeded = true;
        }
    }
    table_commit(table, node, draft);
}

void apply_release(struct lock_table *table, const struct release_command *command, struct outcome *outcome)
{
    struct schedule_draft *draft = &table->draft;
    struct table_node *node = open_schedule(table, command->schedule_id);
    const struct run_image *run = draft_find_run(draft, command->token);
    if (release_is_malformed(command, run)) {
        outcome_refuse_field(outcome, "outcome");
        return;
    }
    enum run_outcome reported = command->has_outcome ? command->outcome : RUN_SUCCEEDED;
    if (run == NULL) {
        refuse_lost(table, NULL, outcome);
    } else if (run->outcome == RUN_RUNNING) {
        table_end_grant(table, draft, draft_find_grant(draft, command->token), reported);
        table_commit(table, node, draft);
        outcome_set_run(outcome, draft, draft_find_run(draft, command->token));
    } else if (outcome_can_be_reported((enum run_outcome)run->outcome)) {
        outcome->repeated = true;
        outcome_set_run(outcome, draft, run);
    } else {
        if (run->outcome == RUN_EXPIRED && reported == RUN_SUCCEEDED) {
            record_late_success(table, node, command->token);
        }
        refuse_lost(table, draft_find_run(draft, command->token), outcome);
    }
}
