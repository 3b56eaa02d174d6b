/* Many renewals in one entry. Each is applied as if it came alone, and what refuses one leaves the others alone.
 *
 * The table's slices hold until its next change, but here the next change may be the next renewal; so the answers are
 * copied into memory of their own. */
#include "core/table.h"

/* What one answer may show: the texts of the grant or of the run, and those of who has the lock now. */
static struct slice keep(struct table_batch *batch, struct slice text)
{
    CHECK(text.len <= sizeof batch->texts - batch->texts_len);
    struct slice kept = text_keep(batch->texts + batch->texts_len, text);
    batch->texts_len += text.len;
    return kept;
}

static void keep_grant(struct table_batch *batch, struct grant_view *grant)
{
    grant->schedule_id = keep(batch, grant->schedule_id);
    grant->holder = keep(batch, grant->holder);
    grant->occurrence = keep(batch, grant->occurrence);
    grant->metadata = (struct slice){0};
}

static void keep_run(struct table_batch *batch, struct run_view *run)
{
    run->schedule_id = keep(batch, run->schedule_id);
    run->holder = keep(batch, run->holder);
    run->occurrence = keep(batch, run->occurrence);
    run->actor = keep(batch, run->actor);
    run->reason = keep(batch, run->reason);
}

static void keep_result(struct table_batch *batch, size_t position)
{
    struct outcome *result = &batch->results[position];
    if (result->has_grant) {
        keep_grant(batch, &result->grant);
    }
    if (result->has_run) {
        keep_run(batch, &result->run);
    }
    if (result->n_holders > 0) { /* one: see outcome_refuse_lost */
        batch->holders[position] = result->holders[0];
        keep_grant(batch, &batch->holders[position]);
        result->holders = &batch->holders[position];
    }
}

void apply_renew_batch(struct lock_table *table, const struct renew_batch_command *command, struct outcome *outcome)
{
    struct table_batch *batch = table->batch;
    if (command->n_renewals < 1 || command->n_renewals > LIMIT_RENEWALS) {
        outcome_refuse_field(outcome, "locks");
        return;
    }
    batch->texts_len = 0;
    for (size_t i = 0; i < command->n_renewals; i++) {
        batch->results[i] = (struct outcome){.code = OUTCOME_DONE};
        apply_renew(table, &command->renewals[i], &batch->results[i]);
        keep_result(batch, i);
    }
    outcome->results = batch->results;
    outcome->n_results = command->n_renewals;
}
