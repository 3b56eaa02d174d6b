/* Commands: what the contract allows is taken, up to its bounds; what it doesn't allow neither leaves (its sender aborts) nor
 * enters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "codec/frame.h"
#include "core/rules.h"
#include "fixture.h"

static struct command good_acquire(void)
{
    struct acquire_command acquire = {
        .schedule_id = slice_of("s"), .holder = slice_of("h"), .idempotency_key = slice_of("k")};
    return (struct command){.kind = COMMAND_ACQUIRE, .acquire = acquire};
}

static bool schedule_is_taken(struct fixture *f, struct slice id)
{
    struct command command = good_acquire();
    command.acquire.schedule_id = id;
    return fixture_command_is_taken(f, command);
}

static bool holder_is_taken(struct fixture *f, struct slice holder)
{
    struct command command = good_acquire();
    command.acquire.holder = holder;
    return fixture_command_is_taken(f, command);
}

static bool metadata_is_taken(struct fixture *f, struct slice metadata)
{
    struct command command = good_acquire();
    command.acquire.metadata = metadata;
    return fixture_command_is_taken(f, command);
}

static struct slice text_of(struct fixture *f, size_t len)
{
    return sample_long(&f->sample_arena, len);
}

static void names_are_taken_up_to_their_length_and_in_their_alphabet(void **state)
{
    struct fixture *f = *state;
    assert_true(schedule_is_taken(f, text_of(f, LIMIT_NAME_BYTES)));
    assert_false(schedule_is_taken(f, text_of(f, LIMIT_NAME_BYTES + 1)));
    assert_true(schedule_is_taken(f, slice_of("9._:@~-z")));
    assert_false(schedule_is_taken(f, slice_of("")));
    assert_false(schedule_is_taken(f, slice_of(".a")));
    assert_false(schedule_is_taken(f, slice_of("a b")));
    assert_false(schedule_is_taken(f, slice_of("a/b")));
    assert_false(schedule_is_taken(f, slice_of("\xc3\xa4")));
    assert_false(schedule_is_taken(f, (struct slice){.base = (const uint8_t *)"a\0b", .len = 3}));
    assert_true(holder_is_taken(f, text_of(f, LIMIT_NAME_BYTES)));
    assert_false(holder_is_taken(f, text_of(f, LIMIT_NAME_BYTES + 1)));
    assert_true(holder_is_taken(f, slice_of("!~")));
    assert_false(holder_is_taken(f, slice_of("")));
    assert_false(holder_is_taken(f, slice_of("a b")));
    assert_false(holder_is_taken(f, slice_of("\x7f")));
    assert_false(holder_is_taken(f, slice_of("\x80")));
}

static void occurrences_keys_and_metadata_are_taken_up_to_their_length(void **state)
{
    struct fixture *f = *state;
    struct command command = good_acquire();
    command.acquire.occurrence = text_of(f, LIMIT_OCCURRENCE_BYTES);
    command.acquire.idempotency_key = text_of(f, LIMIT_OCCURRENCE_BYTES);
    assert_true(fixture_command_is_taken(f, command));
    command.acquire.occurrence = text_of(f, LIMIT_OCCURRENCE_BYTES + 1);
    assert_false(fixture_command_is_taken(f, command));
    command.acquire.occurrence = slice_of("");
    assert_false(fixture_command_is_taken(f, command));
    command = good_acquire();
    command.acquire.idempotency_key = text_of(f, LIMIT_OCCURRENCE_BYTES + 1);
    assert_false(fixture_command_is_taken(f, command));
    command.acquire.idempotency_key = (struct slice){0};
    assert_false(fixture_command_is_taken(f, command));
    sample_longest_command(&f->sample_arena, &command);
    assert_true(fixture_command_is_taken(f, command));
    assert_true(metadata_is_taken(f, slice_of("{}")));
    assert_true(metadata_is_taken(f, slice_of("{\"\xf0\x9f\x98\x80\":\"\xe2\x82\xac\"}")));
    assert_false(metadata_is_taken(f, slice_of("[]")));
    assert_false(metadata_is_taken(f, slice_of("{")));
    assert_false(metadata_is_taken(f, slice_of("{\xff}")));         /* never in UTF-8 */
    assert_false(metadata_is_taken(f, slice_of("{\xc0\x80}")));     /* longer than need be */
    assert_false(metadata_is_taken(f, slice_of("{\xed\xa0\x80}"))); /* half a surrogate pair */
    assert_false(metadata_is_taken(f, slice_of("{\xf4\x90\x80\x80}")));
    assert_false(metadata_is_taken(f, slice_of("{\xe2\x82}")));
}

static void numbers_are_taken_within_their_range(void **state)
{
    struct fixture *f = *state;
    struct command command = good_acquire();
    command.acquire.has_ttl = true;
    command.acquire.ttl_ms = LIMIT_NUMBER_MAX;
    assert_true(fixture_command_is_taken(f, command));
    command.acquire.ttl_ms = LIMIT_NUMBER_MAX + 1;
    assert_false(fixture_command_is_taken(f, command));
    command.acquire.ttl_ms = 0;
    assert_false(fixture_command_is_taken(f, command));
    command = good_acquire();
    command.acquire.has_estimate = true;
    command.acquire.estimate_ms = 0;
    assert_true(fixture_command_is_taken(f, command));
    command.acquire.estimate_ms = LIMIT_NUMBER_MAX + 1;
    assert_false(fixture_command_is_taken(f, command));
    command = (struct command){.kind = COMMAND_RENEW, .renew = {.schedule_id = slice_of("s"), .has_ttl = true}};
    assert_false(fixture_command_is_taken(f, command));
    for (int outcome = RUN_RUNNING; outcome <= RUN_REVOKED + 1; outcome++) {
        command = (struct command){.kind = COMMAND_RELEASE};
        command.release.schedule_id = slice_of("s");
        command.release.has_outcome = true;
        command.release.outcome = (enum run_outcome)outcome;
        bool reported = outcome == RUN_SUCCEEDED || outcome == RUN_FAILED || outcome == RUN_ABANDONED;
        assert_int_equal(fixture_command_is_taken(f, command), reported);
    }
    assert_false(fixture_command_is_taken(f, (struct command){.kind = (enum command_kind)99}));
}

/* ---- policies ---- */

static struct command good_put(void)
{
    struct policy policy = {.margin_ms = 30000, .max_ttl_ms = LIMIT_TTL_MS, .slots = 1, .max_attempts = 1};
    return (struct command){.kind = COMMAND_PUT_SCHEDULE,
                            .put_schedule = {.schedule_id = slice_of("s"), .policy = policy}};
}

static bool policy_is_taken(struct fixture *f, const struct policy *policy)
{
    struct command command = good_put();
    command.put_schedule.policy = *policy;
    return fixture_command_is_taken(f, command);
}

static void a_policys_durations_leave_room_for_a_ttl(void **state)
{
    struct fixture *f = *state;
    struct policy policy = good_put().put_schedule.policy;
    policy.estimate_ms = LIMIT_TTL_MS - 30000;
    assert_true(policy_is_taken(f, &policy));
    policy.estimate_ms++;
    assert_false(policy_is_taken(f, &policy));
    policy.estimate_ms = UINT64_MAX; /* whose sum with the margin is small */
    assert_false(policy_is_taken(f, &policy));
    policy.estimate_ms = 0;
    policy.margin_ms = LIMIT_TTL_MS;
    assert_true(policy_is_taken(f, &policy));
    policy.margin_ms++;
    assert_false(policy_is_taken(f, &policy));
    policy.margin_ms = 0;
    policy.max_ttl_ms = 1;
    assert_true(policy_is_taken(f, &policy));
    policy.max_ttl_ms = 0;
    assert_false(policy_is_taken(f, &policy));
    policy.max_ttl_ms = LIMIT_TTL_MS + 1;
    assert_false(policy_is_taken(f, &policy));
    policy = good_put().put_schedule.policy;
    policy.min_hold_ms = LIMIT_NUMBER_MAX;
    assert_true(policy_is_taken(f, &policy));
    policy.min_hold_ms++;
    assert_false(policy_is_taken(f, &policy));
}

static void a_policys_counts_are_taken_within_their_range(void **state)
{
    struct fixture *f = *state;
    struct policy policy = good_put().put_schedule.policy;
    policy.slots = LIMIT_SLOTS;
    assert_true(policy_is_taken(f, &policy));
    policy.slots++;
    assert_false(policy_is_taken(f, &policy));
    policy.slots = 0;
    assert_false(policy_is_taken(f, &policy));
    policy.slots = 1;
    policy.max_attempts = LIMIT_ATTEMPTS;
    assert_true(policy_is_taken(f, &policy));
    policy.max_attempts++;
    assert_false(policy_is_taken(f, &policy));
    policy.max_attempts = 0;
    assert_false(policy_is_taken(f, &policy));
}

static void a_description_is_utf8_up_to_its_length_and_may_be_empty(void **state)
{
    struct fixture *f = *state;
    struct policy policy = good_put().put_schedule.policy;
    policy.description = slice_of("");
    assert_true(policy_is_taken(f, &policy));
    policy.description = slice_of("t\xc3\xa4glich \xf0\x9f\x98\x80");
    assert_true(policy_is_taken(f, &policy));
    policy.description = slice_of("\xc3");
    assert_false(policy_is_taken(f, &policy));
    policy.description = text_of(f, LIMIT_REASON_BYTES);
    assert_true(policy_is_taken(f, &policy));
    policy.description = text_of(f, LIMIT_REASON_BYTES + 1);
    assert_false(policy_is_taken(f, &policy));
}

static void a_policy_is_set_and_deleted_by_a_proper_name(void **state)
{
    struct fixture *f = *state;
    struct command put = good_put();
    struct command delete = {.kind = COMMAND_DELETE_SCHEDULE};
    const struct slice names[] = {text_of(f, LIMIT_NAME_BYTES), text_of(f, LIMIT_NAME_BYTES + 1), slice_of("a/b"),
                                  slice_of("")};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        put.put_schedule.schedule_id = delete.delete_schedule.schedule_id = names[i];
        assert_int_equal(fixture_command_is_taken(f, put), i == 0);
        assert_int_equal(fixture_command_is_taken(f, delete), i == 0);
    }
}

/* ---- revoking ---- */

static struct command good_revoke(void)
{
    struct revoke_command revoke = {.schedule_id = slice_of("s"), .actor = slice_of("root"), .reason = slice_of("why")};
    return (struct command){.kind = COMMAND_REVOKE, .revoke = revoke};
}

static bool actor_is_taken(struct fixture *f, struct slice actor)
{
    struct command command = good_revoke();
    command.revoke.actor = actor;
    return fixture_command_is_taken(f, command);
}

static bool reason_is_taken(struct fixture *f, struct slice reason)
{
    struct command command = good_revoke();
    command.revoke.reason = reason;
    return fixture_command_is_taken(f, command);
}

static void revoking_takes_an_actor_and_a_reason(void **state)
{
    struct fixture *f = *state;
    assert_true(actor_is_taken(f, text_of(f, LIMIT_NAME_BYTES)));
    assert_false(actor_is_taken(f, text_of(f, LIMIT_NAME_BYTES + 1)));
    assert_false(actor_is_taken(f, slice_of("")));
    assert_false(actor_is_taken(f, slice_of("a b")));
    assert_false(actor_is_taken(f, slice_of("\xc3\xa4")));
    assert_true(reason_is_taken(f, slice_of("wrong d\xc3\xa4tabase")));
    assert_true(reason_is_taken(f, text_of(f, LIMIT_REASON_BYTES)));
    assert_false(reason_is_taken(f, text_of(f, LIMIT_REASON_BYTES + 1)));
    assert_false(reason_is_taken(f, slice_of("")));
    assert_false(reason_is_taken(f, (struct slice){0}));
    assert_false(reason_is_taken(f, slice_of("\xff")));
    struct command command = good_revoke();
    command.revoke.schedule_id = slice_of("a/b");
    assert_false(fixture_command_is_taken(f, command));
}

/* The fields of a revocation, by hand, with those of `altered` in place of their own. */
static bool decode_revoke(struct fixture *f, const char *altered, size_t len, size_t at)
{
    char body[] = "\x0a\x10"
                  "0123456789abcdef"
                  "\x11"
                  "\1\0\0\0\0\0\0\0" /* run id, sequence */
                  "\x1a\x1a"
                  "\x09"
                  "\1\0\0\0\0\0\0\0"
                  "\x12\x0f" /* an operation, its number, its command */
                  "\x4a\x0d"
                  "\x0a\1s"
                  "\x12\1r"
                  "\x1a\1w"
                  "\x20\0"
                  "\x28\0";
    const size_t revoke = sizeof body - 1 - 13;
    memcpy(body + revoke + at, altered, len);
    struct slice bytes = {.base = (const uint8_t *)body, .len = sizeof body - 1};
    return fixture_decode_untold(f, FRAME_OPERATIONS, bytes) == ERROR_NONE;
}

/* What no honest member sends. */
static void a_hostile_revocation_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_true(decode_revoke(f, "", 0, 0));
    assert_int_equal(f->frame.operations.operations[0].command.kind, COMMAND_REVOKE);
    assert_true(decode_revoke(f, "\x28\1", 2, 11)); /* force */
    assert_true(f->frame.operations.operations[0].command.revoke.force);
    assert_false(decode_revoke(f, "/", 1, 2));        /* the schedule */
    assert_false(decode_revoke(f, " ", 1, 5));        /* the actor */
    assert_false(decode_revoke(f, "\xff", 1, 8));     /* the reason */
    assert_false(decode_revoke(f, "\x20\0", 2, 11));  /* the token twice, and nothing about force */
    assert_false(decode_revoke(f, "\x30\0", 2, 11));  /* a field that isn't known */
    assert_false(decode_revoke(f, "\x1a\x40", 2, 6)); /* a reason beyond the end */
}

/* ---- rules ---- */

static void rules_are_raised_to_versions_that_this_build_knows(void **state)
{
    struct fixture *f = *state;
    struct command command = {.kind = COMMAND_RULES};
    assert_false(fixture_command_is_taken(f, command));
    command.rules.version = RULES_VERSION_FIRST;
    assert_true(fixture_command_is_taken(f, command));
    command.rules.version = rules_version_newest();
    assert_true(fixture_command_is_taken(f, command));
    command.rules.version++;
    assert_false(fixture_command_is_taken(f, command));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(names_are_taken_up_to_their_length_and_in_their_alphabet),
        TEST(occurrences_keys_and_metadata_are_taken_up_to_their_length),
        TEST(numbers_are_taken_within_their_range),
        TEST(a_policys_durations_leave_room_for_a_ttl),
        TEST(a_policys_counts_are_taken_within_their_range),
        TEST(a_description_is_utf8_up_to_its_length_and_may_be_empty),
        TEST(a_policy_is_set_and_deleted_by_a_proper_name),
        TEST(revoking_takes_an_actor_and_a_reason),
        TEST(a_hostile_revocation_is_refused),
        TEST(rules_are_raised_to_versions_that_this_build_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
