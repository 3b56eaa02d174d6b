/* Releasing: the run that ends, its repeat, and what is reported too late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "base/limits.h"

static void a_release_gives_the_run(void **state)
{
    (void)state;
    static const enum run_outcome reported[] = {RUN_SUCCEEDED, RUN_FAILED, RUN_ABANDONED};
    for (size_t i = 0; i < sizeof reported / sizeof reported[0]; i++) {
        struct fixture f;
        fixture_open(&f);
        uint64_t token = fixture_grant(&f, (struct ask){.holder = "n1", .occurrence = "x", .ttl_ms = MINUTE_MS});
        int64_t acquired_wall_ms = f.context.wall_ms;
        f.now_ms += 1234;
        const struct outcome *outcome = fixture_release(&f, "job", token, (int)reported[i]);
        expect_code(outcome, OUTCOME_DONE);
        assert_false(outcome->repeated);
        assert_true(outcome->has_run);
        assert_false(outcome->has_grant);
        expect_text(outcome->run.schedule_id, "job");
        expect_text(outcome->run.holder, "n1");
        expect_text(outcome->run.occurrence, "x");
        expect_text(outcome->run.actor, NULL);
        expect_text(outcome->run.reason, NULL);
        assert_int_equal(outcome->run.token, token);
        assert_int_equal(outcome->run.duration_ms, 1234);
        assert_int_equal(outcome->run.acquired_wall_ms, acquired_wall_ms);
        assert_int_equal(outcome->run.ended_wall_ms, acquired_wall_ms + 1234);
        assert_int_equal(outcome->run.outcome, reported[i]);
        assert_int_equal(outcome->run.late_outcome, RUN_OUTCOME_NONE);
        assert_int_equal(outcome->run.attempt, 1);
        assert_int_equal(fixture_count(&f).held, 0);
        fixture_close(&f);
    }
}

static void a_lock_without_occurrence_succeeds_by_default(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
    const struct outcome *outcome = fixture_release(&f, "job", token, RUN_OUTCOME_NONE);
    expect_code(outcome, OUTCOME_DONE);
    assert_int_equal(outcome->run.outcome, RUN_SUCCEEDED);
    assert_int_equal(outcome->run.attempt, 0);
    (void)fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
    fixture_close(&f);
}

static void a_repeated_release_gives_the_first_run(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_grant(&f, (struct ask){.occurrence = "x", .ttl_ms = MINUTE_MS});
    f.now_ms += 10;
    expect_code(fixture_release(&f, "job", token, RUN_FAILED), OUTCOME_DONE);
    static const int again[] = {RUN_FAILED, RUN_SUCCEEDED, RUN_ABANDONED};
    (void)fixture_grant(&f, (struct ask){.holder = "next", .ttl_ms = MINUTE_MS});
    for (size_t i = 0; i < sizeof again / sizeof again[0]; i++) {
        f.now_ms += 10;
        const struct outcome *outcome = fixture_release(&f, "job", token, again[i]);
        expect_code(outcome, OUTCOME_DONE);
        assert_true(outcome->repeated);
        assert_int_equal(outcome->run.token, token);
        assert_int_equal(outcome->run.outcome, RUN_FAILED);
        assert_int_equal(outcome->run.duration_ms, 10);
    }
    assert_int_equal(fixture_count(&f).held, 1);
    fixture_close(&f);
}

static void the_repeat_of_a_forgotten_run_is_lost(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_run(&f, "x", RUN_SUCCEEDED);
    for (int i = 0; i < (int)LIMIT_RUNS_PER_SCHEDULE; i++) {
        expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_DONE);
        fixture_run_strings(&f, (struct span){i, i}, RUN_SUCCEEDED);
    }
    expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_LOCK_LOST);
    assert_false(f.outcome.has_run);
    fixture_close(&f);
}

static void an_occurrence_needs_its_outcome(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_grant(&f, (struct ask){.occurrence = "x", .ttl_ms = MINUTE_MS});
    const struct outcome *outcome = fixture_release(&f, "job", token, RUN_OUTCOME_NONE);
    expect_code(outcome, OUTCOME_INVALID_FIELD);
    assert_string_equal(outcome->field, "outcome");
    assert_int_equal(fixture_count(&f).held, 1);
    fixture_close(&f);
}

static void success_after_expiry_is_recorded_and_closes_the_occurrence(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_grant(&f, (struct ask){.occurrence = "x", .ttl_ms = MINUTE_MS});
    f.now_ms += MINUTE_MS + 5;
    expect_code(fixture_try(&f, "x"), OUTCOME_ATTEMPTS_EXHAUSTED);
    uint64_t next = fixture_grant(&f, (struct ask){.holder = "b", .occurrence = "y", .ttl_ms = MINUTE_MS});
    f.now_ms += 10;
    struct digest128 first = {{0}};
    for (int repeated = 0; repeated < 2; repeated++) {
        struct command command = {.kind = COMMAND_RELEASE};
        command.release = (struct release_command){
            .schedule_id = slice_of("job"), .token = token, .has_outcome = true, .outcome = RUN_SUCCEEDED};
        if (repeated) { /* in the same entry, to see that nothing changes */
            lock_table_apply(f.table, &f.context, &command, &f.outcome);
        } else {
            (void)fixture_apply(&f, &command);
        }
        expect_code(&f.outcome, OUTCOME_LOCK_LOST);
        assert_true(f.outcome.has_run);
        assert_int_equal(f.outcome.run.outcome, RUN_EXPIRED);
        assert_int_equal(f.outcome.run.late_outcome, RUN_SUCCEEDED);
        assert_int_equal(f.outcome.run.duration_ms, MINUTE_MS + 5); /* it ended with the entry that found it over */
        assert_int_equal(f.outcome.n_holders, 1);
        assert_int_equal(f.outcome.holders[0].token, next);
        struct digest128 digest = lock_table_digest(f.table);
        assert_true(!repeated || digest128_equal(&first, &digest));
        first = digest;
    }
    expect_code(fixture_try(&f, "x"), OUTCOME_OCCURRENCE_DONE);
    assert_int_equal(f.outcome.run.token, token);
    fixture_close(&f);
}

static void failure_after_expiry_changes_nothing(void **state)
{
    (void)state;
    static const int reported[] = {RUN_FAILED, RUN_ABANDONED};
    for (size_t i = 0; i < sizeof reported / sizeof reported[0]; i++) {
        struct fixture f;
        fixture_open(&f);
        uint64_t token = fixture_expire(&f, "x");
        const struct outcome *outcome = fixture_release(&f, "job", token, reported[i]);
        expect_code(outcome, OUTCOME_LOCK_LOST);
        assert_int_equal(outcome->run.late_outcome, RUN_OUTCOME_NONE);
        expect_code(fixture_try(&f, "x"), OUTCOME_ATTEMPTS_EXHAUSTED);
        fixture_close(&f);
    }
}

static void late_success_without_occurrence_is_recorded_too(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_expire(&f, NULL);
    const struct outcome *outcome = fixture_release(&f, "job", token, RUN_OUTCOME_NONE);
    expect_code(outcome, OUTCOME_LOCK_LOST);
    assert_int_equal(outcome->run.late_outcome, RUN_SUCCEEDED);
    struct schedule_view view;
    lock_table_view(f.table, slice_of("job"), &view);
    assert_int_equal(view.last_run.late_outcome, RUN_SUCCEEDED);
    fixture_close(&f);
}

static void late_success_of_a_forgotten_occurrence_opens_nothing(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_run_strings(&f, (struct span){0, 63}, RUN_FAILED);
    uint64_t token = fixture_expire(&f, "2026-01-01T00:00:00Z");
    (void)fixture_run(&f, "string-64", RUN_FAILED); /* the instant is forgotten, its run is kept */
    const struct outcome *outcome = fixture_release(&f, "job", token, RUN_SUCCEEDED);
    expect_code(outcome, OUTCOME_LOCK_LOST);
    assert_int_equal(outcome->run.late_outcome, RUN_SUCCEEDED);
    expect_code(fixture_try(&f, "2026-01-01T00:00:00Z"), OUTCOME_OCCURRENCE_DONE);
    fixture_close(&f);
}

static void unknown_tokens_are_lost(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    expect_code(fixture_release(&f, "job", 1, RUN_SUCCEEDED), OUTCOME_LOCK_LOST);
    uint64_t token = fixture_grant(&f, (struct ask){.occurrence = "x", .ttl_ms = MINUTE_MS});
    expect_code(fixture_release(&f, "job", token + 1, RUN_SUCCEEDED), OUTCOME_LOCK_LOST);
    assert_false(f.outcome.has_run);
    assert_int_equal(f.outcome.n_holders, 1);
    expect_code(fixture_release(&f, "job", token + 1, RUN_OUTCOME_NONE), OUTCOME_LOCK_LOST);
    expect_code(fixture_release(&f, "other", token, RUN_SUCCEEDED), OUTCOME_LOCK_LOST);
    assert_int_equal(fixture_count(&f).held, 1);
    fixture_close(&f);
}

static void a_release_needs_no_room(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
    f.no_growth = true;
    expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_DONE);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_release_gives_the_run),
        cmocka_unit_test(a_lock_without_occurrence_succeeds_by_default),
        cmocka_unit_test(a_repeated_release_gives_the_first_run),
        cmocka_unit_test(the_repeat_of_a_forgotten_run_is_lost),
        cmocka_unit_test(an_occurrence_needs_its_outcome),
        cmocka_unit_test(success_after_expiry_is_recorded_and_closes_the_occurrence),
        cmocka_unit_test(failure_after_expiry_changes_nothing),
        cmocka_unit_test(late_success_without_occurrence_is_recorded_too),
        cmocka_unit_test(late_success_of_a_forgotten_occurrence_opens_nothing),
        cmocka_unit_test(unknown_tokens_are_lost),
        cmocka_unit_test(a_release_needs_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
