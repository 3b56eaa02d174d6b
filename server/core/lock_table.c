/* An entry begins with lock_table_advance, which moves the state's time and ends what is over; then come its commands,
 * one after another. A command unpacks its schedule into the table's draft, decides, and either refuses, leaving
 * everything as it was, or commits the draft. Nothing here can fail but for a bug or for want of memory, and both end
 * the process (law 8). */
#include "core/table.h"

#include <stdlib.h>

struct lock_table *lock_table_open(void)
{
    struct lock_table *table = calloc(1, sizeof *table);
    CHECK(table != NULL);
    table->numbers.next_token = 1;
    table->numbers.next_member_id = 1;
    table->numbers.rules_version = RULES_VERSION_FIRST;
    table->free_slot = TABLE_NO_SLOT;
    table->epoch = 1;
    RB_INIT(&table->tree);
    buffer_init(&table->scratch);
    return table;
}

void lock_table_close(struct lock_table *table)
{
    if (table == NULL) {
        return;
    }
    CHECK(!table->is_frozen);
    table_sweep(table, SIZE_MAX);
    for (uint32_t slot = 0; slot < table->n_slots; slot++) {
        free(table_node(table, slot)->schedule);
    }
    for (size_t i = 0; i < table->n_chunks; i++) {
        free(table->chunks[i]);
        free(table->nodes[i]);
    }
    free(table->chunks);
    free(table->nodes);
    free(table->heap);
    free(table->frozen.chunks);
    buffer_close(&table->scratch);
    free(table);
}

/* ---- time ---- */

void table_end_grant(struct lock_table *table, struct schedule_draft *draft, struct grant_image *grant,
                     enum run_outcome ended)
{
    struct run_image *run = draft_find_run(draft, grant->token);
    CHECK(run != NULL && run->outcome == RUN_RUNNING);
    run->outcome = (int)ended;
    run->ended_ms = table->numbers.now_ms;
    run->ended_wall_ms = table->numbers.wall_ms;
    if (slice_is_present(run->occurrence)) {
        struct occurrence_key key = occurrence_key_of(run->occurrence);
        struct occurrence_image *occurrence = draft_find_occurrence(draft, &key);
        CHECK(occurrence != NULL && occurrence->run_token == run->token);
        occurrence->succeeded = ended == RUN_SUCCEEDED;
        occurrence->attempts -= ended == RUN_ABANDONED ? 1 : 0;
    }
    for (struct grant_image *next = grant + 1; next < draft->grants + draft->image.n_grants; next++) {
        next[-1] = *next;
    }
    draft->image.n_grants--;
    table->held--;
    if (draft->image.n_grants == 0) {
        draft->image.forget_ms = table->numbers.now_ms + LIMIT_FORGET_MS;
    }
}

/* What is due of one schedule: its first grant is over, or, without a grant, it is forgotten. */
static void end_due(struct lock_table *table, struct table_node *node)
{
    schedule_unpack(node->schedule, &table->draft);
    if (table->draft.image.n_grants == 0) {
        table_remove(table, node);
        return;
    }
    struct grant_image *grant = draft_find_grant(&table->draft, schedule_image_due(&table->draft.image).token);
    CHECK(grant != NULL);
    table_end_grant(table, &table->draft, grant, RUN_EXPIRED);
    table->expirations++;
    table_commit(table, node, &table->draft);
}

void lock_table_advance(struct lock_table *table, const struct apply_context *context)
{
    struct table_image *numbers = &table->numbers;
    uint64_t now_ms = context->now_ms < TABLE_TIME_MAX_MS ? context->now_ms : TABLE_TIME_MAX_MS;
    int64_t wall_ms = context->wall_ms < TABLE_WALL_MAX_MS ? context->wall_ms : TABLE_WALL_MAX_MS;
    numbers->index = context->index;
    numbers->now_ms = now_ms > numbers->now_ms ? now_ms : numbers->now_ms;
    numbers->wall_ms = wall_ms > -TABLE_WALL_MAX_MS ? wall_ms : -TABLE_WALL_MAX_MS;
    table_sweep(table, TABLE_SWEEP);
    while (lock_table_next_deadline(table) <= numbers->now_ms) {
        end_due(table, table_node(table, table->heap[0].slot));
    }
}

uint64_t lock_table_next_deadline(const struct lock_table *table)
{
    return table->n_schedules == 0 ? UINT64_MAX : table->heap[0].due.at_ms;
}

/* ---- commands ---- */

static void apply_leader(struct lock_table *table, const struct leader_command *command)
{
    if (table->numbers.next_member_id < command->member_id_floor) {
        table->numbers.next_member_id = command->member_id_floor;
    }
}

void lock_table_apply(struct lock_table *table, const struct apply_context *context, const struct command *command,
                      struct outcome *outcome)
{
    CHECK(context->index == table->numbers.index);
    *outcome = (struct outcome){.code = OUTCOME_DONE};
    switch (command->kind) {
    case COMMAND_NOOP:
        return;
    case COMMAND_LEADER:
        apply_leader(table, &command->leader);
        return;
    case COMMAND_ACQUIRE:
        apply_acquire(table, context->no_growth, &command->acquire, outcome);
        return;
    case COMMAND_RENEW:
        apply_renew(table, &command->renew, outcome);
        return;
    case COMMAND_RELEASE:
        apply_release(table, &command->release, outcome);
        return;
    }
    CHECK(!"a command of a known kind");
}

/* ---- what answers show ---- */

struct grant_view grant_view_of(const struct lock_table *table, struct schedule_draft *draft,
                                const struct grant_image *grant)
{
    const struct run_image *run = draft_find_run(draft, grant->token);
    CHECK(run != NULL);
    struct grant_view view = {
        .schedule_id = draft->image.id,
        .holder = run->holder,
        .occurrence = run->occurrence,
        .metadata = grant->metadata,
        .token = grant->token,
        .ttl_ms = grant->ttl_ms,
        .remaining_ms = grant->deadline_ms - table->numbers.now_ms,
        .acquired_wall_ms = run->acquired_wall_ms,
        .attempt = run->attempt,
    };
    view.expires_wall_ms = table->numbers.wall_ms + (int64_t)view.remaining_ms;
    return view;
}

struct run_view run_view_of(const struct schedule_draft *draft, const struct run_image *run)
{
    struct run_view view = {
        .schedule_id = draft->image.id,
        .holder = run->holder,
        .occurrence = run->occurrence,
        .actor = run->actor,
        .reason = run->reason,
        .token = run->token,
        .duration_ms = run->outcome == RUN_RUNNING ? 0 : run->ended_ms - run->granted_ms,
        .acquired_wall_ms = run->acquired_wall_ms,
        .ended_wall_ms = run->ended_wall_ms,
        .outcome = (enum run_outcome)run->outcome,
        .late_outcome = run->late_outcome,
        .attempt = run->attempt,
    };
    return view;
}

size_t grant_views_of(const struct lock_table *table, struct schedule_draft *draft,
                      struct grant_view views[TERMS_SLOTS])
{
    for (size_t i = 0; i < draft->image.n_grants; i++) {
        struct grant_view view = grant_view_of(table, draft, &draft->grants[i]);
        size_t at = i;
        for (; at > 0 && view.remaining_ms < views[at - 1].remaining_ms; at--) {
            views[at] = views[at - 1];
        }
        views[at] = view;
    }
    return draft->image.n_grants;
}

void outcome_set_run(struct outcome *outcome, const struct schedule_draft *draft, const struct run_image *run)
{
    if (run != NULL) {
        outcome->has_run = true;
        outcome->run = run_view_of(draft, run);
    }
}

void outcome_set_grant(struct outcome *outcome, const struct lock_table *table, struct schedule_draft *draft,
                       const struct grant_image *grant)
{
    outcome->has_grant = true;
    outcome->grant = grant_view_of(table, draft, grant);
}

void outcome_set_holders(struct outcome *outcome, struct lock_table *table, struct schedule_draft *draft)
{
    outcome->n_holders = grant_views_of(table, draft, table->outcome_holders);
    outcome->holders = table->outcome_holders;
}

void outcome_refuse_field(struct outcome *outcome, const char *field)
{
    outcome->code = OUTCOME_INVALID_FIELD;
    outcome->field = field;
}

void lock_table_count(const struct lock_table *table, struct lock_table_counts *counts)
{
    *counts = (struct lock_table_counts){
        .now_ms = table->numbers.now_ms,
        .wall_ms = table->numbers.wall_ms,
        .index = table->numbers.index,
        .next_token = table->numbers.next_token,
        .next_member_id = table->numbers.next_member_id,
        .schedules = table->n_schedules,
        .held = table->held,
        .state_bytes = table->state_bytes,
        .expirations = table->expirations,
        .rules_version = table->numbers.rules_version,
    };
}

/* Runs stand in the order of their grants; the newest that ended is the one that ended last. */
static const struct run_image *last_ended(const struct schedule_image *image)
{
    const struct run_image *last = NULL;
    for (size_t i = 0; i < image->n_runs; i++) {
        const struct run_image *run = &image->runs[i];
        if (run->outcome != RUN_RUNNING && (last == NULL || run->ended_ms >= last->ended_ms)) {
            last = run;
        }
    }
    return last;
}

void lock_table_view(struct lock_table *table, struct slice schedule_id, struct schedule_view *view)
{
    *view = (struct schedule_view){0};
    const struct table_node *node = table_find(table, schedule_id);
    if (node == NULL) {
        return;
    }
    schedule_unpack(node->schedule, &table->draft);
    view->n_holders = grant_views_of(table, &table->draft, table->view_holders);
    view->holders = table->view_holders;
    const struct run_image *last = last_ended(&table->draft.image);
    if (last != NULL) {
        view->has_last_run = true;
        view->last_run = run_view_of(&table->draft, last);
    }
}
