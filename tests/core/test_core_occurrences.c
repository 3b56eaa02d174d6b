/* Occurrences: which are the same, how often each may be tried, and how they are forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "base/limits.h"

#include <stdio.h>

static void one_instant_has_many_spellings(void **state)
{
    (void)state;
    static const char *const same[] = {"2026-07-14T03:00:00Z",      "2026-07-14t03:00:00z",
                                       "2026-07-14T03:00:00.000Z",  "2026-07-14T05:00:00+02:00",
                                       "2026-07-13T22:30:00-04:30", "2026-07-14T03:00:00.000000000+00:00"};
    static const char *const others[] = {"2026-07-14T03:00:00.000000001Z", "2026-07-14T03:00:00+02:00",
                                         "2026-07-14T03:00:00.0000000000Z", "2026-07-14 03:00:00Z"};
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_run(&f, same[0], RUN_SUCCEEDED);
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        const struct outcome *outcome = fixture_try(&f, same[i]);
        expect_code(outcome, OUTCOME_OCCURRENCE_DONE);
        assert_true(outcome->has_run);
        assert_int_equal(outcome->run.token, token);
        expect_text(outcome->run.occurrence, same[0]);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        (void)fixture_run(&f, others[i], RUN_SUCCEEDED);
    }
    fixture_close(&f);
}

static void strings_are_compared_by_bytes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    (void)fixture_run(&f, "nightly", RUN_SUCCEEDED);
    expect_code(fixture_try(&f, "nightly"), OUTCOME_OCCURRENCE_DONE);
    (void)fixture_run(&f, "Nightly", RUN_SUCCEEDED);
    (void)fixture_run(&f, "nightly-2", RUN_SUCCEEDED);
    fixture_close(&f);
}

static void a_running_occurrence_is_held_in_any_spelling(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    (void)fixture_grant(&f, (struct ask){.occurrence = "2026-07-14T03:00:00Z", .ttl_ms = MINUTE_MS});
    expect_code(fixture_try(&f, "2026-07-14T05:00:00+02:00"), OUTCOME_LOCK_HELD);
    assert_int_equal(f.outcome.n_holders, 1);
    fixture_close(&f);
}

static void a_failed_attempt_counts(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_run(&f, "x", RUN_FAILED);
    const struct outcome *outcome = fixture_try(&f, "x");
    expect_code(outcome, OUTCOME_ATTEMPTS_EXHAUSTED);
    assert_true(outcome->has_run);
    assert_int_equal(outcome->run.token, token);
    assert_int_equal(outcome->run.outcome, RUN_FAILED);
    fixture_close(&f);
}

static void an_expired_attempt_counts(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_expire(&f, "x");
    const struct outcome *outcome = fixture_try(&f, "x");
    expect_code(outcome, OUTCOME_ATTEMPTS_EXHAUSTED);
    assert_int_equal(outcome->run.token, token);
    assert_int_equal(outcome->run.outcome, RUN_EXPIRED);
    fixture_close(&f);
}

static void an_abandoned_attempt_does_not_count(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    for (int i = 0; i < 3; i++) {
        (void)fixture_run(&f, "x", RUN_ABANDONED);
    }
    uint64_t token = fixture_grant(&f, (struct ask){.occurrence = "x", .ttl_ms = MINUTE_MS});
    assert_int_equal(f.outcome.grant.attempt, 1);
    expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_DONE);
    expect_code(fixture_try(&f, "x"), OUTCOME_OCCURRENCE_DONE);
    assert_int_equal(f.outcome.run.token, token);
    fixture_close(&f);
}

static void occurrences_outlive_their_runs(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    (void)fixture_run(&f, "done", RUN_SUCCEEDED);
    (void)fixture_run(&f, "failed", RUN_FAILED);
    for (unsigned i = 0; i < LIMIT_RUNS_PER_SCHEDULE; i++) {
        uint64_t token = fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
        expect_code(fixture_release(&f, "job", token, RUN_OUTCOME_NONE), OUTCOME_DONE);
    }
    expect_code(fixture_try(&f, "done"), OUTCOME_OCCURRENCE_DONE);
    assert_false(f.outcome.has_run);
    expect_code(fixture_try(&f, "failed"), OUTCOME_ATTEMPTS_EXHAUSTED);
    assert_false(f.outcome.has_run);
    fixture_close(&f);
}

static void occurrences_are_of_one_schedule(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    (void)fixture_run(&f, "x", RUN_SUCCEEDED);
    (void)fixture_grant(&f, (struct ask){.id = "other", .occurrence = "x", .ttl_ms = MINUTE_MS});
    fixture_close(&f);
}

static void the_last_64_instants_are_remembered_and_the_floor_rises(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    char name[32];
    for (int day = 0; day < 70; day++) {
        (void)fixture_run(&f, instant_name(name, day), day == 3 ? RUN_ABANDONED : RUN_SUCCEEDED);
    }
    for (int day = 0; day < 70; day++) { /* the first six lie below the floor, also the one that never ran */
        expect_code(fixture_try(&f, instant_name(name, day)), OUTCOME_OCCURRENCE_DONE);
        assert_int_equal(f.outcome.has_run, day >= 70 - (int)LIMIT_RUNS_PER_SCHEDULE);
    }
    expect_code(fixture_try(&f, "2020-01-01T00:00:00Z"), OUTCOME_OCCURRENCE_DONE);
    expect_code(fixture_try(&f, "2026-01-06T00:00:00Z"), OUTCOME_OCCURRENCE_DONE); /* the floor itself */
    expect_code(fixture_try(&f, "2026-01-06T00:00:00.000000001Z"), OUTCOME_DONE);
    fixture_close(&f);
}

static void the_earliest_instant_goes_and_not_the_oldest(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    char name[32];
    for (int day = 69; day >= 0; day--) { /* backwards: each new one is the earliest */
        (void)fixture_run(&f, instant_name(name, day), RUN_FAILED);
        if (day == 5) {
            /* 65 instants would be remembered; the newest is live when the earliest goes, so it is day 6 that went. */
            expect_code(fixture_try(&f, instant_name(name, 6)), OUTCOME_OCCURRENCE_DONE);
            expect_code(fixture_try(&f, instant_name(name, 5)), OUTCOME_ATTEMPTS_EXHAUSTED);
            expect_code(fixture_try(&f, instant_name(name, 4)), OUTCOME_OCCURRENCE_DONE);
            break;
        }
    }
    for (int day = 7; day < 70; day++) {
        expect_code(fixture_try(&f, instant_name(name, day)), OUTCOME_ATTEMPTS_EXHAUSTED);
    }
    fixture_close(&f);
}

static void the_oldest_string_goes_when_there_is_no_instant(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    char name[32];
    fixture_run_strings(&f, (struct span){0, 65}, RUN_SUCCEEDED);
    for (int i = 2; i < 66; i++) {
        (void)snprintf(name, sizeof name, "string-%d", i);
        expect_code(fixture_try(&f, name), OUTCOME_OCCURRENCE_DONE);
    }
    (void)fixture_grant(&f, (struct ask){.occurrence = "string-0", .ttl_ms = MINUTE_MS}); /* 64 is the limit */
    fixture_close(&f);
}

static void instants_are_forgotten_before_strings(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    char name[32];
    fixture_run_strings(&f, (struct span){0, 62}, RUN_FAILED);
    (void)fixture_run(&f, instant_name(name, 0), RUN_FAILED);
    (void)fixture_run(&f, instant_name(name, 1), RUN_FAILED); /* the 65th */
    const struct outcome *outcome = fixture_try(&f, "2026-01-01T00:00:00Z");
    expect_code(outcome, OUTCOME_OCCURRENCE_DONE); /* below the floor, but its run is kept */
    assert_true(outcome->has_run);
    assert_int_equal(outcome->run.outcome, RUN_FAILED);
    expect_code(fixture_try(&f, "string-0"), OUTCOME_ATTEMPTS_EXHAUSTED);
    expect_code(fixture_try(&f, instant_name(name, 1)), OUTCOME_ATTEMPTS_EXHAUSTED);
    fixture_close(&f);
}

static void a_live_occurrence_is_never_forgotten(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_run_strings(&f, (struct span){0, 63}, RUN_FAILED);
    /* The only instant, hence the first to be forgotten, but it is live: string-0 goes. */
    uint64_t token = fixture_grant(&f, (struct ask){.occurrence = "2026-01-01T00:00:00Z", .ttl_ms = MINUTE_MS});
    expect_code(fixture_try(&f, "2026-01-01T00:00:00Z"), OUTCOME_LOCK_HELD);
    expect_code(fixture_release(&f, "job", token, RUN_FAILED), OUTCOME_DONE);
    expect_code(fixture_try(&f, "2026-01-01T00:00:00Z"), OUTCOME_ATTEMPTS_EXHAUSTED);
    expect_code(fixture_try(&f, "string-1"), OUTCOME_ATTEMPTS_EXHAUSTED);
    /* Now it isn't live any more. */
    (void)fixture_run(&f, "string-0", RUN_FAILED);
    expect_code(fixture_try(&f, "2026-01-01T00:00:00Z"), OUTCOME_OCCURRENCE_DONE);
    expect_code(fixture_try(&f, "string-1"), OUTCOME_ATTEMPTS_EXHAUSTED);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_instant_has_many_spellings),
        cmocka_unit_test(strings_are_compared_by_bytes),
        cmocka_unit_test(a_running_occurrence_is_held_in_any_spelling),
        cmocka_unit_test(a_failed_attempt_counts),
        cmocka_unit_test(an_expired_attempt_counts),
        cmocka_unit_test(an_abandoned_attempt_does_not_count),
        cmocka_unit_test(occurrences_outlive_their_runs),
        cmocka_unit_test(occurrences_are_of_one_schedule),
        cmocka_unit_test(the_last_64_instants_are_remembered_and_the_floor_rises),
        cmocka_unit_test(the_earliest_instant_goes_and_not_the_oldest),
        cmocka_unit_test(the_oldest_string_goes_when_there_is_no_instant),
        cmocka_unit_test(instants_are_forgotten_before_strings),
        cmocka_unit_test(a_live_occurrence_is_never_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
