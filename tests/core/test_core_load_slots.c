/* Images of what slots, revocations and policies leave: what they write they read again, and nothing else is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "specimen.h"

#include <stdio.h>

/* grants[0] of "a" lives, grants[1] of "b" is being revoked; runs[2] of "c" was revoked and released as failed, runs[3] of
 * "d" was revoked by force, runs[4] of "e" expired. Nothing has succeeded. */
static void slots_open(struct specimen *specimen)
{
    *specimen = (struct specimen){0};
    struct fixture *f = &specimen->f;
    fixture_open(f);
    fixture_tick(f);
    fixture_slots(f, 5);
    static const char *const holders[] = {"a", "b", "c", "d", "e"};
    for (size_t i = 0; i < 5; i++) {
        (void)fixture_grant(
            f, (struct ask){.holder = holders[i], .occurrence = holders[i], .ttl_ms = i == 4 ? MINUTE_MS : HOUR_MS});
    }
    f->now_ms += MINUTE_MS;
    for (uint64_t token = 2; token <= 4; token++) {
        expect_code(fixture_revoke(f, (struct revoke_ask){.token = token, .force = token == 4}), OUTCOME_DONE);
    }
    expect_code(fixture_release(f, "job", 3, RUN_FAILED), OUTCOME_DONE);
    f->now_ms += 10;
    fixture_tick(f);
    specimen_take(specimen);
    assert_int_equal(specimen->image.n_grants, 2);
    assert_int_equal(specimen->image.n_runs, 5);
    assert_true(specimen->grants[1].is_revoking && specimen->runs[2].is_released);
    assert_false(specimen->image.has_success);
}

static void swap_grants(struct specimen *specimen)
{
    struct grant_image first = specimen->grants[0];
    specimen->grants[0] = specimen->grants[1];
    specimen->grants[1] = first;
}

#define HOSTILE_SLOTS(X)                                                                                               \
    X(revoked_but_not_revoking, grants[1].is_revoking = false)                                                         \
    X(revoking_but_not_revoked, grants[0].is_revoking = true)                                                          \
    X(revoking_and_failed, (runs[1].outcome = RUN_FAILED, runs[1].actor = NOTHING, runs[1].reason = NOTHING))          \
    X(revoking_and_reported,                                                                                           \
      (runs[1].late_outcome = RUN_SUCCEEDED, image->has_success = true, image->last_success_ms = runs[1].ended_ms))    \
    X(revoking_and_released, (runs[1].is_released = true, runs[1].late_outcome = RUN_FAILED))                          \
    X(revoking_and_succeeded, occurrences[1].succeeded = true)                                                         \
    X(revoking_before_it_began, runs[1].ended_ms = runs[1].granted_ms - 1)                                             \
    X(revoking_in_the_future, runs[1].ended_ms = specimen->numbers.now_ms + 1)                                         \
    X(released_without_report, runs[2].late_outcome = RUN_OUTCOME_NONE)                                                \
    X(released_as_running, runs[2].late_outcome = RUN_RUNNING)                                                         \
    X(released_as_expired, runs[2].late_outcome = RUN_EXPIRED)                                                         \
    X(released_and_not_revoked, (runs[2].outcome = RUN_EXPIRED, runs[2].actor = NOTHING, runs[2].reason = NOTHING))    \
    X(late_failure_of_a_forced_run, runs[3].late_outcome = RUN_FAILED)                                                 \
    X(late_success_not_remembered, runs[3].late_outcome = RUN_SUCCEEDED)                                               \
    X(success_not_remembered, runs[4].outcome = RUN_SUCCEEDED)                                                         \
    X(success_without_itself, image->last_success_ms = 1)                                                              \
    X(success_without_itself_on_the_wall, image->last_success_wall_ms = 1)                                             \
    X(holder_twice, runs[1].holder = runs[0].holder)                                                                   \
    X(grants_out_of_order, swap_grants(specimen))                                                                      \
    X(grant_twice, grants[1] = grants[0])                                                                              \
    X(forgotten_with_a_policy, image->forget_ms = specimen->numbers.now_ms + LIMIT_FORGET_MS)
HOSTILE_SLOTS(CHANGE_DEFINE)

#define SOUND_SLOTS(X)                                                                                                 \
    X(fewer_slots, image->policy.policy.slots = 1)                                                                     \
    X(no_policy, image->has_policy = false)                                                                            \
    X(nobody_known, (runs[3].actor = NOTHING, runs[3].reason = NOTHING))                                               \
    X(somebody_else, runs[1].actor = TEXT("somebody else"))                                                            \
    X(another_reason, runs[1].reason = TEXT("another"))                                                                \
    X(another_report, runs[2].late_outcome = RUN_ABANDONED)                                                            \
    X(not_released, (runs[2].is_released = false, runs[2].late_outcome = RUN_OUTCOME_NONE))                            \
    X(late_success,                                                                                                    \
      (runs[3].late_outcome = RUN_SUCCEEDED, image->has_success = true, image->last_success_ms = runs[3].ended_ms))    \
    X(released_late, (runs[2].is_released = false, runs[2].late_outcome = RUN_SUCCEEDED, image->has_success = true,    \
                      image->last_success_ms = runs[2].ended_ms))                                                      \
    X(some_success, image->has_success = true)                                                                         \
    X(the_same_holder_before, runs[3].holder = runs[0].holder)                                                         \
    X(revoked_at_another_time, runs[1].ended_ms++)                                                                     \
    X(running_instead, (runs[1].outcome = RUN_RUNNING, runs[1].ended_ms = 0, runs[1].ended_wall_ms = 0,                \
                        runs[1].actor = NOTHING, runs[1].reason = NOTHING, grants[1].is_revoking = false))
SOUND_SLOTS(CHANGE_DEFINE)

static void hostile_slots_are_refused(void **state)
{
    (void)state;
    static const struct change changes[] = {HOSTILE_SLOTS(CHANGE_ROW)};
    expect_hostile(slots_open, changes, sizeof changes / sizeof changes[0]);
}

static void every_field_of_slots_counts_and_survives(void **state)
{
    (void)state;
    static const struct change changes[] = {SOUND_SLOTS(CHANGE_ROW)};
    expect_sound(slots_open, changes, sizeof changes / sizeof changes[0]);
}

/* A policy, and nobody ever locked the schedule. */
static void untouched_open(struct specimen *specimen)
{
    *specimen = (struct specimen){0};
    fixture_open(&specimen->f);
    (void)fixture_expire(&specimen->f, "x");
    specimen->f.now_ms += LIMIT_FORGET_MS;
    fixture_tick(&specimen->f);
    specimen->f.now_ms += LIMIT_FORGET_MS;
    fixture_tick(&specimen->f); /* a token was given out, and all else is forgotten */
    expect_code(fixture_put(&specimen->f, "job", policy_default()), OUTCOME_DONE);
    specimen_take(specimen);
    assert_int_equal(specimen->image.n_runs, 0);
}

#define HOSTILE_UNTOUCHED(X)                                                                                           \
    X(nothing_at_all, image->has_policy = false)                                                                       \
    X(nothing_but_forgetting,                                                                                          \
      (image->has_policy = false, image->forget_ms = specimen->numbers.now_ms + LIMIT_FORGET_MS))                      \
    X(untouched_and_forgotten, image->forget_ms = specimen->numbers.now_ms + LIMIT_FORGET_MS)                          \
    X(untouched_with_success, image->has_success = true)                                                               \
    X(untouched_with_floor, image->has_floor = true)                                                                   \
    X(untouched_with_order, image->next_order = 2)                                                                     \
    X(untouched_with_occurrence, (image->n_occurrences = 1, occurrences[0].name = TEXT("x")))                          \
    X(untouched_with_grant, (image->n_grants = 1, grants[0].token = 1))
HOSTILE_UNTOUCHED(CHANGE_DEFINE)

static void an_untouched_schedule_has_a_policy_and_nothing_else(void **state)
{
    (void)state;
    static const struct change changes[] = {HOSTILE_UNTOUCHED(CHANGE_ROW)};
    expect_hostile(untouched_open, changes, sizeof changes / sizeof changes[0]);
}

/* As much as there can be: 63 occurrences and 15 runs that are over, and all slots taken. Token 1 is another schedule's
 * that is forgotten. */
static void full_open(struct specimen *specimen)
{
    *specimen = (struct specimen){0};
    struct fixture *f = &specimen->f;
    fixture_open(f);
    uint64_t other = fixture_grant(f, (struct ask){.id = "other", .ttl_ms = MINUTE_MS});
    expect_code(fixture_release(f, "other", other, RUN_FAILED), OUTCOME_DONE);
    f->now_ms += LIMIT_FORGET_MS;
    fixture_slots(f, LIMIT_SLOTS);
    fixture_run_strings(f, (struct span){0, LIMIT_OCCURRENCES_PER_SCHEDULE - 2}, RUN_FAILED);
    for (unsigned i = 0; i < LIMIT_SLOTS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "live%u", i);
        (void)fixture_grant(f, (struct ask){.holder = name, .occurrence = name, .ttl_ms = HOUR_MS});
    }
    f->now_ms += 1;
    fixture_tick(f);
    specimen_take(specimen);
    assert_int_equal(specimen->image.n_grants, LIMIT_SLOTS);
    assert_int_equal(specimen->image.n_runs, LIMIT_SLOTS + LIMIT_RUNS_PER_SCHEDULE - 1);
    assert_int_equal(specimen->image.n_occurrences, LIMIT_SLOTS + LIMIT_OCCURRENCES_PER_SCHEDULE - 1);
}

/* Token 1 is free for one more run, at the front. */
static void add_run(struct specimen *specimen)
{
    for (size_t i = specimen->image.n_runs++; i > 0; i--) {
        specimen->runs[i] = specimen->runs[i - 1];
    }
    specimen->runs[0].token = 1;
    specimen->runs[0].idempotency_key = TEXT("one more");
}

static void add_occurrence(struct specimen *specimen)
{
    struct occurrence_image *last = &specimen->occurrences[specimen->image.n_occurrences++];
    *last = specimen->occurrences[0];
    last->name = TEXT("one more");
    last->order = specimen->image.next_order++;
    specimen->numbers.next_token++;
}

/* A run that was over lives again. */
static void add_grant(struct specimen *specimen)
{
    struct run_image *run = &specimen->runs[0];
    run->outcome = RUN_RUNNING;
    run->ended_ms = 0;
    run->ended_wall_ms = 0;
    run->occurrence = NOTHING;
    run->attempt = 0;
    run->granted_ms = specimen->grants[0].granted_ms;
    for (size_t i = 0; i < specimen->image.n_runs; i++) {
        specimen->runs[i].granted_ms = run->granted_ms;
        specimen->runs[i].ended_ms = specimen->runs[i].outcome == RUN_RUNNING ? 0 : run->granted_ms;
    }
    for (size_t i = specimen->image.n_grants++; i > 0; i--) {
        specimen->grants[i] = specimen->grants[i - 1];
    }
    specimen->grants[0].token = run->token;
}

static void give_grant_up(struct specimen *specimen)
{
    struct run_image *run = &specimen->runs[specimen->image.n_runs - 1];
    run->outcome = RUN_FAILED;
    run->ended_ms = specimen->numbers.now_ms;
    specimen->image.n_grants--;
}

#define HOSTILE_FULL(X)                                                                                                \
    X(one_run_more, add_run(specimen))                                                                                 \
    X(one_occurrence_more, add_occurrence(specimen))                                                                   \
    X(one_grant_more, add_grant(specimen))
HOSTILE_FULL(CHANGE_DEFINE)

/* What makes each of the above hostile is that it is one too many. */
#define SOUND_FULL(X)                                                                                                  \
    X(another_run, (image->runs++, image->n_runs--, specimen->runs[1].token--))                                        \
    X(another_occurrence, (image->occurrences++, image->n_occurrences--, occurrences[1].attempts++))                   \
    X(another_grant, (give_grant_up(specimen), add_grant(specimen)))
SOUND_FULL(CHANGE_DEFINE)

static void there_is_an_end_to_everything(void **state)
{
    (void)state;
    static const struct change hostile[] = {HOSTILE_FULL(CHANGE_ROW)};
    expect_hostile(full_open, hostile, sizeof hostile / sizeof hostile[0]);
    static const struct change sound[] = {SOUND_FULL(CHANGE_ROW)};
    expect_sound(full_open, sound, sizeof sound / sizeof sound[0]);
}

/* Each kind of state goes on from an image as if nothing had happened. */
static void what_was_loaded_goes_on(void **state)
{
    (void)state;
    static struct specimen specimen;
    slots_open(&specimen);
    lock_table_thaw(specimen.f.table, specimen.frozen);
    struct fixture f = specimen.f;
    f.table = table_copy(specimen.f.table);
    lock_table_close(specimen.f.table);
    expect_code(fixture_renew(&f, "job", 2, 0), OUTCOME_LOCK_LOST);
    expect_code(fixture_acquire(&f, (struct ask){.holder = "b", .ttl_ms = MINUTE_MS}), OUTCOME_LOCK_HELD);
    expect_code(fixture_release(&f, "job", 3, RUN_SUCCEEDED), OUTCOME_DONE);
    assert_true(f.outcome.repeated);
    expect_code(fixture_release(&f, "job", 4, RUN_SUCCEEDED), OUTCOME_LOCK_LOST);
    assert_int_equal(f.outcome.run.late_outcome, RUN_SUCCEEDED);
    expect_code(fixture_release(&f, "job", 2, RUN_SUCCEEDED), OUTCOME_DONE);
    expect_code(fixture_renew(&f, "job", 1, 0), OUTCOME_DONE);
    expect_code(fixture_try(&f, "d"), OUTCOME_OCCURRENCE_DONE);
    f.now_ms += HOUR_MS;
    fixture_tick(&f);
    assert_int_equal(fixture_count(&f).held, 0);
    assert_int_equal(fixture_count(&f).expirations, 1);
    assert_int_equal(fixture_count(&f).policies, 1);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_slots_are_refused),
        cmocka_unit_test(every_field_of_slots_counts_and_survives),
        cmocka_unit_test(an_untouched_schedule_has_a_policy_and_nothing_else),
        cmocka_unit_test(there_is_an_end_to_everything),
        cmocka_unit_test(what_was_loaded_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
