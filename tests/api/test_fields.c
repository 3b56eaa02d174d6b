/* Every field of every body: missing, of another type, at its bounds and past them, unknown, twice; and every form of a
 * number that JSON or a careless client can write. */
#include <stdio.h>
#include <string.h>

#include "support.h"

static void an_acquire_with_every_field_is_taken(void **state)
{
    (void)state;
    struct parsed parsed;
    parsed_request(
        &parsed, ACQUIRE, NULL,
        "{\"metadata\":{\"b\":[1,2.5,null,true],\"a\":\"\\u00e4\"},\"wait_ms\":3600000,\"occurrence\":\"2026-01-"
        "02T03:04:05Z\","
        "\"estimated_duration_ms\":0,\"ttl_ms\":60000,\"holder\":\"n1\"}");
    assert_true(parsed.ok);
    const struct acquire_command *acquire = &parsed.request.command.acquire;
    assert_int_equal(parsed.request.command.kind, COMMAND_ACQUIRE);
    assert_slice(acquire->schedule_id, "a");
    assert_slice(acquire->holder, "n1");
    assert_slice(acquire->occurrence, "2026-01-02T03:04:05Z");
    assert_slice(acquire->metadata, "{\"a\":\"\xc3\xa4\",\"b\":[1,2.5,null,true]}");
    assert_slice(acquire->idempotency_key, NULL);
    assert_true(acquire->has_ttl && acquire->has_estimate);
    assert_int_equal(acquire->ttl_ms, 60000);
    assert_int_equal(acquire->estimate_ms, 0);
    assert_int_equal(parsed.request.wait_ms, LIMIT_WAIT_MS);
    parsed_close(&parsed);
}

static void an_acquire_needs_only_its_holder(void **state)
{
    (void)state;
    struct parsed parsed;
    parsed_request(&parsed, ACQUIRE, NULL, " {\"holder\":\"n1\"}\n");
    assert_true(parsed.ok);
    const struct acquire_command *acquire = &parsed.request.command.acquire;
    assert_slice(acquire->occurrence, NULL);
    assert_slice(acquire->metadata, NULL);
    assert_false(acquire->has_ttl || acquire->has_estimate);
    assert_int_equal(parsed.request.wait_ms, 0);
    parsed_close(&parsed);
    assert_refused(ACQUIRE, NULL, "{}", 400, "invalid_field", "holder");
    assert_refused(ACQUIRE, NULL, "{\"ttl_ms\":1}", 400, "invalid_field", "holder");
}

static void a_renewal_is_a_token_and_perhaps_a_ttl(void **state)
{
    (void)state;
    struct parsed parsed;
    parsed_request(&parsed, RENEW, NULL, "{\"token\":7,\"ttl_ms\":5}");
    assert_true(parsed.ok);
    assert_int_equal(parsed.request.command.kind, COMMAND_RENEW);
    assert_slice(parsed.request.command.renew.schedule_id, "a");
    assert_int_equal(parsed.request.command.renew.token, 7);
    assert_true(parsed.request.command.renew.has_ttl);
    assert_int_equal(parsed.request.command.renew.ttl_ms, 5);
    parsed_close(&parsed);
    parsed_request(&parsed, RENEW, NULL, "{\"token\":7}");
    assert_true(parsed.ok && !parsed.request.command.renew.has_ttl);
    parsed_close(&parsed);
    assert_refused(RENEW, NULL, "{}", 400, "invalid_field", "token");
    assert_refused(RENEW, NULL, "{\"ttl_ms\":5}", 400, "invalid_field", "token");
    assert_refused(RENEW, NULL, "{\"token\":1,\"holder\":\"h\"}", 400, "unknown_field", "holder");
}

/* Every number, with its bounds. */
static const struct {
    const char *line;
    const char *field;
    unsigned long long min;
    unsigned long long max;
} numbers[] = {
    {ACQUIRE, "ttl_ms", 1, LIMIT_NUMBER_MAX},
    {ACQUIRE, "estimated_duration_ms", 0, LIMIT_NUMBER_MAX},
    {ACQUIRE, "wait_ms", 0, LIMIT_WAIT_MS},
    {RENEW, "token", 1, LIMIT_NUMBER_MAX},
    {RENEW, "ttl_ms", 1, LIMIT_NUMBER_MAX},
    {REVOKE, "token", 1, LIMIT_NUMBER_MAX},
    {PUT, "estimated_duration_ms", 0, LIMIT_TTL_MS},
    {PUT, "safety_margin_ms", 0, LIMIT_TTL_MS},
    {PUT, "max_ttl_ms", 1, LIMIT_TTL_MS},
    {PUT, "min_hold_ms", 0, LIMIT_NUMBER_MAX},
    {PUT, "slots", 1, LIMIT_SLOTS},
    {PUT, "max_attempts", 1, LIMIT_ATTEMPTS},
    {PUT, "expected_every_ms", 1, LIMIT_NUMBER_MAX},
    {PUT_GROUP, "slots", 0, LIMIT_GROUP_SLOTS},
    {PUT_FREEZE, "ttl_ms", 1, LIMIT_FREEZE_MS},
};
#define N_NUMBERS (sizeof numbers / sizeof numbers[0])

static void numbers_are_integers(void **state)
{
    (void)state;
    static const char *const never[] = {
        "-1",
        "-9223372036854775808",
        "-9223372036854775809",
        "0.0",
        "1.0",
        "1.5",
        "1e0",
        "1e3",
        "1E3",
        "1e-1",
        "-0.0",
        "9007199254740992", /* 2^53 */
        "9223372036854775807",
        "9223372036854775808", /* 2^63 */
        "18446744073709551615",
        "18446744073709551616",
        "100000000000000000000000000000000000000",
        "1e19",
        "\"1\"",
        "\"\"",
        "true",
        "false",
        "[]",
        "[1]",
        "{}",
    };
    for (size_t n = 0; n < N_NUMBERS; n++) {
        for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
            assert_value_refused(numbers[n].line, numbers[n].field, never[i]);
        }
        if (strcmp(numbers[n].field, "expected_every_ms") == 0) { /* none */
            assert_value_taken(numbers[n].line, numbers[n].field, "null");
        } else {
            assert_value_refused(numbers[n].line, numbers[n].field, "null");
        }
    }
}

static void assert_number(size_t n, unsigned long long number, bool taken)
{
    char json[32];
    (void)snprintf(json, sizeof json, "%llu", number);
    if (taken) {
        assert_value_taken(numbers[n].line, numbers[n].field, json);
    } else {
        assert_value_refused(numbers[n].line, numbers[n].field, json);
    }
}

static void numbers_are_within_their_bounds(void **state)
{
    (void)state;
    for (size_t n = 0; n < N_NUMBERS; n++) {
        assert_number(n, 0, numbers[n].min == 0);
        assert_number(n, numbers[n].min, true);
        assert_number(n, numbers[n].max, true);
        assert_number(n, numbers[n].max + 1, false);
        assert_number(n, numbers[n].max + (1ull << 32), false); /* slots are fewer bits than what is sent */
        if (numbers[n].min == 0) {
            assert_value_taken(numbers[n].line, numbers[n].field, "-0");
        } else {
            assert_value_refused(numbers[n].line, numbers[n].field, "-0");
        }
    }
}

/* The detail says the range. */
static void a_number_out_of_its_range_is_told_the_range(void **state)
{
    (void)state;
    for (size_t n = 0; n < N_NUMBERS; n++) {
        char body[512];
        char range[64];
        body_with(body, sizeof body, numbers[n].line, numbers[n].field, "-1");
        (void)snprintf(range, sizeof range, "from %llu to %llu", numbers[n].min, numbers[n].max);
        struct parsed parsed;
        parsed_request(&parsed, numbers[n].line, NULL, body);
        assert_false(parsed.ok);
        assert_non_null(memmem(parsed.answer.body.base, parsed.answer.body.len, range, strlen(range)));
        parsed_close(&parsed);
    }
}

/* These aren't JSON at all. */
static void malformed_numbers_are_malformed_json(void **state)
{
    (void)state;
    static const char *const wrong[] = {"01",    "+1",  ".5",       "1.", "1e",  "0x10",
                                        "1_000", "NaN", "Infinity", "-",  "--1", "1 2"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char body[256];
        body_with(body, sizeof body, ACQUIRE, "ttl_ms", wrong[i]);
        assert_refused(ACQUIRE, NULL, body, 400, "malformed_json", "body");
    }
}

/* A string of `len` bytes. */
static char *string_of(char *json, size_t len)
{
    memset(json, 'x', len + 2);
    json[0] = json[len + 1] = '"';
    json[len + 2] = 0;
    return json;
}

static void assert_visible_field(const char *line, const char *field, size_t max)
{
    char json[2048];
    assert_value_taken(line, field, string_of(json, 1));
    assert_value_taken(line, field, string_of(json, max));
    assert_value_refused(line, field, string_of(json, max + 1));
    static const char *const wrong[] = {"\"\"",        "\" \"",        "\"a b\"",     "\"a\\n\"", "\"a\\u0001\"",
                                        "\"\\u007f\"", "\"\xc3\xa4\"", "\"\\u00e4\"", "1",        "null",
                                        "true",        "[\"a\"]",      "{}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_value_refused(line, field, wrong[i]);
    }
    assert_value_taken(line, field, "\"!\"");
    assert_value_taken(line, field, "\"\\u007e/\\\\\\\"<>\"");
}

static void names_are_printable_and_within_their_lengths(void **state)
{
    (void)state;
    assert_visible_field(ACQUIRE, "holder", LIMIT_NAME_BYTES);
    assert_visible_field(ACQUIRE, "occurrence", LIMIT_OCCURRENCE_BYTES);
    assert_visible_field(REVOKE, "actor", LIMIT_NAME_BYTES);
    assert_visible_field(PUT_FREEZE, "actor", LIMIT_NAME_BYTES);
}

/* A policy's group is named as it is in a path; null is none. */
static void a_group_is_a_name_or_null(void **state)
{
    (void)state;
    char json[2048];
    assert_value_taken(PUT, "group", string_of(json, 1));
    assert_value_taken(PUT, "group", string_of(json, LIMIT_NAME_BYTES));
    assert_value_refused(PUT, "group", string_of(json, LIMIT_NAME_BYTES + 1));
    static const char *const right[] = {"null", "\"A.b_c:d@e~f-0\"", "\"\\u0061\"", "\"9\""};
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        assert_value_taken(PUT, "group", right[i]);
    }
    static const char *const wrong[] = {"\"\"",     "\".a\"",       "\"-a\"",     "\"a b\"", "\"a/b\"", "\"a*\"",
                                        "\"*\"",    "\"a%b\"",      "1",          "true",    "[\"a\"]", "{}",
                                        "\"a\\n\"", "\"\xc3\xa4\"", "\"\\u0000\""};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_value_refused(PUT, "group", wrong[i]);
    }
}

static void assert_text_field(const char *line, const char *field)
{
    char json[2048];
    assert_value_taken(line, field, string_of(json, 1));
    assert_value_taken(line, field, string_of(json, LIMIT_REASON_BYTES));
    assert_value_refused(line, field, string_of(json, LIMIT_REASON_BYTES + 1));
    memcpy(string_of(json, LIMIT_REASON_BYTES) + LIMIT_REASON_BYTES - 1, "\xc3\xa4", 2); /* what counts is bytes */
    assert_value_taken(line, field, json);
    memcpy(string_of(json, LIMIT_REASON_BYTES + 1) + LIMIT_REASON_BYTES, "\xc3\xa4", 2);
    assert_value_refused(line, field, json);
    static const char *const right[] = {"\" \"", "\"a\\tb\\nc\"", "\"\\u0001\\u007f\"", "\"\xf0\x9f\x98\x80 \\u00e4\""};
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        assert_value_taken(line, field, right[i]);
    }
    static const char *const wrong[] = {"1", "0", "true", "false", "[]", "[\"a\"]", "{}", "\"a\\u0000\""};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_value_refused(line, field, wrong[i]);
    }
    static const char *const malformed[] = {"\"\xff\"", "\"\xc3\"", "\"a\tb\"", "\"\\ud800\""};
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        char body[256];
        body_with(body, sizeof body, line, field, malformed[i]);
        assert_refused(line, NULL, body, 400, "malformed_json", "body");
    }
}

static void texts_are_utf_8_of_a_kib(void **state)
{
    (void)state;
    assert_text_field(REVOKE, "reason");
    assert_text_field(PUT, "description");
    assert_text_field(PUT_FREEZE, "reason");
    assert_value_refused(PUT_FREEZE, "reason", "\"\"");
    assert_value_refused(PUT_FREEZE, "reason", "null");
    assert_value_refused(REVOKE, "reason", "\"\""); /* required, so there is no none */
    assert_value_refused(REVOKE, "reason", "null");
    assert_value_taken(PUT, "description", "\"\"");
    assert_value_taken(PUT, "description", "null");
}

static void flags_are_true_or_false(void **state)
{
    (void)state;
    assert_value_taken(REVOKE, "force", "true");
    assert_value_taken(REVOKE, "force", "false");
    static const char *const wrong[] = {"1", "0", "null", "\"true\"", "\"\"", "[]", "[true]", "{}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_value_refused(REVOKE, "force", wrong[i]);
    }
}

static void unknown_fields_are_named(void **state)
{
    (void)state;
    assert_refused(ACQUIRE, NULL, "{\"holder\":\"h\",\"ttl\":1}", 400, "unknown_field", "ttl");
    assert_refused(ACQUIRE, NULL, "{\"holder\":\"h\",\"Holder\":\"h\"}", 400, "unknown_field", "Holder");
    assert_refused(ACQUIRE, NULL, "{\"holder\":\"h\",\"\":1}", 400, "unknown_field", "");
    assert_refused(ACQUIRE, NULL, "{\"holder\":\"h\",\"\xc3\xa4\":1}", 400, "unknown_field", "\xc3\xa4");
    static const struct {
        const char *line;
        const char *field;
    } cases[] = {
        {ACQUIRE, "token"},
        {ACQUIRE, "schedule_id"},
        {RENEW, "holder"},
        {RENEW, "schedule_id"},
        {REVOKE, "holder"},
        {REVOKE, "ttl_ms"},
        {ACQUIRE, "group"},
        {ACQUIRE, "wait"},
        {RENEW_BATCH, "token"},
        {RENEW_BATCH, "renewals"},
        {PUT, "schedule_id"},
        {PUT, "overdue"},
        {PUT_GROUP, "name"},
        {PUT_GROUP, "held"},
        {PUT_FREEZE, "scope"},
        {PUT_FREEZE, "remaining_ms"},
        {PUT, "ttl_ms"},
        {PUT, "last_run"},
        {PUT, "estimated_duration_m"},
        {PUT, "Slots"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[256];
        body_with(body, sizeof body, cases[i].line, cases[i].field, "null");
        assert_refused(cases[i].line, NULL, body, 400, "unknown_field", cases[i].field);
    }
}

static void fields_given_twice_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *field;
        const char *value;
    } cases[] = {
        {ACQUIRE, "holder", "\"h\""},
        {ACQUIRE, "ttl_ms", "60000"},
        {ACQUIRE, "estimated_duration_ms", "0"},
        {ACQUIRE, "occurrence", "\"o,\\\"{[\""},
        {ACQUIRE, "wait_ms", "0"},
        {ACQUIRE, "metadata", "{\"x\":{\"y\":\"}\"}}"},
        {RENEW, "token", "1"},
        {RENEW, "ttl_ms", "1"},
        {REVOKE, "reason", "\"r\""},
        {REVOKE, "actor", "\"a\""},
        {REVOKE, "token", "1"},
        {REVOKE, "force", "true"},
        {PUT, "estimated_duration_ms", "1"},
        {PUT, "safety_margin_ms", "0"},
        {PUT, "max_ttl_ms", "1"},
        {PUT, "min_hold_ms", "1"},
        {PUT, "slots", "1"},
        {PUT, "max_attempts", "1"},
        {PUT, "description", "null"},
        {PUT, "group", "null"},
        {PUT, "expected_every_ms", "1"},
        {PUT_GROUP, "slots", "1"},
        {PUT_FREEZE, "reason", "\"r\""},
        {PUT_FREEZE, "actor", "\"a\""},
        {PUT_FREEZE, "ttl_ms", "1"},
        {RENEW_BATCH, "locks", "[{\"schedule_id\":\"a\",\"token\":1}]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char value[256];
        char body[512];
        (void)snprintf(value, sizeof value, "%s , \"%s\" : %s", cases[i].value, cases[i].field, cases[i].value);
        body_with(body, sizeof body, cases[i].line, cases[i].field, value);
        assert_refused(cases[i].line, NULL, body, 400, "invalid_field", cases[i].field);
    }
    assert_refused(ACQUIRE, NULL, "{\"hol\\u0064er\":\"h\",\"holder\":\"h\"}", 400, "invalid_field", "holder");
    assert_refused(ACQUIRE, NULL, "{\"x\\\"y\":1,\"x\\\"y\":1}", 400, "invalid_field", "x\\\"y");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_acquire_with_every_field_is_taken),
        cmocka_unit_test(an_acquire_needs_only_its_holder),
        cmocka_unit_test(a_renewal_is_a_token_and_perhaps_a_ttl),
        cmocka_unit_test(numbers_are_integers),
        cmocka_unit_test(numbers_are_within_their_bounds),
        cmocka_unit_test(a_number_out_of_its_range_is_told_the_range),
        cmocka_unit_test(malformed_numbers_are_malformed_json),
        cmocka_unit_test(names_are_printable_and_within_their_lengths),
        cmocka_unit_test(a_group_is_a_name_or_null),
        cmocka_unit_test(texts_are_utf_8_of_a_kib),
        cmocka_unit_test(flags_are_true_or_false),
        cmocka_unit_test(unknown_fields_are_named),
        cmocka_unit_test(fields_given_twice_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
