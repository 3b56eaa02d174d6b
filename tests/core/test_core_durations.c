/* How long jobs take, and when one is overdue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "base/limits.h"

#include <stdio.h>

static struct schedule_statistics statistics_of(struct fixture *f)
{
    struct schedule_statistics statistics;
    lock_table_statistics(f->table, slice_of("job"), &statistics);
    return statistics;
}

/* A run of so long that ends so. */
static void run_for(struct fixture *f, uint64_t duration_ms, enum run_outcome outcome)
{
    uint64_t token = fixture_grant(f, (struct ask){.ttl_ms = HOUR_MS});
    f->now_ms += duration_ms;
    if (outcome == RUN_REVOKED) {
        expect_code(fixture_revoke(f, (struct revoke_ask){.force = true}), OUTCOME_DONE);
    } else {
        expect_code(fixture_release(f, "job", token, (int)outcome), OUTCOME_DONE);
    }
}

static void percentiles_are_those_of_the_nearest_rank(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    assert_int_equal(statistics_of(&f).n_runs, 0);
    /* of 1: it; of 2: the 1st, 2nd, 2nd; of 3: the 2nd; …; of 16: the 8th, 16th, 16th */
    for (uint64_t n = 1; n <= LIMIT_RUNS_PER_SCHEDULE; n++) {
        run_for(&f, (n * 7 % 17) * 100, n % 2 == 0 ? RUN_SUCCEEDED : RUN_FAILED);
        const struct schedule_statistics statistics = statistics_of(&f);
        assert_int_equal(statistics.n_runs, n);
        assert_int_equal(statistics.last_ms, (n * 7 % 17) * 100);
        if (n == 1) {
            assert_int_equal(statistics.p50_ms, 700);
            assert_int_equal(statistics.p99_ms, 700);
        } else if (n == 2) { /* 700, 1400 */
            assert_int_equal(statistics.p50_ms, 700);
            assert_int_equal(statistics.p95_ms, 1400);
        } else if (n == 3) { /* 400, 700, 1400 */
            assert_int_equal(statistics.p50_ms, 700);
            assert_int_equal(statistics.p99_ms, 1400);
        }
    }
    const struct schedule_statistics all = statistics_of(&f); /* 100, 200, … 1600 */
    assert_int_equal(all.p50_ms, 800);
    assert_int_equal(all.p95_ms, 1600);
    assert_int_equal(all.p99_ms, 1600);
    run_for(&f, 5, RUN_SUCCEEDED); /* the first, 700, is forgotten */
    assert_int_equal(statistics_of(&f).n_runs, LIMIT_RUNS_PER_SCHEDULE);
    assert_int_equal(statistics_of(&f).last_ms, 5);
    assert_int_equal(statistics_of(&f).p50_ms, 800);
    fixture_close(&f);
}

static void only_runs_that_say_how_long_count(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    run_for(&f, 10, RUN_ABANDONED);
    run_for(&f, 20, RUN_REVOKED);
    assert_int_equal(statistics_of(&f).n_runs, 0);
    run_for(&f, 30, RUN_SUCCEEDED);
    run_for(&f, 40, RUN_ABANDONED);
    assert_int_equal(statistics_of(&f).n_runs, 1);
    assert_int_equal(statistics_of(&f).last_ms, 30);
    (void)fixture_expire(&f, NULL);
    assert_int_equal(statistics_of(&f).n_runs, 1); /* it runs still */
    fixture_tick(&f);
    assert_int_equal(statistics_of(&f).n_runs, 2);
    assert_int_equal(statistics_of(&f).last_ms, MINUTE_MS);
    assert_int_equal(statistics_of(&f).p50_ms, 30);
    assert_int_equal(statistics_of(&f).p99_ms, MINUTE_MS);
    fixture_close(&f);
}

/* A view of all slots at once. */
static void as_many_runs_as_there_can_be(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_slots(&f, LIMIT_SLOTS);
    for (uint64_t i = 0; i < LIMIT_RUNS_PER_SCHEDULE; i++) {
        run_for(&f, 1, RUN_SUCCEEDED);
    }
    (void)fixture_take_many(&f, LIMIT_SLOTS);
    assert_int_equal(statistics_of(&f).n_runs, LIMIT_RUNS_PER_SCHEDULE - 1); /* a live one counts as one */
    f.now_ms += MINUTE_MS;
    fixture_tick(&f);
    assert_int_equal(statistics_of(&f).n_runs, LIMIT_RUNS_PER_SCHEDULE);
    assert_int_equal(statistics_of(&f).p50_ms, MINUTE_MS);
    fixture_close(&f);
}

/* ---- overdue ---- */

static uint64_t overdue_ms(struct fixture *f)
{
    struct policy_view view;
    assert_true(lock_table_policy(f->table, slice_of("job"), &view));
    return view.overdue_ms;
}

static void expect_every(struct fixture *f, uint64_t expected_every_ms)
{
    struct policy policy = policy_default();
    policy.expected_every_ms = expected_every_ms;
    expect_code(fixture_put(f, "job", policy), OUTCOME_DONE);
    assert_int_equal(f->outcome.policy.policy.expected_every_ms, expected_every_ms);
}

static void a_schedule_is_overdue_after_its_last_success(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    expect_every(&f, 0);
    assert_int_equal(overdue_ms(&f), UINT64_MAX);
    uint64_t created_ms = f.now_ms;
    f.now_ms += 500;
    expect_every(&f, HOUR_MS);
    assert_int_equal(overdue_ms(&f), created_ms + HOUR_MS); /* the policy is as old as it was */
    f.now_ms += 500;
    (void)fixture_run(&f, NULL, RUN_FAILED);
    assert_int_equal(overdue_ms(&f), created_ms + HOUR_MS);
    (void)fixture_run(&f, NULL, RUN_SUCCEEDED);
    assert_int_equal(overdue_ms(&f), f.now_ms + HOUR_MS);
    f.now_ms += 700;
    uint64_t late = fixture_expire(&f, "o");
    expect_code(fixture_release(&f, "job", late, RUN_SUCCEEDED), OUTCOME_LOCK_LOST);
    assert_int_equal(overdue_ms(&f), f.now_ms + HOUR_MS); /* a late success is one */
    expect_every(&f, LIMIT_NUMBER_MAX);
    assert_int_equal(overdue_ms(&f), f.now_ms + LIMIT_NUMBER_MAX);
    fixture_close(&f);
}

static void a_new_policy_counts_from_its_creation(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    (void)fixture_run(&f, NULL, RUN_SUCCEEDED);
    f.now_ms += HOUR_MS;
    expect_every(&f, MINUTE_MS);
    assert_int_equal(overdue_ms(&f), f.now_ms + MINUTE_MS);
    f.now_ms += 2 * MINUTE_MS;
    expect_code(fixture_delete(&f, "job"), OUTCOME_DONE);
    assert_int_equal(f.outcome.policy.overdue_ms, f.now_ms - MINUTE_MS);
    expect_every(&f, MINUTE_MS);
    assert_int_equal(overdue_ms(&f), f.now_ms + MINUTE_MS);
    struct lock_table *copy = table_copy(f.table);
    struct policy_view view;
    assert_true(lock_table_policy(copy, slice_of("job"), &view));
    assert_int_equal(view.overdue_ms, f.now_ms + MINUTE_MS);
    lock_table_close(copy);
    struct policy policy = policy_default();
    policy.expected_every_ms = LIMIT_NUMBER_MAX + 1;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_INVALID_FIELD);
    assert_string_equal(f.outcome.field, "expected_every_ms");
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_those_of_the_nearest_rank),
        cmocka_unit_test(only_runs_that_say_how_long_count),
        cmocka_unit_test(as_many_runs_as_there_can_be),
        cmocka_unit_test(a_schedule_is_overdue_after_its_last_success),
        cmocka_unit_test(a_new_policy_counts_from_its_creation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
