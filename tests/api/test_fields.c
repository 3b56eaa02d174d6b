/* Every field of every body: missing, of another type, at its bounds and past them, unknown, twice; and every form of a
 * number that JSON or a careless client can write. */
#include <stdio.h>
#include <string.h>

#include "support.h"

#define ACQUIRE "POST /locks/a"
#define RENEW   "POST /locks/a/renew"

static void an_acquire_with_every_field_is_taken(void **state)
{
    (void)state;
    struct parsed parsed;
    parsed_request(&parsed, ACQUIRE, NULL,
                   "{\"metadata\":{\"b\":[1,2.5,null,true],\"a\":\"\\u00e4\"},\"wait_ms\":0,\"occurrence\":\"2026-01-"
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

/* A body with `field` set to `json`, and whatever else the request needs. */
static void body_with(char *body, size_t size, const char *line, const char *field, const char *json)
{
    const char *needed = strcmp(line, RENEW) == 0 ? (strcmp(field, "token") == 0 ? "" : ",\"token\":1")
                                                  : (strcmp(field, "holder") == 0 ? "" : ",\"holder\":\"h\"");
    assert_true(snprintf(body, size, "{\"%s\":%s%s}", field, json, needed) < (int)size);
}

static void assert_value_refused(const char *line, const char *field, const char *json)
{
    char body[8192];
    body_with(body, sizeof body, line, field, json);
    assert_refused(line, NULL, body, 400, "invalid_field", field);
}

static void assert_value_taken(const char *line, const char *field, const char *json)
{
    char body[8192];
    body_with(body, sizeof body, line, field, json);
    assert_taken(line, NULL, body);
}

static const struct {
    const char *line;
    const char *field;
    bool zero; /* is allowed */
    bool large;
} numbers[] = {
    {ACQUIRE, "ttl_ms", false, true},  {ACQUIRE, "estimated_duration_ms", true, true},
    {ACQUIRE, "wait_ms", true, false}, {RENEW, "token", false, true},
    {RENEW, "ttl_ms", false, true},
};

static void numbers_are_integers_within_their_bounds(void **state)
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
        "null",
        "true",
        "false",
        "[]",
        "[1]",
        "{}",
    };
    for (size_t n = 0; n < sizeof numbers / sizeof numbers[0]; n++) {
        for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
            assert_value_refused(numbers[n].line, numbers[n].field, never[i]);
        }
        if (numbers[n].zero) {
            assert_value_taken(numbers[n].line, numbers[n].field, "0");
            assert_value_taken(numbers[n].line, numbers[n].field, "-0");
        } else {
            assert_value_refused(numbers[n].line, numbers[n].field, "0");
            assert_value_refused(numbers[n].line, numbers[n].field, "-0");
        }
        if (numbers[n].large) {
            assert_value_taken(numbers[n].line, numbers[n].field, "1");
            assert_value_taken(numbers[n].line, numbers[n].field, "9007199254740991");
        } else { /* wait_ms: waiting comes later */
            assert_value_refused(numbers[n].line, numbers[n].field, "1");
            assert_value_refused(numbers[n].line, numbers[n].field, "3600000");
        }
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
    assert_refused(ACQUIRE, NULL, "{\"holder\":\"h\",\"ttl_ms\":1e999}", 400, "invalid_field", "body");
}

static void assert_text_field(const char *field, size_t max)
{
    char json[1024];
    memset(json, 'x', sizeof json);
    json[0] = '"';
    json[max + 1] = '"';
    json[max + 2] = 0;
    assert_value_taken(ACQUIRE, field, json);
    json[max + 1] = 'x';
    json[max + 2] = '"';
    json[max + 3] = 0;
    assert_value_refused(ACQUIRE, field, json);
    static const char *const wrong[] = {"\"\"",        "\" \"",        "\"a b\"",     "\"a\\n\"", "\"a\\u0001\"",
                                        "\"\\u007f\"", "\"\xc3\xa4\"", "\"\\u00e4\"", "1",        "null",
                                        "true",        "[\"a\"]",      "{}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_value_refused(ACQUIRE, field, wrong[i]);
    }
    assert_value_taken(ACQUIRE, field, "\"!\"");
    assert_value_taken(ACQUIRE, field, "\"\\u007e/\\\\\\\"<>\"");
}

static void texts_are_printable_and_within_their_lengths(void **state)
{
    (void)state;
    assert_text_field("holder", LIMIT_NAME_BYTES);
    assert_text_field("occurrence", LIMIT_OCCURRENCE_BYTES);
}

static void metadata_is_an_object_of_at_most_one_kib(void **state)
{
    (void)state;
    static const char *const wrong[] = {"[]", "\"a\"", "1", "null", "true"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_value_refused(ACQUIRE, "metadata", wrong[i]);
    }
    assert_value_taken(ACQUIRE, "metadata", "{}");
    char filler[LIMIT_METADATA_BYTES];
    memset(filler, 'x', sizeof filler);
    char json[2048];
    const int most = LIMIT_METADATA_BYTES - 8; /* the rest is {"a":""} */
    (void)snprintf(json, sizeof json, "{\"a\":\"%.*s\"}", most, filler);
    assert_value_taken(ACQUIRE, "metadata", json);
    (void)snprintf(json, sizeof json, "{\"a\":\"%.*s\"}", most + 1, filler);
    assert_value_refused(ACQUIRE, "metadata", json);
    /* what counts is the compact form */
    (void)snprintf(json, sizeof json, "{%*s}", (int)sizeof json - 3, "");
    assert_value_taken(ACQUIRE, "metadata", json);
}

static void metadata_is_kept_compact_sorted_and_exact(void **state)
{
    (void)state;
    static const struct {
        const char *sent;
        const char *kept;
    } cases[] = {
        {"{ }", "{}"},
        {"{\"z\" : 1, \"a\" : {\"y\":2,\"b\":[ ]}}", "{\"a\":{\"b\":[],\"y\":2},\"z\":1}"},
        {"{\"f\":1.1,\"g\":0.1,\"h\":1e300,\"i\":-2.50}", "{\"f\":1.1,\"g\":0.1,\"h\":1e300,\"i\":-2.5}"},
        {"{\"f\":123456789.123456789}", "{\"f\":123456789.12345679}"},
        {"{\"n\":9223372036854775807,\"m\":-5}", "{\"m\":-5,\"n\":9223372036854775807}"},
        {"{\"s\":\"\\u00e4\\/\\n\\u20ac\\ud83d\\ude00\"}", "{\"s\":\"\xc3\xa4/\\n\xe2\x82\xac\xf0\x9f\x98\x80\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[512];
        body_with(body, sizeof body, ACQUIRE, "metadata", cases[i].sent);
        struct parsed parsed;
        parsed_request(&parsed, ACQUIRE, NULL, body);
        assert_true(parsed.ok);
        assert_slice(parsed.request.command.acquire.metadata, cases[i].kept);
        parsed_close(&parsed);
    }
}

static void metadata_is_nested_to_a_bound(void **state)
{
    (void)state;
    for (unsigned depth = LIMIT_JSON_DEPTH; depth <= LIMIT_JSON_DEPTH + 1; depth++) {
        char open[64] = "";
        char close[64] = "";
        memset(open, '[', depth - 1);
        memset(close, ']', depth - 1);
        char json[256];
        (void)snprintf(json, sizeof json, "{\"a\":%s%s}", open, close);
        if (depth <= LIMIT_JSON_DEPTH) {
            assert_value_taken(ACQUIRE, "metadata", json);
        } else {
            assert_value_refused(ACQUIRE, "metadata", json);
        }
    }
}

static void unknown_fields_are_named(void **state)
{
    (void)state;
    assert_refused(ACQUIRE, NULL, "{\"holder\":\"h\",\"ttl\":1}", 400, "unknown_field", "ttl");
    assert_refused(ACQUIRE, NULL, "{\"holder\":\"h\",\"Holder\":\"h\"}", 400, "unknown_field", "Holder");
    assert_refused(ACQUIRE, NULL, "{\"holder\":\"h\",\"\":1}", 400, "unknown_field", "");
    assert_refused(ACQUIRE, NULL, "{\"holder\":\"h\",\"token\":1}", 400, "unknown_field", "token");
    assert_refused(ACQUIRE, NULL, "{\"holder\":\"h\",\"schedule_id\":\"a\"}", 400, "unknown_field", "schedule_id");
    assert_refused(ACQUIRE, NULL, "{\"holder\":\"h\",\"\xc3\xa4\":1}", 400, "unknown_field", "\xc3\xa4");
}

static void fields_given_twice_are_named(void **state)
{
    (void)state;
    static const char *const fields[] = {"holder",     "ttl_ms",  "estimated_duration_ms",
                                         "occurrence", "wait_ms", "metadata"};
    static const char *const values[] = {"\"h\"", "60000", "0", "\"o\"", "0", "{\"x\":{\"y\":\"}\"}}"};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        char body[512];
        (void)snprintf(body, sizeof body, "{\"%s\":%s , \"%s\" : %s, \"holder\":\"h\"}", fields[i], values[i],
                       fields[i], values[i]);
        assert_refused(ACQUIRE, NULL, body, 400, "invalid_field", fields[i]);
    }
    assert_refused(RENEW, NULL, "{\"token\":1,\"ttl_ms\":2,\"token\":1}", 400, "invalid_field", "token");
    assert_refused(ACQUIRE, NULL, "{\"metadata\":{\"holder\":1,\"holder\":2},\"holder\":\"h\"}", 400, "invalid_field",
                   "metadata");
    assert_refused(ACQUIRE, NULL, "{\"hol\\u0064er\":\"h\",\"holder\":\"h\"}", 400, "invalid_field", "holder");
    assert_refused(ACQUIRE, NULL, "{\"x\\\"y\":1,\"x\\\"y\":1}", 400, "invalid_field", NULL);
}

static void a_huge_number_is_named_wherever_it_is(void **state)
{
    (void)state;
    assert_refused(ACQUIRE, NULL, "{\"holder\":\"h\",\"metadata\":{\"a\":[{\"b\":9223372036854775808}]},\"ttl_ms\":1}",
                   400, "invalid_field", "metadata");
    assert_refused(ACQUIRE, NULL, "{\"holder\":18446744073709551616}", 400, "invalid_field", "holder");
    assert_refused(ACQUIRE, NULL, "[9223372036854775808]", 400, "invalid_field", "body");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_acquire_with_every_field_is_taken),
        cmocka_unit_test(an_acquire_needs_only_its_holder),
        cmocka_unit_test(a_renewal_is_a_token_and_perhaps_a_ttl),
        cmocka_unit_test(numbers_are_integers_within_their_bounds),
        cmocka_unit_test(malformed_numbers_are_malformed_json),
        cmocka_unit_test(texts_are_printable_and_within_their_lengths),
        cmocka_unit_test(metadata_is_an_object_of_at_most_one_kib),
        cmocka_unit_test(metadata_is_kept_compact_sorted_and_exact),
        cmocka_unit_test(metadata_is_nested_to_a_bound),
        cmocka_unit_test(unknown_fields_are_named),
        cmocka_unit_test(fields_given_twice_are_named),
        cmocka_unit_test(a_huge_number_is_named_wherever_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
