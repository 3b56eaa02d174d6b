/* What new grants are held to by a policy: TTL rule, attempts, cool-down; and what is remembered beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "base/limits.h"

/* ---- the TTL rule ---- */

static void expect_ttl(struct fixture *f, struct ask ask, uint64_t ttl_ms)
{
    const struct outcome *outcome = fixture_acquire(f, ask);
    expect_code(outcome, OUTCOME_DONE);
    assert_int_equal(outcome->grant.ttl_ms, ttl_ms);
    expect_code(fixture_release(f, "job", outcome->grant.token, RUN_SUCCEEDED), OUTCOME_DONE);
}

static void expect_ttl_refused(struct fixture *f, struct ask ask, enum outcome_code code, uint64_t estimate_ms)
{
    const struct outcome *outcome = fixture_acquire(f, ask);
    expect_code(outcome, code);
    assert_int_equal(outcome->estimate_ms, estimate_ms);
    assert_int_equal(outcome->margin_ms, 2000);
    assert_int_equal(outcome->minimum_ms, estimate_ms + 2000);
    assert_int_equal(outcome->maximum_ms, HOUR_MS);
}

static void the_ttl_rule_is_the_policys(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct policy policy = policy_full();
    policy.min_hold_ms = 0;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
    expect_ttl(&f, (struct ask){0}, 3000); /* estimate and margin of the policy */
    expect_ttl(&f, (struct ask){.ttl_ms = 3000}, 3000);
    expect_ttl(&f, (struct ask){.estimate_ms = 999}, 3000); /* the larger estimate counts … */
    expect_ttl(&f, (struct ask){.estimate_ms = 1001}, 3001);
    expect_ttl(&f, (struct ask){.ttl_ms = HOUR_MS}, HOUR_MS);
    expect_ttl_refused(&f, (struct ask){.ttl_ms = 2999}, OUTCOME_TTL_TOO_SHORT, 1000);
    expect_ttl_refused(&f, (struct ask){.ttl_ms = 2999, .estimate_ms = 5}, OUTCOME_TTL_TOO_SHORT, 1000);
    expect_ttl_refused(&f, (struct ask){.ttl_ms = 3000, .estimate_ms = 1001}, OUTCOME_TTL_TOO_SHORT, 1001);
    expect_ttl_refused(&f, (struct ask){.ttl_ms = HOUR_MS + 1}, OUTCOME_TTL_TOO_LONG, 1000);
    policy.estimate_ms = 0;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
    expect_code(fixture_acquire(&f, (struct ask){0}), OUTCOME_INVALID_FIELD);
    assert_string_equal(f.outcome.field, "ttl_ms");
    expect_code(fixture_delete(&f, "job"), OUTCOME_DONE);
    expect_code(fixture_acquire(&f, (struct ask){.ttl_ms = 3000}), OUTCOME_TTL_TOO_SHORT);
    expect_ttl(&f, (struct ask){.ttl_ms = 2 * HOUR_MS}, 2 * HOUR_MS);
    fixture_close(&f);
}

static void a_grant_keeps_the_terms_it_was_granted_under(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct policy policy = policy_full();
    expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
    uint64_t token = fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
    policy.margin_ms = 100;
    policy.estimate_ms = 100;
    policy.max_ttl_ms = 1000;
    for (int deleted = 0; deleted < 2; deleted++) {
        expect_code(deleted ? fixture_delete(&f, "job") : fixture_put(&f, "job", policy), OUTCOME_DONE);
        expect_code(fixture_renew(&f, "job", token, 0), OUTCOME_DONE);
        assert_int_equal(f.outcome.grant.ttl_ms, MINUTE_MS);
        expect_code(fixture_renew(&f, "job", token, HOUR_MS), OUTCOME_DONE);
        expect_code(fixture_renew(&f, "job", token, HOUR_MS + 1), OUTCOME_TTL_TOO_LONG);
        assert_int_equal(f.outcome.maximum_ms, HOUR_MS);
        expect_code(fixture_renew(&f, "job", token, 2999), OUTCOME_TTL_TOO_SHORT);
        assert_int_equal(f.outcome.minimum_ms, 3000);
        assert_int_equal(f.outcome.margin_ms, 2000);
        assert_int_equal(f.outcome.estimate_ms, 1000);
    }
    fixture_close(&f);
}

/* ---- attempts ---- */

static void an_occurrence_may_be_tried_as_often_as_the_policy_says(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct policy policy = policy_default();
    policy.max_attempts = 3;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
    (void)fixture_run(&f, "x", RUN_FAILED);
    (void)fixture_run(&f, "x", RUN_ABANDONED); /* doesn't count */
    (void)fixture_expire(&f, "x");
    assert_int_equal(f.outcome.grant.attempt, 2);
    uint64_t token = fixture_run(&f, "x", RUN_FAILED);
    assert_int_equal(f.outcome.run.attempt, 3);
    expect_code(fixture_try(&f, "x"), OUTCOME_ATTEMPTS_EXHAUSTED);
    assert_int_equal(f.outcome.run.token, token);
    policy.max_attempts = 4;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
    (void)fixture_run(&f, "x", RUN_FAILED);
    expect_code(fixture_delete(&f, "job"), OUTCOME_DONE);
    expect_code(fixture_try(&f, "x"), OUTCOME_ATTEMPTS_EXHAUSTED);
    fixture_close(&f);
}

static void late_success_of_an_attempt_closes_nothing_once_there_is_another(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct policy policy = policy_default();
    policy.max_attempts = 3;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
    uint64_t first = fixture_expire(&f, "x");
    uint64_t second = fixture_grant(&f, (struct ask){.occurrence = "x", .ttl_ms = MINUTE_MS});
    expect_code(fixture_release(&f, "job", first, RUN_SUCCEEDED), OUTCOME_LOCK_LOST);
    assert_int_equal(f.outcome.run.late_outcome, RUN_SUCCEEDED);
    expect_code(fixture_release(&f, "job", second, RUN_FAILED), OUTCOME_DONE);
    (void)fixture_run(&f, "x", RUN_SUCCEEDED);
    expect_code(fixture_try(&f, "x"), OUTCOME_OCCURRENCE_DONE);
    fixture_close(&f);
}

/* ---- cool-down ---- */

static void a_schedule_cools_down_after_each_grant_whatever_became_of_it(void **state)
{
    (void)state;
    static const int ends[] = {RUN_SUCCEEDED, RUN_FAILED, RUN_ABANDONED, RUN_EXPIRED, RUN_REVOKED};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct fixture f;
        fixture_open(&f);
        struct policy policy = policy_default();
        policy.min_hold_ms = HOUR_MS;
        expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
        uint64_t over_ms = f.now_ms + HOUR_MS;
        uint64_t token = fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
        f.now_ms += 5000;
        if (ends[i] == RUN_EXPIRED) {
            f.now_ms += MINUTE_MS;
        } else if (ends[i] == RUN_REVOKED) {
            expect_code(fixture_revoke(&f, (struct revoke_ask){.token = token, .force = true}), OUTCOME_DONE);
        } else {
            expect_code(fixture_release(&f, "job", token, ends[i]), OUTCOME_DONE);
        }
        expect_code(fixture_acquire(&f, (struct ask){.ttl_ms = MINUTE_MS}), OUTCOME_COOLING_DOWN);
        assert_int_equal(f.outcome.remaining_ms, over_ms - f.now_ms);
        f.now_ms = over_ms - 1;
        expect_code(fixture_acquire(&f, (struct ask){.ttl_ms = MINUTE_MS}), OUTCOME_COOLING_DOWN);
        assert_int_equal(f.outcome.remaining_ms, 1);
        f.now_ms = over_ms;
        (void)fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
        fixture_close(&f);
    }
}

static void a_cool_down_is_the_policys_of_now(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    (void)fixture_run(&f, "x", RUN_SUCCEEDED);
    struct policy policy = policy_default();
    policy.min_hold_ms = LIMIT_NUMBER_MAX;
    f.now_ms += 1000;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
    expect_code(fixture_try(&f, NULL), OUTCOME_COOLING_DOWN);
    assert_int_equal(f.outcome.remaining_ms, LIMIT_NUMBER_MAX - 1000);
    expect_code(fixture_delete(&f, "job"), OUTCOME_DONE);
    expect_code(fixture_try(&f, NULL), OUTCOME_DONE);
    fixture_close(&f);
}

static void who_never_ran_needs_no_cool_down(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct policy policy = policy_default();
    policy.min_hold_ms = LIMIT_NUMBER_MAX;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
    (void)fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
    fixture_close(&f);
}

static void slots_cool_down_together(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct policy policy = policy_default();
    policy.slots = 40;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
    uint64_t first = fixture_take_many(&f, 20);
    f.now_ms += 10000;
    uint64_t newest = fixture_take(&f, "newest");
    uint64_t granted_ms = f.now_ms;
    expect_code(fixture_release(&f, "job", newest, RUN_SUCCEEDED), OUTCOME_DONE);
    for (uint64_t token = first; token < newest; token++) { /* the newest grant ended first, and counts all the same */
        f.now_ms += 1;
        expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_DONE);
    }
    policy.min_hold_ms = 20000;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
    expect_code(fixture_try(&f, NULL), OUTCOME_COOLING_DOWN);
    assert_int_equal(f.outcome.remaining_ms, granted_ms + 20000 - f.now_ms);
    fixture_close(&f);
}

/* ---- what is remembered beside the policy ---- */

static struct policy_view view_of(struct fixture *f)
{
    struct policy_view view;
    assert_true(lock_table_policy(f->table, slice_of("job"), &view));
    return view;
}

static void the_last_success_is_remembered(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    expect_code(fixture_put(&f, "job", policy_default()), OUTCOME_DONE);
    (void)fixture_run(&f, "a", RUN_FAILED);
    (void)fixture_run(&f, "b", RUN_ABANDONED);
    uint64_t late = fixture_expire(&f, "c");
    expect_code(fixture_release(&f, "job", late, RUN_FAILED), OUTCOME_LOCK_LOST);
    assert_false(view_of(&f).has_success);
    expect_code(fixture_release(&f, "job", late, RUN_SUCCEEDED), OUTCOME_LOCK_LOST); /* late, but a success */
    assert_true(view_of(&f).has_success);
    assert_int_equal(view_of(&f).last_success_wall_ms, f.context.wall_ms);
    f.now_ms += 5000;
    expect_code(fixture_release(&f, "job", late, RUN_SUCCEEDED), OUTCOME_LOCK_LOST); /* once more: that is no other */
    assert_int_equal(view_of(&f).last_success_wall_ms, f.context.wall_ms - 5000);
    (void)fixture_run(&f, NULL, RUN_SUCCEEDED);
    int64_t wall_ms = f.context.wall_ms;
    for (unsigned i = 0; i < LIMIT_RUNS_PER_SCHEDULE; i++) {
        f.now_ms += 5000;
        (void)fixture_run(&f, NULL, RUN_FAILED);
    }
    assert_int_equal(view_of(&f).last_success_wall_ms, wall_ms);
    expect_code(fixture_put(&f, "job", policy_full()), OUTCOME_DONE);
    assert_true(f.outcome.policy.has_success);
    assert_int_equal(f.outcome.policy.last_success_wall_ms, wall_ms);
    fixture_close(&f);
}

static void a_success_is_remembered_before_there_is_a_policy(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    (void)fixture_run(&f, "x", RUN_SUCCEEDED);
    int64_t wall_ms = f.context.wall_ms;
    f.now_ms += 1000;
    expect_code(fixture_put(&f, "job", policy_default()), OUTCOME_DONE);
    assert_true(f.outcome.policy.has_success);
    assert_int_equal(f.outcome.policy.last_success_wall_ms, wall_ms);
    fixture_close(&f);
}

static void the_runs_are_listed_newest_first(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct run_view runs[LIMIT_RUNS_PER_SCHEDULE + LIMIT_SLOTS];
    assert_int_equal(lock_table_runs(f.table, slice_of("job"), 5, runs), 0);
    expect_code(fixture_put(&f, "job", policy_default()), OUTCOME_DONE);
    assert_int_equal(lock_table_runs(f.table, slice_of("job"), 5, runs), 0);
    uint64_t first = fixture_run(&f, "a", RUN_FAILED);
    uint64_t second = fixture_run(&f, "b", RUN_SUCCEEDED);
    uint64_t live = fixture_grant(&f, (struct ask){.holder = "me", .occurrence = "c", .ttl_ms = MINUTE_MS});
    assert_int_equal(lock_table_runs(f.table, slice_of("job"), 1000, runs), 3);
    assert_int_equal(runs[0].token, live);
    assert_int_equal(runs[0].outcome, RUN_RUNNING);
    expect_text(runs[0].schedule_id, "job");
    expect_text(runs[0].holder, "me");
    expect_text(runs[0].occurrence, "c");
    assert_int_equal(runs[1].token, second);
    assert_int_equal(runs[2].token, first);
    assert_int_equal(runs[2].outcome, RUN_FAILED);
    assert_int_equal(lock_table_runs(f.table, slice_of("job"), 2, runs), 2);
    assert_int_equal(runs[1].token, second);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ttl_rule_is_the_policys),
        cmocka_unit_test(a_grant_keeps_the_terms_it_was_granted_under),
        cmocka_unit_test(an_occurrence_may_be_tried_as_often_as_the_policy_says),
        cmocka_unit_test(late_success_of_an_attempt_closes_nothing_once_there_is_another),
        cmocka_unit_test(a_schedule_cools_down_after_each_grant_whatever_became_of_it),
        cmocka_unit_test(a_cool_down_is_the_policys_of_now),
        cmocka_unit_test(who_never_ran_needs_no_cool_down),
        cmocka_unit_test(slots_cool_down_together),
        cmocka_unit_test(the_last_success_is_remembered),
        cmocka_unit_test(a_success_is_remembered_before_there_is_a_policy),
        cmocka_unit_test(the_runs_are_listed_newest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
