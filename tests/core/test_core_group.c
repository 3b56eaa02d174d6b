/* Groups: slots that several schedules share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "base/limits.h"

#include <stdio.h>

static struct group_view group_of(const struct fixture *f, const char *name)
{
    struct group_view view;
    assert_true(lock_table_group(f->table, slice_of(name), &view));
    expect_text(view.name, name);
    return view;
}

static void expect_use(const struct fixture *f, uint64_t held, uint64_t schedules)
{
    const struct group_view view = group_of(f, "db");
    assert_int_equal(view.held, held);
    assert_int_equal(view.schedules, schedules);
}

/* A group "db" of `slots`, and schedules "a" and "b" in it, of three slots each. */
static void open_group(struct fixture *f, uint32_t slots)
{
    fixture_open_newest(f);
    expect_code(fixture_put_group(f, "db", slots), OUTCOME_DONE);
    fixture_join(f, "a", "db", 3);
    fixture_join(f, "b", "db", 3);
}

static struct ask ask_of(const char *id, const char *holder)
{
    return (struct ask){.id = id, .holder = holder, .metadata = "{}", .ttl_ms = MINUTE_MS};
}

static void a_group_is_shown_as_it_was_set(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    struct group_view view;
    assert_false(lock_table_group(f.table, slice_of("db"), &view));
    const struct outcome *outcome = fixture_put_group(&f, "db", 7);
    expect_code(outcome, OUTCOME_DONE);
    assert_true(outcome->has_group);
    expect_text(outcome->group.name, "db");
    assert_int_equal(outcome->group.slots, 7);
    assert_int_equal(group_of(&f, "db").slots, 7);
    assert_int_equal(fixture_count(&f).groups, 1);
    expect_code(fixture_put_group(&f, "db", 0), OUTCOME_DONE);
    assert_int_equal(group_of(&f, "db").slots, 0);
    assert_int_equal(fixture_count(&f).groups, 1);
    outcome = fixture_delete_group(&f, "db");
    expect_code(outcome, OUTCOME_DONE);
    assert_true(outcome->has_group);
    expect_text(outcome->group.name, "db");
    assert_int_equal(fixture_count(&f).groups, 0);
    assert_int_equal(fixture_count(&f).state_bytes, 0);
    expect_code(fixture_delete_group(&f, "db"), OUTCOME_NOT_FOUND);
    fixture_close(&f);
}

static void a_full_group_shows_who_has_its_slots(void **state)
{
    (void)state;
    struct fixture f;
    open_group(&f, 3);
    uint64_t first = fixture_grant(&f, ask_of("b", "h1"));
    (void)fixture_grant(&f, ask_of("a", "h1"));
    (void)fixture_grant(&f, ask_of("b", "h2"));
    const struct outcome *outcome = fixture_acquire(&f, ask_of("a", "h3"));
    expect_code(outcome, OUTCOME_GROUP_FULL);
    assert_true(outcome->has_group);
    expect_text(outcome->group.name, "db");
    assert_int_equal(outcome->group.slots, 3);
    assert_int_equal(outcome->group.held, 3);
    assert_int_equal(outcome->group.schedules, 2);
    static const char *const ids[] = {"b", "a", "b"};
    static const char *const holders[] = {"h1", "h1", "h2"};
    assert_int_equal(outcome->n_holders, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(outcome->holders[i].token, first + i);
        expect_text(outcome->holders[i].schedule_id, ids[i]);
        expect_text(outcome->holders[i].holder, holders[i]);
        expect_text(outcome->holders[i].metadata, NULL);
    }
    (void)fixture_grant(&f, ask_of("elsewhere", "h3"));
    expect_code(fixture_release(&f, "a", first + 1, RUN_SUCCEEDED), OUTCOME_DONE);
    (void)fixture_grant(&f, ask_of("a", "h3"));
    fixture_close(&f);
}

/* However a grant or a policy goes, its group knows. */
static void every_way_out_is_counted(void **state)
{
    (void)state;
    struct fixture f;
    open_group(&f, 10);
    expect_use(&f, 0, 2);
    uint64_t released = fixture_grant(&f, ask_of("a", "h1"));
    uint64_t softly = fixture_grant(&f, ask_of("a", "h2"));
    uint64_t forced = fixture_grant(&f, ask_of("a", "h3"));
    (void)fixture_grant(&f, ask_of("b", "h1"));
    expect_use(&f, 4, 2);
    expect_code(fixture_renew(&f, "a", released, 0), OUTCOME_DONE);
    expect_code(fixture_release(&f, "a", released, RUN_ABANDONED), OUTCOME_DONE);
    expect_use(&f, 3, 2);
    expect_code(fixture_revoke(&f, (struct revoke_ask){.id = "a", .token = softly}), OUTCOME_DONE);
    expect_use(&f, 3, 2);
    expect_code(fixture_release(&f, "a", softly, RUN_FAILED), OUTCOME_DONE);
    expect_use(&f, 2, 2);
    expect_code(fixture_revoke(&f, (struct revoke_ask){.id = "a", .token = forced, .force = true}), OUTCOME_DONE);
    expect_use(&f, 1, 2);
    expect_code(fixture_delete(&f, "b"), OUTCOME_DONE);
    expect_use(&f, 1, 1);
    fixture_join(&f, "a", NULL, 3);
    expect_use(&f, 1, 0);
    expect_code(fixture_delete_group(&f, "db"), OUTCOME_GROUP_IN_USE);
    f.now_ms += MINUTE_MS;
    fixture_tick(&f);
    expect_use(&f, 0, 0);
    expect_code(fixture_delete_group(&f, "db"), OUTCOME_DONE);
    fixture_close(&f);
}

/* What a grant takes is what it was granted under, whatever the policy says since. */
static void a_grant_keeps_its_group(void **state)
{
    (void)state;
    struct fixture f;
    open_group(&f, 2);
    expect_code(fixture_put_group(&f, "other", 2), OUTCOME_DONE);
    uint64_t token = fixture_grant(&f, ask_of("a", "h1"));
    fixture_join(&f, "a", "other", 3);
    expect_use(&f, 1, 1);
    (void)fixture_grant(&f, ask_of("a", "h2"));
    assert_int_equal(group_of(&f, "other").held, 1);
    assert_int_equal(group_of(&f, "other").schedules, 1);
    expect_code(fixture_delete(&f, "a"), OUTCOME_DONE);
    expect_use(&f, 1, 1);
    expect_code(fixture_renew(&f, "a", token, 0), OUTCOME_DONE);
    struct lock_table *copy = table_copy(f.table);
    expect_equal_digests(f.table, copy);
    lock_table_close(copy);
    expect_code(fixture_release(&f, "a", token, RUN_SUCCEEDED), OUTCOME_DONE);
    expect_use(&f, 0, 1);
    assert_int_equal(group_of(&f, "other").held, 1);
    fixture_close(&f);
}

static void lowered_slots_stop_only_new_grants(void **state)
{
    (void)state;
    struct fixture f;
    open_group(&f, 2);
    uint64_t token = fixture_grant(&f, ask_of("a", "h1"));
    (void)fixture_grant(&f, ask_of("b", "h1"));
    expect_code(fixture_put_group(&f, "db", 1), OUTCOME_DONE);
    expect_use(&f, 2, 2);
    expect_code(fixture_renew(&f, "a", token, 0), OUTCOME_DONE);
    expect_code(fixture_release(&f, "a", token, RUN_SUCCEEDED), OUTCOME_DONE);
    expect_code(fixture_acquire(&f, ask_of("a", "h1")), OUTCOME_GROUP_FULL);
    expect_code(fixture_put_group(&f, "db", 0), OUTCOME_DONE);
    f.now_ms += MINUTE_MS;
    expect_code(fixture_acquire(&f, ask_of("a", "h1")), OUTCOME_GROUP_FULL);
    assert_int_equal(f.outcome.n_holders, 0);
    expect_code(fixture_put_group(&f, "db", 1), OUTCOME_DONE);
    (void)fixture_grant(&f, ask_of("a", "h1"));
    fixture_close(&f);
}

static void a_policy_needs_its_group(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    struct policy policy = policy_default();
    policy.group = slice_of("db");
    const struct outcome *outcome = fixture_put(&f, "a", policy);
    expect_code(outcome, OUTCOME_UNKNOWN_GROUP);
    assert_true(outcome->has_group);
    expect_text(outcome->group.name, "db");
    assert_int_equal(fixture_count(&f).schedules, 0);
    expect_code(fixture_put_group(&f, "db", 0), OUTCOME_DONE);
    expect_code(fixture_put(&f, "a", policy), OUTCOME_DONE);
    expect_text(f.outcome.policy.policy.group, "db");
    expect_code(fixture_delete_group(&f, "db"), OUTCOME_GROUP_IN_USE);
    assert_int_equal(f.outcome.group.schedules, 1);
    outcome = fixture_delete(&f, "a");
    expect_code(outcome, OUTCOME_DONE);
    expect_text(outcome->policy.policy.group, "db");
    expect_code(fixture_delete_group(&f, "db"), OUTCOME_DONE);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_is_shown_as_it_was_set),     cmocka_unit_test(a_full_group_shows_who_has_its_slots),
        cmocka_unit_test(every_way_out_is_counted),           cmocka_unit_test(a_grant_keeps_its_group),
        cmocka_unit_test(lowered_slots_stop_only_new_grants), cmocka_unit_test(a_policy_needs_its_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
