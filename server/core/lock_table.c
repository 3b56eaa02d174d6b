/* An entry begins with lock_table_advance, which moves the state's time and ends what is over; then come its commands,
 * one after another. A command unpacks its schedule into the table's draft, decides, and either refuses, leaving
 * everything as it was, or commits the draft. Nothing here can fail but for a bug or for want of memory, and both end
 * the process (law 8). */
#include "core/table.h"

#include <stdlib.h>
#include <string.h>

#include "core/rules.h"

struct lock_table *lock_table_open(void)
{
    struct lock_table *table = calloc(1, sizeof *table);
    CHECK(table != NULL);
    table->numbers.next_token = 1;
    table->numbers.next_member_id = 1;
    table->numbers.rules_version = RULES_VERSION_FIRST;
    table->free_slot = TABLE_NO_SLOT;
    table->epoch = 1;
    table->batch = malloc(sizeof *table->batch); /* now, since so large a request is none for the middle of an entry */
    CHECK(table->batch != NULL);
    index_open(table);
    groups_open(table);
    freezes_open(table);
    forgetting_open(table);
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
    index_close(table);
    groups_close(table);
    freezes_close(table);
    forgetting_close(table);
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
    free(table->batch);
    buffer_close(&table->scratch);
    free(table);
}

/* ---- how runs and grants end ---- */

struct table_node *table_open_draft(struct lock_table *table, struct slice schedule_id)
{
    struct table_node *node = table_find(table, schedule_id);
    if (node != NULL) {
        schedule_unpack(node->schedule, &table->draft);
    } else {
        schedule_draft_init(&table->draft, schedule_id);
    }
    return node;
}

void table_record_success(struct lock_table *table, struct schedule_draft *draft, const struct run_image *run)
{
    draft->image.has_success = true;
    draft->image.last_success_ms = table->numbers.now_ms;
    draft->image.last_success_wall_ms = table->numbers.wall_ms;
    if (slice_is_present(run->occurrence)) {
        struct occurrence_key key = occurrence_key_of(run->occurrence);
        struct occurrence_image *occurrence = draft_find_occurrence(draft, &key);
        if (occurrence != NULL && occurrence->run_token == run->token) {
            occurrence->succeeded = true;
        }
    }
}

static void give_attempt_back(struct schedule_draft *draft, const struct run_image *run)
{
    if (slice_is_present(run->occurrence)) {
        struct occurrence_key key = occurrence_key_of(run->occurrence);
        struct occurrence_image *occurrence = draft_find_occurrence(draft, &key);
        CHECK(occurrence != NULL && occurrence->run_token == run->token && occurrence->attempts > 0);
        occurrence->attempts--;
    }
}

void table_end_run(struct lock_table *table, struct schedule_draft *draft, struct run_image *run,
                   enum run_outcome ended)
{
    CHECK(run->outcome == RUN_RUNNING);
    run->outcome = (int)ended;
    run->ended_ms = table->numbers.now_ms;
    run->ended_wall_ms = table->numbers.wall_ms;
    if (ended == RUN_SUCCEEDED) {
        table_record_success(table, draft, run);
    } else if (ended == RUN_ABANDONED) {
        give_attempt_back(draft, run);
    }
}

void table_free_slot(struct lock_table *table, struct schedule_draft *draft, struct grant_image *grant)
{
    size_t after = draft->image.n_grants - (size_t)(grant - draft->grants) - 1;
    memmove(grant, grant + 1, after * sizeof *grant);
    draft->image.n_grants--;
    table->held--;
    draft_set_forgetting(draft, table->numbers.now_ms);
}

/* ---- time ---- */

/* The due that follows the first of the heap. */
static struct schedule_due second_due(const struct lock_table *table)
{
    struct schedule_due second = {.at_ms = SCHEDULE_NEVER_MS};
    for (size_t i = 1; i <= 2 && i < table->n_schedules; i++) {
        second = due_before(table->heap[i].due, second) ? table->heap[i].due : second;
    }
    return second;
}

static void end_grant(struct lock_table *table, struct schedule_draft *draft, uint64_t token)
{
    struct grant_image *grant = draft_find_grant(draft, token);
    struct run_image *run = draft_find_run(draft, token);
    CHECK(grant != NULL && run != NULL);
    if (!grant->is_revoking) { /* or it ended when it was revoked, and only its slot is freed */
        table_end_run(table, draft, run, RUN_EXPIRED);
        table->expirations++;
    }
    const struct run_view view = run_view_of(draft, run);
    event_tell_run(table, EVENT_EXPIRED, &view, grant->group);
    table_free_slot(table, draft, grant);
    draft_trim(draft, token);
}

/* Ends the grants of one schedule that are over, up to the first that a grant of another goes before: with many slots, to
 * unpack and pack for each of them would cost the square of their number. */
static void end_due(struct lock_table *table, struct table_node *node)
{
    struct schedule_draft *draft = &table->draft;
    schedule_unpack(node->schedule, draft);
    struct schedule_due due = schedule_image_due(&draft->image);
    do {
        end_grant(table, draft, due.token);
        due = schedule_image_due(&draft->image);
    } while (due.at_ms <= table->numbers.now_ms && due_before(due, second_due(table)));
    table_keep(table, node, draft);
}

static uint64_t next_end_ms(const struct lock_table *table)
{
    return table->n_schedules == 0 ? SCHEDULE_NEVER_MS : table->heap[0].due.at_ms;
}

void lock_table_advance(struct lock_table *table, const struct apply_context *context)
{
    struct table_image *numbers = &table->numbers;
    uint64_t now_ms = context->now_ms < TABLE_TIME_MAX_MS ? context->now_ms : TABLE_TIME_MAX_MS;
    int64_t wall_ms = context->wall_ms < TABLE_WALL_MAX_MS ? context->wall_ms : TABLE_WALL_MAX_MS;
    numbers->index = context->index;
    numbers->now_ms = now_ms > numbers->now_ms ? now_ms : numbers->now_ms;
    numbers->wall_ms = wall_ms > -TABLE_WALL_MAX_MS ? wall_ms : -TABLE_WALL_MAX_MS;
    table->listener.next_number = 0;
    table_sweep(table, TABLE_SWEEP);
    while (forgetting_next_ms(table) <= numbers->now_ms) {
        table_drop(table, forgetting_first(table));
    }
    while (next_end_ms(table) <= numbers->now_ms) {
        end_due(table, table_node(table, table->heap[0].slot));
    }
    freezes_end_due(table);
}

uint64_t lock_table_next_lock_deadline(const struct lock_table *table)
{
    uint64_t lock_ms = next_end_ms(table);
    uint64_t freeze_ms = freezes_next_ms(table);
    return lock_ms < freeze_ms ? lock_ms : freeze_ms;
}

uint64_t lock_table_next_deadline(const struct lock_table *table)
{
    uint64_t lock_ms = lock_table_next_lock_deadline(table);
    uint64_t forget_ms = forgetting_next_ms(table);
    return lock_ms < forget_ms ? lock_ms : forget_ms;
}

/* ---- commands ---- */

static void apply_leader(struct lock_table *table, const struct leader_command *command)
{
    if (table->numbers.next_member_id < command->member_id_floor) {
        table->numbers.next_member_id = command->member_id_floor;
    }
}

/* What codec lets through this build can apply (law 9), and no rule is ever taken back. */
static void apply_rules(struct lock_table *table, const struct rules_command *command)
{
    CHECK(command->version <= rules_version_newest());
    if (table->numbers.rules_version < command->version) {
        table->numbers.rules_version = command->version;
    }
}

bool table_has_room(const struct lock_table *table, struct table_growth growth)
{
    uint64_t schedules = LIMIT_SCHEDULES + (growth.has_policy ? LIMIT_SCHEDULES_RESERVE : 0);
    uint64_t bytes = LIMIT_STATE_BYTES - (growth.has_policy ? 0 : LIMIT_STATE_RESERVE_BYTES);
    return (!growth.is_new || table->n_schedules < schedules) && table->state_bytes + growth.bytes <= bytes;
}

bool table_has_room_for(const struct lock_table *table, uint64_t bytes)
{
    return table->state_bytes + bytes <= LIMIT_STATE_BYTES;
}

void lock_table_apply(struct lock_table *table, const struct apply_context *context, const struct command *command,
                      struct outcome *outcome)
{
    CHECK(context->index == table->numbers.index);
    CHECK(command->kind == COMMAND_RULES || rules_version_needed(command) <= table->numbers.rules_version);
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
    case COMMAND_RULES:
        apply_rules(table, &command->rules);
        return;
    case COMMAND_PUT_SCHEDULE:
        apply_put_schedule(table, context->no_growth, &command->put_schedule, outcome);
        return;
    case COMMAND_DELETE_SCHEDULE:
        apply_delete_schedule(table, &command->delete_schedule, outcome);
        return;
    case COMMAND_REVOKE:
        apply_revoke(table, &command->revoke, outcome);
        return;
    case COMMAND_RENEW_BATCH:
        apply_renew_batch(table, &command->renew_batch, outcome);
        return;
    case COMMAND_PUT_GROUP:
        apply_put_group(table, context->no_growth, &command->put_group, outcome);
        return;
    case COMMAND_DELETE_GROUP:
        apply_delete_group(table, &command->delete_group, outcome);
        return;
    case COMMAND_PUT_FREEZE:
        apply_put_freeze(table, context->no_growth, &command->put_freeze, outcome);
        return;
    case COMMAND_DELETE_FREEZE:
        apply_delete_freeze(table, &command->delete_freeze, outcome);
        return;
    }
    CHECK(!"a command of a known kind");
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
        .policies = table->index.policies.count,
        .held = table->held,
        .groups = table->groups.by_name.count,
        .freezes = table->freezes.by_scope.count,
        .state_bytes = table->state_bytes,
        .expirations = table->expirations,
        .rules_version = table->numbers.rules_version,
    };
}
