/* What the table refuses for want of room, and what it never refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "core/table.h"

#include <stdio.h>

static void without_growth_nothing_is_granted_and_the_rest_goes_on(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    const struct ask asked = {.key = "k", .occurrence = "x", .ttl_ms = MINUTE_MS};
    uint64_t token = fixture_grant(&f, asked);
    f.no_growth = true;
    expect_code(fixture_acquire(&f, (struct ask){.id = "new", .ttl_ms = MINUTE_MS}), OUTCOME_CAPACITY);
    expect_code(fixture_acquire(&f, asked), OUTCOME_DONE);
    expect_code(fixture_renew(&f, "job", token, 0), OUTCOME_DONE);
    expect_code(fixture_release(&f, "job", token, RUN_FAILED), OUTCOME_DONE);
    expect_code(fixture_acquire(&f, (struct ask){.ttl_ms = MINUTE_MS}), OUTCOME_CAPACITY);
    expect_code(fixture_acquire(&f, (struct ask){.occurrence = "x", .ttl_ms = MINUTE_MS}), OUTCOME_ATTEMPTS_EXHAUSTED);
    f.no_growth = false;
    (void)fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
    assert_int_equal(fixture_count(&f).schedules, 1);
    fixture_close(&f);
}

static void each_part_has_its_counted_bytes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    (void)fixture_run(&f, "x", RUN_SUCCEEDED);
    uint64_t before = fixture_count(&f).state_bytes;
    const struct ask asked = {
        .id = "four", .holder = "h", .key = "key", .occurrence = "o", .metadata = "{}", .ttl_ms = MINUTE_MS};
    uint64_t token = fixture_grant(&f, asked);
    uint64_t growth = fixture_count(&f).state_bytes - before;
    assert_int_equal(growth, COUNTED_SCHEDULE_BYTES + 4 + COUNTED_GRANT_BYTES + 2 + COUNTED_RUN_BYTES + 1 + 3 + 1 +
                                 COUNTED_OCCURRENCE_BYTES + 1);
    expect_code(fixture_release(&f, "four", token, RUN_SUCCEEDED), OUTCOME_DONE);
    assert_int_equal(fixture_count(&f).state_bytes, before + growth - COUNTED_GRANT_BYTES - 2);
    struct policy policy = policy_default();
    policy.description = slice_of("text");
    before = fixture_count(&f).state_bytes;
    expect_code(fixture_put(&f, "four", policy), OUTCOME_DONE);
    assert_int_equal(fixture_count(&f).state_bytes, before + COUNTED_POLICY_BYTES + 4);
    expect_code(fixture_delete(&f, "four"), OUTCOME_DONE);
    assert_int_equal(fixture_count(&f).state_bytes, before);
    (void)fixture_grant(&f, (struct ask){.id = "four", .ttl_ms = MINUTE_MS});
    before = fixture_count(&f).state_bytes;
    expect_code(fixture_revoke(&f, (struct revoke_ask){.id = "four", .actor = "me", .reason = "because"}),
                OUTCOME_DONE);
    assert_int_equal(fixture_count(&f).state_bytes, before + 2 + 7);
    fixture_close(&f);
}

/* A gigabyte of state isn't built here: the sum is set, for one command, to `room` bytes below `limit`. */
struct fullness {
    uint64_t limit;
    uint64_t room;
};

static const struct outcome *apply_nearly_full(struct fixture *f, const struct command *command, struct fullness at)
{
    f->context.index++;
    f->context.now_ms = f->now_ms;
    f->context.no_growth = false;
    lock_table_advance(f->table, &f->context);
    uint64_t real = f->table->state_bytes;
    f->table->state_bytes = at.limit - at.room;
    lock_table_apply(f->table, &f->context, command, &f->outcome);
    f->table->state_bytes += real - (at.limit - at.room);
    lock_table_check(f->table);
    return &f->outcome;
}

static struct command acquire_command_of(const char *id, const char *key)
{
    struct command command = {.kind = COMMAND_ACQUIRE};
    command.acquire = (struct acquire_command){.schedule_id = slice_of(id),
                                               .holder = slice_of("h"),
                                               .idempotency_key = slice_of(key),
                                               .occurrence = slice_of("2026-01-01T00:00:00Z"),
                                               .metadata = slice_of("{}"),
                                               .has_ttl = true,
                                               .ttl_ms = MINUTE_MS};
    return command;
}

static struct command put_command_of(const char *id, const char *description)
{
    struct command command = {.kind = COMMAND_PUT_SCHEDULE};
    command.put_schedule = (struct put_schedule_command){.schedule_id = slice_of(id), .policy = policy_default()};
    command.put_schedule.policy.description = slice_of(description);
    return command;
}

#define PLAIN_LIMIT (LIMIT_STATE_BYTES - LIMIT_STATE_RESERVE_BYTES)

static void a_grant_is_refused_where_it_would_pass_the_limit(void **state)
{
    (void)state;
    const uint64_t growth = COUNTED_GRANT_BYTES + 2 + COUNTED_RUN_BYTES + 1 + 3 + 20 + COUNTED_OCCURRENCE_BYTES + 20;
    const struct command command = acquire_command_of("job", "key");
    for (int has_policy = 0; has_policy < 2; has_policy++) {
        struct fixture f;
        fixture_open(&f);
        uint64_t limit = has_policy ? LIMIT_STATE_BYTES : PLAIN_LIMIT;
        uint64_t needed = growth + (has_policy ? 0 : COUNTED_SCHEDULE_BYTES + 3);
        if (has_policy) { /* into the reserve */
            expect_code(fixture_put(&f, "job", policy_default()), OUTCOME_DONE);
        }
        expect_code(apply_nearly_full(&f, &command, (struct fullness){limit, needed - 1}), OUTCOME_CAPACITY);
        expect_code(apply_nearly_full(&f, &command, (struct fullness){limit, needed}), OUTCOME_DONE);
        struct command release = {.kind = COMMAND_RELEASE};
        release.release = (struct release_command){
            .schedule_id = slice_of("job"), .token = 1, .has_outcome = true, .outcome = RUN_FAILED};
        expect_code(apply_nearly_full(&f, &release, (struct fullness){LIMIT_STATE_BYTES, 0}), OUTCOME_DONE);
        fixture_close(&f);
    }
}

static void a_policy_may_use_the_reserve_to_its_last_byte(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    const uint64_t needed = COUNTED_SCHEDULE_BYTES + 3 + COUNTED_POLICY_BYTES + 4;
    const struct command command = put_command_of("job", "text");
    expect_code(apply_nearly_full(&f, &command, (struct fullness){LIMIT_STATE_BYTES, needed - 1}), OUTCOME_CAPACITY);
    assert_int_equal(fixture_count(&f).schedules, 0);
    expect_code(apply_nearly_full(&f, &command, (struct fullness){LIMIT_STATE_BYTES, needed}), OUTCOME_DONE);
    assert_int_equal(fixture_count(&f).state_bytes, needed);
    /* A schedule that is remembered costs only the policy. */
    (void)fixture_grant(&f, (struct ask){.id = "old", .ttl_ms = MINUTE_MS});
    const struct command other = put_command_of("old", "text");
    const uint64_t less = COUNTED_POLICY_BYTES + 4;
    expect_code(apply_nearly_full(&f, &other, (struct fullness){LIMIT_STATE_BYTES, less - 1}), OUTCOME_CAPACITY);
    expect_code(apply_nearly_full(&f, &other, (struct fullness){LIMIT_STATE_BYTES, less}), OUTCOME_DONE);
    fixture_close(&f);
}

static void what_does_not_grow_is_always_taken(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    const struct command longer = put_command_of("job", "some text");
    const struct command same = put_command_of("job", "same text");
    const struct command shorter = put_command_of("job", NULL);
    const struct fullness full = {LIMIT_STATE_BYTES, 0};
    expect_code(fixture_apply(&f, &same), OUTCOME_DONE);
    expect_code(apply_nearly_full(&f, &longer, full), OUTCOME_DONE);
    expect_code(apply_nearly_full(&f, &shorter, full), OUTCOME_DONE);
    expect_code(apply_nearly_full(&f, &longer, full), OUTCOME_CAPACITY);
    struct policy_view view;
    assert_true(lock_table_policy(f.table, slice_of("job"), &view));
    expect_text(view.policy.description, NULL);
    f.no_growth = true;
    expect_code(fixture_apply(&f, &shorter), OUTCOME_DONE);
    expect_code(fixture_apply(&f, &longer), OUTCOME_CAPACITY);
    expect_code(fixture_put(&f, "new", policy_default()), OUTCOME_CAPACITY);
    expect_code(fixture_delete(&f, "job"), OUTCOME_DONE);
    fixture_close(&f);
}

/* Revoking is never refused. Where who and why don't fit, they aren't kept. */
static void a_revocation_needs_no_room(void **state)
{
    (void)state;
    struct command command = {.kind = COMMAND_REVOKE};
    command.revoke =
        (struct revoke_command){.schedule_id = slice_of("job"), .actor = slice_of("me"), .reason = slice_of("because")};
    for (uint64_t room = 17; room <= 18; room++) { /* for two runs */
        struct fixture f;
        fixture_open(&f);
        fixture_slots(&f, 2);
        uint64_t first = fixture_take_many(&f, 2);
        command.revoke.force = room == 17;
        expect_code(apply_nearly_full(&f, &command, (struct fullness){LIMIT_STATE_BYTES, room}), OUTCOME_DONE);
        assert_int_equal(f.outcome.n_runs, 2);
        for (uint64_t token = first; token < first + 2; token++) {
            const struct run_view run = fixture_kept_run(&f, token);
            assert_int_equal(run.outcome, RUN_REVOKED);
            expect_text(run.actor, room < 18 ? NULL : "me");
            expect_text(run.reason, room < 18 ? NULL : "because");
        }
        struct lock_table *copy = table_copy(f.table);
        expect_equal_digests(f.table, copy);
        lock_table_close(copy);
        f.no_growth = true;
        expect_code(fixture_apply(&f, &command), OUTCOME_DONE);
        fixture_close(&f);
    }
}

static void the_last_token_is_granted_and_none_after_it(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    struct table_image numbers = {.next_token = LIMIT_NUMBER_MAX, .next_member_id = 1, .rules_version = 1};
    assert_int_equal(lock_table_load_table(f.table, &numbers), ERROR_NONE);
    uint64_t token = fixture_grant(&f, (struct ask){.ttl_ms = MINUTE_MS});
    assert_int_equal(token, LIMIT_NUMBER_MAX);
    expect_code(fixture_acquire(&f, (struct ask){.id = "other", .ttl_ms = MINUTE_MS}), OUTCOME_CAPACITY);
    expect_code(fixture_renew(&f, "job", token, 0), OUTCOME_DONE);
    expect_code(fixture_release(&f, "job", token, RUN_SUCCEEDED), OUTCOME_DONE);
    fixture_close(&f);
}

static void apply_quickly(struct fixture *f, const struct command *command)
{
    lock_table_apply(f->table, &f->context, command, &f->outcome);
}

struct numbered_id {
    char text[32];
};

static struct numbered_id numbered(uint64_t number)
{
    struct numbered_id id;
    (void)snprintf(id.text, sizeof id.text, "schedule-%llu", (unsigned long long)number);
    return id;
}

static void apply_acquire_of(struct fixture *f, uint64_t number)
{
    struct numbered_id id = numbered(number);
    const struct command command = acquire_command_of(id.text, "k");
    apply_quickly(f, &command);
}

static void apply_put_of(struct fixture *f, uint64_t number)
{
    struct numbered_id id = numbered(number);
    const struct command command = put_command_of(id.text, NULL);
    apply_quickly(f, &command);
}

static void leap(struct fixture *f, uint64_t duration_ms)
{
    f->now_ms += duration_ms;
    f->context = (struct apply_context){.index = f->context.index + 1, .now_ms = f->now_ms};
    lock_table_advance(f->table, &f->context);
}

/* Nor is one more read from a snapshot. */
static void expect_no_more_loaded(struct fixture *f)
{
    struct schedule_image image;
    struct lock_table_frozen *frozen = lock_table_freeze(f->table);
    assert_int_equal(lock_table_frozen_schedules(frozen), LIMIT_SCHEDULES + LIMIT_SCHEDULES_RESERVE);
    assert_true(lock_table_frozen_next(frozen, &image));
    image.id = slice_of("one-more");
    assert_int_equal(lock_table_load_schedule(f->table, &image), ERROR_CORRUPT);
    lock_table_thaw(f->table, frozen);
}

/* The schedules from LIMIT_SCHEDULES on are the reserve. */
static void fill_reserve(struct fixture *f)
{
    for (uint64_t i = LIMIT_SCHEDULES; i < LIMIT_SCHEDULES + LIMIT_SCHEDULES_RESERVE; i++) {
        apply_put_of(f, i);
        CHECK(f->outcome.code == OUTCOME_DONE);
    }
    apply_put_of(f, LIMIT_SCHEDULES + LIMIT_SCHEDULES_RESERVE);
    expect_code(&f->outcome, OUTCOME_CAPACITY);
    apply_put_of(f, 7); /* remembered already */
    expect_code(&f->outcome, OUTCOME_DONE);
    apply_acquire_of(f, LIMIT_SCHEDULES + 3);
    expect_code(&f->outcome, OUTCOME_DONE);
    expect_no_more_loaded(f);
}

static void a_million_schedules_are_remembered_and_some_more_with_a_policy(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    fixture_tick(&f);
    for (uint64_t i = 0; i < LIMIT_SCHEDULES; i++) {
        apply_acquire_of(&f, i * 7919 % LIMIT_SCHEDULES);
        CHECK(f.outcome.code == OUTCOME_DONE);
    }
    apply_acquire_of(&f, LIMIT_SCHEDULES);
    expect_code(&f.outcome, OUTCOME_CAPACITY);
    apply_acquire_of(&f, 5);
    expect_code(&f.outcome, OUTCOME_DONE);
    assert_true(f.outcome.repeated);
    assert_int_equal(fixture_count(&f).held, LIMIT_SCHEDULES);
    fill_reserve(&f);
    lock_table_check(f.table);

    leap(&f, MINUTE_MS); /* all end in one entry */
    assert_int_equal(fixture_count(&f).held, 0);
    apply_acquire_of(&f, LIMIT_SCHEDULES + LIMIT_SCHEDULES_RESERVE);
    expect_code(&f.outcome, OUTCOME_CAPACITY); /* they are remembered still */
    leap(&f, LIMIT_FORGET_MS);
    assert_int_equal(fixture_count(&f).schedules, LIMIT_SCHEDULES_RESERVE + 1);
    assert_int_equal(fixture_count(&f).policies, LIMIT_SCHEDULES_RESERVE + 1);
    lock_table_check(f.table);
    apply_acquire_of(&f, LIMIT_SCHEDULES + LIMIT_SCHEDULES_RESERVE);
    expect_code(&f.outcome, OUTCOME_DONE);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_growth_nothing_is_granted_and_the_rest_goes_on),
        cmocka_unit_test(each_part_has_its_counted_bytes),
        cmocka_unit_test(a_grant_is_refused_where_it_would_pass_the_limit),
        cmocka_unit_test(a_policy_may_use_the_reserve_to_its_last_byte),
        cmocka_unit_test(what_does_not_grow_is_always_taken),
        cmocka_unit_test(a_revocation_needs_no_room),
        cmocka_unit_test(the_last_token_is_granted_and_none_after_it),
        cmocka_unit_test(a_million_schedules_are_remembered_and_some_more_with_a_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
