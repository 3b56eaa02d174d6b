/* The fixed values of what rules 2 and protocol 2 added: groups, freezes, batches of renewals, waiting. */
#include <string.h>

#include "base/limits.h"
#include "sample.h"

/* ---- commands ---- */

static struct command fixed_batch(struct arena *arena)
{
    struct renew_command *renewals = arena_alloc(arena, 3 * sizeof *renewals);
    renewals[0] = (struct renew_command){.schedule_id = slice_of("s"), .token = 300};
    renewals[1] = (struct renew_command){.schedule_id = slice_of("s"), .token = 7, .has_ttl = true, .ttl_ms = 1};
    renewals[2] = (struct renew_command){.schedule_id = slice_of("backup:nightly"), .token = 300};
    return (struct command){.kind = COMMAND_RENEW_BATCH, .renew_batch = {.renewals = renewals, .n_renewals = 3}};
}

static struct policy policy_in_group(void)
{
    return (struct policy){
        .max_ttl_ms = 1, .slots = 1, .max_attempts = 1, .group = slice_of("db"), .expected_every_ms = 86400000};
}

static struct command fixed_put_freeze(void)
{
    return (struct command){.kind = COMMAND_PUT_FREEZE,
                            .put_freeze = {.scope = slice_of("db-*"),
                                           .actor = slice_of("root@host"),
                                           .reason = slice_of("w\xc3\xa4rtung"),
                                           .ttl_ms = 3600000}};
}

/* A policy that needs rules 2 because of one of its fields alone. */
static struct command fixed_put_alone(bool in_group)
{
    struct policy policy = policy_in_group();
    if (in_group) {
        policy.expected_every_ms = 0;
    } else {
        policy.group = (struct slice){0};
    }
    return (struct command){.kind = COMMAND_PUT_SCHEDULE,
                            .put_schedule = {.schedule_id = slice_of("s"), .policy = policy}};
}

void sample_newer_entry(struct arena *arena, struct entry *entry)
{
    const size_t n = 10;
    *entry = (struct entry){.batch = 8, .now_ms = 1001, .wall_ms = 1, .rules_version = 2};
    sample_fill(entry->run_id, sizeof entry->run_id, 0x10);
    struct command *commands = arena_alloc(arena, n * sizeof *commands);
    commands[0] = fixed_batch(arena);
    commands[1] = (struct command){.kind = COMMAND_PUT_GROUP, .put_group = {.name = slice_of("db"), .slots = 3}};
    commands[2] = (struct command){.kind = COMMAND_PUT_GROUP, .put_group = {.name = slice_of("none")}};
    commands[3] = (struct command){.kind = COMMAND_DELETE_GROUP, .delete_group = {slice_of("db")}};
    commands[4] = fixed_put_freeze();
    commands[5] = (struct command){.kind = COMMAND_DELETE_FREEZE, .delete_freeze = {slice_of("*")}};
    commands[6] = (struct command){.kind = COMMAND_DELETE_FREEZE, .delete_freeze = {slice_of("db-main")}};
    commands[7] = (struct command){.kind = COMMAND_RULES, .rules = {.version = 2}};
    commands[8] = fixed_put_alone(true);
    commands[9] = fixed_put_alone(false);
    entry->commands = commands;
    entry->n_commands = n;
}

/* ---- outcomes ---- */

static struct group_view fixed_group(void)
{
    return (struct group_view){.name = slice_of("db"), .slots = 3, .held = 300, .schedules = 2};
}

static struct freeze_view fixed_freeze(void)
{
    return (struct freeze_view){
        .scope = slice_of("db-*"),
        .actor = slice_of("root@host"),
        .reason = slice_of("w\xc3\xa4rtung"),
        .ttl_ms = 3600000,
        .remaining_ms = 3599999,
        .created_wall_ms = 1767323045000,
        .expires_wall_ms = -1,
    };
}

static struct grant_view fixed_grant(void)
{
    return (struct grant_view){
        .schedule_id = slice_of("db-main"),
        .holder = slice_of("host-1/4711"),
        .token = 12,
        .ttl_ms = 90000,
        .remaining_ms = 89999,
        .acquired_wall_ms = 1767323045000,
        .expires_wall_ms = 1767323135000,
    };
}

static const struct grant_view *fixed_holder(struct arena *arena)
{
    struct grant_view *holder = arena_alloc(arena, sizeof *holder);
    *holder = fixed_grant();
    return holder;
}

/* Everything that a renewal may be answered. */
static struct outcome fixed_results(struct arena *arena)
{
    const size_t n = 5;
    struct outcome *results = arena_alloc(arena, n * sizeof *results);
    results[0] = (struct outcome){.code = OUTCOME_DONE, .has_grant = true, .grant = fixed_grant()};
    results[1] = (struct outcome){.code = OUTCOME_LOCK_LOST};
    results[2] = (struct outcome){.code = OUTCOME_LOCK_LOST, .holders = fixed_holder(arena), .n_holders = 1};
    results[3] = (struct outcome){.code = OUTCOME_TTL_TOO_SHORT, .minimum_ms = 30000, .margin_ms = 30000};
    results[4] = (struct outcome){
        .code = OUTCOME_LOCK_LOST,
        .has_run = true,
        .run = {.schedule_id = slice_of("s"),
                .holder = slice_of("h"),
                .outcome = RUN_EXPIRED,
                .late_outcome = RUN_OUTCOME_NONE},
    };
    return (struct outcome){.code = OUTCOME_DONE, .results = results, .n_results = n};
}

static void fixed_outcomes_newer(struct arena *arena, struct frame_outcomes *outcomes)
{
    const size_t n = 10;
    struct frame_operation_result *results = arena_alloc(arena, n * sizeof *results);
    for (size_t i = 0; i < n; i++) {
        results[i] = (struct frame_operation_result){.number = 1 + i, .status = OPERATION_APPLIED};
    }
    const struct group_view group = fixed_group();
    results[0].outcome = (struct outcome){.code = OUTCOME_DONE, .has_group = true, .group = group};
    results[1].outcome = (struct outcome){
        .code = OUTCOME_GROUP_FULL, .has_group = true, .group = group, .holders = fixed_holder(arena), .n_holders = 1};
    results[2].outcome =
        (struct outcome){.code = OUTCOME_GROUP_FULL, .has_group = true, .group = {.name = slice_of("none")}};
    results[3].outcome =
        (struct outcome){.code = OUTCOME_UNKNOWN_GROUP, .has_group = true, .group = {.name = slice_of("x")}};
    results[4].outcome = (struct outcome){.code = OUTCOME_GROUP_IN_USE, .has_group = true, .group = group};
    results[5].outcome = (struct outcome){.code = OUTCOME_DONE, .has_freeze = true, .freeze = fixed_freeze()};
    results[6].outcome = (struct outcome){.code = OUTCOME_FROZEN, .has_freeze = true, .freeze = fixed_freeze()};
    results[7].outcome = (struct outcome){
        .code = OUTCOME_DONE,
        .has_policy = true,
        .policy = {.schedule_id = slice_of("db-main"), .policy = policy_in_group()},
    };
    results[8].outcome = fixed_results(arena);
    results[9] = (struct frame_operation_result){.number = 10, .status = OPERATION_CANCELLED};
    *outcomes = (struct frame_outcomes){.index = 79, .results = results, .n_results = n};
    sample_fill(outcomes->run_id, 16, 0x30);
}

/* ---- frames ---- */

static void fixed_operations_newer(struct arena *arena, struct frame_operations *operations)
{
    const size_t n = 4;
    struct frame_operation *items = arena_alloc(arena, n * sizeof *items);
    const struct acquire_command acquire = {
        .schedule_id = slice_of("s"), .holder = slice_of("h"), .idempotency_key = slice_of("k")};
    items[0] = (struct frame_operation){
        .number = 1, .command = {.kind = COMMAND_ACQUIRE, .acquire = acquire}, .wait_ms = LIMIT_WAIT_MS};
    items[1] = items[0];
    items[1].wait_ms = 1;
    items[2] = (struct frame_operation){.number = 3, .command = fixed_batch(arena)};
    items[3] = (struct frame_operation){.number = 4, .command = fixed_put_freeze()};
    *operations = (struct frame_operations){.sequence = 6, .operations = items, .n_operations = n};
    sample_fill(operations->run_id, 16, 0x30);
}

static void fixed_cancel(struct arena *arena, struct frame_cancel *cancel)
{
    uint64_t *numbers = arena_alloc(arena, 2 * sizeof *numbers);
    numbers[0] = 1;
    numbers[1] = UINT64_MAX;
    *cancel = (struct frame_cancel){.numbers = numbers, .n_numbers = 2};
    sample_fill(cancel->run_id, 16, 0x30);
}

static void fixed_counts(struct arena *arena, struct frame *question, struct frame *answer)
{
    struct slice *schedules = arena_alloc(arena, 2 * sizeof *schedules);
    schedules[0] = slice_of("s");
    schedules[1] = slice_of("backup:nightly");
    question->read_index = (struct frame_read_index){.number = 4, .waiting_of = schedules, .n_waiting_of = 2};
    sample_fill(question->read_index.run_id, 16, 0x30);
    uint64_t *waiting = arena_alloc(arena, 2 * sizeof *waiting);
    waiting[0] = 0;
    waiting[1] = LIMIT_WAITERS;
    answer->read_index_result = (struct frame_read_index_result){
        .number = 4, .status = OPERATION_APPLIED, .index = 100, .waiting = waiting, .n_waiting = 2};
    sample_fill(answer->read_index_result.run_id, 16, 0x30);
}

void sample_newer_frames(struct arena *arena, struct sample_frame *samples, size_t *count)
{
    fixed_operations_newer(arena, &sample_add(samples, count, "operations_newer", FRAME_OPERATIONS)->operations);
    fixed_outcomes_newer(arena, &sample_add(samples, count, "outcomes_newer", FRAME_OUTCOMES)->outcomes);
    fixed_cancel(arena, &sample_add(samples, count, "cancel", FRAME_CANCEL)->cancel);
    struct frame *question = sample_add(samples, count, "read_index_counts", FRAME_READ_INDEX);
    fixed_counts(arena, question, sample_add(samples, count, "read_index_result_counts", FRAME_READ_INDEX_RESULT));
}
