/* Images of groups, of freezes, and of schedules that name groups: what they write they read again, and nothing else is
 * taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "specimen.h"

#include <stdio.h>

#define TAKEN     ERROR_NONE
#define NOT_TAKEN ERROR_CORRUPT

static struct lock_table *table_with(uint32_t rules_version)
{
    struct lock_table *table = lock_table_open();
    const struct table_image numbers = {
        .now_ms = 5000, .next_token = 9, .next_member_id = 1, .rules_version = rules_version};
    assert_int_equal(lock_table_load_table(table, &numbers), ERROR_NONE);
    return table;
}

static void expect_group(struct lock_table *table, struct slice name, uint32_t slots, enum error expected)
{
    const struct group_image image = {.name = name, .slots = slots};
    uint64_t bytes_before = 0;
    struct lock_table_counts counts;
    lock_table_count(table, &counts);
    bytes_before = counts.state_bytes;
    assert_int_equal(lock_table_load_group(table, &image), expected);
    lock_table_check(table);
    lock_table_count(table, &counts);
    assert_int_equal(counts.state_bytes > bytes_before, expected == TAKEN);
}

static void only_groups_that_can_be_are_taken(void **state)
{
    (void)state;
    struct lock_table *table = table_with(RULES_VERSION_GROUPS);
    expect_group(table, slice_of("b"), 0, TAKEN);
    expect_group(table, slice_of("a"), LIMIT_GROUP_SLOTS, TAKEN);
    expect_group(table, long_slice(LIMIT_NAME_BYTES), 1, TAKEN);
    expect_group(table, slice_of("b"), 1, NOT_TAKEN);
    expect_group(table, slice_of("c"), LIMIT_GROUP_SLOTS + 1, NOT_TAKEN);
    expect_group(table, slice_of(""), 1, NOT_TAKEN);
    expect_group(table, NOTHING, 1, NOT_TAKEN);
    expect_group(table, long_slice(LIMIT_NAME_BYTES + 1), 1, NOT_TAKEN);
    lock_table_close(table);
    table = table_with(RULES_VERSION_FIRST);
    expect_group(table, slice_of("a"), 1, NOT_TAKEN);
    lock_table_close(table);
}

static void no_more_groups_are_taken_than_there_can_be(void **state)
{
    (void)state;
    struct lock_table *table = table_with(RULES_VERSION_GROUPS);
    char name[16];
    for (unsigned i = 0; i <= LIMIT_GROUPS; i++) {
        (void)snprintf(name, sizeof name, "g%u", i);
        const struct group_image image = {.name = slice_of(name), .slots = 1};
        assert_int_equal(lock_table_load_group(table, &image), i < LIMIT_GROUPS ? TAKEN : NOT_TAKEN);
    }
    lock_table_check(table);
    lock_table_close(table);
}

static const struct freeze_image *good_freeze(void)
{
    static struct freeze_image image;
    image = (struct freeze_image){.scope = slice_of("a*"),
                                  .actor = slice_of("ops"),
                                  .reason = slice_of("why"),
                                  .ttl_ms = 1000,
                                  .deadline_ms = 5500,
                                  .created_wall_ms = 7};
    return &image;
}

static void expect_freeze(uint32_t rules_version, const struct freeze_image *image, enum error expected)
{
    struct lock_table *table = table_with(rules_version);
    assert_int_equal(lock_table_load_freeze(table, image), expected);
    lock_table_check(table);
    if (expected == TAKEN) {
        assert_int_equal(lock_table_load_freeze(table, image), NOT_TAKEN); /* the same scope twice */
        struct lock_table *copy = table_copy(table);
        expect_equal_digests(table, copy);
        lock_table_close(copy);
    }
    lock_table_close(table);
}

#define FREEZES(X)                                                                                                     \
    X(NOT_TAKEN, image.scope = NOTHING)                                                                                \
    X(NOT_TAKEN, image.scope = TEXT(""))                                                                               \
    X(NOT_TAKEN, image.scope = TEXT("*a"))                                                                             \
    X(NOT_TAKEN, image.scope = TEXT("a**"))                                                                            \
    X(NOT_TAKEN, image.scope = long_slice(LIMIT_NAME_BYTES + 1))                                                       \
    X(NOT_TAKEN, image.actor = TEXT(""))                                                                               \
    X(NOT_TAKEN, image.actor = long_slice(LIMIT_NAME_BYTES + 1))                                                       \
    X(NOT_TAKEN, image.reason = NOTHING)                                                                               \
    X(NOT_TAKEN, image.reason = long_slice(LIMIT_REASON_BYTES + 1))                                                    \
    X(NOT_TAKEN, image.ttl_ms = 0)                                                                                     \
    X(NOT_TAKEN, image.ttl_ms = LIMIT_FREEZE_MS + 1)                                                                   \
    X(NOT_TAKEN, image.ttl_ms = UINT64_MAX)                                                                            \
    X(NOT_TAKEN, image.deadline_ms = 5000)                                                                             \
    X(NOT_TAKEN, image.deadline_ms = 4999)                                                                             \
    X(NOT_TAKEN, image.deadline_ms = 6001)                                                                             \
    X(NOT_TAKEN, image.deadline_ms = UINT64_MAX)                                                                       \
    X(NOT_TAKEN, (image.ttl_ms = 6000, image.deadline_ms = 5999)) /* it began before time did */                       \
    X(NOT_TAKEN, image.created_wall_ms = INT64_MAX)                                                                    \
    X(NOT_TAKEN, image.created_wall_ms = INT64_MIN)                                                                    \
    X(TAKEN, image.scope = TEXT("*"))                                                                                  \
    X(TAKEN, image.scope = TEXT("a"))                                                                                  \
    X(TAKEN, image.scope = long_slice(LIMIT_NAME_BYTES))                                                               \
    X(TAKEN, image.actor = long_slice(LIMIT_NAME_BYTES))                                                               \
    X(TAKEN, image.reason = long_slice(LIMIT_REASON_BYTES))                                                            \
    X(TAKEN, image.deadline_ms = 5001)                                                                                 \
    X(TAKEN, image.deadline_ms = 6000)                                                                                 \
    X(TAKEN, (image.ttl_ms = LIMIT_FREEZE_MS, image.deadline_ms = LIMIT_FREEZE_MS))                                    \
    X(TAKEN, image.created_wall_ms = -7)

static void only_freezes_that_can_be_are_taken(void **state)
{
    (void)state;
    expect_freeze(RULES_VERSION_GROUPS, good_freeze(), TAKEN);
    expect_freeze(RULES_VERSION_FIRST, good_freeze(), NOT_TAKEN);
#define FREEZE_ROW(expected, change)                                                                                   \
    {                                                                                                                  \
        struct freeze_image image = *good_freeze();                                                                    \
        (void)(change);                                                                                                \
        expect_freeze(RULES_VERSION_GROUPS, &image, expected);                                                         \
    }
    FREEZES(FREEZE_ROW)
#undef FREEZE_ROW
    struct lock_table *table = table_with(RULES_VERSION_GROUPS);
    for (unsigned i = 0; i <= LIMIT_FREEZES; i++) {
        char scope[16];
        (void)snprintf(scope, sizeof scope, "s%u", i);
        struct freeze_image image = *good_freeze();
        image.scope = slice_of(scope);
        assert_int_equal(lock_table_load_freeze(table, &image), i < LIMIT_FREEZES ? TAKEN : NOT_TAKEN);
    }
    lock_table_check(table);
    lock_table_close(table);
}

/* ---- schedules that name groups ---- */

static enum error load_into(struct lock_table *table, const struct specimen *specimen)
{
    return lock_table_load_schedule(table, &specimen->image);
}

/* A schedule whose policy and grants are of group "db"; its groups are loaded by whoever loads it. */
static void member_open(struct specimen *specimen)
{
    *specimen = (struct specimen){0};
    struct fixture *f = &specimen->f;
    fixture_open_newest(f);
    expect_code(fixture_put_group(f, "db", 5), OUTCOME_DONE);
    struct policy policy = policy_default();
    policy.slots = 3;
    policy.group = slice_of("db");
    policy.expected_every_ms = HOUR_MS;
    expect_code(fixture_put(f, "job", policy), OUTCOME_DONE);
    (void)fixture_take(f, "h1");
    (void)fixture_take(f, "h2");
    specimen_take(specimen);
    expect_text(specimen->grants[0].group, "db");
    expect_text(specimen->image.policy.policy.group, "db");
}

static enum error load_member(const struct specimen *specimen, bool has_group)
{
    struct lock_table *table = lock_table_open();
    assert_int_equal(lock_table_load_table(table, &specimen->numbers), ERROR_NONE);
    if (has_group) {
        const struct group_image group = {.name = slice_of("db"), .slots = 1};
        assert_int_equal(lock_table_load_group(table, &group), ERROR_NONE);
    }
    enum error error = load_into(table, specimen);
    if (error == ERROR_NONE) {
        lock_table_check(table);
        struct lock_table *copy = table_copy(table);
        expect_equal_digests(table, copy);
        lock_table_close(copy);
    }
    lock_table_close(table);
    return error;
}

#define MEMBERS(X)                                                                                                     \
    X(TAKEN, image->policy.policy.expected_every_ms = 0)                                                               \
    X(TAKEN, image->policy.policy.group = NOTHING)                                                                     \
    X(TAKEN, grants[1].group = NOTHING)                                                                                \
    X(NOT_TAKEN, image->policy.policy.group = TEXT("other"))                                                           \
    X(NOT_TAKEN, image->policy.policy.group = TEXT(""))                                                                \
    X(NOT_TAKEN, image->policy.policy.group = long_slice(LIMIT_NAME_BYTES + 1))                                        \
    X(NOT_TAKEN, image->policy.policy.expected_every_ms = LIMIT_NUMBER_MAX + 1)                                        \
    X(NOT_TAKEN, grants[0].group = TEXT("other"))                                                                      \
    X(NOT_TAKEN, grants[1].group = TEXT("d"))                                                                          \
    X(NOT_TAKEN, grants[1].group = TEXT(""))                                                                           \
    X(NOT_TAKEN, grants[1].group = long_slice(LIMIT_NAME_BYTES + 1))                                                   \
    X(NOT_TAKEN, specimen.numbers.rules_version = RULES_VERSION_FIRST)

static void only_groups_that_are_there_may_be_named(void **state)
{
    (void)state;
    static struct specimen specimen;
    member_open(&specimen);
    assert_int_equal(load_member(&specimen, true), TAKEN);
    assert_int_equal(load_member(&specimen, false), NOT_TAKEN);
    specimen_close(&specimen);
#define MEMBER_ROW(expected, change)                                                                                   \
    {                                                                                                                  \
        member_open(&specimen);                                                                                        \
        struct schedule_image *image = &specimen.image;                                                                \
        struct grant_image *grants = specimen.grants;                                                                  \
        (void)image, (void)grants;                                                                                     \
        (void)(change);                                                                                                \
        bool has_groups = specimen.numbers.rules_version >= RULES_VERSION_GROUPS;                                      \
        if (load_member(&specimen, has_groups) != (expected)) {                                                        \
            fail_msg("%s: not %s", #change, #expected);                                                                \
        }                                                                                                              \
        specimen_close(&specimen);                                                                                     \
    }
    MEMBERS(MEMBER_ROW)
#undef MEMBER_ROW
}

/* Under the first rules a policy has no period either. */
static void a_period_needs_its_rules(void **state)
{
    (void)state;
    static struct specimen specimen;
    member_open(&specimen);
    specimen.numbers.rules_version = RULES_VERSION_FIRST;
    specimen.image.policy.policy.group = NOTHING;
    specimen.grants[0].group = NOTHING;
    specimen.grants[1].group = NOTHING;
    assert_int_equal(load_member(&specimen, false), NOT_TAKEN);
    specimen.image.policy.policy.expected_every_ms = 0;
    assert_int_equal(load_member(&specimen, false), TAKEN);
    specimen_close(&specimen);
}

/* No group ever had more grants than slots can be set. */
static void a_group_has_no_more_grants_than_it_can_have(void **state)
{
    (void)state;
    static struct specimen specimen;
    member_open(&specimen);
    struct lock_table *table = lock_table_open();
    specimen.numbers.next_token = 3 * LIMIT_GROUP_SLOTS;
    assert_int_equal(lock_table_load_table(table, &specimen.numbers), ERROR_NONE);
    const struct group_image group = {.name = slice_of("db"), .slots = 1};
    assert_int_equal(lock_table_load_group(table, &group), ERROR_NONE);
    char id[16];
    for (uint64_t i = 0; i <= LIMIT_GROUP_SLOTS / 2; i++) {
        (void)snprintf(id, sizeof id, "s%u", (unsigned)i);
        specimen.image.id = slice_of(id);
        for (uint64_t j = 0; j < 2; j++) {
            specimen.grants[j].token = 1 + 2 * i + j;
            specimen.runs[j].token = 1 + 2 * i + j;
        }
        assert_int_equal(load_into(table, &specimen), i < LIMIT_GROUP_SLOTS / 2 ? TAKEN : NOT_TAKEN);
    }
    lock_table_close(table);
    specimen_close(&specimen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_groups_that_can_be_are_taken),
        cmocka_unit_test(no_more_groups_are_taken_than_there_can_be),
        cmocka_unit_test(only_freezes_that_can_be_are_taken),
        cmocka_unit_test(only_groups_that_are_there_may_be_named),
        cmocka_unit_test(a_period_needs_its_rules),
        cmocka_unit_test(a_group_has_no_more_grants_than_it_can_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
