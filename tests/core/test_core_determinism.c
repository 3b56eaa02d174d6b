/* Law 1: the same commands give the same state, however the table came to where it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "base/limits.h"

#include <stdio.h>

enum { ENTRIES = 3200 };

/* Groups and freezes come and go, and some grants are renewed together. */
static void apply_rest(struct lock_table *table, const struct apply_context *context, struct slice id, uint64_t chance)
{
    static const char *const names[] = {"a", "b", "c"};
    static const char *const scopes[] = {"*", "s1*", "s7", "s2*", "s11"};
    const struct renew_command renewals[] = {{.schedule_id = id, .token = context->index / 2},
                                             {.schedule_id = id, .token = context->index / 2 + 1}};
    struct command command = {.kind = COMMAND_RENEW_BATCH};
    switch (chance / 83 % 5) {
    case 0:
        command.kind = COMMAND_PUT_GROUP;
        command.put_group = (struct put_group_command){slice_of(names[chance / 500 % 3]), (uint32_t)(chance / 7 % 9)};
        break;
    case 1:
        command.kind = COMMAND_DELETE_GROUP;
        command.delete_group.name = slice_of(names[chance / 500 % 3]);
        break;
    case 2:
        command.kind = COMMAND_PUT_FREEZE;
        command.put_freeze = (struct put_freeze_command){
            .scope = slice_of(scopes[chance / 500 % 5]),
            .actor = slice_of("ops"),
            .reason = slice_of("why"),
            .ttl_ms = chance / 500 % 5 == 4 ? LIMIT_FREEZE_MS : 1 + chance % 20000, /* one scope for long */
        };
        break;
    case 3:
        command.kind = COMMAND_DELETE_FREEZE;
        command.delete_freeze.scope = slice_of(scopes[chance / 500 % 5]);
        break;
    default:
        command.renew_batch = (struct renew_batch_command){.renewals = renewals, .n_renewals = 2};
    }
    struct outcome outcome;
    lock_table_apply(table, context, &command, &outcome);
}

/* A policy is set, deleted or a grant revoked, now and then. */
static void apply_more(struct lock_table *table, const struct apply_context *context, struct slice id, uint64_t chance)
{
    struct command command = {.kind = COMMAND_PUT_SCHEDULE};
    switch (chance / 11 % 7) {
    case 0:
        command.put_schedule = (struct put_schedule_command){
            .schedule_id = id,
            .policy = {.margin_ms = chance % 20000, .max_ttl_ms = 70000, .slots = 1 + chance % 9, .max_attempts = 2}};
        command.put_schedule.policy.min_hold_ms = chance % 3 * 500;
        command.put_schedule.policy.description = slice_of(chance % 2 == 0 ? "some text" : NULL);
        command.put_schedule.policy.group = slice_of(chance / 900 % 3 == 0 ? NULL : chance % 2 == 0 ? "a" : "b");
        command.put_schedule.policy.expected_every_ms = chance / 17 % 2;
        break;
    case 1:
        command.kind = COMMAND_DELETE_SCHEDULE;
        command.delete_schedule.schedule_id = id;
        break;
    case 2:
    case 3:
        command.kind = COMMAND_REVOKE;
        command.revoke = (struct revoke_command){
            .schedule_id = id, .actor = slice_of("ops"), .reason = slice_of("why"), .force = chance % 5 == 0};
        break;
    default:
        return;
    }
    struct outcome outcome;
    lock_table_apply(table, context, &command, &outcome);
}

/* One entry of a fixed stream of commands; everything in it follows from its number. */
static void apply_entry(struct lock_table *table, uint64_t index)
{
    uint64_t chance = index * 0x9e3779b97f4a7c15u >> 20;
    struct apply_context context = {.index = index,
                                    .now_ms = index * 700 + (index % 500 == 499 ? 4000000000u : 0),
                                    .wall_ms = (int64_t)(chance % 1000000),
                                    .no_growth = chance % 37 == 0};
    char id[16];
    char key[32];
    char occurrence[32];
    char holder[16];
    (void)snprintf(holder, sizeof holder, "h%llu", (unsigned long long)(chance % 13));
    (void)snprintf(id, sizeof id, "s%llu", (unsigned long long)(chance % 29));
    (void)snprintf(key, sizeof key, "k%llu", (unsigned long long)(index / 2));
    (void)snprintf(occurrence, sizeof occurrence, "2026-01-%02dT%02d:00:00Z", (int)(1 + index / 150),
                   (int)(chance / 29 % 24));
    struct command acquire = {.kind = COMMAND_ACQUIRE};
    acquire.acquire = (struct acquire_command){.schedule_id = slice_of(id),
                                               .holder = slice_of(holder),
                                               .idempotency_key = slice_of(key),
                                               .occurrence = slice_of(chance % 5 == 0 ? NULL : occurrence),
                                               .has_ttl = true,
                                               .ttl_ms = 30000 + chance % 30000};
    lock_table_advance(table, &context);
    struct outcome outcome;
    if (index == 1) {
        const struct command rules = {.kind = COMMAND_RULES, .rules = {.version = rules_version_newest()}};
        lock_table_apply(table, &context, &rules, &outcome);
    }
    lock_table_apply(table, &context, &acquire, &outcome);
    struct command release = {.kind = COMMAND_RELEASE};
    release.release = (struct release_command){.schedule_id = slice_of(id), .has_outcome = true};
    release.release.outcome = (enum run_outcome)(RUN_SUCCEEDED + chance / 7 % 3);
    release.release.token = outcome.has_grant       ? outcome.grant.token
                            : outcome.n_holders > 0 ? outcome.holders[0].token
                                                    : 1;
    if (chance % 3 != 0) {
        lock_table_apply(table, &context, &release, &outcome);
    }
    apply_more(table, &context, slice_of(id), chance);
    if (chance / 29 % 4 == 0) {
        apply_rest(table, &context, slice_of(id), chance);
    }
}

static void the_same_commands_give_the_same_state(void **state)
{
    (void)state;
    struct lock_table *one = lock_table_open();
    struct lock_table *two = lock_table_open();
    for (uint64_t index = 1; index <= ENTRIES; index++) {
        apply_entry(one, index);
        apply_entry(two, index);
        if (index % 50 == 0) {
            expect_equal_digests(one, two);
        }
    }
    lock_table_close(one);
    lock_table_close(two);
}

static void a_restored_table_goes_on_as_the_first(void **state)
{
    (void)state;
    struct lock_table *one = lock_table_open();
    struct lock_table *two = lock_table_open();
    for (uint64_t index = 1; index <= ENTRIES; index++) {
        apply_entry(one, index);
        apply_entry(two, index);
        if (index % 100 == 0) {
            struct lock_table *copy = table_copy(two);
            lock_table_close(two);
            two = copy;
            expect_equal_digests(one, two);
        }
    }
    expect_equal_digests(one, two);
    struct lock_table_counts counts_one;
    struct lock_table_counts counts_two;
    lock_table_count(one, &counts_one);
    lock_table_count(two, &counts_two);
    assert_int_equal(counts_one.state_bytes, counts_two.state_bytes);
    assert_int_equal(counts_one.held, counts_two.held);
    assert_int_equal(counts_one.policies, counts_two.policies);
    assert_int_equal(counts_one.groups, counts_two.groups);
    assert_int_equal(counts_one.freezes, counts_two.freezes);
    assert_true(counts_one.held > 0 && counts_one.policies > 0);
    assert_true(counts_one.groups > 0 && counts_one.freezes > 0);
    assert_int_equal(lock_table_next_deadline(one), lock_table_next_deadline(two));
    assert_int_equal(lock_table_next_lock_deadline(one), lock_table_next_lock_deadline(two));
    lock_table_close(one);
    lock_table_close(two);
}

static void freezing_leaves_no_trace(void **state)
{
    (void)state;
    struct lock_table *one = lock_table_open();
    struct lock_table *two = lock_table_open();
    struct lock_table_frozen *frozen = NULL;
    for (uint64_t index = 1; index <= ENTRIES; index++) {
        if (index % 40 == 3) {
            frozen = lock_table_freeze(two);
        }
        apply_entry(one, index);
        apply_entry(two, index);
        if (index % 40 == 33) {
            lock_table_thaw(two, frozen);
            lock_table_check(two);
            expect_equal_digests(one, two);
        }
    }
    lock_table_close(one);
    lock_table_close(two);
}

static void a_view_and_a_digest_change_nothing(void **state)
{
    (void)state;
    struct lock_table *one = lock_table_open();
    struct lock_table *two = lock_table_open();
    for (uint64_t index = 1; index <= ENTRIES; index++) {
        apply_entry(one, index);
        apply_entry(two, index);
        struct schedule_view view;
        struct slice id = slice_of(index % 2 == 0 ? "s3" : "nobody");
        lock_table_view(two, id, &view);
        struct policy_view policy;
        (void)lock_table_policy(two, id, &policy);
        static struct run_view runs[LIMIT_RUNS_PER_SCHEDULE + LIMIT_SLOTS];
        (void)lock_table_runs(two, id, 5, runs);
        (void)lock_table_digest(two);
        struct schedule_statistics statistics;
        lock_table_statistics(two, id, &statistics);
        const struct acquire_command asked = {
            .schedule_id = id, .holder = id, .idempotency_key = id, .has_ttl = true, .ttl_ms = 40000};
        struct probe probe;
        lock_table_probe(two, &asked, &probe);
    }
    expect_equal_digests(one, two);
    lock_table_close(one);
    lock_table_close(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_commands_give_the_same_state),
        cmocka_unit_test(a_restored_table_goes_on_as_the_first),
        cmocka_unit_test(freezing_leaves_no_trace),
        cmocka_unit_test(a_view_and_a_digest_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
