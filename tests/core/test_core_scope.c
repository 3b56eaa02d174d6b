/* Freezes: what their scopes cover, which one is named, and when they end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "specimen.h"

#include "base/limits.h"

#include <stdio.h>
#include <string.h>

static struct ask ask_of(const char *id)
{
    return (struct ask){.id = id, .ttl_ms = MINUTE_MS};
}

static void a_freeze_is_shown_as_it_was_set(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    struct freeze_view view;
    assert_false(lock_table_freeze_of(f.table, slice_of("db-*"), &view));
    const struct outcome *outcome = fixture_put_freeze(&f, "db-*", MINUTE_MS);
    expect_code(outcome, OUTCOME_DONE);
    assert_true(outcome->has_freeze);
    int64_t created_wall_ms = f.context.wall_ms;
    f.now_ms += 1001;
    fixture_tick(&f);
    for (int deleted = 0; deleted < 2; deleted++) {
        if (deleted) {
            outcome = fixture_delete_freeze(&f, "db-*");
            expect_code(outcome, OUTCOME_DONE);
            assert_true(outcome->has_freeze);
            view = outcome->freeze;
        } else {
            assert_true(lock_table_freeze_of(f.table, slice_of("db-*"), &view));
        }
        expect_text(view.scope, "db-*");
        expect_text(view.actor, "ops");
        expect_text(view.reason, "why");
        assert_int_equal(view.ttl_ms, MINUTE_MS);
        assert_int_equal(view.remaining_ms, MINUTE_MS - 1001);
        assert_int_equal(view.created_wall_ms, created_wall_ms);
        assert_int_equal(view.expires_wall_ms, created_wall_ms + (int64_t)MINUTE_MS);
        assert_int_equal(fixture_count(&f).freezes, deleted ? 0 : 1);
    }
    assert_int_equal(fixture_count(&f).state_bytes, 0);
    expect_code(fixture_delete_freeze(&f, "db-*"), OUTCOME_NOT_FOUND);
    fixture_close(&f);
}

static void nothing_in_scope_is_granted(void **state)
{
    (void)state;
    static const struct {
        const char *scope;
        const char *id;
        bool frozen;
    } cases[] = {
        {"*", "a", true},        {"*", "db-1", true},       {"db-1", "db-1", true},  {"db-1", "db-10", false},
        {"db-1", "db-", false},  {"db-*", "db-1", true},    {"db-*", "db-", true},   {"db-*", "db", false},
        {"db-*", "dc-1", false}, {"db-1*", "db-1", true},   {"d*", "db-1", true},    {"db-1*", "db-2", false},
        {"b*", "db", false},     {"db-10*", "db-1", false}, {"DB-*", "db-1", false}, {"a*", "ab", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        fixture_open_newest(&f);
        expect_code(fixture_put_freeze(&f, cases[i].scope, HOUR_MS), OUTCOME_DONE);
        struct schedule_view view;
        lock_table_view(f.table, slice_of(cases[i].id), &view);
        assert_int_equal(view.frozen, cases[i].frozen);
        assert_int_equal(lock_table_is_frozen(f.table, slice_of(cases[i].id)), cases[i].frozen);
        const struct outcome *outcome = fixture_acquire(&f, ask_of(cases[i].id));
        expect_code(outcome, cases[i].frozen ? OUTCOME_FROZEN : OUTCOME_DONE);
        if (cases[i].frozen) {
            assert_true(outcome->has_freeze);
            expect_text(outcome->freeze.scope, cases[i].scope);
            assert_int_equal(outcome->freeze.remaining_ms, HOUR_MS);
            assert_int_equal(fixture_count(&f).schedules, 0);
        }
        fixture_close(&f);
    }
}

/* The longest id there is, under each of its beginnings. */
static void every_beginning_of_the_longest_id_covers_it(void **state)
{
    (void)state;
    char id[LIMIT_NAME_BYTES + 1] = {0};
    memset(id, 'x', LIMIT_NAME_BYTES);
    for (size_t len = 0; len <= LIMIT_NAME_BYTES; len++) {
        struct fixture f;
        fixture_open_newest(&f);
        char scope[LIMIT_NAME_BYTES + 2] = {0};
        memcpy(scope, id, len);
        if (len < LIMIT_NAME_BYTES) {
            scope[len] = '*';
        }
        expect_code(fixture_put_freeze(&f, scope, HOUR_MS), OUTCOME_DONE);
        assert_true(lock_table_is_frozen(f.table, slice_of(id)));
        assert_int_equal(lock_table_is_frozen(f.table, slice_of("y")), len == 0);
        expect_code(fixture_delete_freeze(&f, scope), OUTCOME_DONE);
        assert_false(lock_table_is_frozen(f.table, slice_of(id)));
        fixture_close(&f);
    }
}

static void who_has_a_lock_goes_on(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    const struct ask asked = {.key = "k", .ttl_ms = MINUTE_MS};
    uint64_t token = fixture_grant(&f, asked);
    expect_code(fixture_put_freeze(&f, "*", HOUR_MS), OUTCOME_DONE);
    expect_code(fixture_renew(&f, "job", token, 0), OUTCOME_DONE);
    expect_code(fixture_acquire(&f, asked), OUTCOME_DONE);
    assert_true(f.outcome.repeated);
    expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_DONE);
    expect_code(fixture_acquire(&f, asked), OUTCOME_GRANT_ENDED);
    expect_code(fixture_acquire(&f, ask_of("job")), OUTCOME_FROZEN);
    expect_code(fixture_put(&f, "job", policy_default()), OUTCOME_DONE);
    expect_code(fixture_delete_freeze(&f, "*"), OUTCOME_DONE);
    (void)fixture_grant(&f, ask_of("job"));
    fixture_close(&f);
}

static void expect_named(struct fixture *f, const char *scope)
{
    expect_code(fixture_acquire(f, ask_of("db-1")), OUTCOME_FROZEN);
    expect_text(f->outcome.freeze.scope, scope);
}

static void the_one_that_ends_last_is_named(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    expect_code(fixture_put_freeze(&f, "db-1", 1000), OUTCOME_DONE);
    expect_named(&f, "db-1");
    expect_code(fixture_put_freeze(&f, "db-*", 1000), OUTCOME_DONE);
    expect_named(&f, "db-*"); /* both end at once: the wider one */
    expect_code(fixture_put_freeze(&f, "*", 999), OUTCOME_DONE);
    expect_named(&f, "db-*");
    expect_code(fixture_put_freeze(&f, "db-1", 1001), OUTCOME_DONE);
    expect_named(&f, "db-1");
    expect_code(fixture_put_freeze(&f, "*", 2000), OUTCOME_DONE);
    expect_named(&f, "*");
    expect_code(fixture_put_freeze(&f, "other", HOUR_MS), OUTCOME_DONE);
    expect_named(&f, "*");
    expect_code(fixture_put_freeze(&f, "*", 10), OUTCOME_DONE); /* the second of one scope replaces the first */
    expect_named(&f, "db-1");
    assert_int_equal(fixture_count(&f).freezes, 4);
    fixture_close(&f);
}

static void a_freeze_ends_at_its_deadline(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    assert_int_equal(lock_table_next_lock_deadline(f.table), UINT64_MAX);
    uint64_t set_ms = f.now_ms;
    expect_code(fixture_put_freeze(&f, "b", 3000), OUTCOME_DONE);
    expect_code(fixture_put_freeze(&f, "a*", 2000), OUTCOME_DONE);
    assert_int_equal(lock_table_next_lock_deadline(f.table), set_ms + 2000);
    assert_int_equal(lock_table_next_deadline(f.table), set_ms + 2000);
    (void)fixture_grant(&f, (struct ask){.id = "c", .ttl_ms = 30000});
    assert_int_equal(lock_table_next_lock_deadline(f.table), set_ms + 2000);
    f.now_ms = set_ms + 1999;
    expect_code(fixture_acquire(&f, ask_of("a")), OUTCOME_FROZEN);
    assert_int_equal(f.outcome.freeze.remaining_ms, 1);
    f.now_ms = set_ms + 2000;
    assert_true(lock_table_is_frozen(f.table, slice_of("a"))); /* nothing ends between entries */
    (void)fixture_grant(&f, ask_of("a"));
    assert_int_equal(fixture_count(&f).freezes, 1);
    assert_int_equal(lock_table_next_lock_deadline(f.table), set_ms + 3000);
    f.now_ms = set_ms + LIMIT_FREEZE_MS;
    fixture_tick(&f);
    assert_int_equal(fixture_count(&f).freezes, 0);
    assert_int_equal(fixture_count(&f).held, 0);
    assert_int_equal(lock_table_next_lock_deadline(f.table), UINT64_MAX);
    fixture_close(&f);
}

static void the_longest_freeze_lasts_a_year(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    uint64_t set_ms = f.now_ms;
    expect_code(fixture_put_freeze(&f, "*", LIMIT_FREEZE_MS), OUTCOME_DONE);
    struct lock_table *copy = table_copy(f.table);
    expect_equal_digests(f.table, copy);
    assert_int_equal(lock_table_next_lock_deadline(copy), set_ms + LIMIT_FREEZE_MS);
    lock_table_close(copy);
    f.now_ms += LIMIT_FREEZE_MS - 1;
    expect_code(fixture_acquire(&f, ask_of("a")), OUTCOME_FROZEN);
    f.now_ms++;
    (void)fixture_grant(&f, ask_of("a"));
    fixture_close(&f);
}

/* A freeze keeps nothing in memory: what is frozen is forgotten as ever. */
static void a_frozen_schedule_is_forgotten(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    (void)fixture_run(&f, NULL, RUN_SUCCEEDED);
    expect_code(fixture_put_freeze(&f, "job", LIMIT_FREEZE_MS), OUTCOME_DONE);
    f.now_ms += LIMIT_FORGET_MS - 1;
    fixture_tick(&f);
    assert_int_equal(fixture_count(&f).schedules, 1);
    f.now_ms++;
    fixture_tick(&f);
    assert_int_equal(fixture_count(&f).schedules, 0);
    assert_true(lock_table_is_frozen(f.table, slice_of("job")));
    fixture_close(&f);
}

static void expect_field(struct fixture *f, const struct put_freeze_command *freeze, const char *field)
{
    const struct command command = {.kind = COMMAND_PUT_FREEZE, .put_freeze = *freeze};
    expect_code(fixture_apply(f, &command), field == NULL ? OUTCOME_DONE : OUTCOME_INVALID_FIELD);
    if (field != NULL) {
        assert_string_equal(f->outcome.field, field);
    }
}

static void each_field_has_its_bounds(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    struct slice text = slice_of("x");
    const struct put_freeze_command good = {.scope = text, .actor = text, .reason = text, .ttl_ms = 1};
    struct put_freeze_command freeze = good;
    expect_field(&f, &freeze, NULL);
    static const char *const scopes[] = {NULL, "", "**", "a*b", "*a", "a*b*"};
    for (size_t i = 0; i < sizeof scopes / sizeof scopes[0]; i++) {
        freeze.scope = slice_of(scopes[i]);
        expect_field(&f, &freeze, "scope");
    }
    freeze.scope = long_slice(LIMIT_NAME_BYTES);
    expect_field(&f, &freeze, NULL);
    freeze.scope = long_slice(LIMIT_NAME_BYTES + 1);
    expect_field(&f, &freeze, "scope");
    freeze = good;
    freeze.actor = slice_of("");
    expect_field(&f, &freeze, "actor");
    freeze.actor = long_slice(LIMIT_NAME_BYTES);
    expect_field(&f, &freeze, NULL);
    freeze.actor = long_slice(LIMIT_NAME_BYTES + 1);
    expect_field(&f, &freeze, "actor");
    freeze = good;
    freeze.reason = slice_of(NULL);
    expect_field(&f, &freeze, "reason");
    freeze.reason = long_slice(LIMIT_REASON_BYTES);
    expect_field(&f, &freeze, NULL);
    freeze.reason = long_slice(LIMIT_REASON_BYTES + 1);
    expect_field(&f, &freeze, "reason");
    freeze = good;
    freeze.ttl_ms = 0;
    expect_field(&f, &freeze, "ttl_ms");
    freeze.ttl_ms = LIMIT_FREEZE_MS;
    expect_field(&f, &freeze, NULL);
    freeze.ttl_ms = LIMIT_FREEZE_MS + 1;
    expect_field(&f, &freeze, "ttl_ms");
    freeze.ttl_ms = UINT64_MAX;
    expect_field(&f, &freeze, "ttl_ms");
    fixture_close(&f);
}

/* … of which the shortest ends in the very next entry that time has moved for. */
static void a_freeze_of_a_millisecond(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    expect_code(fixture_put_freeze(&f, "*", 1), OUTCOME_DONE);
    expect_code(fixture_acquire(&f, ask_of("a")), OUTCOME_FROZEN);
    f.now_ms++;
    (void)fixture_grant(&f, ask_of("a"));
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_freeze_is_shown_as_it_was_set),
        cmocka_unit_test(nothing_in_scope_is_granted),
        cmocka_unit_test(every_beginning_of_the_longest_id_covers_it),
        cmocka_unit_test(who_has_a_lock_goes_on),
        cmocka_unit_test(the_one_that_ends_last_is_named),
        cmocka_unit_test(a_freeze_ends_at_its_deadline),
        cmocka_unit_test(the_longest_freeze_lasts_a_year),
        cmocka_unit_test(a_frozen_schedule_is_forgotten),
        cmocka_unit_test(each_field_has_its_bounds),
        cmocka_unit_test(a_freeze_of_a_millisecond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
