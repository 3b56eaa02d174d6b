/* The digest of a state with something of everything in it, as a literal: members of different builds compare digests, so
 * what a released rules_version hashes can't change any more. If this fails, it isn't the literal that is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include <stdio.h>

/* Runs that ended in every way, one that was reported late, a floor, and an occurrence that may be tried again. */
static void make_history(struct fixture *f)
{
    struct policy policy = policy_default();
    policy.max_attempts = 2;
    expect_code(fixture_put(f, "job", policy), OUTCOME_DONE);
    char name[32];
    for (int day = 0; day < 66; day++) {
        f->now_ms += 10;
        (void)fixture_run(f, instant_name(name, day), day % 2 == 0 ? RUN_SUCCEEDED : RUN_FAILED);
    }
    (void)fixture_run(f, "a string", RUN_ABANDONED);
    uint64_t late = fixture_expire(f, "late");
    expect_code(fixture_release(f, "job", late, RUN_SUCCEEDED), OUTCOME_LOCK_LOST);
    expect_code(fixture_delete(f, "job"), OUTCOME_DONE);
    (void)fixture_grant(f,
                        (struct ask){.holder = "live", .metadata = "{\"a\":1}", .ttl_ms = 90000, .estimate_ms = 5000});
    f->now_ms += 5;
    expect_code(fixture_renew(f, "job", fixture_count(f).next_token - 1, 200000), OUTCOME_DONE);
}

/* Slots, of which one is live, one being revoked, one revoked and released, one revoked by force. */
static void make_slots(struct fixture *f)
{
    struct policy policy = {.estimate_ms = 1000,
                            .margin_ms = 2000,
                            .max_ttl_ms = 3 * HOUR_MS,
                            .min_hold_ms = 4,
                            .slots = 5,
                            .max_attempts = 6,
                            .description = slice_of("several at once")};
    expect_code(fixture_put(f, "several", policy), OUTCOME_DONE);
    static const char *const holders[] = {"a", "b", "c", "d"};
    uint64_t first = fixture_count(f).next_token;
    for (size_t i = 0; i < 4; i++) {
        f->now_ms += 4;
        (void)fixture_grant(f, (struct ask){.id = "several", .holder = holders[i], .occurrence = holders[i]});
    }
    for (uint64_t i = 1; i < 4; i++) {
        expect_code(fixture_revoke(f, (struct revoke_ask){.id = "several", .token = first + i, .force = i == 3}),
                    OUTCOME_DONE);
    }
    expect_code(fixture_release(f, "several", first + 2, RUN_FAILED), OUTCOME_DONE);
}

static void make_sample(struct fixture *f)
{
    fixture_open(f);
    make_history(f);
    make_slots(f);
    expect_code(fixture_put(f, "untouched", policy_default()), OUTCOME_DONE);
    uint64_t token = fixture_grant(f, (struct ask){.id = "idle", .ttl_ms = MINUTE_MS});
    expect_code(fixture_release(f, "idle", token, RUN_OUTCOME_NONE), OUTCOME_DONE);
    struct command leader = {.kind = COMMAND_LEADER, .leader = {.member_id_floor = 7}};
    expect_code(fixture_apply(f, &leader), OUTCOME_DONE);
}

/* Under rules 2: groups, one of which is named by policies and grants, a period, and freezes. */
static void make_sample_of_groups(struct fixture *f)
{
    make_sample(f);
    struct command rules = {.kind = COMMAND_RULES, .rules = {.version = 2}};
    expect_code(fixture_apply(f, &rules), OUTCOME_DONE);
    expect_code(fixture_put_group(f, "shared", 3), OUTCOME_DONE);
    expect_code(fixture_put_group(f, "empty", 0), OUTCOME_DONE);
    struct policy policy = policy_full();
    policy.group = slice_of("shared");
    policy.expected_every_ms = HOUR_MS;
    expect_code(fixture_put(f, "member", policy), OUTCOME_DONE);
    (void)fixture_grant(f, (struct ask){.id = "member", .ttl_ms = MINUTE_MS});
    fixture_join(f, "member", "empty", 2);
    fixture_join(f, "other", "shared", 2);
    f->now_ms += 7;
    expect_code(fixture_put_freeze(f, "other", 5000), OUTCOME_DONE);
    expect_code(fixture_put_freeze(f, "m*", HOUR_MS), OUTCOME_DONE);
}

static void expect_digest(struct lock_table *table, const char *expected)
{
    char text[33];
    struct digest128 digest = lock_table_digest(table);
    digest128_print(&digest, text);
    assert_string_equal(text, expected);
}

static void the_digest_of_a_state_never_changes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    expect_digest(f.table, "73aa12d66022f89e641c9a3814450652");
    fixture_close(&f);
    make_sample(&f);
    expect_digest(f.table, "818c220c867fa994f5b32ebc0041ab59");
    struct lock_table *copy = table_copy(f.table);
    expect_digest(copy, "818c220c867fa994f5b32ebc0041ab59");
    lock_table_close(copy);
    fixture_close(&f);
}

static void the_digest_under_rules_2_never_changes(void **state)
{
    (void)state;
    struct fixture f;
    make_sample_of_groups(&f);
    expect_digest(f.table, "6bc96ed9247dc57370071f848400b007");
    struct lock_table *copy = table_copy(f.table);
    expect_digest(copy, "6bc96ed9247dc57370071f848400b007");
    lock_table_close(copy);
    fixture_close(&f);
}

/* What was counted to make it must show in it. */
static void each_new_thing_shows_in_the_digest(void **state)
{
    (void)state;
    struct fixture f;
    make_sample_of_groups(&f);
    struct digest128 seen[7];
    for (size_t i = 0; i < 7; i++) {
        struct lock_table *kept = f.table;
        struct fixture changed = f;
        changed.table = table_copy(kept);
        struct policy policy = policy_default();
        policy.slots = 2;
        policy.group = slice_of(i == 1 ? "empty" : "shared");
        policy.expected_every_ms = i == 2 ? 1 : 0;
        expect_code(fixture_put(&changed, "other", policy), OUTCOME_DONE);
        expect_code(fixture_put_group(&changed, "shared", i == 3 ? 4 : 3), OUTCOME_DONE);
        expect_code(fixture_put_freeze(&changed, "other", i == 4 ? 5001 : 5000), OUTCOME_DONE);
        expect_code(fixture_put_freeze(&changed, i == 5 ? "n" : "o", 5000), OUTCOME_DONE);
        expect_code(fixture_put_group(&changed, i == 6 ? "n" : "o", 0), OUTCOME_DONE);
        seen[i] = lock_table_digest(changed.table);
        for (size_t j = 0; j < i; j++) {
            assert_false(digest128_equal(&seen[i], &seen[j]));
        }
        lock_table_close(changed.table);
    }
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_digest_of_a_state_never_changes),
        cmocka_unit_test(the_digest_under_rules_2_never_changes),
        cmocka_unit_test(each_new_thing_shows_in_the_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
