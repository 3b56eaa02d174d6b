/* What the table refuses for want of room, and what it never refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "core/table.h"

#include <stdio.h>

static void without_growth_nothing_is_granted_and_the_rest_goes_on(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    const struct ask asked = {.key = "k", .occurrence = "x", .ttl_ms = MINUTE_MS};
    uint64_t token = fixture_grant(&f, asked);
    f.no_growth = true;
    expect_code(fixture_acquire(&f, (struct ask){.id = "new", .ttl_ms = MINUTE_MS}), OUTCOME_CAPACITY);
    expect_code(fixture_acquire(&f, asked), OUTCOME_DONE);
    expect_code(fixture_renew(&f, "job", token, 0), OUTCOME_DONE);
    expect_code(fixture_release(&f, "job", token, RUN_FAILED), OUTCOME_DONE);
    expect_code(fixture_acquire(&f, (struct ask){.ttl_ms = MINUTE_MS}), OUTCOME_CAPACITY);
    expect_code(fixture_acquire(&f, (struct ask){.occurrence = "x", .ttl_ms = MINUTE_MS}), OUTCOME_ATTEMPTS_EXHAUSTED);
    f.no_growth = false;
    (void)fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
    assert_int_equal(fixture_count(&f).schedules, 1);
    fixture_close(&f);
}

/* A gigabyte of state isn't built here: the sum is set to where the next grant just fits, or just doesn't. */
static void a_grant_must_fit_into_the_counted_bytes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    (void)fixture_run(&f, "x", RUN_SUCCEEDED);
    uint64_t before = fixture_count(&f).state_bytes;
    const struct ask asked = {
        .id = "four", .holder = "h", .key = "key", .occurrence = "o", .metadata = "{}", .ttl_ms = MINUTE_MS};
    uint64_t token = fixture_grant(&f, asked);
    uint64_t growth = fixture_count(&f).state_bytes - before;
    assert_int_equal(growth, COUNTED_SCHEDULE_BYTES + 4 + COUNTED_GRANT_BYTES + 2 + COUNTED_RUN_BYTES + 1 + 3 + 1 +
                                 COUNTED_OCCURRENCE_BYTES + 1);
    expect_code(fixture_release(&f, "four", token, RUN_SUCCEEDED), OUTCOME_DONE);
    assert_int_equal(fixture_count(&f).state_bytes, before + growth - COUNTED_GRANT_BYTES - 2);

    struct ask other = asked;
    other.id = "five";
    struct command command = {.kind = COMMAND_ACQUIRE};
    command.acquire = (struct acquire_command){.schedule_id = slice_of(other.id),
                                               .holder = slice_of(other.holder),
                                               .idempotency_key = slice_of(other.key),
                                               .occurrence = slice_of(other.occurrence),
                                               .metadata = slice_of(other.metadata),
                                               .has_ttl = true,
                                               .ttl_ms = MINUTE_MS};
    uint64_t real = f.table->state_bytes;
    f.table->state_bytes = LIMIT_STATE_BYTES - growth + 1;
    lock_table_apply(f.table, &f.context, &command, &f.outcome);
    expect_code(&f.outcome, OUTCOME_CAPACITY);
    f.table->state_bytes = LIMIT_STATE_BYTES - growth;
    lock_table_apply(f.table, &f.context, &command, &f.outcome);
    expect_code(&f.outcome, OUTCOME_DONE);
    assert_int_equal(f.table->state_bytes, LIMIT_STATE_BYTES);
    struct command release = {.kind = COMMAND_RELEASE};
    release.release = (struct release_command){
        .schedule_id = slice_of(other.id), .token = f.outcome.grant.token, .has_outcome = true, .outcome = RUN_FAILED};
    lock_table_apply(f.table, &f.context, &release, &f.outcome);
    expect_code(&f.outcome, OUTCOME_DONE);
    f.table->state_bytes += real - (LIMIT_STATE_BYTES - growth);
    lock_table_check(f.table);
    fixture_close(&f);
}

static void the_last_token_is_granted_and_none_after_it(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct table_image numbers = {.next_token = LIMIT_NUMBER_MAX, .next_member_id = 1, .rules_version = 1};
    assert_int_equal(lock_table_load_table(f.table, &numbers), ERROR_NONE);
    uint64_t token = fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
    assert_int_equal(token, LIMIT_NUMBER_MAX);
    expect_code(fixture_acquire(&f, (struct ask){.id = "other", .ttl_ms = MINUTE_MS}), OUTCOME_CAPACITY);
    expect_code(fixture_renew(&f, "job", token, 0), OUTCOME_DONE);
    expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_DONE);
    fixture_close(&f);
}

static void apply_acquire_of(struct fixture *f, uint64_t number, const char *key)
{
    char id[32];
    (void)snprintf(id, sizeof id, "schedule-%llu", (unsigned long long)number);
    struct command command = {.kind = COMMAND_ACQUIRE};
    command.acquire = (struct acquire_command){.schedule_id = slice_of(id),
                                               .holder = slice_of("h"),
                                               .idempotency_key = slice_of(key),
                                               .occurrence = slice_of("2026-01-01T00:00:00Z"),
                                               .has_ttl = true,
                                               .ttl_ms = MINUTE_MS};
    lock_table_apply(f->table, &f->context, &command, &f->outcome);
}

static void a_million_schedules_are_remembered_and_not_one_more(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_tick(&f);
    for (uint64_t i = 0; i < LIMIT_SCHEDULES; i++) {
        apply_acquire_of(&f, i * 7919 % LIMIT_SCHEDULES, "k");
        CHECK(f.outcome.code == OUTCOME_DONE);
    }
    apply_acquire_of(&f, LIMIT_SCHEDULES, "k");
    expect_code(&f.outcome, OUTCOME_CAPACITY);
    apply_acquire_of(&f, 5, "k");
    expect_code(&f.outcome, OUTCOME_DONE);
    assert_true(f.outcome.repeated);
    lock_table_check(f.table);
    assert_int_equal(fixture_count(&f).held, LIMIT_SCHEDULES);
    struct schedule_image image; /* nor is one more read from a snapshot */
    struct lock_table_frozen *frozen = lock_table_freeze(f.table);
    assert_int_equal(lock_table_frozen_schedules(frozen), LIMIT_SCHEDULES);
    assert_true(lock_table_frozen_next(frozen, &image));
    image.id = slice_of("one-more");
    assert_int_equal(lock_table_load_schedule(f.table, &image), ERROR_CORRUPT);
    lock_table_thaw(f.table, frozen);

    f.now_ms += MINUTE_MS; /* all end in one entry */
    f.context = (struct apply_context){.index = 9, .now_ms = f.now_ms};
    lock_table_advance(f.table, &f.context);
    assert_int_equal(fixture_count(&f).held, 0);
    apply_acquire_of(&f, LIMIT_SCHEDULES, "k");
    expect_code(&f.outcome, OUTCOME_CAPACITY); /* they are remembered still */
    f.now_ms += LIMIT_FORGET_MS;
    f.context = (struct apply_context){.index = 10, .now_ms = f.now_ms};
    lock_table_advance(f.table, &f.context);
    assert_int_equal(fixture_count(&f).schedules, 0);
    lock_table_check(f.table);
    apply_acquire_of(&f, LIMIT_SCHEDULES, "k");
    expect_code(&f.outcome, OUTCOME_DONE);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_growth_nothing_is_granted_and_the_rest_goes_on),
        cmocka_unit_test(a_grant_must_fit_into_the_counted_bytes),
        cmocka_unit_test(the_last_token_is_granted_and_none_after_it),
        cmocka_unit_test(a_million_schedules_are_remembered_and_not_one_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
