/* Renewing: by token, within the terms of the grant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "base/limits.h"

static void expect_renewed(struct fixture *f, uint64_t token, uint64_t ttl_ms, uint64_t expected_ttl_ms)
{
    const struct outcome *outcome = fixture_renew(f, "job", token, ttl_ms);
    expect_code(outcome, OUTCOME_DONE);
    assert_true(outcome->has_grant);
    assert_false(outcome->repeated);
    assert_int_equal(outcome->grant.token, token);
    assert_int_equal(outcome->grant.ttl_ms, expected_ttl_ms);
    assert_int_equal(outcome->grant.remaining_ms, expected_ttl_ms);
    assert_int_equal(outcome->grant.expires_wall_ms, f->context.wall_ms + (int64_t)expected_ttl_ms);
}

static void a_renewal_counts_from_now(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS, .metadata = "{}", .occurrence = "x"});
    int64_t acquired_wall_ms = f.outcome.grant.acquired_wall_ms;
    f.now_ms += 59999;
    expect_renewed(&f, token, 0, MINUTE_MS);
    assert_int_equal(f.outcome.grant.acquired_wall_ms, acquired_wall_ms);
    expect_text(f.outcome.grant.metadata, "{}");
    expect_text(f.outcome.grant.occurrence, "x");
    assert_int_equal(f.outcome.grant.attempt, 1);
    f.now_ms += 59999;
    expect_renewed(&f, token, 2 * MINUTE_MS, 2 * MINUTE_MS);
    f.now_ms += 2 * MINUTE_MS - 1;
    expect_renewed(&f, token, 0, MINUTE_MS); /* the grant's TTL again, not that of the last renewal */
    f.now_ms += MINUTE_MS;
    expect_code(fixture_renew(&f, "job", token, 0), OUTCOME_LOCK_LOST);
    fixture_close(&f);
}

static void a_renewal_may_shorten_the_lock(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_grant(&f, (struct ask){.ttl_ms = HOUR_MS});
    expect_renewed(&f, token, LIMIT_DEFAULT_MARGIN_MS, LIMIT_DEFAULT_MARGIN_MS);
    assert_int_equal(lock_table_next_deadline(f.table), f.now_ms + LIMIT_DEFAULT_MARGIN_MS);
    f.now_ms += LIMIT_DEFAULT_MARGIN_MS;
    expect_code(fixture_acquire(&f, (struct ask){.ttl_ms = MINUTE_MS}), OUTCOME_DONE);
    fixture_close(&f);
}

static void expect_refused(struct fixture *f, uint64_t token, uint64_t ttl_ms, enum outcome_code code,
                           uint64_t minimum_ms)
{
    const struct outcome *outcome = fixture_renew(f, "job", token, ttl_ms);
    expect_code(outcome, code);
    assert_int_equal(outcome->minimum_ms, minimum_ms);
    assert_int_equal(outcome->maximum_ms, LIMIT_TTL_MS);
    assert_int_equal(outcome->margin_ms, LIMIT_DEFAULT_MARGIN_MS);
}

static void the_minimum_is_what_the_job_still_needs(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t margin_ms = LIMIT_DEFAULT_MARGIN_MS;
    uint64_t token = fixture_grant(&f, (struct ask){.estimate_ms = 10000, .ttl_ms = HOUR_MS});
    expect_refused(&f, token, 10000 + margin_ms - 1, OUTCOME_TTL_TOO_SHORT, 10000 + margin_ms);
    assert_int_equal(f.outcome.estimate_ms, 10000);
    f.now_ms += 4000;
    expect_refused(&f, token, 6000 + margin_ms - 1, OUTCOME_TTL_TOO_SHORT, 6000 + margin_ms);
    expect_renewed(&f, token, 6000 + margin_ms, 6000 + margin_ms);
    f.now_ms += 5999; /* counted from the grant, not from the renewal */
    expect_refused(&f, token, margin_ms, OUTCOME_TTL_TOO_SHORT, 1 + margin_ms);
    f.now_ms += 1;
    expect_renewed(&f, token, margin_ms, margin_ms);
    f.now_ms += 20000; /* long past the estimate: the margin stays */
    expect_refused(&f, token, margin_ms - 1, OUTCOME_TTL_TOO_SHORT, margin_ms);
    expect_renewed(&f, token, margin_ms, margin_ms);
    expect_renewed(&f, token, 0, HOUR_MS);
    fixture_close(&f);
}

static void the_maximum_is_that_of_the_grant(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
    expect_renewed(&f, token, LIMIT_TTL_MS, LIMIT_TTL_MS);
    expect_refused(&f, token, LIMIT_TTL_MS + 1, OUTCOME_TTL_TOO_LONG, LIMIT_DEFAULT_MARGIN_MS);
    expect_refused(&f, token, UINT64_MAX, OUTCOME_TTL_TOO_LONG, LIMIT_DEFAULT_MARGIN_MS);
    fixture_close(&f);
}

static void at_the_deadline_expiry_wins_though_nobody_took_the_lock(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
    f.now_ms += MINUTE_MS;
    const struct outcome *outcome = fixture_renew(&f, "job", token, 0);
    expect_code(outcome, OUTCOME_LOCK_LOST);
    assert_true(outcome->has_run);
    assert_int_equal(outcome->run.outcome, RUN_EXPIRED);
    assert_int_equal(outcome->n_holders, 0);
    fixture_close(&f);
}

static void a_lost_lock_tells_who_has_it_now(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t lost = fixture_grant(&f, (struct ask){.holder = "a", .ttl_ms = MINUTE_MS});
    f.now_ms += MINUTE_MS;
    uint64_t held = fixture_grant(&f, (struct ask){.holder = "b", .ttl_ms = MINUTE_MS});
    const struct outcome *outcome = fixture_renew(&f, "job", lost, 0);
    expect_code(outcome, OUTCOME_LOCK_LOST);
    assert_int_equal(outcome->run.token, lost);
    assert_int_equal(outcome->n_holders, 1);
    expect_text(outcome->holders[0].holder, "b");
    assert_int_equal(outcome->holders[0].token, held);
    fixture_close(&f);
}

static void tokens_that_nobody_has_are_lost(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    expect_code(fixture_renew(&f, "job", 1, 0), OUTCOME_LOCK_LOST); /* of a schedule that nobody knows */
    assert_false(f.outcome.has_run);
    uint64_t token = fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
    expect_code(fixture_renew(&f, "job", token + 1, 0), OUTCOME_LOCK_LOST);
    expect_code(fixture_renew(&f, "job", 0, 0), OUTCOME_LOCK_LOST);
    expect_code(fixture_renew(&f, "job", UINT64_MAX, 0), OUTCOME_LOCK_LOST);
    uint64_t other = fixture_grant(&f, (struct ask){.id = "other", .ttl_ms = MINUTE_MS});
    expect_code(fixture_renew(&f, "job", other, 0), OUTCOME_LOCK_LOST); /* it is of another schedule */
    assert_false(f.outcome.has_run);
    assert_int_equal(fixture_count(&f).schedules, 2);
    fixture_close(&f);
}

static void a_renewal_needs_no_room(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
    f.no_growth = true;
    expect_renewed(&f, token, 0, MINUTE_MS);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_renewal_counts_from_now),
        cmocka_unit_test(a_renewal_may_shorten_the_lock),
        cmocka_unit_test(the_minimum_is_what_the_job_still_needs),
        cmocka_unit_test(the_maximum_is_that_of_the_grant),
        cmocka_unit_test(at_the_deadline_expiry_wins_though_nobody_took_the_lock),
        cmocka_unit_test(a_lost_lock_tells_who_has_it_now),
        cmocka_unit_test(tokens_that_nobody_has_are_lost),
        cmocka_unit_test(a_renewal_needs_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
