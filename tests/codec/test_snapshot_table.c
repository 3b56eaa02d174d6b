/* Snapshots of the lock table itself: a table that was loaded from one is the same table, and goes on the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/snapshot.h"
#include "core/lock_table.h"
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
                         struct command *command)
{
    uint64_t choice = sample_below(random, 16);
    *command = (struct command){.kind = COMMAND_NOOP};
    if (choice < 8) {
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
    struct command command;
    pick_command(random, &arena, newest, &command);
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
    assert_int_equal(counts_a.state_bytes, counts_b.state_bytes);
    assert_int_equal(counts_a.next_token, counts_b.next_token);
    assert_int_equal(lock_table_next_deadline(a), lock_table_next_deadline(b));
    assert_int_equal(lock_table_next_lock_deadline(a), lock_table_next_lock_deadline(b));
    lock_table_check(b);
}

static void a_loaded_table_is_the_same_and_goes_on_the_same(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct sample_random random = {.state = seed};
        struct release_command newest = {.token = 0};
        struct lock_table *tables[2] = {lock_table_open(), NULL};
        uint64_t index = 1;
        for (; index <= 600; index++) {
            step(&random, index, tables, 1, &newest);
        }
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
        cmocka_unit_test(an_empty_table_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
