/* Schedules with several slots: who gets one, how they end, and what of their runs and occurrences is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "base/limits.h"
#include "core/table.h"

#include <stdio.h>
#include <string.h>

static void as_many_holders_as_slots_have_one(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_slots(&f, 3);
    static const uint64_t ttls_ms[] = {3 * MINUTE_MS, MINUTE_MS, 2 * MINUTE_MS};
    static const char *const holders[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        (void)fixture_grant(
            &f, (struct ask){.holder = holders[i], .ttl_ms = ttls_ms[i], .metadata = "{}", .occurrence = holders[i]});
    }
    const struct outcome *outcome = fixture_acquire(&f, (struct ask){.holder = "d", .ttl_ms = MINUTE_MS});
    expect_code(outcome, OUTCOME_LOCK_HELD);
    assert_int_equal(outcome->n_holders, 3);
    static const char *const by_end[] = {"b", "c", "a"};
    for (size_t i = 0; i < 3; i++) {
        expect_text(outcome->holders[i].holder, by_end[i]);
        expect_text(outcome->holders[i].occurrence, by_end[i]);
        expect_text(outcome->holders[i].metadata, NULL); /* with many slots it would be most of the answer */
        assert_int_equal(outcome->holders[i].remaining_ms, (i + 1) * MINUTE_MS);
    }
    struct schedule_view view;
    lock_table_view(f.table, slice_of("job"), &view);
    assert_int_equal(view.n_holders, 3);
    expect_text(view.holders[0].holder, "b");
    expect_text(view.holders[0].metadata, "{}");
    assert_int_equal(fixture_count(&f).held, 3);
    fixture_close(&f);
}

static void a_holder_has_one_slot_at_most(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_slots(&f, 3);
    uint64_t a = fixture_take(&f, "a");
    (void)fixture_take(&f, "b");
    for (int i = 0; i < 2; i++) {
        expect_code(fixture_acquire(&f, (struct ask){.holder = i == 0 ? "a" : "b", .ttl_ms = MINUTE_MS}),
                    OUTCOME_LOCK_HELD);
        assert_int_equal(f.outcome.n_holders, 2);
    }
    expect_code(fixture_release(&f, "job", a, RUN_SUCCEEDED), OUTCOME_DONE);
    (void)fixture_take(&f, "a");
    fixture_close(&f);
}

static void an_occurrence_runs_once_at_a_time_whatever_the_slots(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct policy policy = policy_default();
    policy.slots = 3;
    policy.max_attempts = 3;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
    uint64_t token = fixture_grant(&f, (struct ask){.holder = "a", .occurrence = "x", .ttl_ms = MINUTE_MS});
    struct ask again = {.holder = "b", .occurrence = "x", .ttl_ms = MINUTE_MS};
    expect_code(fixture_acquire(&f, again), OUTCOME_LOCK_HELD);
    again.occurrence = "y";
    (void)fixture_grant(&f, again);
    expect_code(fixture_release(&f, "job", token, RUN_FAILED), OUTCOME_DONE);
    again.occurrence = "x";
    again.holder = "c";
    (void)fixture_grant(&f, again);
    fixture_close(&f);
}

static void lowered_slots_stop_only_new_grants(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_slots(&f, 4);
    uint64_t first = fixture_take_many(&f, 4);
    fixture_slots(&f, 2);
    for (uint64_t token = first; token < first + 4; token++) {
        expect_code(fixture_renew(&f, "job", token, 0), OUTCOME_DONE);
    }
    for (uint64_t token = first; token < first + 3; token++) {
        expect_code(fixture_acquire(&f, (struct ask){.holder = "new", .ttl_ms = MINUTE_MS}), OUTCOME_LOCK_HELD);
        expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_DONE);
    }
    (void)fixture_take(&f, "new"); /* one of two is left */
    expect_code(fixture_delete(&f, "job"), OUTCOME_DONE);
    expect_code(fixture_acquire(&f, (struct ask){.holder = "more", .ttl_ms = MINUTE_MS}), OUTCOME_LOCK_HELD);
    assert_int_equal(fixture_count(&f).held, 2);
    fixture_close(&f);
}

static void each_slot_has_its_own_deadline(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_slots(&f, 3);
    uint64_t granted_ms = f.now_ms;
    uint64_t a = fixture_grant(&f, (struct ask){.holder = "a", .ttl_ms = 3 * MINUTE_MS});
    uint64_t b = fixture_grant(&f, (struct ask){.holder = "b", .ttl_ms = MINUTE_MS});
    uint64_t c = fixture_grant(&f, (struct ask){.holder = "c", .ttl_ms = 2 * MINUTE_MS});
    assert_int_equal(lock_table_next_lock_deadline(f.table), granted_ms + MINUTE_MS);
    expect_code(fixture_renew(&f, "job", b, 4 * MINUTE_MS), OUTCOME_DONE);
    assert_int_equal(lock_table_next_lock_deadline(f.table), granted_ms + 2 * MINUTE_MS);
    f.now_ms = granted_ms + 2 * MINUTE_MS;
    fixture_tick(&f);
    assert_int_equal(fixture_kept_run(&f, c).outcome, RUN_EXPIRED);
    assert_int_equal(fixture_kept_run(&f, a).outcome, RUN_RUNNING);
    assert_int_equal(lock_table_next_lock_deadline(f.table), granted_ms + 3 * MINUTE_MS);
    expect_code(fixture_renew(&f, "job", c, 0), OUTCOME_LOCK_LOST);
    assert_int_equal(f.outcome.n_holders, 1);
    assert_int_equal(f.outcome.holders[0].token, a);
    assert_int_equal(fixture_count(&f).expirations, 1);
    fixture_close(&f);
}

/* No answer shows this order yet; so the heap itself is looked at. */
static void of_slots_that_end_at_once_the_older_goes_first(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_slots(&f, 5);
    uint64_t first = fixture_take_many(&f, 5);
    for (uint64_t token = first; token < first + 5; token++) {
        assert_int_equal(f.table->heap[0].due.token, token);
        expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_DONE);
    }
    fixture_close(&f);
}

/* Several schedules whose grants end in turn: what is due of one goes no further than the first of the other. */
static void grants_of_several_schedules_end_in_one_entry(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct policy policy = policy_default();
    policy.slots = LIMIT_SLOTS;
    static const char *const ids[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        expect_code(fixture_put(&f, ids[i], policy), OUTCOME_DONE);
    }
    for (unsigned i = 0; i < 60; i++) {
        char holder[16];
        (void)snprintf(holder, sizeof holder, "h%u", i);
        (void)fixture_grant(&f, (struct ask){.id = ids[i * 7 % 3],
                                             .holder = holder,
                                             .ttl_ms = MINUTE_MS + i * 31 % 50,
                                             .metadata = i % 2 == 0 ? NULL : "{}"});
    }
    f.now_ms += MINUTE_MS + 24;
    fixture_tick(&f);
    assert_int_equal(fixture_count(&f).expirations, 30);
    f.now_ms += 25;
    fixture_tick(&f);
    assert_int_equal(fixture_count(&f).expirations, 60);
    assert_int_equal(fixture_count(&f).held, 0);
    assert_int_equal(lock_table_next_deadline(f.table), UINT64_MAX);
    fixture_close(&f);
}

static void all_slots_can_be_taken_and_freed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_slots(&f, LIMIT_SLOTS);
    static char metadata[LIMIT_METADATA_BYTES + 1];
    memset(metadata, 'x', LIMIT_METADATA_BYTES);
    for (int round = 0; round < 3; round++) {
        uint64_t first = fixture_count(&f).next_token;
        for (unsigned i = 0; i < LIMIT_SLOTS; i++) {
            char name[32];
            (void)snprintf(name, sizeof name, "n%d-%u", round, i);
            (void)fixture_grant(
                &f, (struct ask){.holder = name, .occurrence = name, .metadata = metadata, .ttl_ms = MINUTE_MS});
        }
        expect_code(fixture_acquire(&f, (struct ask){.holder = "more", .ttl_ms = MINUTE_MS}), OUTCOME_LOCK_HELD);
        assert_int_equal(f.outcome.n_holders, LIMIT_SLOTS);
        struct lock_table *copy = table_copy(f.table);
        expect_equal_digests(f.table, copy);
        lock_table_close(copy);
        for (unsigned i = 0; i < LIMIT_SLOTS && round != 2; i++) {
            uint64_t token = first + i * 37 % LIMIT_SLOTS;
            expect_code(fixture_release(&f, "job", token, round == 0 ? RUN_SUCCEEDED : RUN_FAILED), OUTCOME_DONE);
            assert_int_equal(f.outcome.run.token, token);
        }
        f.now_ms += MINUTE_MS;
        fixture_tick(&f);
        assert_int_equal(fixture_count(&f).held, 0);
        assert_int_equal(fixture_count(&f).expirations, round == 2 ? LIMIT_SLOTS : 0);
    }
    fixture_close(&f);
}

/* ---- what is kept ---- */

static size_t count_kept(struct fixture *f)
{
    static struct run_view runs[LIMIT_RUNS_PER_SCHEDULE + LIMIT_SLOTS];
    return lock_table_runs(f->table, slice_of("job"), SIZE_MAX, runs);
}

static void every_live_run_is_kept_and_the_last_of_the_others(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_slots(&f, 40);
    uint64_t first = fixture_take_many(&f, 40);
    assert_int_equal(count_kept(&f), 40);
    for (uint64_t i = 0; i < 39; i++) { /* the newest first, but for the last of all */
        f.now_ms += 1;
        expect_code(fixture_release(&f, "job", first + 38 - i, RUN_FAILED), OUTCOME_DONE);
        assert_int_equal(f.outcome.run.token, first + 38 - i);
        size_t ended = i + 1 < LIMIT_RUNS_PER_SCHEDULE ? i + 1 : LIMIT_RUNS_PER_SCHEDULE - 1;
        assert_int_equal(count_kept(&f), 39 - i + ended);
    }
    expect_code(fixture_release(&f, "job", first + 14, RUN_SUCCEEDED), OUTCOME_DONE); /* among the last 15 to end … */
    assert_true(f.outcome.repeated);
    expect_code(fixture_release(&f, "job", first + 15, RUN_SUCCEEDED), OUTCOME_LOCK_LOST); /* … and not */
    assert_false(f.outcome.has_run);
    expect_code(fixture_release(&f, "job", first + 39, RUN_FAILED), OUTCOME_DONE);
    assert_int_equal(count_kept(&f), LIMIT_RUNS_PER_SCHEDULE);
    (void)fixture_take(&f, "next");
    assert_int_equal(count_kept(&f), LIMIT_RUNS_PER_SCHEDULE);
    fixture_close(&f);
}

/* In one millisecond the token decides, but never against the run that has ended just now: its release may be sent again. */
static void a_run_that_ends_is_kept_whatever_ended_with_it(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_slots(&f, 40);
    uint64_t first = fixture_take_many(&f, 40);
    for (uint64_t i = 0; i < 40; i++) {
        uint64_t token = first + 39 - i;
        expect_code(fixture_release(&f, "job", token, RUN_FAILED), OUTCOME_DONE);
        assert_true(f.outcome.has_run);
        expect_code(fixture_release(&f, "job", token, RUN_FAILED), OUTCOME_DONE);
        assert_true(f.outcome.repeated);
    }
    (void)fixture_kept_run(&f, first + 39); /* the newest grant, for cool-downs are counted from it */
    fixture_close(&f);
}

static void a_run_that_lasted_outlives_those_that_ended_before_it(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_slots(&f, 2);
    uint64_t lasting = fixture_grant(&f, (struct ask){.holder = "lasting", .ttl_ms = HOUR_MS});
    for (int i = 0; i < 20; i++) {
        f.now_ms += 1;
        (void)fixture_run(&f, NULL, RUN_FAILED);
    }
    f.now_ms += 1;
    expect_code(fixture_release(&f, "job", lasting, RUN_FAILED), OUTCOME_DONE);
    for (int i = 0; i < (int)LIMIT_RUNS_PER_SCHEDULE - 1; i++) {
        f.now_ms += 1;
        (void)fixture_run(&f, NULL, RUN_FAILED);
    }
    expect_code(fixture_release(&f, "job", lasting, RUN_FAILED), OUTCOME_DONE);
    f.now_ms += 1;
    (void)fixture_run(&f, NULL, RUN_FAILED);
    expect_code(fixture_release(&f, "job", lasting, RUN_FAILED), OUTCOME_LOCK_LOST);
    fixture_close(&f);
}

static void live_occurrences_go_beyond_the_limit(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_slots(&f, LIMIT_SLOTS);
    char name[32];
    for (unsigned i = 0; i < 100; i++) { /* instants, which would be forgotten before strings */
        char holder[16];
        (void)snprintf(holder, sizeof holder, "live%u", i);
        (void)fixture_grant(
            &f, (struct ask){.holder = holder, .occurrence = instant_name(name, (int)i), .ttl_ms = HOUR_MS});
    }
    fixture_run_strings(&f, (struct span){0, 69}, RUN_SUCCEEDED);
    for (int i = 0; i < 100; i++) {
        expect_code(fixture_try(&f, instant_name(name, i)), OUTCOME_LOCK_HELD);
    }
    for (int i = 7; i < 70; i++) { /* one of the live ones counts as one of the 64 */
        (void)snprintf(name, sizeof name, "string-%d", i);
        expect_code(fixture_try(&f, name), OUTCOME_OCCURRENCE_DONE);
    }
    (void)fixture_grant(&f, (struct ask){.occurrence = "string-6", .ttl_ms = MINUTE_MS});
    fixture_close(&f);
}

static void occurrences_are_forgotten_when_nobody_runs_them_any_more(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_slots(&f, LIMIT_SLOTS);
    char name[32];
    uint64_t first = fixture_count(&f).next_token;
    for (unsigned i = 0; i < 70; i++) {
        char holder[16];
        (void)snprintf(holder, sizeof holder, "live%u", i);
        (void)fixture_grant(
            &f, (struct ask){.holder = holder, .occurrence = instant_name(name, (int)i), .ttl_ms = MINUTE_MS});
    }
    for (unsigned i = 0; i < 69; i++) {
        expect_code(fixture_release(&f, "job", first + i, RUN_FAILED), OUTCOME_DONE);
    }
    expect_code(fixture_try(&f, instant_name(name, 5)), OUTCOME_OCCURRENCE_DONE); /* below the floor */
    expect_code(fixture_try(&f, instant_name(name, 6)), OUTCOME_ATTEMPTS_EXHAUSTED);
    expect_code(fixture_try(&f, instant_name(name, 69)), OUTCOME_LOCK_HELD);
    f.now_ms += MINUTE_MS;
    expect_code(fixture_try(&f, instant_name(name, 5)), OUTCOME_OCCURRENCE_DONE);
    expect_code(fixture_try(&f, instant_name(name, 6)), OUTCOME_ATTEMPTS_EXHAUSTED);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_holders_as_slots_have_one),
        cmocka_unit_test(a_holder_has_one_slot_at_most),
        cmocka_unit_test(an_occurrence_runs_once_at_a_time_whatever_the_slots),
        cmocka_unit_test(lowered_slots_stop_only_new_grants),
        cmocka_unit_test(each_slot_has_its_own_deadline),
        cmocka_unit_test(of_slots_that_end_at_once_the_older_goes_first),
        cmocka_unit_test(grants_of_several_schedules_end_in_one_entry),
        cmocka_unit_test(all_slots_can_be_taken_and_freed),
        cmocka_unit_test(every_live_run_is_kept_and_the_last_of_the_others),
        cmocka_unit_test(a_run_that_ends_is_kept_whatever_ended_with_it),
        cmocka_unit_test(a_run_that_lasted_outlives_those_that_ended_before_it),
        cmocka_unit_test(live_occurrences_go_beyond_the_limit),
        cmocka_unit_test(occurrences_are_forgotten_when_nobody_runs_them_any_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
