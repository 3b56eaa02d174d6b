/* Groups and freezes: commands, policies that name a group, and what is answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "codec/frame.h"
#include "fixture.h"

static struct slice text_of(struct fixture *f, size_t len)
{
    return sample_long(&f->sample_arena, len);
}

/* ---- commands ---- */

static struct command put_group(struct slice name, uint32_t slots)
{
    return (struct command){.kind = COMMAND_PUT_GROUP, .put_group = {.name = name, .slots = slots}};
}

static void a_group_has_a_proper_name_and_so_many_slots(void **state)
{
    struct fixture *f = *state;
    const struct slice names[] = {text_of(f, LIMIT_NAME_BYTES),
                                  text_of(f, LIMIT_NAME_BYTES + 1),
                                  slice_of("a/b"),
                                  slice_of(""),
                                  slice_of("*"),
                                  slice_of("a*")};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct command gone = {.kind = COMMAND_DELETE_GROUP, .delete_group = {.name = names[i]}};
        assert_int_equal(fixture_command_is_taken(f, put_group(names[i], 1)), i == 0);
        assert_int_equal(fixture_command_is_taken(f, gone), i == 0);
    }
    assert_true(fixture_command_is_taken(f, put_group(slice_of("db"), 0)));
    assert_true(fixture_command_is_taken(f, put_group(slice_of("db"), LIMIT_GROUP_SLOTS)));
    assert_false(fixture_command_is_taken(f, put_group(slice_of("db"), LIMIT_GROUP_SLOTS + 1)));
    assert_false(fixture_command_is_taken(f, put_group(slice_of("db"), UINT32_MAX)));
}

static bool policy_is_taken(struct fixture *f, struct slice group, uint64_t expected_every_ms)
{
    const struct policy policy = {
        .max_ttl_ms = 1, .slots = 1, .max_attempts = 1, .group = group, .expected_every_ms = expected_every_ms};
    return fixture_command_is_taken(f,
                                    (struct command){.kind = COMMAND_PUT_SCHEDULE,
                                                     .put_schedule = {.schedule_id = slice_of("s"), .policy = policy}});
}

static void a_policy_names_a_group_and_how_often_success_is_expected(void **state)
{
    struct fixture *f = *state;
    const struct slice none = {0};
    assert_true(policy_is_taken(f, none, 0));
    assert_true(policy_is_taken(f, text_of(f, LIMIT_NAME_BYTES), 0));
    assert_false(policy_is_taken(f, text_of(f, LIMIT_NAME_BYTES + 1), 0));
    assert_false(policy_is_taken(f, slice_of(""), 0));
    assert_false(policy_is_taken(f, slice_of("a b"), 0));
    assert_true(policy_is_taken(f, none, 1));
    assert_true(policy_is_taken(f, none, LIMIT_NUMBER_MAX));
    assert_false(policy_is_taken(f, none, LIMIT_NUMBER_MAX + 1));
    assert_false(policy_is_taken(f, none, UINT64_MAX));
}

static bool scope_is_taken(struct fixture *f, struct slice scope)
{
    struct command put = {.kind = COMMAND_PUT_FREEZE};
    put.put_freeze =
        (struct put_freeze_command){.scope = scope, .actor = slice_of("root"), .reason = slice_of("why"), .ttl_ms = 1};
    struct command gone = {.kind = COMMAND_DELETE_FREEZE, .delete_freeze = {.scope = scope}};
    bool taken = fixture_command_is_taken(f, put);
    assert_int_equal(fixture_command_is_taken(f, gone), taken);
    return taken;
}

/* Everything, one schedule, or what an id may begin with; the star counts into the length. */
static void a_freeze_has_a_scope(void **state)
{
    struct fixture *f = *state;
    assert_true(scope_is_taken(f, slice_of("*")));
    assert_true(scope_is_taken(f, slice_of("db-main")));
    assert_true(scope_is_taken(f, slice_of("db-*")));
    assert_true(scope_is_taken(f, slice_of("9*")));
    assert_false(scope_is_taken(f, slice_of("")));
    assert_false(scope_is_taken(f, (struct slice){0}));
    assert_false(scope_is_taken(f, slice_of("**")));
    assert_false(scope_is_taken(f, slice_of("*a")));
    assert_false(scope_is_taken(f, slice_of("a*b")));
    assert_false(scope_is_taken(f, slice_of("-*"))); /* no id begins like that */
    assert_false(scope_is_taken(f, slice_of("a b*")));
    struct slice scope = text_of(f, LIMIT_NAME_BYTES);
    assert_true(scope_is_taken(f, scope));
    ((uint8_t *)scope.base)[scope.len - 1] = '*';
    assert_true(scope_is_taken(f, scope));
    scope = text_of(f, LIMIT_NAME_BYTES + 1);
    assert_false(scope_is_taken(f, scope));
    ((uint8_t *)scope.base)[scope.len - 1] = '*';
    assert_false(scope_is_taken(f, scope));
}

static void a_freeze_has_an_actor_a_reason_and_an_end(void **state)
{
    struct fixture *f = *state;
    struct command good = {.kind = COMMAND_PUT_FREEZE};
    good.put_freeze = (struct put_freeze_command){
        .scope = slice_of("*"), .actor = slice_of("root"), .reason = slice_of("w\xc3\xa4rtung"), .ttl_ms = 1};
    const struct slice actors[] = {text_of(f, LIMIT_NAME_BYTES), text_of(f, LIMIT_NAME_BYTES + 1), slice_of(""),
                                   slice_of("a b"), slice_of("\xc3\xa4")};
    for (size_t i = 0; i < sizeof actors / sizeof actors[0]; i++) {
        struct command put = good;
        put.put_freeze.actor = actors[i];
        assert_int_equal(fixture_command_is_taken(f, put), i == 0);
    }
    const struct slice reasons[] = {text_of(f, LIMIT_REASON_BYTES), text_of(f, LIMIT_REASON_BYTES + 1), slice_of(""),
                                    (struct slice){0}, slice_of("\xff")};
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        struct command put = good;
        put.put_freeze.reason = reasons[i];
        assert_int_equal(fixture_command_is_taken(f, put), i == 0);
    }
    const uint64_t ttls_ms[] = {1, LIMIT_FREEZE_MS, 0, LIMIT_FREEZE_MS + 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof ttls_ms / sizeof ttls_ms[0]; i++) {
        struct command put = good;
        put.put_freeze.ttl_ms = ttls_ms[i];
        assert_int_equal(fixture_command_is_taken(f, put), i < 2);
    }
}

/* ---- hostile commands ---- */

/* A command as another sender might write it, alone in a frame. */
static bool decode_command(struct fixture *f, const char *command, size_t len)
{
    struct frame frame = {.kind = FRAME_OPERATIONS};
    buffer_clear(&f->body);
    frame_encode(&frame, &f->body);
    const uint8_t head[] = {0x1a, (uint8_t)(11 + len), 0x09, 1, 0, 0, 0, 0, 0, 0, 0, 0x12, (uint8_t)len};
    buffer_append(&f->body, head, sizeof head);
    buffer_append(&f->body, command, len);
    return fixture_decode_untold(f, FRAME_OPERATIONS, buffer_slice(&f->body)) == ERROR_NONE;
}
#define DECODE(f, command) decode_command(f, command, sizeof(command) - 1)

static const struct command *decoded(const struct fixture *f)
{
    return &f->frame.operations.operations[0].command;
}

static void hostile_groups_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_true(DECODE(f, "\x5a\6\x0a\2db\x10\0"));
    assert_int_equal(decoded(f)->kind, COMMAND_PUT_GROUP);
    assert_true(DECODE(f, "\x5a\7\x0a\2db\x10\x90\x4e"));
    assert_int_equal(decoded(f)->put_group.slots, LIMIT_GROUP_SLOTS);
    assert_false(DECODE(f, "\x5a\7\x0a\2db\x10\x91\x4e"));
    assert_false(DECODE(f, "\x5a\4\x0a\2db"));               /* no slots */
    assert_false(DECODE(f, "\x5a\6\x0a\2d/\x10\1"));         /* the name */
    assert_false(DECODE(f, "\x5a\x08\x0a\2db\x10\1\x18\1")); /* a field that isn't known */
    assert_true(DECODE(f, "\x62\4\x0a\2db"));
    assert_int_equal(decoded(f)->kind, COMMAND_DELETE_GROUP);
    assert_false(DECODE(f, "\x62\0"));
    assert_false(DECODE(f, "\x62\2\x0a\0"));
    assert_false(DECODE(f, "\x62\6\x0a\2db\x10\1"));
}

#define FREEZE "\x0a\2d*\x12\1r\x1a\1w"

static void hostile_freezes_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_true(DECODE(f, "\x6a\x0c" FREEZE "\x20\1"));
    assert_int_equal(decoded(f)->kind, COMMAND_PUT_FREEZE);
    assert_slice_equal(decoded(f)->put_freeze.scope, slice_of("d*"));
    assert_false(DECODE(f, "\x6a\x0a" FREEZE)); /* no end */
    assert_false(DECODE(f, "\x6a\x0c" FREEZE "\x20\0"));
    assert_false(DECODE(f, "\x6a\x15" FREEZE "\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"));
    assert_false(DECODE(f, "\x6a\x0e" FREEZE "\x20\1\x28\1")); /* a field that isn't known */
    assert_false(DECODE(f, "\x6a\x0c\x0a\2*d\x12\1r\x1a\1w\x20\1"));
    assert_false(DECODE(f, "\x6a\x0c\x0a\2d*\x12\1 \x1a\1w\x20\1"));
    assert_false(DECODE(f, "\x6a\x0b\x0a\2d*\x12\1r\x1a\0\x20\1"));
    assert_true(DECODE(f, "\x72\3\x0a\1*"));
    assert_int_equal(decoded(f)->kind, COMMAND_DELETE_FREEZE);
    assert_false(DECODE(f, "\x72\4\x0a\2*d"));
    assert_false(DECODE(f, "\x72\5\x0a\1*\x10\1"));
    assert_false(DECODE(f, "\x72\0"));
}

/* A policy's numbers, then its group or how often success is expected. */
#define POLICY  "\x0a\1s\x12"
#define NUMBERS "\x08\0\x10\0\x18\1\x20\0\x28\1\x30\1"

static void hostile_policies_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_true(DECODE(f, "\x3a\x11" POLICY "\x0c" NUMBERS));
    assert_false(slice_is_present(decoded(f)->put_schedule.policy.group));
    assert_true(DECODE(f, "\x3a\x15" POLICY "\x10" NUMBERS "\x42\2db"));
    assert_slice_equal(decoded(f)->put_schedule.policy.group, slice_of("db"));
    assert_true(DECODE(f, "\x3a\x13" POLICY "\x0e" NUMBERS "\x48\5"));
    assert_int_equal(decoded(f)->put_schedule.policy.expected_every_ms, 5);
    assert_true(DECODE(f, "\x3a\x13" POLICY "\x0e" NUMBERS "\x48\0")); /* the same as none */
    assert_false(DECODE(f, "\x3a\x13" POLICY "\x0e" NUMBERS "\x42\0"));
    assert_false(DECODE(f, "\x3a\x15" POLICY "\x10" NUMBERS "\x42\2d*"));
    assert_false(DECODE(f, "\x3a\x1c" POLICY "\x17" NUMBERS "\x48\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"));
    assert_false(DECODE(f, "\x3a\x13" POLICY "\x0e" NUMBERS "\x50\1"));
}

/* ---- outcomes ---- */

static struct outcome group_full(struct fixture *f, size_t n_holders)
{
    struct grant_view *holders = arena_alloc(&f->sample_arena, n_holders * sizeof *holders);
    for (size_t i = 0; i < n_holders; i++) {
        holders[i] = (struct grant_view){.schedule_id = slice_of("s"), .holder = slice_of("h"), .token = i};
    }
    return (struct outcome){
        .code = OUTCOME_GROUP_FULL,
        .has_group = true,
        .group = {.name = slice_of("db"), .slots = 1, .held = UINT64_MAX, .schedules = UINT64_MAX},
        .holders = holders,
        .n_holders = n_holders,
    };
}

static void a_full_group_shows_so_many_holders_without_metadata(void **state)
{
    struct fixture *f = *state;
    struct outcome full = group_full(f, LIMIT_GROUP_HOLDERS);
    assert_true(fixture_outcome_is_sent(&full));
    full = group_full(f, LIMIT_GROUP_HOLDERS + 1);
    assert_false(fixture_outcome_is_sent(&full));
    full = group_full(f, 0); /* a group of no slots */
    assert_true(fixture_outcome_is_sent(&full));
    full = group_full(f, 1);
    ((struct grant_view *)full.holders)[0].metadata = slice_of("{}");
    assert_false(fixture_outcome_is_sent(&full));
}

/* What they refuse is said with the group, or with the freeze. */
static void refusals_come_with_their_group_or_freeze(void **state)
{
    (void)state;
    const enum outcome_code codes[] = {OUTCOME_GROUP_FULL, OUTCOME_UNKNOWN_GROUP, OUTCOME_GROUP_IN_USE, OUTCOME_FROZEN};
    const struct freeze_view freeze = {
        .scope = slice_of("*"), .actor = slice_of("r"), .reason = slice_of("w"), .ttl_ms = 1};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        bool is_frozen = codes[i] == OUTCOME_FROZEN;
        struct outcome outcome = {.code = codes[i],
                                  .has_group = !is_frozen,
                                  .group = {.name = slice_of("db")},
                                  .has_freeze = is_frozen,
                                  .freeze = freeze};
        assert_true(fixture_outcome_is_sent(&outcome));
        outcome.has_group = outcome.has_freeze = false;
        assert_false(fixture_outcome_is_sent(&outcome));
        outcome.has_group = is_frozen;
        outcome.has_freeze = !is_frozen;
        assert_false(fixture_outcome_is_sent(&outcome));
    }
}

static void groups_and_freezes_in_outcomes_keep_to_the_rules(void **state)
{
    (void)state;
    struct outcome outcome = {.code = OUTCOME_DONE, .has_group = true, .group = {.name = slice_of("db")}};
    assert_true(fixture_outcome_is_sent(&outcome));
    outcome.group.slots = LIMIT_GROUP_SLOTS + 1;
    assert_false(fixture_outcome_is_sent(&outcome));
    outcome.group = (struct group_view){.name = slice_of("")};
    assert_false(fixture_outcome_is_sent(&outcome));
    const struct freeze_view good = {.scope = slice_of("*"),
                                     .actor = slice_of("r"),
                                     .reason = slice_of("w"),
                                     .ttl_ms = 1,
                                     .remaining_ms = UINT64_MAX};
    for (int which = 0; which < 5; which++) {
        outcome = (struct outcome){.code = OUTCOME_DONE, .has_freeze = true, .freeze = good};
        struct slice *texts[] = {&outcome.freeze.scope, &outcome.freeze.actor, &outcome.freeze.reason};
        if (which < 3) {
            *texts[which] = slice_of("");
        } else if (which == 3) {
            outcome.freeze.ttl_ms = 0;
        }
        assert_int_equal(fixture_outcome_is_sent(&outcome), which == 4);
    }
}

#define DECODE_OUTCOME(f, outcome) fixture_decode_outcome(f, outcome, sizeof(outcome) - 1)
#define GROUP                      "\x0a\2db\x10\3\x18\1\x20\2"
#define FREEZE_VIEW                FREEZE "\x20\1\x28\1\x30\2\x38\2"
#define HOLDER                     "\x32\x12\x0a\1s\x12\1h\x28\1\x30\1\x38\1\x40\2\x48\2\x50\1"

static void hostile_outcomes_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_true(DECODE_OUTCOME(f, "\x08\1\x72\x0a" GROUP));
    assert_int_equal(f->frame.outcomes.results[0].outcome.group.schedules, 2);
    assert_false(DECODE_OUTCOME(f, "\x08\1\x72\x0c" GROUP "\x28\1")); /* a field that isn't known */
    assert_false(DECODE_OUTCOME(f, "\x08\1\x72\x08\x0a\2db\x10\3\x18\1"));
    assert_false(DECODE_OUTCOME(f, "\x08\1\x72\x0a\x0a\2d*\x10\3\x18\1\x20\2"));
    assert_true(DECODE_OUTCOME(f, "\x08\x0c\x72\x0a" GROUP HOLDER)); /* group_full */
    assert_int_equal(f->frame.outcomes.results[0].outcome.code, OUTCOME_GROUP_FULL);
    assert_true(DECODE_OUTCOME(f, "\x08\x0c\x72\x0a" GROUP));
    assert_false(DECODE_OUTCOME(f, "\x08\x0c" HOLDER));
    assert_false(DECODE_OUTCOME(f, "\x08\x10"));
    assert_false(DECODE_OUTCOME(f, "\x08\x11"));
    assert_true(DECODE_OUTCOME(f, "\x08\x10\x72\x0a" GROUP));
    assert_int_equal(f->frame.outcomes.results[0].outcome.code, OUTCOME_UNKNOWN_GROUP);
    assert_true(DECODE_OUTCOME(f, "\x08\x11\x72\x0a" GROUP));
    assert_int_equal(f->frame.outcomes.results[0].outcome.code, OUTCOME_GROUP_IN_USE);
    assert_true(DECODE_OUTCOME(f, "\x08\x09\x7a\x12" FREEZE_VIEW)); /* frozen */
    assert_int_equal(f->frame.outcomes.results[0].outcome.code, OUTCOME_FROZEN);
    assert_false(DECODE_OUTCOME(f, "\x08\x09"));
    assert_false(DECODE_OUTCOME(f, "\x08\x09\x72\x0a" GROUP));
    assert_false(DECODE_OUTCOME(f, "\x08\x09\x7a\x14" FREEZE_VIEW "\x40\1"));
    assert_false(DECODE_OUTCOME(f, "\x08\x09\x7a\x10" FREEZE "\x20\1\x28\1\x30\2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(a_group_has_a_proper_name_and_so_many_slots),
        TEST(a_policy_names_a_group_and_how_often_success_is_expected),
        TEST(a_freeze_has_a_scope),
        TEST(a_freeze_has_an_actor_a_reason_and_an_end),
        TEST(hostile_groups_are_refused),
        TEST(hostile_freezes_are_refused),
        TEST(hostile_policies_are_refused),
        TEST(a_full_group_shows_so_many_holders_without_metadata),
        TEST(refusals_come_with_their_group_or_freeze),
        TEST(groups_and_freezes_in_outcomes_keep_to_the_rules),
        TEST(hostile_outcomes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
