/* What groups and freezes take of the counted state, how many there can be, and how many grants a group shows and has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "core/table.h"

#include <stdio.h>

static uint64_t bytes_of(const struct fixture *f)
{
    return fixture_count(f).state_bytes;
}

/* By how much the counted state changed since it had `before`. */
static void expect_growth(const struct fixture *f, uint64_t before, int64_t growth)
{
    assert_int_equal((int64_t)(bytes_of(f) - before), growth);
}

static void each_part_has_its_counted_bytes(void **state)
{
    (void)state;
    const int64_t of_group = 160;
    const int64_t of_freeze = 160;
    struct fixture f;
    fixture_open_newest(&f);
    expect_code(fixture_put_group(&f, "four", 1), OUTCOME_DONE);
    expect_growth(&f, 0, of_group + 4);
    expect_code(fixture_put_group(&f, "four", 7), OUTCOME_DONE);
    expect_growth(&f, 0, of_group + 4);
    uint64_t before = bytes_of(&f);
    fixture_join(&f, "job", NULL, 2);
    expect_growth(&f, before, COUNTED_SCHEDULE_BYTES + 3 + COUNTED_POLICY_BYTES);
    fixture_join(&f, "job", "four", 2);
    expect_growth(&f, before, COUNTED_SCHEDULE_BYTES + 3 + COUNTED_POLICY_BYTES + 4);
    before = bytes_of(&f);
    uint64_t token = fixture_grant(&f, (struct ask){.key = "key", .holder = "h", .ttl_ms = MINUTE_MS});
    expect_growth(&f, before, COUNTED_GRANT_BYTES + COUNTED_GROUP_GRANT_BYTES + 4 + COUNTED_RUN_BYTES + 1 + 3);
    expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_DONE);
    expect_growth(&f, before, COUNTED_RUN_BYTES + 1 + 3);
    before = bytes_of(&f);
    expect_code(fixture_put_freeze(&f, "a*", 1000), OUTCOME_DONE);
    expect_growth(&f, before, of_freeze + 2 + 3 + 3);
    f.now_ms += 1000;
    fixture_tick(&f);
    expect_growth(&f, before, 0);
    expect_code(fixture_delete(&f, "job"), OUTCOME_DONE);
    f.now_ms += LIMIT_FORGET_MS;
    fixture_tick(&f);
    expect_growth(&f, 0, of_group + 4);
    expect_code(fixture_delete_group(&f, "four"), OUTCOME_DONE);
    expect_growth(&f, 0, 0);
    fixture_close(&f);
}

/* The sum of the counted state is set, for one command, to `room` bytes below its limit. */
static const struct outcome *apply_nearly_full(struct fixture *f, const struct command *command, uint64_t room)
{
    f->context.index++;
    f->context.now_ms = f->now_ms;
    lock_table_advance(f->table, &f->context);
    uint64_t real = f->table->state_bytes;
    f->table->state_bytes = LIMIT_STATE_BYTES - room;
    lock_table_apply(f->table, &f->context, command, &f->outcome);
    f->table->state_bytes += real - (LIMIT_STATE_BYTES - room);
    lock_table_check(f->table);
    return &f->outcome;
}

static void expect_needs(struct fixture *f, const struct command *command, uint64_t bytes)
{
    if (bytes > 0) {
        expect_code(apply_nearly_full(f, command, bytes - 1), OUTCOME_CAPACITY);
    }
    expect_code(apply_nearly_full(f, command, bytes), OUTCOME_DONE);
}

static void groups_and_freezes_may_use_the_reserve_to_its_last_byte(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    struct command group = {.kind = COMMAND_PUT_GROUP, .put_group = {.name = slice_of("db"), .slots = 1}};
    expect_needs(&f, &group, 160 + 2);
    group.put_group.slots = 9;
    expect_needs(&f, &group, 0); /* no group more */
    struct command freeze = {.kind = COMMAND_PUT_FREEZE};
    freeze.put_freeze = (struct put_freeze_command){slice_of("a"), slice_of("me"), slice_of("why"), 1000};
    expect_needs(&f, &freeze, 160 + 1 + 2 + 3);
    freeze.put_freeze.reason = slice_of("where");
    expect_needs(&f, &freeze, 2); /* what the second takes more than the first */
    freeze.put_freeze.reason = slice_of("y");
    expect_needs(&f, &freeze, 0);
    struct command put = {.kind = COMMAND_PUT_SCHEDULE};
    put.put_schedule = (struct put_schedule_command){.schedule_id = slice_of("job"), .policy = policy_default()};
    put.put_schedule.policy.group = slice_of("db");
    expect_needs(&f, &put, COUNTED_SCHEDULE_BYTES + 3 + COUNTED_POLICY_BYTES + 2);
    struct command acquire = {.kind = COMMAND_ACQUIRE};
    acquire.acquire = (struct acquire_command){.schedule_id = slice_of("job"),
                                               .holder = slice_of("h"),
                                               .idempotency_key = slice_of("key"),
                                               .has_ttl = true,
                                               .ttl_ms = MINUTE_MS};
    expect_needs(&f, &acquire, COUNTED_GRANT_BYTES + COUNTED_GROUP_GRANT_BYTES + 2 + COUNTED_RUN_BYTES + 1 + 3);
    fixture_close(&f);
}

static void without_growth_nothing_new_is_made_and_the_rest_goes_on(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    expect_code(fixture_put_group(&f, "old", 1), OUTCOME_DONE);
    expect_code(fixture_put_freeze(&f, "old", 1000), OUTCOME_DONE);
    f.no_growth = true;
    expect_code(fixture_put_group(&f, "new", 1), OUTCOME_CAPACITY);
    expect_code(fixture_put_freeze(&f, "new", 1000), OUTCOME_CAPACITY);
    expect_code(fixture_put_group(&f, "old", 2), OUTCOME_DONE);
    expect_code(fixture_put_freeze(&f, "old", 2000), OUTCOME_DONE);
    expect_code(fixture_delete_group(&f, "old"), OUTCOME_DONE);
    expect_code(fixture_delete_freeze(&f, "old"), OUTCOME_DONE);
    fixture_close(&f);
}

/* ---- how many ---- */

struct name {
    char text[24];
};

static struct name numbered(const char *what, unsigned number)
{
    struct name name;
    (void)snprintf(name.text, sizeof name.text, "%s-%05u", what, number);
    return name;
}

static enum outcome_code put_group(struct fixture *f, unsigned number, uint32_t slots)
{
    const struct name name = numbered("g", number);
    const struct command command = {.kind = COMMAND_PUT_GROUP,
                                    .put_group = {.name = slice_of(name.text), .slots = slots}};
    lock_table_apply(f->table, &f->context, &command, &f->outcome);
    return f->outcome.code;
}

static void there_are_ten_thousand_groups(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    for (unsigned i = 0; i < LIMIT_GROUPS; i++) {
        CHECK(put_group(&f, i * 7919 % LIMIT_GROUPS, i) == OUTCOME_DONE);
    }
    assert_int_equal(fixture_count(&f).groups, LIMIT_GROUPS);
    assert_int_equal(put_group(&f, LIMIT_GROUPS, 1), OUTCOME_CAPACITY);
    assert_int_equal(put_group(&f, 77, 1), OUTCOME_DONE);
    struct lock_table *copy = table_copy(f.table);
    expect_equal_digests(f.table, copy);
    lock_table_close(copy);
    expect_code(fixture_delete_group(&f, numbered("g", 99).text), OUTCOME_DONE);
    assert_int_equal(put_group(&f, LIMIT_GROUPS, 1), OUTCOME_DONE);
    fixture_close(&f);
}

static void there_are_a_thousand_freezes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    for (unsigned i = 0; i < LIMIT_FREEZES; i++) {
        const struct name scope = numbered("s", i * 7 % LIMIT_FREEZES);
        const struct command command = {
            .kind = COMMAND_PUT_FREEZE,
            .put_freeze = {slice_of(scope.text), slice_of("ops"), slice_of("why"), 1000 + i % 10}};
        lock_table_apply(f.table, &f.context, &command, &f.outcome);
        CHECK(f.outcome.code == OUTCOME_DONE);
    }
    expect_code(fixture_put_freeze(&f, "one more", 1000), OUTCOME_CAPACITY);
    expect_code(fixture_put_freeze(&f, numbered("s", 7).text, 1000), OUTCOME_DONE);
    assert_int_equal(fixture_count(&f).freezes, LIMIT_FREEZES);
    expect_code(fixture_acquire(&f, (struct ask){.id = numbered("s", 8).text, .ttl_ms = MINUTE_MS}), OUTCOME_FROZEN);
    f.now_ms += 1010;
    fixture_tick(&f);
    assert_int_equal(fixture_count(&f).freezes, 0);
    fixture_close(&f);
}

static enum outcome_code take(struct fixture *f, unsigned number)
{
    const struct name id = numbered("job", number / LIMIT_SLOTS);
    const struct name holder = numbered("h", number);
    struct command command = {.kind = COMMAND_ACQUIRE};
    command.acquire = (struct acquire_command){.schedule_id = slice_of(id.text),
                                               .holder = slice_of(holder.text),
                                               .idempotency_key = slice_of(holder.text),
                                               .has_ttl = true,
                                               .ttl_ms = HOUR_MS};
    lock_table_apply(f->table, &f->context, &command, &f->outcome);
    return f->outcome.code;
}

/* All slots that a group can have are taken; who is turned away sees the oldest, and how many there are. */
static void a_group_can_have_ten_thousand_grants(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    expect_code(fixture_put_group(&f, "db", LIMIT_GROUP_SLOTS), OUTCOME_DONE);
    for (unsigned i = 0; i <= LIMIT_GROUP_SLOTS / LIMIT_SLOTS; i++) {
        fixture_join(&f, numbered("job", i).text, "db", LIMIT_SLOTS);
    }
    uint64_t first = fixture_count(&f).next_token;
    for (unsigned i = 0; i < LIMIT_GROUP_SLOTS; i++) {
        CHECK(take(&f, i) == OUTCOME_DONE);
    }
    lock_table_check(f.table);
    assert_int_equal(take(&f, LIMIT_GROUP_SLOTS), OUTCOME_GROUP_FULL);
    assert_int_equal(f.outcome.group.held, LIMIT_GROUP_SLOTS);
    assert_int_equal(f.outcome.n_holders, LIMIT_GROUP_HOLDERS);
    for (size_t i = 0; i < LIMIT_GROUP_HOLDERS; i++) {
        assert_int_equal(f.outcome.holders[i].token, first + i);
    }
    struct lock_table *copy = table_copy(f.table);
    expect_equal_digests(f.table, copy);
    lock_table_close(copy);
    expect_code(
        fixture_revoke(&f, (struct revoke_ask){.id = numbered("job", 0).text, .token = first + 3, .force = true}),
        OUTCOME_DONE);
    assert_int_equal(take(&f, LIMIT_GROUP_SLOTS), OUTCOME_DONE);
    assert_int_equal(take(&f, LIMIT_GROUP_SLOTS + 1), OUTCOME_GROUP_FULL);
    assert_int_equal(f.outcome.holders[3].token, first + 4);
    f.now_ms += HOUR_MS;
    fixture_tick(&f);
    struct group_view view;
    assert_true(lock_table_group(f.table, slice_of("db"), &view));
    assert_int_equal(view.held, 0);
    fixture_close(&f);
}

static void a_groups_form_has_its_bounds(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open_newest(&f);
    char longest[LIMIT_NAME_BYTES + 2];
    for (size_t i = 0; i <= LIMIT_NAME_BYTES; i++) {
        longest[i] = 'x';
    }
    longest[LIMIT_NAME_BYTES + 1] = 0;
    expect_code(fixture_put_group(&f, longest, 1), OUTCOME_INVALID_FIELD);
    assert_string_equal(f.outcome.field, "name");
    expect_code(fixture_put_group(&f, "", 1), OUTCOME_INVALID_FIELD);
    expect_code(fixture_put_group(&f, NULL, 1), OUTCOME_INVALID_FIELD);
    expect_code(fixture_put_group(&f, "g", LIMIT_GROUP_SLOTS + 1), OUTCOME_INVALID_FIELD);
    assert_string_equal(f.outcome.field, "slots");
    struct policy policy = policy_default();
    policy.group = slice_of(longest);
    expect_code(fixture_put(&f, "job", policy), OUTCOME_INVALID_FIELD);
    assert_string_equal(f.outcome.field, "group");
    policy.group = slice_of("");
    expect_code(fixture_put(&f, "job", policy), OUTCOME_INVALID_FIELD);
    longest[LIMIT_NAME_BYTES] = 0;
    expect_code(fixture_put_group(&f, longest, LIMIT_GROUP_SLOTS), OUTCOME_DONE);
    fixture_join(&f, "job", longest, 1);
    (void)fixture_take(&f, "h");
    struct lock_table *copy = table_copy(f.table);
    expect_equal_digests(f.table, copy);
    lock_table_close(copy);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_has_its_counted_bytes),
        cmocka_unit_test(groups_and_freezes_may_use_the_reserve_to_its_last_byte),
        cmocka_unit_test(without_growth_nothing_new_is_made_and_the_rest_goes_on),
        cmocka_unit_test(there_are_ten_thousand_groups),
        cmocka_unit_test(there_are_a_thousand_freezes),
        cmocka_unit_test(a_group_can_have_ten_thousand_grants),
        cmocka_unit_test(a_groups_form_has_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
