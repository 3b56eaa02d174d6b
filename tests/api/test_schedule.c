/* What a policy, its deletion and a revocation are read as. */
#include <stdio.h>
#include <string.h>

#include "core/rules.h"
#include "support.h"

static struct policy put(struct parsed *parsed, const char *body)
{
    parsed_request(parsed, PUT, NULL, body);
    assert_true(parsed->ok);
    assert_int_equal(parsed->request.command.kind, COMMAND_PUT_SCHEDULE);
    assert_slice(parsed->request.command.put_schedule.schedule_id, "a");
    return parsed->request.command.put_schedule.policy;
}

static void a_policy_with_every_field_is_taken(void **state)
{
    (void)state;
    struct parsed parsed;
    struct policy policy =
        put(&parsed, "{\"description\":\"gr\\u00fc\xc3\x9f\\n\",\"max_attempts\":1000000,\"slots\":256,"
                     "\"min_hold_ms\":9007199254740991,\"max_ttl_ms\":3600000,\"safety_margin_ms\":3,"
                     "\"estimated_duration_ms\":4}");
    assert_int_equal(policy.estimate_ms, 4);
    assert_int_equal(policy.margin_ms, 3);
    assert_int_equal(policy.max_ttl_ms, 3600000);
    assert_int_equal(policy.min_hold_ms, LIMIT_NUMBER_MAX);
    assert_int_equal(policy.slots, LIMIT_SLOTS);
    assert_int_equal(policy.max_attempts, LIMIT_ATTEMPTS);
    assert_slice(policy.description, "gr\xc3\xbc\xc3\x9f\n");
    parsed_close(&parsed);
}

/* A policy that says nothing is what a schedule without one is granted under. */
static void what_a_policy_leaves_out_has_its_default(void **state)
{
    (void)state;
    struct parsed parsed;
    struct policy policy = put(&parsed, "{}");
    assert_int_equal(policy.estimate_ms, 0);
    assert_int_equal(policy.margin_ms, 30000);
    assert_int_equal(policy.max_ttl_ms, 7 * 24 * 3600 * 1000);
    assert_int_equal(policy.min_hold_ms, 0);
    assert_int_equal(policy.slots, 1);
    assert_int_equal(policy.max_attempts, 1);
    assert_slice(policy.description, NULL);
    const struct policy *none = rules_default_policy(RULES_VERSION_FIRST);
    assert_int_equal(none->estimate_ms, policy.estimate_ms);
    assert_int_equal(none->margin_ms, policy.margin_ms);
    assert_int_equal(none->max_ttl_ms, policy.max_ttl_ms);
    assert_int_equal(none->min_hold_ms, policy.min_hold_ms);
    assert_int_equal(none->slots, policy.slots);
    assert_int_equal(none->max_attempts, policy.max_attempts);
    parsed_close(&parsed);
}

static void each_field_stands_alone(void **state)
{
    (void)state;
    struct parsed parsed;
    assert_int_equal(put(&parsed, "{\"estimated_duration_ms\":5}").estimate_ms, 5);
    parsed_close(&parsed);
    assert_int_equal(put(&parsed, "{\"safety_margin_ms\":0}").margin_ms, 0);
    parsed_close(&parsed);
    assert_int_equal(put(&parsed, "{\"max_ttl_ms\":30000}").max_ttl_ms, 30000);
    parsed_close(&parsed);
    assert_int_equal(put(&parsed, "{\"min_hold_ms\":5}").min_hold_ms, 5);
    parsed_close(&parsed);
    assert_int_equal(put(&parsed, "{\"slots\":5}").slots, 5);
    parsed_close(&parsed);
    assert_int_equal(put(&parsed, "{\"max_attempts\":5}").max_attempts, 5);
    parsed_close(&parsed);
    assert_slice(put(&parsed, "{\"description\":\"d\"}").description, "d");
    parsed_close(&parsed);
    assert_slice(put(&parsed, "{\"description\":null}").description, NULL);
    parsed_close(&parsed);
    assert_slice(put(&parsed, "{\"description\":\"\"}").description, NULL);
    parsed_close(&parsed);
}

static void a_policy_must_leave_room_for_a_ttl(void **state)
{
    (void)state;
    static const char *const room[] = {
        "{\"estimated_duration_ms\":70,\"safety_margin_ms\":30,\"max_ttl_ms\":100}",
        "{\"max_ttl_ms\":30000}",
        "{\"estimated_duration_ms\":604770000}",
        "{\"safety_margin_ms\":604800000}",
        "{\"safety_margin_ms\":0,\"max_ttl_ms\":1}",
    };
    static const char *const none[] = {
        "{\"estimated_duration_ms\":71,\"safety_margin_ms\":30,\"max_ttl_ms\":100}",
        "{\"max_ttl_ms\":29999}",
        "{\"estimated_duration_ms\":604770001}",
        "{\"safety_margin_ms\":604800000,\"estimated_duration_ms\":604800000}",
        "{\"safety_margin_ms\":604800000,\"estimated_duration_ms\":1}",
    };
    for (size_t i = 0; i < sizeof room / sizeof room[0]; i++) {
        assert_taken(PUT, NULL, room[i]);
        assert_refused(PUT, NULL, none[i], 400, "invalid_field", "max_ttl_ms");
    }
    struct parsed parsed;
    parsed_request(&parsed, PUT, NULL, none[0]);
    static const char sentence[] =
        "No TTL could be granted: estimated_duration_ms and safety_margin_ms (30000 unless given) ask for at least 101 "
        "ms, and max_ttl_ms allows 100 ms. Raise max_ttl_ms (to 604800000 at most), or lower the other two.";
    assert_non_null(memmem(parsed.answer.body.base, parsed.answer.body.len, sentence, sizeof sentence - 1));
    parsed_close(&parsed);
}

static void a_policy_is_deleted_without_a_body(void **state)
{
    (void)state;
    struct parsed parsed;
    parsed_request(&parsed, "DELETE /schedules/b%3ac", NULL, NULL);
    assert_true(parsed.ok);
    assert_int_equal(parsed.request.command.kind, COMMAND_DELETE_SCHEDULE);
    assert_slice(parsed.request.command.delete_schedule.schedule_id, "b:c");
    parsed_close(&parsed);
}

static void a_revocation_says_who_and_why(void **state)
{
    (void)state;
    struct parsed parsed;
    parsed_request(&parsed, REVOKE, NULL, "{\"reason\":\"it burnt\",\"actor\":\"kim\"}");
    assert_true(parsed.ok);
    const struct revoke_command *revoke = &parsed.request.command.revoke;
    assert_int_equal(parsed.request.command.kind, COMMAND_REVOKE);
    assert_slice(revoke->schedule_id, "a");
    assert_slice(revoke->reason, "it burnt");
    assert_slice(revoke->actor, "kim");
    assert_int_equal(revoke->token, 0);
    assert_false(revoke->force);
    parsed_close(&parsed);
    parsed_request(&parsed, REVOKE, NULL,
                   "{\"token\":9007199254740991,\"force\":true,\"reason\":\"it burnt\",\"actor\":\"kim\"}");
    assert_true(parsed.ok);
    assert_true(revoke->token == LIMIT_NUMBER_MAX && revoke->force);
    parsed_close(&parsed);
    assert_refused(REVOKE, NULL, "{}", 400, "invalid_field", "reason");
    assert_refused(REVOKE, NULL, "{\"actor\":\"kim\"}", 400, "invalid_field", "reason");
    assert_refused(REVOKE, NULL, "{\"reason\":\"it burnt\"}", 400, "invalid_field", "actor");
}

/* Texts that were parsed live as long as the arena, not as the body. */
static void texts_are_copied(void **state)
{
    (void)state;
    char body[] = "{\"reason\":\"it burnt\",\"actor\":\"kim\"}";
    struct parsed parsed;
    parsed_request(&parsed, REVOKE, NULL, body);
    memset(body, 'x', sizeof body - 1);
    assert_slice(parsed.request.command.revoke.reason, "it burnt");
    assert_slice(parsed.request.command.revoke.actor, "kim");
    parsed_close(&parsed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_policy_with_every_field_is_taken),
        cmocka_unit_test(what_a_policy_leaves_out_has_its_default),
        cmocka_unit_test(each_field_stands_alone),
        cmocka_unit_test(a_policy_must_leave_room_for_a_ttl),
        cmocka_unit_test(a_policy_is_deleted_without_a_body),
        cmocka_unit_test(a_revocation_says_who_and_why),
        cmocka_unit_test(texts_are_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
