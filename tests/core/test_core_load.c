/* Images: what a table writes it reads again, every field of it counts, and what apply could never have made is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "specimen.h"

#include <stdio.h>

/* A schedule with a policy, a floor, full memories, an ended run of every kind, and a live grant: runs[15] is the live
 * one, the one before it expired and was reported late. */
enum { LAST_RUN = LIMIT_RUNS_PER_SCHEDULE - 1, LAST_OCCURRENCE = LIMIT_OCCURRENCES_PER_SCHEDULE - 1 };

static void make_history(struct fixture *f)
{
    fixture_open(f);
    char name[40];
    uint64_t first = fixture_grant(f, (struct ask){.ttl_ms = MINUTE_MS}); /* of no occurrence */
    expect_code(fixture_release(f, "job", first, RUN_SUCCEEDED), OUTCOME_DONE);
    for (int i = 0; i < 66; i++) {
        (void)snprintf(name, sizeof name, "2026-01-%02dT%02d:00:00.5Z", 1 + i / 24, i % 24);
        f->now_ms += 10;
        (void)fixture_run(f, name, i % 3 == 0 ? RUN_SUCCEEDED : i % 3 == 1 ? RUN_FAILED : RUN_ABANDONED);
    }
    (void)fixture_run(f, "a string", RUN_ABANDONED);
    uint64_t late = fixture_grant(f, (struct ask){.occurrence = "late", .ttl_ms = MINUTE_MS});
    f->now_ms += MINUTE_MS;
    expect_code(fixture_release(f, "job", late, RUN_SUCCEEDED), OUTCOME_LOCK_LOST);
}

static void specimen_open(struct specimen *specimen)
{
    *specimen = (struct specimen){0};
    make_history(&specimen->f);
    struct policy policy = policy_default();
    policy.description = slice_of("what it is for");
    expect_code(fixture_put(&specimen->f, "job", policy), OUTCOME_DONE);
    (void)fixture_grant(&specimen->f, (struct ask){.holder = "live",
                                                   .occurrence = "2026-02-01T00:00:00Z",
                                                   .metadata = "{\"a\":1}",
                                                   .ttl_ms = HOUR_MS,
                                                   .estimate_ms = 5000});
    specimen->f.now_ms += 5;
    expect_code(fixture_renew(&specimen->f, "job", fixture_count(&specimen->f).next_token - 1, 2 * HOUR_MS),
                OUTCOME_DONE);
    specimen->f.now_ms += 5;
    fixture_tick(&specimen->f);
    specimen_take(specimen);
    assert_int_equal(specimen->image.n_grants, 1);
    assert_int_equal(specimen->image.n_runs, LIMIT_RUNS_PER_SCHEDULE);
    assert_int_equal(specimen->image.n_occurrences, LIMIT_OCCURRENCES_PER_SCHEDULE);
    assert_true(specimen->image.has_floor);
    assert_int_equal(specimen->runs[LAST_RUN - 1].late_outcome, RUN_SUCCEEDED);
}

/* The same without the live grant. */
static void idle_specimen_open(struct specimen *specimen)
{
    *specimen = (struct specimen){0};
    make_history(&specimen->f);
    specimen_take(specimen);
    assert_int_equal(specimen->image.n_grants, 0);
}

/* Each is one change of the specimen that apply could never have made. */
#define HOSTILE(X)                                                                                                     \
    X(id_absent, image->id = NOTHING)                                                                                  \
    X(id_empty, image->id = long_slice(0))                                                                             \
    X(id_too_long, image->id = long_slice(LIMIT_NAME_BYTES + 1))                                                       \
    X(policy_made_in_the_future, image->policy.created_ms = specimen->numbers.now_ms + 1)                              \
    X(policy_without_ttl, image->policy.policy.max_ttl_ms = 0)                                                         \
    X(policy_with_too_long_a_ttl, image->policy.policy.max_ttl_ms = LIMIT_TTL_MS + 1)                                  \
    X(policy_with_too_long_a_margin, image->policy.policy.margin_ms = UINT64_MAX)                                      \
    X(policy_with_too_long_an_estimate, image->policy.policy.estimate_ms = UINT64_MAX)                                 \
    X(policy_with_too_long_a_cool_down, image->policy.policy.min_hold_ms = LIMIT_NUMBER_MAX + 1)                       \
    X(policy_without_slots, image->policy.policy.slots = 0)                                                            \
    X(policy_with_too_many_slots, image->policy.policy.slots = LIMIT_SLOTS + 1)                                        \
    X(policy_without_attempts, image->policy.policy.max_attempts = 0)                                                  \
    X(policy_with_too_many_attempts, image->policy.policy.max_attempts = LIMIT_ATTEMPTS + 1)                           \
    X(policy_with_too_long_a_description, image->policy.policy.description = long_slice(LIMIT_REASON_BYTES + 1))       \
    X(success_forgotten, (image->has_success = false, image->last_success_ms = 0, image->last_success_wall_ms = 0))    \
    X(success_before_its_run_ended, image->last_success_ms = runs[LAST_RUN - 1].ended_ms - 1)                          \
    X(success_in_the_future, image->last_success_ms = specimen->numbers.now_ms + 1)                                    \
    X(success_before_all_clocks, image->last_success_wall_ms = INT64_MIN)                                              \
    X(no_floor_with_seconds, image->has_floor = false)                                                                 \
    X(floor_before_all_years, image->floor_s = -62167219200 - 86401)                                                   \
    X(floor_after_all_years, image->floor_s = 253402300800 + 86400)                                                    \
    X(floor_with_a_second_of_nanoseconds, image->floor_ns = 1000000000u)                                               \
    X(next_order_used, image->next_order = occurrences[LAST_OCCURRENCE].order)                                         \
    X(next_order_over_all_tokens, image->next_order = specimen->numbers.next_token + 1)                                \
    X(forgotten_while_held, image->forget_ms = 1)                                                                      \
    X(revoked_without_a_reason, (runs[3].outcome = RUN_REVOKED, runs[3].actor = TEXT("me")))                           \
    X(revoked_by_nobody, (runs[3].outcome = RUN_REVOKED, runs[3].reason = TEXT("why")))                                \
    X(revoked_by_an_empty_name,                                                                                        \
      (runs[3].outcome = RUN_REVOKED, runs[3].actor = long_slice(0), runs[3].reason = TEXT("why")))                    \
    X(revoked_by_a_long_name,                                                                                          \
      (runs[3].outcome = RUN_REVOKED, runs[3].actor = long_slice(LIMIT_NAME_BYTES + 1), runs[3].reason = TEXT("why"))) \
    X(revoked_with_an_empty_reason,                                                                                    \
      (runs[3].outcome = RUN_REVOKED, runs[3].actor = TEXT("me"), runs[3].reason = long_slice(0)))                     \
    X(revoked_with_a_long_reason, (runs[3].outcome = RUN_REVOKED, runs[3].actor = TEXT("me"),                          \
                                   runs[3].reason = long_slice(LIMIT_REASON_BYTES + 1)))                               \
    X(late_failure_of_a_revoked_run, (runs[3].outcome = RUN_REVOKED, runs[3].late_outcome = RUN_FAILED))               \
    X(released_and_running, runs[LAST_RUN].is_released = true)                                                         \
    X(released_and_succeeded, runs[3].is_released = true)                                                              \
    X(released_but_not_revoked, (runs[3].is_released = true, runs[3].late_outcome = RUN_SUCCEEDED))                    \
    X(revoking_a_running_run, grants[0].is_revoking = true)                                                            \
    X(two_grants, (grants[1] = grants[0], image->n_grants = 2))                                                        \
    X(running_without_grant, image->n_grants = 0)                                                                      \
    X(no_run, image->n_runs = 0)                                                                                       \
    X(grant_without_its_run, image->n_runs = LAST_RUN)                                                                 \
    X(runs_over_the_limit, (runs[LAST_RUN + 1] = runs[LAST_RUN], image->n_runs++))                                     \
    X(occurrences_over_the_limit,                                                                                      \
      (occurrences[LAST_OCCURRENCE + 1] = occurrences[LAST_OCCURRENCE], image->n_occurrences++))                       \
    X(live_occurrence_forgotten, image->n_occurrences--)                                                               \
    X(grant_of_another_run, grants[0].token--)                                                                         \
    X(grant_of_no_run, grants[0].token++)                                                                              \
    X(granted_at_another_time, grants[0].granted_ms--)                                                                 \
    X(deadline_over, grants[0].deadline_ms = specimen->numbers.now_ms)                                                 \
    X(deadline_too_far, grants[0].deadline_ms = specimen->numbers.now_ms + grants[0].ttl_ms + 1)                       \
    X(deadline_too_near, grants[0].deadline_ms = grants[0].granted_ms + grants[0].ttl_ms - 1)                          \
    X(ttl_over_its_maximum, grants[0].max_ttl_ms = grants[0].ttl_ms - 1)                                               \
    X(maximum_over_the_limit, grants[0].max_ttl_ms = LIMIT_TTL_MS + 1)                                                 \
    X(ttl_under_its_margin, grants[0].ttl_ms = grants[0].margin_ms - 1)                                                \
    X(granted_ttl_missing, grants[0].granted_ttl_ms = 0)                                                               \
    X(granted_ttl_too_short, grants[0].granted_ttl_ms = grants[0].estimate_ms + grants[0].margin_ms - 1)               \
    X(granted_ttl_too_long, grants[0].granted_ttl_ms = LIMIT_TTL_MS + 1)                                               \
    X(estimate_without_end, grants[0].estimate_ms = UINT64_MAX)                                                        \
    X(margin_without_end, grants[0].margin_ms = UINT64_MAX)                                                            \
    X(metadata_too_long, grants[0].metadata = long_slice(LIMIT_METADATA_BYTES + 1))                                    \
    X(token_zero, runs[0].token = 0)                                                                                   \
    X(token_not_given_out, (runs[LAST_RUN].token++, grants[0].token++, occurrences[LAST_OCCURRENCE].run_token++))      \
    X(tokens_out_of_order, runs[3].token = runs[4].token)                                                              \
    X(granted_out_of_order, runs[3].granted_ms = runs[2].granted_ms - 1)                                               \
    X(granted_in_the_future, runs[LAST_RUN - 1].granted_ms = specimen->numbers.now_ms + 1)                             \
    X(ended_before_it_began, runs[3].ended_ms = runs[3].granted_ms - 1)                                                \
    X(ended_in_the_future, runs[3].ended_ms = specimen->numbers.now_ms + 1)                                            \
    X(ended_while_it_runs, runs[LAST_RUN].ended_ms = 1)                                                                \
    X(ended_on_the_wall_while_it_runs, runs[LAST_RUN].ended_wall_ms = 1)                                               \
    X(reported_while_it_runs, runs[LAST_RUN].late_outcome = RUN_SUCCEEDED)                                             \
    X(revoked_by_somebody_while_it_runs, runs[LAST_RUN].actor = TEXT("me"))                                            \
    X(ended_with_a_grant, (runs[LAST_RUN].outcome = RUN_FAILED, runs[LAST_RUN].ended_ms = runs[LAST_RUN].granted_ms))  \
    X(acquired_before_all_clocks, runs[3].acquired_wall_ms = INT64_MIN)                                                \
    X(ended_after_all_clocks, runs[3].ended_wall_ms = INT64_MAX)                                                       \
    X(holder_absent, runs[3].holder = NOTHING)                                                                         \
    X(holder_empty, runs[3].holder = long_slice(0))                                                                    \
    X(holder_too_long, runs[3].holder = long_slice(LIMIT_NAME_BYTES + 1))                                              \
    X(key_absent, runs[3].idempotency_key = NOTHING)                                                                   \
    X(key_too_long, runs[3].idempotency_key = long_slice(LIMIT_OCCURRENCE_BYTES + 1))                                  \
    X(key_twice, runs[3].idempotency_key = runs[9].idempotency_key)                                                    \
    X(run_occurrence_too_long, runs[3].occurrence = long_slice(LIMIT_OCCURRENCE_BYTES + 1))                            \
    X(run_occurrence_empty, runs[3].occurrence = long_slice(0))                                                        \
    X(attempt_without_occurrence, runs[3].occurrence = NOTHING)                                                        \
    X(occurrence_without_attempt, runs[3].attempt = 0)                                                                 \
    X(live_occurrence_is_another, runs[LAST_RUN].occurrence = TEXT("another"))                                         \
    X(actor_without_revocation, runs[3].actor = TEXT("me"))                                                            \
    X(reason_without_revocation, runs[3].reason = TEXT("why"))                                                         \
    X(outcome_unknown, runs[3].outcome = RUN_REVOKED + 1)                                                              \
    X(outcome_negative, runs[3].outcome = -1)                                                                          \
    X(running_and_ended, runs[3].outcome = RUN_RUNNING)                                                                \
    X(late_outcome_unknown, runs[LAST_RUN - 1].late_outcome = 77)                                                      \
    X(late_outcome_below_none, runs[LAST_RUN - 1].late_outcome = -2)                                                   \
    X(late_failure_of_an_expired_run, runs[LAST_RUN - 1].late_outcome = RUN_FAILED)                                    \
    X(late_expiry, runs[LAST_RUN - 1].late_outcome = RUN_EXPIRED)                                                      \
    X(late_outcome_of_a_released_run, runs[3].late_outcome = RUN_SUCCEEDED)                                            \
    X(occurrence_absent, occurrences[3].name = NOTHING)                                                                \
    X(occurrence_empty, occurrences[3].name = long_slice(0))                                                           \
    X(occurrence_too_long, occurrences[3].name = long_slice(LIMIT_OCCURRENCE_BYTES + 1))                               \
    X(instant_denied, occurrences[3].is_instant = false)                                                               \
    X(instant_claimed, occurrences[LAST_OCCURRENCE - 1].is_instant = true)                                             \
    X(instant_moved, occurrences[3].instant_s++)                                                                       \
    X(instant_moved_a_little, occurrences[3].instant_ns++)                                                             \
    X(string_with_seconds, occurrences[LAST_OCCURRENCE - 1].instant_s = 1)                                             \
    X(occurrence_twice,                                                                                                \
      (occurrences[3].name = occurrences[9].name, occurrences[3].instant_s = occurrences[9].instant_s))                \
    X(string_twice, occurrences[LAST_OCCURRENCE - 2].name = occurrences[LAST_OCCURRENCE - 1].name)                     \
    X(order_twice, occurrences[3].order = occurrences[2].order)                                                        \
    X(succeeded_without_attempt, (occurrences[3].succeeded = true, occurrences[3].attempts = 0))                       \
    X(live_without_attempt, occurrences[LAST_OCCURRENCE].attempts = 0)                                                 \
    X(ended_without_attempt,                                                                                           \
      (occurrences[LAST_OCCURRENCE - 1].succeeded = false, occurrences[LAST_OCCURRENCE - 1].attempts = 0))             \
    X(attempts_over_all_tokens, occurrences[3].attempts = (uint32_t)specimen->numbers.next_token)                      \
    X(attempt_over_all_tokens, runs[3].attempt = (uint32_t)specimen->numbers.next_token)                               \
    X(live_and_succeeded, occurrences[LAST_OCCURRENCE].succeeded = true)                                               \
    X(live_with_another_run, occurrences[LAST_OCCURRENCE].run_token--)                                                 \
    X(occurrence_of_a_future_run, occurrences[3].run_token = specimen->numbers.next_token)

HOSTILE(CHANGE_DEFINE)

/* Each is one change that leaves the specimen sound, but another one. */
#define SOUND(X)                                                                                                       \
    X(other_id, image->id = TEXT("other"))                                                                             \
    X(other_floor, image->floor_s--)                                                                                   \
    X(other_floor_fraction, image->floor_ns--)                                                                         \
    X(other_next_order, image->next_order++)                                                                           \
    X(other_deadline, grants[0].deadline_ms--)                                                                         \
    X(other_ttl, grants[0].ttl_ms++)                                                                                   \
    X(other_granted_ttl, grants[0].granted_ttl_ms++)                                                                   \
    X(other_estimate, grants[0].estimate_ms++)                                                                         \
    X(other_margin, grants[0].margin_ms--)                                                                             \
    X(other_maximum, grants[0].max_ttl_ms--)                                                                           \
    X(other_metadata, grants[0].metadata = TEXT("{}"))                                                                 \
    X(no_metadata, grants[0].metadata = NOTHING)                                                                       \
    X(other_token, runs[0].token--)                                                                                    \
    X(other_grant_time, runs[0].granted_ms--)                                                                          \
    X(other_end, runs[0].ended_ms++)                                                                                   \
    X(other_acquired_wall, runs[0].acquired_wall_ms = -5)                                                              \
    X(other_ended_wall, runs[0].ended_wall_ms = -5)                                                                    \
    X(other_holder, runs[0].holder = TEXT("x"))                                                                        \
    X(other_run_occurrence, runs[0].occurrence = TEXT("x"))                                                            \
    X(other_key, runs[0].idempotency_key = TEXT("x"))                                                                  \
    X(other_fingerprint, runs[0].fingerprint.bytes[15] ^= 1)                                                           \
    X(other_outcome, runs[2].outcome = RUN_REVOKED)                                                                    \
    X(revoked_by, (runs[2].outcome = RUN_REVOKED, runs[2].actor = TEXT("me"), runs[2].reason = TEXT("why")))           \
    X(revoked_late, (runs[2].outcome = RUN_REVOKED, runs[2].late_outcome = RUN_SUCCEEDED))                             \
    X(revoked_and_released,                                                                                            \
      (runs[2].outcome = RUN_REVOKED, runs[2].is_released = true, runs[2].late_outcome = RUN_FAILED))                  \
    X(no_policy, image->has_policy = false)                                                                            \
    X(other_policy_estimate, image->policy.policy.estimate_ms++)                                                       \
    X(other_policy_margin, image->policy.policy.margin_ms++)                                                           \
    X(other_policy_ttl, image->policy.policy.max_ttl_ms--)                                                             \
    X(other_policy_cool_down, image->policy.policy.min_hold_ms++)                                                      \
    X(other_policy_slots, image->policy.policy.slots++)                                                                \
    X(other_policy_attempts, image->policy.policy.max_attempts++)                                                      \
    X(other_policy_description, image->policy.policy.description = TEXT("something else"))                             \
    X(no_policy_description, image->policy.policy.description = NOTHING)                                               \
    X(empty_policy_description, image->policy.policy.description = long_slice(0))                                      \
    X(other_policy_creation, image->policy.created_ms--)                                                               \
    X(other_success, image->last_success_ms++)                                                                         \
    X(other_success_wall, image->last_success_wall_ms--)                                                               \
    X(other_late_outcome, runs[LAST_RUN - 1].late_outcome = RUN_OUTCOME_NONE)                                          \
    X(other_attempt, runs[0].attempt++)                                                                                \
    X(other_name, occurrences[LAST_OCCURRENCE - 1].name = TEXT("x"))                                                   \
    X(other_spelling, occurrences[LAST_OCCURRENCE].name = TEXT("2026-02-01T00:00:00z"))                                \
    X(other_attempts, occurrences[LAST_OCCURRENCE].attempts++)                                                         \
    X(other_occurrence_success, occurrences[LAST_OCCURRENCE - 1].succeeded = false)                                    \
    X(other_run, occurrences[0].run_token++)                                                                           \
    X(other_order, occurrences[0].order--)                                                                             \
    X(fewer_occurrences, (image->occurrences++, image->n_occurrences--))                                               \
    X(fewer_runs, (image->runs++, image->n_runs--))                                                                    \
    X(other_now, specimen->numbers.now_ms++)                                                                           \
    X(other_wall, specimen->numbers.wall_ms++)                                                                         \
    X(other_index, specimen->numbers.index++)                                                                          \
    X(other_next_token, specimen->numbers.next_token++)                                                                \
    X(other_next_member, specimen->numbers.next_member_id++)
SOUND(CHANGE_DEFINE)

static void hostile_images_are_refused(void **state)
{
    (void)state;
    static const struct change changes[] = {HOSTILE(CHANGE_ROW)};
    expect_hostile(specimen_open, changes, sizeof changes / sizeof changes[0]);
}

static void every_field_counts_and_survives(void **state)
{
    (void)state;
    static const struct change changes[] = {SOUND(CHANGE_ROW)};
    expect_sound(specimen_open, changes, sizeof changes / sizeof changes[0]);
}

static void an_idle_schedule_must_be_forgotten_in_time(void **state)
{
    (void)state;
    static const int64_t others[] = {1, -1, (int64_t)LIMIT_FORGET_MS, -(int64_t)LIMIT_FORGET_MS};
    static struct specimen specimen;
    struct digest128 digest;
    idle_specimen_open(&specimen);
    assert_int_equal(specimen_load(&specimen, &digest), ERROR_NONE);
    uint64_t forget_ms = specimen.image.forget_ms;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        specimen.image.forget_ms = forget_ms + (uint64_t)others[i];
        assert_int_equal(specimen_load(&specimen, &digest), ERROR_CORRUPT);
    }
    specimen.image.forget_ms = 0;
    assert_int_equal(specimen_load(&specimen, &digest), ERROR_CORRUPT);
    specimen.image.forget_ms = forget_ms;
    specimen.numbers.now_ms += 100; /* its policy may have gone later than its lock */
    for (uint64_t later_ms = 99; later_ms <= 101; later_ms++) {
        specimen.image.forget_ms = forget_ms + later_ms;
        assert_int_equal(specimen_load(&specimen, &digest), later_ms <= 100 ? ERROR_NONE : ERROR_CORRUPT);
    }
    specimen.image.forget_ms = forget_ms;
    specimen.numbers.now_ms = forget_ms - 1;
    assert_int_equal(specimen_load(&specimen, &digest), ERROR_NONE);
    specimen.numbers.now_ms = forget_ms; /* it would be forgotten */
    assert_int_equal(specimen_load(&specimen, &digest), ERROR_CORRUPT);
    specimen_close(&specimen);
}

static void hostile_numbers_are_refused(void **state)
{
    (void)state;
    const struct table_image good = {.next_token = 1, .next_member_id = 1, .rules_version = 1};
    struct table_image bad[8];
    for (size_t i = 0; i < 8; i++) {
        bad[i] = good;
    }
    bad[0].rules_version = 0;
    bad[1].next_token = 0;
    bad[2].next_token = LIMIT_NUMBER_MAX + 2;
    bad[3].next_member_id = 0;
    bad[4].now_ms = UINT64_MAX / 2 + 1;
    bad[5].wall_ms = INT64_MIN;
    bad[6].wall_ms = INT64_MAX;
    bad[7].rules_version = rules_version_newest() + 1;
    struct lock_table *table = lock_table_open();
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(lock_table_load_table(table, &bad[i]), i == 7 ? ERROR_VERSION : ERROR_CORRUPT);
    }
    assert_int_equal(lock_table_load_table(table, &good), ERROR_NONE);
    lock_table_close(table);
}

static void a_schedule_comes_once(void **state)
{
    (void)state;
    static struct specimen specimen;
    specimen_open(&specimen);
    struct lock_table *table = lock_table_open();
    assert_int_equal(lock_table_load_table(table, &specimen.numbers), ERROR_NONE);
    assert_int_equal(lock_table_load_schedule(table, &specimen.image), ERROR_NONE);
    assert_int_equal(lock_table_load_schedule(table, &specimen.image), ERROR_CORRUPT);
    lock_table_close(table);
    specimen_close(&specimen);
}

static void what_was_loaded_goes_on(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t token = fixture_grant(&f, (struct ask){.key = "k", .occurrence = "x", .ttl_ms = MINUTE_MS});
    struct lock_table *copy = table_copy(f.table);
    lock_table_close(f.table);
    f.table = copy;
    assert_int_equal(fixture_count(&f).held, 1);
    assert_int_equal(fixture_count(&f).next_token, token + 1);
    f.now_ms += MINUTE_MS - 1;
    expect_code(fixture_acquire(&f, (struct ask){.key = "k", .occurrence = "x", .ttl_ms = MINUTE_MS}), OUTCOME_DONE);
    assert_true(f.outcome.repeated);
    assert_int_equal(f.outcome.grant.remaining_ms, 1); /* no early expiry */
    f.now_ms += 1;
    assert_true(fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS}) > token);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_images_are_refused),
        cmocka_unit_test(every_field_counts_and_survives),
        cmocka_unit_test(an_idle_schedule_must_be_forgotten_in_time),
        cmocka_unit_test(hostile_numbers_are_refused),
        cmocka_unit_test(a_schedule_comes_once),
        cmocka_unit_test(what_was_loaded_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
