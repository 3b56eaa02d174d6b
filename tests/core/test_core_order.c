/* The order of checks (API.md): for each adjacent pair that exists so far, a request that breaks both is refused for the
 * one that goes first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "base/limits.h"

#include <string.h>

#define DONE_AT   "2026-01-01T00:00:00Z"
#define FAILED_AT "2026-01-02T00:00:00Z"
#define LIVE_AT   "2026-01-03T00:00:00Z"

/* A schedule where one occurrence succeeded under key "ended", one failed, and one runs now under key "live". */
static uint64_t set_scene(struct fixture *f)
{
    fixture_open(f);
    uint64_t done = fixture_grant(f, (struct ask){.key = "ended", .occurrence = DONE_AT, .ttl_ms = MINUTE_MS});
    expect_code(fixture_release(f, "job", done, RUN_SUCCEEDED), OUTCOME_DONE);
    (void)fixture_run(f, FAILED_AT, RUN_FAILED);
    return fixture_grant(f, (struct ask){.key = "live", .occurrence = LIVE_AT, .ttl_ms = MINUTE_MS});
}

static void form_goes_before_the_repeat(void **state)
{
    (void)state;
    struct fixture f;
    (void)set_scene(&f);
    char long_holder[LIMIT_NAME_BYTES + 2];
    memset(long_holder, 'h', sizeof long_holder - 1);
    long_holder[sizeof long_holder - 1] = 0;
    expect_code(fixture_acquire(&f, (struct ask){.key = "live", .holder = long_holder, .ttl_ms = MINUTE_MS}),
                OUTCOME_INVALID_FIELD);
    fixture_close(&f);
}

static void a_conflict_goes_before_an_ended_grant(void **state)
{
    (void)state;
    struct fixture f;
    (void)set_scene(&f);
    expect_code(fixture_acquire(&f, (struct ask){.key = "ended", .occurrence = DONE_AT, .ttl_ms = MINUTE_MS}),
                OUTCOME_GRANT_ENDED);
    expect_code(fixture_acquire(&f, (struct ask){.key = "ended", .occurrence = DONE_AT, .ttl_ms = MINUTE_MS + 1}),
                OUTCOME_IDEMPOTENCY_CONFLICT);
    fixture_close(&f);
}

static void the_repeat_goes_before_the_ttl(void **state)
{
    (void)state;
    struct fixture f;
    (void)set_scene(&f);
    expect_code(fixture_acquire(&f, (struct ask){.key = "live", .occurrence = LIVE_AT, .ttl_ms = 1}),
                OUTCOME_IDEMPOTENCY_CONFLICT);
    expect_code(fixture_acquire(&f, (struct ask){.key = "live", .occurrence = LIVE_AT}), OUTCOME_IDEMPOTENCY_CONFLICT);
    expect_code(fixture_acquire(&f, (struct ask){.key = "ended", .ttl_ms = LIMIT_TTL_MS + 1}),
                OUTCOME_IDEMPOTENCY_CONFLICT);
    fixture_close(&f);
}

static void the_repeat_goes_before_everything_else(void **state)
{
    (void)state;
    struct fixture f;
    uint64_t token = set_scene(&f);
    f.no_growth = true;
    const struct outcome *outcome =
        fixture_acquire(&f, (struct ask){.key = "live", .occurrence = LIVE_AT, .ttl_ms = MINUTE_MS});
    expect_code(outcome, OUTCOME_DONE);
    assert_true(outcome->repeated);
    assert_int_equal(outcome->grant.token, token);
    expect_code(fixture_acquire(&f, (struct ask){.key = "ended", .occurrence = DONE_AT, .ttl_ms = MINUTE_MS}),
                OUTCOME_GRANT_ENDED);
    fixture_close(&f);
}

static void too_short_goes_before_too_long(void **state)
{
    (void)state;
    struct fixture f;
    (void)set_scene(&f);
    expect_code(fixture_acquire(&f, (struct ask){.ttl_ms = LIMIT_TTL_MS + 1, .estimate_ms = LIMIT_TTL_MS + 1}),
                OUTCOME_TTL_TOO_SHORT);
    fixture_close(&f);
}

static void the_ttl_goes_before_occurrence_done(void **state)
{
    (void)state;
    struct fixture f;
    (void)set_scene(&f);
    expect_code(fixture_acquire(&f, (struct ask){.occurrence = DONE_AT}), OUTCOME_INVALID_FIELD);
    expect_code(fixture_acquire(&f, (struct ask){.occurrence = DONE_AT, .ttl_ms = 1}), OUTCOME_TTL_TOO_SHORT);
    expect_code(fixture_acquire(&f, (struct ask){.occurrence = DONE_AT, .ttl_ms = LIMIT_TTL_MS + 1}),
                OUTCOME_TTL_TOO_LONG);
    fixture_close(&f);
}

static void occurrence_done_goes_before_lock_held(void **state)
{
    (void)state;
    struct fixture f;
    (void)set_scene(&f);
    expect_code(fixture_acquire(&f, (struct ask){.occurrence = DONE_AT, .ttl_ms = MINUTE_MS}), OUTCOME_OCCURRENCE_DONE);
    fixture_close(&f);
}

static void a_running_occurrence_goes_before_attempts_exhausted(void **state)
{
    (void)state;
    struct fixture f;
    (void)set_scene(&f); /* the running one has used its only attempt */
    expect_code(fixture_acquire(&f, (struct ask){.occurrence = LIVE_AT, .ttl_ms = MINUTE_MS}), OUTCOME_LOCK_HELD);
    fixture_close(&f);
}

static void attempts_exhausted_goes_before_lock_held(void **state)
{
    (void)state;
    struct fixture f;
    (void)set_scene(&f);
    expect_code(fixture_acquire(&f, (struct ask){.occurrence = FAILED_AT, .ttl_ms = MINUTE_MS}),
                OUTCOME_ATTEMPTS_EXHAUSTED);
    fixture_close(&f);
}

static void lock_held_goes_before_capacity(void **state)
{
    (void)state;
    struct fixture f;
    uint64_t token = set_scene(&f);
    f.no_growth = true;
    expect_code(fixture_acquire(&f, (struct ask){.occurrence = "new", .ttl_ms = MINUTE_MS}), OUTCOME_LOCK_HELD);
    expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_DONE);
    expect_code(fixture_acquire(&f, (struct ask){.occurrence = "new", .ttl_ms = MINUTE_MS}), OUTCOME_CAPACITY);
    fixture_close(&f);
}

static void renew_finds_the_lock_lost_before_it_looks_at_the_ttl(void **state)
{
    (void)state;
    struct fixture f;
    uint64_t token = set_scene(&f);
    expect_code(fixture_renew(&f, "job", token, 1), OUTCOME_TTL_TOO_SHORT);
    expect_code(fixture_renew(&f, "job", token - 1, 1), OUTCOME_LOCK_LOST);
    expect_code(fixture_renew(&f, "job", token - 1, LIMIT_TTL_MS + 1), OUTCOME_LOCK_LOST);
    fixture_close(&f);
}

static void release_looks_at_its_form_first(void **state)
{
    (void)state;
    struct fixture f;
    uint64_t token = set_scene(&f);
    expect_code(fixture_release(&f, "job", token, RUN_OUTCOME_NONE), OUTCOME_INVALID_FIELD);
    expect_code(fixture_release(&f, "job", token, RUN_EXPIRED), OUTCOME_INVALID_FIELD);
    /* … before the repeat … */
    expect_code(fixture_release(&f, "job", token - 1, RUN_OUTCOME_NONE), OUTCOME_INVALID_FIELD);
    expect_code(fixture_release(&f, "job", token - 1, RUN_REVOKED), OUTCOME_INVALID_FIELD);
    /* … and before lock_lost. */
    expect_code(fixture_release(&f, "job", 999, RUN_RUNNING), OUTCOME_INVALID_FIELD);
    f.now_ms += MINUTE_MS;
    expect_code(fixture_release(&f, "job", token, RUN_OUTCOME_NONE), OUTCOME_INVALID_FIELD);
    assert_string_equal(f.outcome.field, "outcome");
    expect_code(fixture_release(&f, "job", token, RUN_FAILED), OUTCOME_LOCK_LOST);
    fixture_close(&f);
}

static void release_answers_a_repeat_before_lock_lost(void **state)
{
    (void)state;
    struct fixture f;
    uint64_t token = set_scene(&f);
    const struct outcome *outcome = fixture_release(&f, "job", token - 1, RUN_FAILED);
    expect_code(outcome, OUTCOME_DONE);
    assert_true(outcome->repeated);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(form_goes_before_the_repeat),
        cmocka_unit_test(a_conflict_goes_before_an_ended_grant),
        cmocka_unit_test(the_repeat_goes_before_the_ttl),
        cmocka_unit_test(the_repeat_goes_before_everything_else),
        cmocka_unit_test(too_short_goes_before_too_long),
        cmocka_unit_test(the_ttl_goes_before_occurrence_done),
        cmocka_unit_test(occurrence_done_goes_before_lock_held),
        cmocka_unit_test(a_running_occurrence_goes_before_attempts_exhausted),
        cmocka_unit_test(attempts_exhausted_goes_before_lock_held),
        cmocka_unit_test(lock_held_goes_before_capacity),
        cmocka_unit_test(renew_finds_the_lock_lost_before_it_looks_at_the_ttl),
        cmocka_unit_test(release_looks_at_its_form_first),
        cmocka_unit_test(release_answers_a_repeat_before_lock_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
