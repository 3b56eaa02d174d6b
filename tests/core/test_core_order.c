/* The order of checks (API.md): for each adjacent pair, a request that breaks both is refused for the
 * one that goes first. The walk at the end breaks all of them, and mends one after another. */
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
    expect_code(fixture_try(&f, DONE_AT), OUTCOME_OCCURRENCE_DONE);
    fixture_close(&f);
}

static void a_running_occurrence_goes_before_attempts_exhausted(void **state)
{
    (void)state;
    struct fixture f;
    (void)set_scene(&f); /* the running one has used its only attempt */
    expect_code(fixture_try(&f, LIVE_AT), OUTCOME_LOCK_HELD);
    fixture_close(&f);
}

static struct policy policy_strict(void)
{
    struct policy policy = policy_default();
    policy.max_attempts = 2;
    policy.min_hold_ms = HOUR_MS;
    return policy;
}

static void a_running_occurrence_goes_before_its_last_attempt(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct policy policy = policy_default();
    policy.max_attempts = 2;
    policy.slots = 3;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
    (void)fixture_run(&f, FAILED_AT, RUN_FAILED);
    uint64_t token = fixture_grant(&f, (struct ask){.occurrence = FAILED_AT, .holder = "a", .ttl_ms = MINUTE_MS});
    expect_code(fixture_try(&f, FAILED_AT), OUTCOME_LOCK_HELD); /* slots are free, attempts are not */
    expect_code(fixture_release(&f, "job", token, RUN_FAILED), OUTCOME_DONE);
    expect_code(fixture_try(&f, FAILED_AT), OUTCOME_ATTEMPTS_EXHAUSTED);
    fixture_close(&f);
}

/* As set_scene, under rules with freezes, and with everything frozen. */
static uint64_t set_frozen_scene(struct fixture *f)
{
    uint64_t token = set_scene(f);
    struct command command = {.kind = COMMAND_RULES, .rules = {.version = rules_version_newest()}};
    expect_code(fixture_apply(f, &command), OUTCOME_DONE);
    expect_code(fixture_put_freeze(f, "*", HOUR_MS), OUTCOME_DONE);
    return token;
}

static void a_running_occurrence_goes_before_frozen(void **state)
{
    (void)state;
    struct fixture f;
    (void)set_frozen_scene(&f);
    expect_code(fixture_try(&f, DONE_AT), OUTCOME_OCCURRENCE_DONE);
    expect_code(fixture_try(&f, LIVE_AT), OUTCOME_LOCK_HELD);
    fixture_close(&f);
}

static void attempts_exhausted_goes_before_frozen(void **state)
{
    (void)state;
    struct fixture f;
    (void)set_frozen_scene(&f);
    expect_code(fixture_try(&f, FAILED_AT), OUTCOME_ATTEMPTS_EXHAUSTED);
    fixture_close(&f);
}

static void frozen_goes_before_lock_held(void **state)
{
    (void)state;
    struct fixture f;
    uint64_t token = set_frozen_scene(&f);
    expect_code(fixture_try(&f, "new"), OUTCOME_FROZEN);
    expect_code(fixture_delete_freeze(&f, "*"), OUTCOME_DONE);
    expect_code(fixture_try(&f, "new"), OUTCOME_LOCK_HELD);
    expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_DONE);
    expect_code(fixture_try(&f, "new"), OUTCOME_DONE);
    fixture_close(&f);
}

static void attempts_exhausted_goes_before_lock_held(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct policy policy = policy_default();
    policy.max_attempts = 2;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
    (void)fixture_run(&f, FAILED_AT, RUN_FAILED);
    (void)fixture_run(&f, FAILED_AT, RUN_FAILED);
    (void)fixture_run(&f, LIVE_AT, RUN_FAILED);
    (void)fixture_take(&f, "other");
    expect_code(fixture_try(&f, LIVE_AT), OUTCOME_LOCK_HELD); /* one attempt is left */
    expect_code(fixture_try(&f, FAILED_AT), OUTCOME_ATTEMPTS_EXHAUSTED);
    fixture_close(&f);
}

static void lock_held_goes_before_cooling_down(void **state)
{
    (void)state;
    struct fixture f;
    uint64_t token = set_scene(&f);
    expect_code(fixture_put(&f, "job", policy_strict()), OUTCOME_DONE);
    expect_code(fixture_try(&f, "new"), OUTCOME_LOCK_HELD);
    struct policy policy = policy_strict();
    policy.slots = 2;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
    expect_code(fixture_try(&f, "new"), OUTCOME_LOCK_HELD); /* h1 has a slot: the same refusal, at the same place */
    expect_code(fixture_acquire(&f, (struct ask){.holder = "other", .ttl_ms = MINUTE_MS}), OUTCOME_COOLING_DOWN);
    expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_DONE);
    expect_code(fixture_try(&f, "new"), OUTCOME_COOLING_DOWN);
    fixture_close(&f);
}

static void cooling_down_goes_before_capacity(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    expect_code(fixture_put(&f, "job", policy_strict()), OUTCOME_DONE);
    (void)fixture_run(&f, "x", RUN_SUCCEEDED);
    f.no_growth = true;
    expect_code(fixture_try(&f, "new"), OUTCOME_COOLING_DOWN);
    f.now_ms += HOUR_MS;
    expect_code(fixture_try(&f, "new"), OUTCOME_CAPACITY);
    fixture_close(&f);
}

/* A group without a slot, and the policy in it. */
static void set_full_group(struct fixture *f, struct policy policy)
{
    fixture_open_newest(f);
    expect_code(fixture_put_group(f, "g", 1), OUTCOME_DONE);
    policy.group = slice_of("g");
    expect_code(fixture_put(f, "job", policy), OUTCOME_DONE);
    (void)fixture_run(f, "x", RUN_SUCCEEDED);
    expect_code(fixture_put_group(f, "g", 0), OUTCOME_DONE);
}

static void lock_held_goes_before_group_full(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    expect_code(fixture_put_group(&f, "g", 1), OUTCOME_DONE);
    fixture_join(&f, "job", "g", 1);
    (void)fixture_take(&f, "a");
    expect_code(fixture_try(&f, "new"), OUTCOME_LOCK_HELD); /* its one grant fills the group as well */
    fixture_join(&f, "job", "g", 2);
    expect_code(fixture_try(&f, "new"), OUTCOME_GROUP_FULL);
    fixture_close(&f);
}

static void cooling_down_goes_before_group_full(void **state)
{
    (void)state;
    struct fixture f;
    set_full_group(&f, policy_strict());
    expect_code(fixture_try(&f, "new"), OUTCOME_COOLING_DOWN);
    f.now_ms += HOUR_MS;
    expect_code(fixture_try(&f, "new"), OUTCOME_GROUP_FULL);
    fixture_close(&f);
}

static void group_full_goes_before_capacity(void **state)
{
    (void)state;
    struct fixture f;
    set_full_group(&f, policy_default());
    f.no_growth = true;
    expect_code(fixture_try(&f, "new"), OUTCOME_GROUP_FULL);
    expect_code(fixture_put_group(&f, "g", 1), OUTCOME_DONE); /* no group more */
    expect_code(fixture_try(&f, "new"), OUTCOME_CAPACITY);
    fixture_close(&f);
}

static void a_policys_form_goes_before_its_group_and_that_before_its_room(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    f.no_growth = true;
    struct policy policy = policy_default();
    policy.group = slice_of("g");
    policy.slots = 0;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_INVALID_FIELD);
    policy.slots = 1;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_UNKNOWN_GROUP);
    expect_code(fixture_put_group(&f, "g", LIMIT_GROUP_SLOTS + 1), OUTCOME_INVALID_FIELD);
    expect_code(fixture_put_group(&f, "g", 1), OUTCOME_CAPACITY);
    expect_code(fixture_put_freeze(&f, "**", 1), OUTCOME_INVALID_FIELD);
    expect_code(fixture_put_freeze(&f, "*", 1), OUTCOME_CAPACITY);
    f.no_growth = false;
    expect_code(fixture_put_group(&f, "g", 1), OUTCOME_DONE);
    f.no_growth = true;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_CAPACITY);
    fixture_close(&f);
}

/* One request that every check would refuse; what refuses it is taken away, one after another. */
static void the_whole_order_is_walked(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    expect_code(fixture_put_group(&f, "g", 9), OUTCOME_DONE);
    struct policy policy = policy_strict();
    policy.slots = 2;
    policy.group = slice_of("g");
    expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
    struct ask ask = {.key = "ended", .occurrence = "x", .ttl_ms = MINUTE_MS};
    uint64_t first = fixture_grant(&f, ask);
    expect_code(fixture_release(&f, "job", first, RUN_FAILED), OUTCOME_DONE);
    f.now_ms += HOUR_MS;
    uint64_t live = fixture_grant(&f, (struct ask){.occurrence = "x", .ttl_ms = MINUTE_MS});
    policy.max_ttl_ms = MINUTE_MS;
    policy.slots = 1;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
    expect_code(fixture_put_freeze(&f, "job", 5), OUTCOME_DONE);
    expect_code(fixture_put_group(&f, "g", 0), OUTCOME_DONE);
    f.no_growth = true;
    ask.ttl_ms = 1;
    expect_code(fixture_acquire(&f, ask), OUTCOME_IDEMPOTENCY_CONFLICT);
    ask.ttl_ms = MINUTE_MS;
    expect_code(fixture_acquire(&f, ask), OUTCOME_GRANT_ENDED);
    ask.key = "new";
    ask.ttl_ms = MINUTE_MS + 1;
    ask.estimate_ms = MINUTE_MS;
    expect_code(fixture_acquire(&f, ask), OUTCOME_TTL_TOO_SHORT);
    ask.estimate_ms = 0;
    expect_code(fixture_acquire(&f, ask), OUTCOME_TTL_TOO_LONG);
    ask.ttl_ms = MINUTE_MS;
    expect_code(fixture_acquire(&f, ask), OUTCOME_LOCK_HELD); /* the occurrence runs now */
    assert_int_equal(f.outcome.holders[0].token, live);
    expect_code(fixture_release(&f, "job", live, RUN_FAILED), OUTCOME_DONE);
    expect_code(fixture_acquire(&f, ask), OUTCOME_ATTEMPTS_EXHAUSTED);
    ask.occurrence = "y";
    expect_code(fixture_acquire(&f, ask), OUTCOME_FROZEN);
    f.now_ms += 5;
    expect_code(fixture_acquire(&f, ask), OUTCOME_COOLING_DOWN);
    f.now_ms += HOUR_MS;
    expect_code(fixture_acquire(&f, ask), OUTCOME_GROUP_FULL);
    expect_code(fixture_put_group(&f, "g", 1), OUTCOME_DONE);
    expect_code(fixture_acquire(&f, ask), OUTCOME_CAPACITY);
    f.no_growth = false;
    expect_code(fixture_acquire(&f, ask), OUTCOME_DONE);
    fixture_close(&f);
}

static void revoke_looks_at_its_form_before_the_token(void **state)
{
    (void)state;
    struct fixture f;
    uint64_t token = set_scene(&f);
    expect_code(fixture_revoke(&f, (struct revoke_ask){.actor = "", .token = token - 1}), OUTCOME_INVALID_FIELD);
    expect_code(fixture_revoke(&f, (struct revoke_ask){.token = token - 1}), OUTCOME_LOCK_LOST);
    fixture_close(&f);
}

static void a_policys_form_goes_before_its_room(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    f.no_growth = true;
    struct policy policy = policy_default();
    policy.slots = 0;
    expect_code(fixture_put(&f, "job", policy), OUTCOME_INVALID_FIELD);
    expect_code(fixture_put(&f, "job", policy_default()), OUTCOME_CAPACITY);
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
        cmocka_unit_test(a_running_occurrence_goes_before_its_last_attempt),
        cmocka_unit_test(a_running_occurrence_goes_before_frozen),
        cmocka_unit_test(attempts_exhausted_goes_before_frozen),
        cmocka_unit_test(frozen_goes_before_lock_held),
        cmocka_unit_test(attempts_exhausted_goes_before_lock_held),
        cmocka_unit_test(lock_held_goes_before_cooling_down),
        cmocka_unit_test(cooling_down_goes_before_capacity),
        cmocka_unit_test(lock_held_goes_before_group_full),
        cmocka_unit_test(cooling_down_goes_before_group_full),
        cmocka_unit_test(group_full_goes_before_capacity),
        cmocka_unit_test(a_policys_form_goes_before_its_group_and_that_before_its_room),
        cmocka_unit_test(the_whole_order_is_walked),
        cmocka_unit_test(revoke_looks_at_its_form_before_the_token),
        cmocka_unit_test(a_policys_form_goes_before_its_room),
        cmocka_unit_test(renew_finds_the_lock_lost_before_it_looks_at_the_ttl),
        cmocka_unit_test(release_looks_at_its_form_first),
        cmocka_unit_test(release_answers_a_repeat_before_lock_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
