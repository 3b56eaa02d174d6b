/* Cluster time: when locks end, when schedules are forgotten, and what the clock may not do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "base/limits.h"
#include "core/table.h"

static void a_lock_ends_at_its_deadline_and_not_a_millisecond_before(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
    uint64_t deadline_ms = f.now_ms + MINUTE_MS;
    assert_int_equal(lock_table_next_deadline(f.table), deadline_ms);
    f.now_ms = deadline_ms - 1;
    const struct outcome *outcome = fixture_acquire(&f, (struct ask){.holder = "b", .ttl_ms = MINUTE_MS});
    expect_code(outcome, OUTCOME_LOCK_HELD);
    assert_int_equal(outcome->holders[0].remaining_ms, 1);
    assert_int_equal(fixture_count(&f).expirations, 0);
    f.now_ms = deadline_ms;
    assert_true(fixture_grant(&f, (struct ask){.holder = "b", .ttl_ms = MINUTE_MS}) > token);
    assert_int_equal(fixture_count(&f).expirations, 1);
    fixture_close(&f);
}

static void a_tick_ends_a_lock(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    (void)fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
    f.now_ms += MINUTE_MS;
    fixture_tick(&f);
    struct schedule_view view;
    lock_table_view(f.table, slice_of("job"), &view);
    assert_int_equal(view.n_holders, 0);
    assert_int_equal(view.last_run.outcome, RUN_EXPIRED);
    assert_int_equal(view.last_run.ended_wall_ms, f.context.wall_ms);
    assert_int_equal(fixture_count(&f).held, 0);
    fixture_close(&f);
}

static void time_never_goes_back(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    f.now_ms = 100000;
    (void)fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
    f.now_ms = 5; /* a new leader that knows less */
    fixture_tick(&f);
    assert_int_equal(fixture_count(&f).now_ms, 100000);
    const struct outcome *outcome = fixture_acquire(&f, (struct ask){.ttl_ms = MINUTE_MS});
    assert_int_equal(outcome->holders[0].remaining_ms, MINUTE_MS);
    uint64_t token = fixture_grant(&f, (struct ask){.id = "other", .ttl_ms = MINUTE_MS});
    expect_code(fixture_renew(&f, "other", token, 0), OUTCOME_DONE);
    assert_int_equal(lock_table_next_deadline(f.table), 160000);
    fixture_close(&f);
}

static void no_wall_clock_decides(void **state)
{
    (void)state;
    static const int64_t walls[] = {INT64_MIN, -1, 0, INT64_MAX};
    struct command command = {.kind = COMMAND_ACQUIRE};
    command.acquire = (struct acquire_command){.schedule_id = slice_of("job"),
                                               .holder = slice_of("h"),
                                               .idempotency_key = slice_of("k"),
                                               .has_ttl = true,
                                               .ttl_ms = MINUTE_MS};
    for (size_t i = 0; i < 4; i++) {
        struct lock_table *table = lock_table_open();
        struct apply_context context = {.index = 1, .now_ms = 7, .wall_ms = walls[i]};
        struct outcome outcome;
        lock_table_advance(table, &context);
        lock_table_apply(table, &context, &command, &outcome);
        expect_code(&outcome, OUTCOME_DONE);
        context = (struct apply_context){.index = 2, .now_ms = 7 + MINUTE_MS - 1, .wall_ms = walls[3 - i]};
        lock_table_advance(table, &context);
        lock_table_check(table);
        assert_int_equal(lock_table_next_deadline(table), 7 + MINUTE_MS);
        context = (struct apply_context){.index = 3, .now_ms = 7 + MINUTE_MS, .wall_ms = walls[i]};
        lock_table_advance(table, &context);
        lock_table_check(table);
        struct lock_table_counts counts;
        lock_table_count(table, &counts);
        assert_int_equal(counts.held, 0);
        struct lock_table *copy = table_copy(table);
        expect_equal_digests(table, copy);
        lock_table_close(copy);
        lock_table_close(table);
    }
}

static void the_end_of_time_does_not_wrap(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    f.now_ms = UINT64_MAX;
    uint64_t token = fixture_grant(&f, (struct ask){.ttl_ms = LIMIT_TTL_MS});
    expect_code(fixture_renew(&f, "job", token, 0), OUTCOME_DONE);
    assert_int_equal(f.outcome.grant.remaining_ms, LIMIT_TTL_MS);
    expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_DONE);
    struct lock_table *copy = table_copy(f.table);
    expect_equal_digests(f.table, copy);
    lock_table_close(copy);
    fixture_close(&f);
}

/* Many locks whose deadlines are met in another order than they were granted in, some at once. */
static void locks_end_in_the_order_of_their_deadlines(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    enum { LOCKS = 300 };
    uint64_t granted_ms = f.now_ms;
    for (uint64_t i = 0; i < LOCKS; i++) {
        const char id[4] = {(char)('a' + i % 26), (char)('a' + i / 26), 0};
        (void)fixture_grant(&f, (struct ask){.id = id, .ttl_ms = MINUTE_MS + i * 7919 % 100});
    }
    for (uint64_t step = 0; step < 100; step++) {
        assert_int_equal(lock_table_next_deadline(f.table), granted_ms + MINUTE_MS + step);
        f.now_ms = granted_ms + MINUTE_MS + step;
        fixture_tick(&f);
        assert_int_equal(fixture_count(&f).expirations, (step + 1) * LOCKS / 100);
    }
    assert_int_equal(fixture_count(&f).held, 0);
    fixture_close(&f);
}

/* Nothing that can be asked for shows this order yet; events will. So the heap itself is looked at. */
static void of_equal_deadlines_the_older_grant_goes_first(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    static const char *const ids[] = {"q", "a", "z", "m", "b", "y", "c", "x"};
    for (uint64_t i = 0; i < 8; i++) {
        assert_int_equal(fixture_grant(&f, (struct ask){.id = ids[i], .ttl_ms = MINUTE_MS}), i + 1);
    }
    expect_code(fixture_renew(&f, ids[3], 4, 2 * MINUTE_MS), OUTCOME_DONE); /* out of its place, and back */
    expect_code(fixture_renew(&f, ids[3], 4, MINUTE_MS), OUTCOME_DONE);
    for (uint64_t i = 0; i < 8; i++) {
        assert_int_equal(f.table->heap[0].due.token, i + 1);
        expect_code(fixture_release(&f, ids[i], i + 1, RUN_SUCCEEDED), OUTCOME_DONE);
    }
    fixture_close(&f);
}

static void all_that_is_over_ends_in_one_entry(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    (void)fixture_grant(&f, (struct ask){.id = "a", .ttl_ms = MINUTE_MS});
    (void)fixture_grant(&f, (struct ask){.id = "b", .ttl_ms = 2 * MINUTE_MS});
    (void)fixture_grant(&f, (struct ask){.id = "c", .ttl_ms = HOUR_MS});
    f.now_ms += 3 * MINUTE_MS;
    fixture_tick(&f);
    assert_int_equal(fixture_count(&f).held, 1);
    assert_int_equal(fixture_count(&f).expirations, 2);
    fixture_close(&f);
}

static void a_schedule_is_forgotten_forty_days_after_its_last_run(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    assert_int_equal(lock_table_next_deadline(f.table), UINT64_MAX);
    (void)fixture_run(&f, "2026-01-01T00:00:00Z", RUN_SUCCEEDED);
    f.now_ms += 5000;
    uint64_t token = fixture_run(&f, "x", RUN_FAILED);
    uint64_t forget_ms = f.now_ms + LIMIT_FORGET_MS;
    assert_int_equal(lock_table_next_deadline(f.table), forget_ms);
    f.now_ms = forget_ms - 1;
    fixture_tick(&f);
    expect_code(fixture_acquire(&f, (struct ask){.occurrence = "x", .ttl_ms = MINUTE_MS}), OUTCOME_ATTEMPTS_EXHAUSTED);
    f.now_ms = forget_ms;
    fixture_tick(&f);
    assert_int_equal(fixture_count(&f).schedules, 0);
    assert_int_equal(fixture_count(&f).state_bytes, 0);
    assert_int_equal(fixture_count(&f).expirations, 0);
    assert_int_equal(lock_table_next_deadline(f.table), UINT64_MAX);
    expect_code(fixture_release(&f, "job", token, RUN_FAILED), OUTCOME_LOCK_LOST);
    uint64_t again = fixture_grant(&f, (struct ask){.occurrence = "x", .ttl_ms = MINUTE_MS});
    assert_true(again > token); /* tokens aren't forgotten */
    fixture_close(&f);
}

static void the_end_of_the_next_lock_is_told_apart_from_forgetting(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    assert_int_equal(lock_table_next_lock_deadline(f.table), UINT64_MAX);
    (void)fixture_run(&f, "x", RUN_SUCCEEDED);
    uint64_t forget_ms = f.now_ms + LIMIT_FORGET_MS;
    assert_int_equal(lock_table_next_lock_deadline(f.table), UINT64_MAX);
    assert_int_equal(lock_table_next_deadline(f.table), forget_ms);
    (void)fixture_grant(&f, (struct ask){.id = "other", .ttl_ms = MINUTE_MS});
    assert_int_equal(lock_table_next_lock_deadline(f.table), f.now_ms + MINUTE_MS);
    assert_int_equal(lock_table_next_deadline(f.table), f.now_ms + MINUTE_MS);
    f.now_ms = forget_ms - 1000; /* it ends, is granted again, and now "job" goes first */
    fixture_tick(&f);
    uint64_t token = fixture_grant(&f, (struct ask){.id = "other", .ttl_ms = MINUTE_MS});
    assert_int_equal(lock_table_next_deadline(f.table), forget_ms);
    assert_int_equal(lock_table_next_lock_deadline(f.table), f.now_ms + MINUTE_MS);
    expect_code(fixture_release(&f, "other", token, RUN_SUCCEEDED), OUTCOME_DONE);
    assert_int_equal(lock_table_next_lock_deadline(f.table), UINT64_MAX);
    assert_int_equal(lock_table_next_deadline(f.table), forget_ms);
    fixture_close(&f);
}

/* The order of forgetting keeps the low bits of the instants only: those that wait may lie on both sides of where they
 * begin again. */
static void schedules_are_forgotten_in_order_wherever_the_clock_stands(void **state)
{
    (void)state;
    static const uint64_t times_ms[] = {1, (1ull << 40) - LIMIT_FORGET_MS - 500, (1ull << 39) - LIMIT_FORGET_MS - 500,
                                        (7ull << 40) - LIMIT_FORGET_MS - 500};
    static const char *const ids[] = {"q", "a", "z", "m", "b", "y"};
    for (size_t i = 0; i < sizeof times_ms / sizeof times_ms[0]; i++) {
        struct fixture f;
        fixture_open(&f);
        f.now_ms = times_ms[i];
        for (size_t j = 0; j < 6; j++) {
            uint64_t token = fixture_grant(&f, (struct ask){.id = ids[j], .ttl_ms = MINUTE_MS});
            expect_code(fixture_release(&f, ids[j], token, RUN_SUCCEEDED), OUTCOME_DONE);
            f.now_ms += 300;
        }
        struct lock_table *copy = table_copy(f.table);
        lock_table_close(f.table);
        f.table = copy;
        for (size_t j = 0; j < 6; j++) {
            assert_int_equal(lock_table_next_deadline(f.table), times_ms[i] + j * 300 + LIMIT_FORGET_MS);
            f.now_ms = lock_table_next_deadline(f.table);
            fixture_tick(&f);
            assert_int_equal(fixture_count(&f).schedules, 5 - j);
            struct schedule_view view;
            lock_table_view(f.table, slice_of(ids[j]), &view);
            assert_false(view.has_last_run);
        }
        fixture_close(&f);
    }
}

static void the_floor_is_forgotten_with_the_schedule(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    for (int day = 1; day <= 28; day++) {
        for (int hour = 0; hour < 3; hour++) {
            char name[] = "2026-01-00T00:00:00Z";
            name[8] = (char)('0' + day / 10);
            name[9] = (char)('0' + day % 10);
            name[12] = (char)('0' + hour);
            (void)fixture_run(&f, name, RUN_SUCCEEDED);
        }
    }
    struct ask first = {.occurrence = "2026-01-01T00:00:00Z", .ttl_ms = MINUTE_MS};
    expect_code(fixture_acquire(&f, first), OUTCOME_OCCURRENCE_DONE);
    f.now_ms += LIMIT_FORGET_MS;
    (void)fixture_grant(&f, first);
    fixture_close(&f);
}

static void a_held_schedule_is_never_forgotten(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    (void)fixture_run(&f, "x", RUN_SUCCEEDED);
    uint64_t token = fixture_grant(&f, (struct ask){.ttl_ms = LIMIT_TTL_MS});
    for (int i = 0; i < 8; i++) {
        f.now_ms += LIMIT_TTL_MS - 1;
        expect_code(fixture_renew(&f, "job", token, 0), OUTCOME_DONE);
    }
    expect_code(fixture_acquire(&f, (struct ask){.occurrence = "x", .ttl_ms = MINUTE_MS}), OUTCOME_OCCURRENCE_DONE);
    f.now_ms += LIMIT_TTL_MS + 123; /* it ends late, and its forty days count from there */
    fixture_tick(&f);
    assert_int_equal(lock_table_next_deadline(f.table), f.now_ms + LIMIT_FORGET_MS);
    fixture_close(&f);
}

static void a_leap_over_all_deadlines_ends_first_and_forgets_later(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    (void)fixture_grant(&f, (struct ask){.id = "held", .ttl_ms = MINUTE_MS});
    uint64_t token = fixture_grant(&f, (struct ask){.id = "idle", .ttl_ms = MINUTE_MS});
    expect_code(fixture_release(&f, "idle", token, RUN_SUCCEEDED), OUTCOME_DONE);
    f.now_ms += 2 * LIMIT_FORGET_MS;
    fixture_tick(&f);
    assert_int_equal(fixture_count(&f).schedules, 1);
    assert_int_equal(lock_table_next_deadline(f.table), f.now_ms + LIMIT_FORGET_MS);
    fixture_close(&f);
}

static void a_leader_raises_the_member_ids_and_nothing_lowers_them(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    assert_int_equal(fixture_count(&f).next_member_id, 1);
    static const uint64_t floors[] = {4, 2, 0, 9};
    static const uint64_t expected[] = {4, 4, 4, 9};
    for (size_t i = 0; i < 4; i++) {
        struct command command = {.kind = COMMAND_LEADER, .leader = {.member_id_floor = floors[i]}};
        expect_code(fixture_apply(&f, &command), OUTCOME_DONE);
        assert_int_equal(fixture_count(&f).next_member_id, expected[i]);
    }
    fixture_close(&f);
}

static void the_counts_are_those_of_the_last_entry(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    assert_int_equal(fixture_count(&f).index, 0);
    assert_int_equal(fixture_count(&f).next_token, 1);
    assert_int_equal(fixture_count(&f).rules_version, RULES_VERSION_FIRST);
    fixture_tick(&f);
    fixture_tick(&f);
    assert_int_equal(fixture_count(&f).index, 2);
    assert_int_equal(fixture_count(&f).now_ms, f.now_ms);
    assert_int_equal(fixture_count(&f).wall_ms, f.context.wall_ms);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lock_ends_at_its_deadline_and_not_a_millisecond_before),
        cmocka_unit_test(a_tick_ends_a_lock),
        cmocka_unit_test(time_never_goes_back),
        cmocka_unit_test(no_wall_clock_decides),
        cmocka_unit_test(the_end_of_time_does_not_wrap),
        cmocka_unit_test(locks_end_in_the_order_of_their_deadlines),
        cmocka_unit_test(of_equal_deadlines_the_older_grant_goes_first),
        cmocka_unit_test(all_that_is_over_ends_in_one_entry),
        cmocka_unit_test(a_schedule_is_forgotten_forty_days_after_its_last_run),
        cmocka_unit_test(the_end_of_the_next_lock_is_told_apart_from_forgetting),
        cmocka_unit_test(schedules_are_forgotten_in_order_wherever_the_clock_stands),
        cmocka_unit_test(the_floor_is_forgotten_with_the_schedule),
        cmocka_unit_test(a_held_schedule_is_never_forgotten),
        cmocka_unit_test(a_leap_over_all_deadlines_ends_first_and_forgets_later),
        cmocka_unit_test(a_leader_raises_the_member_ids_and_nothing_lowers_them),
        cmocka_unit_test(the_counts_are_those_of_the_last_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
