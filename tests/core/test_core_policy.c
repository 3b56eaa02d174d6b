/* Policies and rules: setting and deleting them, and how long they are remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "base/limits.h"

#include <string.h>

static void expect_policy(const struct policy_view *view, const struct policy *policy)
{
    assert_int_equal(view->policy.estimate_ms, policy->estimate_ms);
    assert_int_equal(view->policy.margin_ms, policy->margin_ms);
    assert_int_equal(view->policy.max_ttl_ms, policy->max_ttl_ms);
    assert_int_equal(view->policy.min_hold_ms, policy->min_hold_ms);
    assert_int_equal(view->policy.slots, policy->slots);
    assert_int_equal(view->policy.max_attempts, policy->max_attempts);
    assert_true(slice_equal(view->policy.description, policy->description));
}

static uint64_t created_ms(struct fixture *f)
{
    struct lock_table_frozen *frozen = lock_table_freeze(f->table);
    struct schedule_image image;
    assert_true(lock_table_frozen_next(frozen, &image));
    lock_table_thaw(f->table, frozen);
    assert_true(image.has_policy);
    return image.policy.created_ms;
}

/* ---- setting and deleting ---- */

static void a_policy_is_shown_as_it_was_set(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    const struct policy policy = policy_full();
    const struct outcome *outcome = fixture_put(&f, "job", policy);
    expect_code(outcome, OUTCOME_DONE);
    assert_true(outcome->has_policy);
    assert_false(outcome->has_grant || outcome->has_run || outcome->repeated);
    expect_text(outcome->policy.schedule_id, "job");
    expect_policy(&outcome->policy, &policy);
    assert_false(outcome->policy.has_success);
    struct policy_view view;
    assert_true(lock_table_policy(f.table, slice_of("job"), &view));
    expect_text(view.schedule_id, "job");
    expect_policy(&view, &policy);
    assert_int_equal(fixture_count(&f).policies, 1);
    assert_int_equal(fixture_count(&f).schedules, 1);
    fixture_close(&f);
}

static void a_policy_is_replaced_whole_and_keeps_its_age(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    uint64_t first_ms = f.now_ms;
    expect_code(fixture_put(&f, "job", policy_full()), OUTCOME_DONE);
    f.now_ms += 1000;
    const struct policy plain = policy_default();
    expect_code(fixture_put(&f, "job", plain), OUTCOME_DONE);
    expect_policy(&f.outcome.policy, &plain);
    struct policy_view view;
    assert_true(lock_table_policy(f.table, slice_of("job"), &view));
    expect_policy(&view, &plain);
    assert_int_equal(created_ms(&f), first_ms);
    assert_int_equal(fixture_count(&f).policies, 1);
    expect_code(fixture_delete(&f, "job"), OUTCOME_DONE);
    f.now_ms += 1000;
    expect_code(fixture_put(&f, "job", plain), OUTCOME_DONE);
    assert_int_equal(created_ms(&f), f.now_ms);
    fixture_close(&f);
}

static void a_deleted_policy_is_answered_as_it_was(void **state)
{
    (void)state;
    for (int locked = 0; locked < 2; locked++) { /* with a run the schedule stays, without it goes */
        struct fixture f;
        fixture_open(&f);
        struct policy policy = policy_full();
        expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
        if (locked) {
            (void)fixture_run(&f, "x", RUN_SUCCEEDED);
        }
        const struct outcome *outcome = fixture_delete(&f, "job");
        expect_code(outcome, OUTCOME_DONE);
        assert_true(outcome->has_policy);
        expect_text(outcome->policy.schedule_id, "job");
        expect_policy(&outcome->policy, &policy);
        assert_int_equal(outcome->policy.has_success, locked);
        assert_int_equal(fixture_count(&f).policies, 0);
        assert_int_equal(fixture_count(&f).schedules, locked);
        policy.description = (struct slice){0};
        expect_code(fixture_put(&f, "job", policy), OUTCOME_DONE);
        expect_code(fixture_delete(&f, "job"), OUTCOME_DONE);
        expect_text(f.outcome.policy.policy.description, NULL);
        fixture_close(&f);
    }
}

static void there_is_nothing_to_show_or_delete_without_a_policy(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct policy_view view;
    assert_false(lock_table_policy(f.table, slice_of("job"), &view));
    expect_code(fixture_delete(&f, "job"), OUTCOME_NOT_FOUND);
    (void)fixture_run(&f, "x", RUN_SUCCEEDED);
    assert_false(lock_table_policy(f.table, slice_of("job"), &view));
    expect_code(fixture_delete(&f, "job"), OUTCOME_NOT_FOUND);
    expect_code(fixture_put(&f, "job", policy_default()), OUTCOME_DONE);
    expect_code(fixture_delete(&f, "job"), OUTCOME_DONE);
    expect_code(fixture_delete(&f, "job"), OUTCOME_NOT_FOUND);
    fixture_close(&f);
}

static void expect_put(struct fixture *f, struct policy policy, const char *field)
{
    const struct outcome *outcome = fixture_put(f, "job", policy);
    if (field == NULL) {
        expect_code(outcome, OUTCOME_DONE);
        struct lock_table *copy = table_copy(f->table);
        expect_equal_digests(f->table, copy);
        lock_table_close(copy);
        return;
    }
    expect_code(outcome, OUTCOME_INVALID_FIELD);
    assert_string_equal(outcome->field, field);
}

#define CHANGED(change)                                                                                                \
    ((void)(policy = policy_default(), policy.margin_ms = 0), (void)(change), policy) /* of a policy without a margin */

static void each_field_has_its_range(void **state)
{
    (void)state;
    static uint8_t bytes[LIMIT_REASON_BYTES + 1];
    memset(bytes, 'x', sizeof bytes);
    struct fixture f;
    fixture_open(&f);
    struct policy policy;
    expect_put(&f, CHANGED(policy.max_ttl_ms = 1), NULL);
    expect_put(&f, CHANGED(policy.max_ttl_ms = 0), "max_ttl_ms");
    expect_put(&f, CHANGED(policy.max_ttl_ms = LIMIT_TTL_MS + 1), "max_ttl_ms");
    expect_put(&f, CHANGED(policy.max_ttl_ms = UINT64_MAX), "max_ttl_ms");
    expect_put(&f, CHANGED(policy.margin_ms = LIMIT_TTL_MS), NULL);
    expect_put(&f, CHANGED(policy.margin_ms = LIMIT_TTL_MS + 1), "max_ttl_ms");
    expect_put(&f, CHANGED(policy.estimate_ms = LIMIT_TTL_MS), NULL);
    expect_put(&f, CHANGED(policy.estimate_ms = LIMIT_TTL_MS + 1), "max_ttl_ms");
    expect_put(&f, CHANGED((policy.margin_ms = 1000, policy.estimate_ms = LIMIT_TTL_MS - 1000)), NULL);
    expect_put(&f, CHANGED((policy.margin_ms = 1000, policy.estimate_ms = LIMIT_TTL_MS - 999)), "max_ttl_ms");
    expect_put(&f, CHANGED((policy.margin_ms = 1000, policy.estimate_ms = UINT64_MAX)), "max_ttl_ms");
    expect_put(&f, CHANGED(policy.min_hold_ms = LIMIT_NUMBER_MAX), NULL);
    expect_put(&f, CHANGED(policy.min_hold_ms = LIMIT_NUMBER_MAX + 1), "min_hold_ms");
    expect_put(&f, CHANGED(policy.slots = LIMIT_SLOTS), NULL);
    expect_put(&f, CHANGED(policy.slots = LIMIT_SLOTS + 1), "slots");
    expect_put(&f, CHANGED(policy.slots = 0), "slots");
    expect_put(&f, CHANGED(policy.max_attempts = LIMIT_ATTEMPTS), NULL);
    expect_put(&f, CHANGED(policy.max_attempts = LIMIT_ATTEMPTS + 1), "max_attempts");
    expect_put(&f, CHANGED(policy.max_attempts = 0), "max_attempts");
    expect_put(&f, CHANGED(policy.description = ((struct slice){bytes, LIMIT_REASON_BYTES})), NULL);
    expect_put(&f, CHANGED(policy.description = ((struct slice){bytes, 0})), NULL);
    expect_put(&f, CHANGED(policy.description = ((struct slice){bytes, LIMIT_REASON_BYTES + 1})), "description");
    fixture_close(&f);
}

static void a_policy_needs_an_id_within_its_bounds(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    char id[LIMIT_NAME_BYTES + 2];
    memset(id, 'x', sizeof id);
    id[LIMIT_NAME_BYTES + 1] = 0;
    const char *const wrong[] = {NULL, "", id};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        expect_code(fixture_put(&f, wrong[i], policy_default()), OUTCOME_INVALID_FIELD);
        assert_string_equal(f.outcome.field, "schedule_id");
    }
    id[LIMIT_NAME_BYTES] = 0;
    expect_code(fixture_put(&f, id, policy_full()), OUTCOME_DONE);
    expect_code(fixture_delete(&f, id), OUTCOME_DONE);
    expect_text(f.outcome.policy.schedule_id, id);
    fixture_close(&f);
}

/* ---- forgetting ---- */

static void a_policy_is_never_due(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    expect_code(fixture_put(&f, "job", policy_default()), OUTCOME_DONE);
    expect_code(fixture_put(&f, "other", policy_default()), OUTCOME_DONE);
    assert_int_equal(lock_table_next_deadline(f.table), UINT64_MAX);
    assert_int_equal(lock_table_next_lock_deadline(f.table), UINT64_MAX);
    uint64_t token = fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
    assert_int_equal(lock_table_next_deadline(f.table), f.now_ms + MINUTE_MS);
    expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_DONE);
    assert_int_equal(lock_table_next_deadline(f.table), UINT64_MAX);
    f.now_ms += 10 * LIMIT_FORGET_MS;
    fixture_tick(&f);
    assert_int_equal(fixture_count(&f).schedules, 2);
    (void)fixture_kept_run(&f, token);
    fixture_close(&f);
}

static void expect_forgotten_in_forty_days(struct fixture *f)
{
    assert_int_equal(lock_table_next_deadline(f->table), f->now_ms + LIMIT_FORGET_MS);
    assert_int_equal(lock_table_next_lock_deadline(f->table), UINT64_MAX);
    f->now_ms += LIMIT_FORGET_MS - 1;
    fixture_tick(f);
    assert_int_equal(fixture_count(f).schedules, 1);
    f->now_ms += 1;
    fixture_tick(f);
    assert_int_equal(fixture_count(f).schedules, 0);
}

static void forgetting_counts_from_what_went_last(void **state)
{
    (void)state;
    for (int policy_goes_last = 0; policy_goes_last < 2; policy_goes_last++) {
        struct fixture f;
        fixture_open(&f);
        expect_code(fixture_put(&f, "job", policy_default()), OUTCOME_DONE);
        uint64_t token = fixture_grant(&f, (struct ask){.ttl_ms = HOUR_MS});
        assert_int_equal(lock_table_next_deadline(f.table), f.now_ms + HOUR_MS);
        for (int step = 0; step < 2; step++) {
            bool deletes = step == policy_goes_last;
            f.now_ms += MINUTE_MS;
            expect_code(deletes ? fixture_delete(&f, "job") : fixture_release(&f, "job", token, RUN_FAILED),
                        OUTCOME_DONE);
        }
        expect_forgotten_in_forty_days(&f);
        fixture_close(&f);
    }
}

static void a_policy_ends_the_wait_for_forgetting(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    (void)fixture_run(&f, "x", RUN_SUCCEEDED);
    f.now_ms += LIMIT_FORGET_MS - 1;
    expect_code(fixture_put(&f, "job", policy_default()), OUTCOME_DONE);
    f.now_ms += LIMIT_FORGET_MS;
    expect_code(fixture_try(&f, "x"), OUTCOME_OCCURRENCE_DONE);
    fixture_close(&f);
}

/* ---- rules ---- */

static void rules_are_raised_and_never_lowered(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct command command = {.kind = COMMAND_RULES, .rules = {.version = rules_version_newest()}};
    expect_code(fixture_apply(&f, &command), OUTCOME_DONE);
    assert_int_equal(fixture_count(&f).rules_version, rules_version_newest());
    for (uint32_t version = 0; version < rules_version_newest(); version++) {
        command.rules.version = version;
        expect_code(fixture_apply(&f, &command), OUTCOME_DONE);
        assert_int_equal(fixture_count(&f).rules_version, rules_version_newest());
    }
    fixture_close(&f);
}

static void the_first_rules_can_apply_everything(void **state)
{
    (void)state;
    for (int kind = COMMAND_NOOP; kind <= COMMAND_DELETE_FREEZE; kind++) {
        struct command command = {.kind = (enum command_kind)kind};
        uint32_t needed = kind < COMMAND_RENEW_BATCH ? RULES_VERSION_FIRST : RULES_VERSION_GROUPS;
        assert_int_equal(rules_version_needed(&command), kind == COMMAND_RULES ? 0 : needed);
    }
    const struct policy policy = policy_default();
    const struct policy_view view = {.policy = *rules_default_policy(RULES_VERSION_FIRST)};
    expect_policy(&view, &policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_policy_is_shown_as_it_was_set),
        cmocka_unit_test(a_policy_is_replaced_whole_and_keeps_its_age),
        cmocka_unit_test(a_deleted_policy_is_answered_as_it_was),
        cmocka_unit_test(there_is_nothing_to_show_or_delete_without_a_policy),
        cmocka_unit_test(each_field_has_its_range),
        cmocka_unit_test(a_policy_needs_an_id_within_its_bounds),
        cmocka_unit_test(a_policy_is_never_due),
        cmocka_unit_test(forgetting_counts_from_what_went_last),
        cmocka_unit_test(a_policy_ends_the_wait_for_forgetting),
        cmocka_unit_test(rules_are_raised_and_never_lowered),
        cmocka_unit_test(the_first_rules_can_apply_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
