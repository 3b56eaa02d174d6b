/* Groups and freezes: what their names may be, what a request for them is read as, and a policy that names a group. */
#include <stdio.h>
#include <string.h>

#include "support.h"

static void a_group_has_a_name_and_slots(void **state)
{
    (void)state;
    struct parsed parsed;
    parsed_request(&parsed, "PUT /groups/db%3a1", NULL, "{\"slots\":10000}");
    assert_true(parsed.ok);
    assert_int_equal(parsed.request.command.kind, COMMAND_PUT_GROUP);
    assert_slice(parsed.request.command.put_group.name, "db:1");
    assert_int_equal(parsed.request.command.put_group.slots, LIMIT_GROUP_SLOTS);
    assert_slice(parsed.request.name, "db:1");
    assert_slice(parsed.request.schedule_id, NULL);
    parsed_close(&parsed);
    parsed_request(&parsed, "DELETE /groups/db", NULL, NULL);
    assert_true(parsed.ok);
    assert_int_equal(parsed.request.command.kind, COMMAND_DELETE_GROUP);
    assert_slice(parsed.request.command.delete_group.name, "db");
    parsed_close(&parsed);
    assert_refused(PUT_GROUP, NULL, "{}", 400, "invalid_field", "slots");
}

static void a_freeze_says_who_why_and_how_long(void **state)
{
    (void)state;
    struct parsed parsed;
    parsed_request(&parsed, "PUT /freezes/db-%2A", NULL,
                   "{\"ttl_ms\":31536000000,\"actor\":\"kim\",\"reason\":\"gr\\u00fc\xc3\x9f\"}");
    assert_true(parsed.ok);
    const struct put_freeze_command *freeze = &parsed.request.command.put_freeze;
    assert_int_equal(parsed.request.command.kind, COMMAND_PUT_FREEZE);
    assert_slice(freeze->scope, "db-*");
    assert_slice(freeze->actor, "kim");
    assert_slice(freeze->reason, "gr\xc3\xbc\xc3\x9f");
    assert_int_equal(freeze->ttl_ms, LIMIT_FREEZE_MS);
    parsed_close(&parsed);
    parsed_request(&parsed, "DELETE /freezes/*", NULL, NULL);
    assert_true(parsed.ok);
    assert_int_equal(parsed.request.command.kind, COMMAND_DELETE_FREEZE);
    assert_slice(parsed.request.command.delete_freeze.scope, "*");
    parsed_close(&parsed);
    assert_refused(PUT_FREEZE, NULL, "{}", 400, "invalid_field", "reason");
    assert_refused(PUT_FREEZE, NULL, "{\"reason\":\"r\",\"ttl_ms\":1}", 400, "invalid_field", "actor");
    assert_refused(PUT_FREEZE, NULL, "{\"reason\":\"r\",\"actor\":\"a\"}", 400, "invalid_field", "ttl_ms");
}

static void assert_names(const char *path, const char *field, const char *const *right, size_t n_right,
                         const char *const *wrong, size_t n_wrong)
{
    char line[512];
    for (size_t i = 0; i < n_right; i++) {
        (void)snprintf(line, sizeof line, "GET %s%s", path, right[i]);
        assert_taken(line, NULL, NULL);
    }
    for (size_t i = 0; i < n_wrong; i++) {
        (void)snprintf(line, sizeof line, "GET %s%s", path, wrong[i]);
        assert_refused(line, NULL, NULL, 400, "invalid_name", field);
    }
    int at = snprintf(line, sizeof line, "GET %s", path);
    memset(line + at, 'a', LIMIT_NAME_BYTES + 1);
    line[at + LIMIT_NAME_BYTES] = 0;
    assert_taken(line, NULL, NULL);
    line[at + LIMIT_NAME_BYTES] = 'a';
    line[at + LIMIT_NAME_BYTES + 1] = 0;
    assert_refused(line, NULL, NULL, 400, "invalid_name", field);
}

static void a_group_is_named_like_a_schedule(void **state)
{
    (void)state;
    static const char *const right[] = {"a", "9", "A.b_c:d@e~f-0", "a%2Eb", "%61"};
    static const char *const wrong[] = {".a",   "*",  "a*",  "-a",   "a%",   "a%zz",     "a%2F",
                                        "a%20", "a+", "%00", "a%00", "a%ff", "\xc3\xa4", "~"};
    assert_names("/groups/", "name", right, sizeof right / sizeof right[0], wrong, sizeof wrong / sizeof wrong[0]);
}

static void a_scope_is_all_or_an_id_or_its_beginning(void **state)
{
    (void)state;
    static const char *const right[] = {"*", "%2A", "%2a", "a", "a*", "a%2a", "db-*", "A.b_c:d@e~f-*", "9*"};
    static const char *const wrong[] = {"**",  "a**",   "*a",      "a*b",       ".*", "-*",  ".a", "a%20*", "a%00*",
                                        "%00", "a*%00", "a%2A%2A", "\xc3\xa4*", "a%", "a*%", "?",  "a?",    "a%2F*"};
    assert_names("/freezes/", "scope", right, sizeof right / sizeof right[0], wrong, sizeof wrong / sizeof wrong[0]);
    /* the star counts */
    char line[512] = "GET /freezes/";
    size_t at = strlen(line);
    memset(line + at, 'a', LIMIT_NAME_BYTES);
    line[at + LIMIT_NAME_BYTES - 1] = '*';
    assert_taken(line, NULL, NULL);
    memcpy(line + at + LIMIT_NAME_BYTES - 1, "a*", 3);
    assert_refused(line, NULL, NULL, 400, "invalid_name", "scope");
}

static void a_policy_may_name_a_group_and_say_how_often(void **state)
{
    (void)state;
    struct parsed parsed;
    parsed_request(&parsed, PUT, NULL, "{\"group\":\"db:1\",\"expected_every_ms\":9007199254740991}");
    assert_true(parsed.ok);
    assert_slice(parsed.request.command.put_schedule.policy.group, "db:1");
    assert_int_equal(parsed.request.command.put_schedule.policy.expected_every_ms, LIMIT_NUMBER_MAX);
    parsed_close(&parsed);
    static const char *const without[] = {"{}", "{\"group\":null,\"expected_every_ms\":null}"};
    for (size_t i = 0; i < 2; i++) {
        parsed_request(&parsed, PUT, NULL, without[i]);
        assert_true(parsed.ok);
        assert_slice(parsed.request.command.put_schedule.policy.group, NULL);
        assert_int_equal(parsed.request.command.put_schedule.policy.expected_every_ms, 0);
        parsed_close(&parsed);
    }
}

/* Null is none where something may be left out, and there only. */
static void null_is_for_what_may_be_none(void **state)
{
    (void)state;
    size_t n;
    size_t nullable = 0;
    const struct api_route_row *rows = api_route_rows(&n);
    for (size_t i = 0; i < n; i++) {
        char line[128];
        struct api_field field;
        line_of(line, sizeof line, &rows[i]);
        for (size_t f = 0; api_field(rows[i].route, f, &field); f++) {
            if (field.nullable) {
                assert_value_taken(line, field.name, "null");
                nullable++;
            } else {
                assert_value_refused(line, field.name, "null");
            }
        }
    }
    assert_int_equal(nullable, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_has_a_name_and_slots),
        cmocka_unit_test(a_freeze_says_who_why_and_how_long),
        cmocka_unit_test(a_group_is_named_like_a_schedule),
        cmocka_unit_test(a_scope_is_all_or_an_id_or_its_beginning),
        cmocka_unit_test(a_policy_may_name_a_group_and_say_how_often),
        cmocka_unit_test(null_is_for_what_may_be_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
