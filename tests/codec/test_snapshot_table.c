/* Snapshots of the lock table itself: a table that was loaded from one is the same table, and goes on the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/snapshot.h"
#include "core/lock_table.h"
#include "core/rules.h"
#include "sample.h"

/* Few schedules, holders, keys and occurrences, so that they meet. */
static struct slice pick(struct sample_random *random, struct arena *arena, const char *prefix, unsigned count,
                         const char *suffix)
{
    struct buffer text;
    buffer_init(&text);
    buffer_printf(&text, "%s%u%s", prefix, (unsigned)sample_below(random, count), suffix);
    struct slice copy = arena_copy(arena, buffer_slice(&text));
    buffer_close(&text);
    return copy;
}

static void pick_acquire(struct sample_random *random, struct arena *arena, struct acquire_command *acquire)
{
    *acquire = (struct acquire_command){
        .schedule_id = pick(random, arena, "schedule-", 40, ""),
        .holder = pick(random, arena, "holder-", 5, ""),
        .idempotency_key = pick(random, arena, "key-", 100000, ""),
        .has_ttl = true,
        .ttl_ms = 40000 + sample_below(random, 100000),
    };
    switch (sample_below(random, 4)) {
    case 0:
        acquire->occurrence = pick(random, arena, "2026-01-02T03:04:05.", 1000, "Z");
        break;
    case 1:
        acquire->occurrence = pick(random, arena, "firing-", 200, "");
        acquire->metadata = slice_of("{\"a\":1}");
        break;
    case 2:
        acquire->has_estimate = true;
        acquire->estimate_ms = sample_below(random, 20000);
        break;
    default:
        break;
    }
}

static void pick_put(struct sample_random *random, struct arena *arena, struct put_schedule_command *put)
{
    *put = (struct put_schedule_command){
        .schedule_id = pick(random, arena, "schedule-", 40, ""),
        .policy =
            {
                .estimate_ms = sample_below(random, 5000),
                .margin_ms = sample_below(random, 5000),
                .max_ttl_ms = 200000,
                .min_hold_ms = sample_below(random, 3000),
                .slots = 1 + (uint32_t)sample_below(random, 4),
                .max_attempts = 1 + (uint32_t)sample_below(random, 3),
            },
    };
    if (sample_below(random, 2) == 0) {
        put->policy.description = slice_of("t\xc3\xa4glich");
    }
}

static struct slice pick_group(struct sample_random *random, struct arena *arena)
{
    return pick(random, arena, "group-", 6, "");
}

static struct slice pick_scope(struct sample_random *random, struct arena *arena)
{
    return sample_below(random, 2) == 0 ? pick(random, arena, "schedule-", 4, "*") /* some ten schedules */
                                        : pick(random, arena, "schedule-", 40, "");
}

/* Of few tokens, so that some of them live. */
static void pick_batch(struct sample_random *random, struct arena *arena, const struct release_command *newest,
                       struct renew_batch_command *batch)
{
    const size_t n = 1 + sample_below(random, 5);
    struct renew_command *renewals = arena_alloc(arena, n * sizeof *renewals);
    for (size_t i = 0; i < n; i++) {
        bool is_newest = i == 0 && slice_is_present(newest->schedule_id);
        renewals[i] = (struct renew_command){
            .schedule_id = is_newest ? newest->schedule_id : pick(random, arena, "schedule-", 40, ""),
            .token = is_newest ? newest->token : newest->token - newest->token % 8 + i,
        };
    }
    *batch = (struct renew_batch_command){.renewals = renewals, .n_renewals = n};
}

/* What rules 2 added. */
static void pick_newer(struct sample_random *random, struct arena *arena, const struct release_command *newest,
                       struct command *command)
{
    switch (sample_below(random, 8)) {
    case 0:
    case 1:
        command->kind = COMMAND_PUT_GROUP;
        command->put_group.name = pick_group(random, arena);
        command->put_group.slots = (uint32_t)sample_below(random, 4);
        break;
    case 2:
        command->kind = COMMAND_DELETE_GROUP;
        command->delete_group.name = pick_group(random, arena);
        break;
    case 3:
        command->kind = COMMAND_PUT_FREEZE;
        command->put_freeze = (struct put_freeze_command){
            .scope = pick_scope(random, arena),
            .actor = slice_of("root"),
            .reason = pick(random, arena, "reason ", 10, ""),
            .ttl_ms = 1 + sample_below(random, 200000),
        };
        break;
    case 4:
        command->kind = COMMAND_DELETE_FREEZE;
        command->delete_freeze.scope = pick_scope(random, arena);
        break;
    case 5:
        command->kind = COMMAND_RENEW_BATCH;
        pick_batch(random, arena, newest, &command->renew_batch);
        break;
    default:
        command->kind = COMMAND_PUT_SCHEDULE;
        pick_put(random, arena, &command->put_schedule);
        command->put_schedule.policy.group = pick_group(random, arena);
        command->put_schedule.policy.expected_every_ms = sample_below(random, 100000);
    }
}

/* Of all that is held there, or of the newest grant, which may be over already. */
static void pick_revoke(struct sample_random *random, struct arena *arena, const struct release_command *newest,
                        struct revoke_command *revoke)
{
    bool one = slice_is_present(newest->schedule_id) && sample_below(random, 2) == 0;
    *revoke = (struct revoke_command){
        .schedule_id = one ? newest->schedule_id : pick(random, arena, "schedule-", 40, ""),
        .actor = slice_of("root"),
        .reason = pick(random, arena, "reason ", 10, ""),
        .token = one ? newest->token : 0,
        .force = sample_below(random, 3) == 0,
    };
}

static void pick_command(struct sample_random *random, struct arena *arena, const struct release_command *newest,
                         uint32_t rules_version, struct command *command)
{
    uint64_t choice = sample_below(random, rules_version < RULES_VERSION_GROUPS ? 16 : 24);
    *command = (struct command){.kind = COMMAND_NOOP};
    if (choice >= 16) {
        pick_newer(random, arena, newest, command);
    } else if (choice < 8) {
        command->kind = COMMAND_ACQUIRE;
        pick_acquire(random, arena, &command->acquire);
    } else if (choice < 11 && slice_is_present(newest->schedule_id)) {
        command->kind = COMMAND_RELEASE;
        command->release = *newest;
        command->release.has_outcome = true;
        command->release.outcome = (enum run_outcome)(RUN_SUCCEEDED + sample_below(random, 3));
    } else if (choice < 13) {
        command->kind = COMMAND_PUT_SCHEDULE;
        pick_put(random, arena, &command->put_schedule);
    } else if (choice < 15) {
        command->kind = COMMAND_REVOKE;
        pick_revoke(random, arena, newest, &command->revoke);
    } else {
        command->kind = COMMAND_DELETE_SCHEDULE;
        command->delete_schedule.schedule_id = pick(random, arena, "schedule-", 40, "");
    }
}

static void apply_one(struct lock_table *table, const struct apply_context *context, const struct command *command,
                      struct outcome *outcome)
{
    lock_table_advance(table, context);
    lock_table_apply(table, context, command, outcome);
}

/* One entry's command for all `tables`, whose outcomes must agree. `newest` remembers the last grant. */
static void step(struct sample_random *random, uint64_t index, struct lock_table *const *tables, size_t n_tables,
                 struct release_command *newest)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct apply_context context = {
        .index = index, .now_ms = index * 1000 + sample_below(random, 900), .wall_ms = (int64_t)index * 1000};
    struct lock_table_counts counts;
    lock_table_count(tables[0], &counts);
    struct command command;
    pick_command(random, &arena, newest, counts.rules_version, &command);
    struct outcome first;
    apply_one(tables[0], &context, &command, &first);
    for (size_t i = 1; i < n_tables; i++) {
        struct outcome other;
        apply_one(tables[i], &context, &command, &other);
        assert_outcome_equal(&first, &other);
    }
    if (command.kind == COMMAND_ACQUIRE && first.code == OUTCOME_DONE) {
        free((void *)newest->schedule_id.base);
        newest->schedule_id.base = exact_copy(first.grant.schedule_id.base, first.grant.schedule_id.len);
        newest->schedule_id.len = first.grant.schedule_id.len;
        newest->token = first.grant.token;
    }
    arena_close(&arena);
}

static struct lock_table *copy_by_snapshot(struct lock_table *table)
{
    struct lock_table *copy = lock_table_open();
    struct lock_table_frozen *frozen = lock_table_freeze(table);
    struct snapshot_encoder *encoder = snapshot_encoder_open(frozen);
    struct snapshot_decoder *decoder = snapshot_decoder_open(copy);
    struct buffer chunk;
    buffer_init(&chunk);
    while (snapshot_encoder_next(encoder, &chunk)) {
        assert_int_equal(snapshot_decoder_chunk(decoder, buffer_slice(&chunk), NULL), ERROR_NONE);
    }
    assert_int_equal(snapshot_decoder_finish(decoder, NULL), ERROR_NONE);
    buffer_close(&chunk);
    snapshot_decoder_close(decoder);
    snapshot_encoder_close(encoder);
    lock_table_thaw(table, frozen);
    return copy;
}

static void assert_same(struct lock_table *a, struct lock_table *b)
{
    struct digest128 first = lock_table_digest(a);
    struct digest128 second = lock_table_digest(b);
    assert_true(digest128_equal(&first, &second));
    struct lock_table_counts counts_a;
    struct lock_table_counts counts_b;
    lock_table_count(a, &counts_a);
    lock_table_count(b, &counts_b);
    assert_int_equal(counts_a.schedules, counts_b.schedules);
    assert_int_equal(counts_a.policies, counts_b.policies);
    assert_int_equal(counts_a.held, counts_b.held);
    assert_int_equal(counts_a.groups, counts_b.groups);
    assert_int_equal(counts_a.freezes, counts_b.freezes);
    assert_int_equal(counts_a.rules_version, counts_b.rules_version);
    assert_int_equal(counts_a.state_bytes, counts_b.state_bytes);
    assert_int_equal(counts_a.next_token, counts_b.next_token);
    assert_int_equal(lock_table_next_deadline(a), lock_table_next_deadline(b));
    assert_int_equal(lock_table_next_lock_deadline(a), lock_table_next_lock_deadline(b));
    lock_table_check(b);
}

/* What this seed made is enough to be worth a test. */
static void assert_worth_while(struct lock_table *table)
{
    struct lock_table_counts counts;
    lock_table_count(table, &counts);
    assert_true(counts.held > 0 && counts.policies > 0);
    assert_true(counts.rules_version < RULES_VERSION_GROUPS || (counts.groups > 0 && counts.freezes > 0));
}

static void go_there_and_back(uint64_t seed, uint32_t rules_version)
{
    struct sample_random random = {.state = seed};
    struct release_command newest = {.token = 0};
    struct lock_table *tables[2] = {lock_table_open(), NULL};
    struct outcome outcome;
    apply_one(tables[0], &(struct apply_context){.index = 1},
              &(struct command){.kind = COMMAND_RULES, .rules = {.version = rules_version}}, &outcome);
    uint64_t index = 2;
    for (; index <= 600; index++) {
        step(&random, index, tables, 1, &newest);
    }
    assert_worth_while(tables[0]);
    tables[1] = copy_by_snapshot(tables[0]);
    assert_same(tables[0], tables[1]);
    for (; index <= 900; index++) {
        step(&random, index, tables, 2, &newest);
    }
    assert_same(tables[0], tables[1]);
    free((void *)newest.schedule_id.base);
    lock_table_close(tables[0]);
    lock_table_close(tables[1]);
}

static void a_loaded_table_is_the_same_and_goes_on_the_same(void **state)
{
    (void)state;
    for (uint32_t rules_version = RULES_VERSION_FIRST; rules_version <= RULES_VERSION_GROUPS; rules_version++) {
        for (uint64_t seed = 1; seed <= 8; seed++) {
            go_there_and_back(seed, rules_version);
        }
    }
}

/* A table that was loaded under rules 1 raises them like any other. */
static void a_table_loaded_from_format_1_takes_groups_once_its_rules_are_raised(void **state)
{
    (void)state;
    struct lock_table *table = lock_table_open();
    struct lock_table *copy = copy_by_snapshot(table);
    struct outcome outcome;
    const struct apply_context context = {.index = 1, .now_ms = 1};
    const struct command put = {.kind = COMMAND_PUT_GROUP, .put_group = {.name = slice_of("db"), .slots = 1}};
    apply_one(copy, &context, &(struct command){.kind = COMMAND_RULES, .rules = {.version = RULES_VERSION_GROUPS}},
              &outcome);
    apply_one(copy, &context, &put, &outcome);
    assert_int_equal(outcome.code, OUTCOME_DONE);
    struct lock_table *second = copy_by_snapshot(copy);
    assert_same(copy, second);
    lock_table_close(table);
    lock_table_close(copy);
    lock_table_close(second);
}

static void an_empty_table_comes_back(void **state)
{
    (void)state;
    struct lock_table *table = lock_table_open();
    struct lock_table *copy = copy_by_snapshot(table);
    assert_same(table, copy);
    lock_table_close(table);
    lock_table_close(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loaded_table_is_the_same_and_goes_on_the_same),
        cmocka_unit_test(a_table_loaded_from_format_1_takes_groups_once_its_rules_are_raised),
        cmocka_unit_test(an_empty_table_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
