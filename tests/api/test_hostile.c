/* Bodies that aren't JSON, and bytes that aren't anything: each is a 400 and nothing crashes. */
#include <stdlib.h>
#include <string.h>

#include "support.h"

static void what_is_not_json_is_malformed(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        " ",
        "{",
        "}",
        "{\"holder\":\"h\"",
        "{\"holder\":\"h\",}",
        "{holder:\"h\"}",
        "{'holder':'h'}",
        "{\"holder\":\"h\"}x",
        "{\"holder\":\"h\"}{}",
        "{\"holder\":\"h\"} ]",
        "\"h\"",
        "1",
        "null",
        "true",
        "[]",
        "[{\"holder\":\"h\"}]",
        "holder=h&ttl_ms=1",
        "<x/>",
        "\xef\xbb\xbf{\"holder\":\"h\"}",
        "{\"holder\":\"\xff\"}",
        "{\"holder\":\"\xc3\"}",
        "{\"holder\":\"\xed\xa0\x80\"}",
        "{\"holder\":\"\\ud800\"}",
        "{\"holder\":\"a\nb\"}",
        "{\"holder\":\"\\x41\"}",
        "{\"holder\":\"\\u12\"}",
        "{\"holder\":h}",
        "{\"holder\" \"h\"}",
        "/**/{\"holder\":\"h\"}",
        "{\"holder\":\"h\"}//",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        assert_refused(ACQUIRE, NULL, bodies[i], 400, "malformed_json", "body");
        assert_refused(RENEW, NULL, bodies[i], 400, "malformed_json", "body");
        assert_refused(REVOKE, NULL, bodies[i], 400, "malformed_json", "body");
        assert_refused(PUT, NULL, bodies[i], 400, "malformed_json", "body");
        assert_refused(RENEW_BATCH, NULL, bodies[i], 400, "malformed_json", "body");
        assert_refused(PUT_GROUP, NULL, bodies[i], 400, "malformed_json", "body");
        assert_refused(PUT_FREEZE, NULL, bodies[i], 400, "malformed_json", "body");
    }
}

static void parse_bytes(struct parsed *parsed, struct slice body)
{
    struct api_input input = {.method = slice_of("POST"), .path = slice_of("/locks/a"), .body = body};
    parsed_input(parsed, &input);
}

static void a_zero_byte_is_malformed_wherever_it_is(void **state)
{
    (void)state;
    const char body[] = "{\"holder\":\"h\",\"ttl_ms\":1}";
    for (size_t i = 0; i <= sizeof body - 1; i++) {
        uint8_t bytes[64];
        memcpy(bytes, body, i);
        bytes[i] = 0;
        memcpy(bytes + i + 1, body + i, sizeof body - 1 - i);
        struct parsed parsed;
        parse_bytes(&parsed, (struct slice){.base = bytes, .len = sizeof body});
        assert_false(parsed.ok);
        assert_problem(&parsed.answer, 400, "malformed_json", "body");
        parsed_close(&parsed);
    }
}

static void every_truncation_is_malformed(void **state)
{
    (void)state;
    const char body[] = "{\"holder\":\"h\\u00e4\",\"metadata\":{\"a\":[1,2.5,true,null]},\"ttl_ms\":123}";
    for (size_t len = 0; len < sizeof body - 1; len++) {
        uint8_t *bytes = malloc(len == 0 ? 1 : len); /* so that a sanitizer sees a read past the end */
        memcpy(bytes, body, len);
        struct parsed parsed;
        parse_bytes(&parsed, (struct slice){.base = bytes, .len = len});
        assert_false(parsed.ok);
        assert_problem(&parsed.answer, 400, "malformed_json", "body");
        parsed_close(&parsed);
        free(bytes);
    }
}

/* Refused in the same words however deep it is: what the parser itself takes is far more than what is allowed. */
static void assert_too_deep(struct parsed *parsed, const char *field)
{
    static const char bound[] = "at most 32";
    assert_int_equal(LIMIT_JSON_DEPTH, 32);
    assert_problem(&parsed->answer, 400, "invalid_field", field);
    assert_non_null(memmem(parsed->answer.body.base, parsed->answer.body.len, bound, sizeof bound - 1));
    parsed_close(parsed);
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    static uint8_t bytes[LIMIT_BODY_BYTES];
    memset(bytes, '[', sizeof bytes);
    struct parsed parsed;
    parse_bytes(&parsed, (struct slice){.base = bytes, .len = sizeof bytes});
    assert_too_deep(&parsed, "body");
    static const char metadata[] = "{\"holder\":\"h\",\"metadata\":{\"a\":[";
    memcpy(bytes, metadata, sizeof metadata - 1);
    parse_bytes(&parsed, (struct slice){.base = bytes, .len = sizeof bytes});
    assert_too_deep(&parsed, "metadata");
    static const uint8_t open[5] = {'{', '"', 'a', '"', ':'};
    for (size_t i = 0; i + 5 <= sizeof bytes; i += 5) {
        memcpy(bytes + i, open, 5);
    }
    parse_bytes(&parsed, (struct slice){.base = bytes, .len = sizeof bytes});
    assert_too_deep(&parsed, "a");
}

/* Inside of a value, it is the field that is named. */
static void a_key_given_twice_names_the_field_around_it(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *field;
    } cases[] = {
        {"{\"metadata\":{\"holder\":1,\"holder\":2},\"holder\":\"h\"}", "metadata"},
        {"{\"holder\":\"h\",\"metadata\":{\"a\":[{\"b\":{}},{\"c\":1,\"c\":2}]}}", "metadata"},
        {"{\"metadata\":{},\"holder\":[1,{\"b\":\"]}\",\"b\":2}]}", "holder"},
        {"[1,{\"a\":1,\"a\":2}]", "body"},
        {"[{\"a\":[2,3]},\"x\",{\"a\":1,\"a\":2}]", "body"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_refused(ACQUIRE, NULL, cases[i].body, 400, "invalid_field", cases[i].field);
    }
}

static void a_huge_number_is_named_wherever_it_is(void **state)
{
    (void)state;
    assert_refused(ACQUIRE, NULL, "{\"holder\":\"h\",\"metadata\":{\"a\":[{\"b\":9223372036854775808}]},\"ttl_ms\":1}",
                   400, "invalid_field", "metadata");
    assert_refused(ACQUIRE, NULL, "{\"holder\":18446744073709551616}", 400, "invalid_field", "holder");
    assert_refused(ACQUIRE, NULL, "[9223372036854775808]", 400, "invalid_field", "body");
    assert_refused(ACQUIRE, NULL, "{\"holder\":\"h\",\"ttl_ms\":1e400}", 400, "invalid_field", "ttl_ms");
    assert_refused(ACQUIRE, NULL, "{\"metadata\":{\"a\":-1e400},\"holder\":\"h\"}", 400, "invalid_field", "metadata");
}

/* JSON can say it, but no text may hold it. */
static void a_zero_character_is_named_wherever_it_is(void **state)
{
    (void)state;
    assert_refused(ACQUIRE, NULL, "{\"holder\":\"a\\u0000b\"}", 400, "invalid_field", "holder");
    assert_refused(ACQUIRE, NULL, "{\"metadata\":{\"a\":[\"\\u0000\"]},\"holder\":\"h\"}", 400, "invalid_field",
                   "metadata");
    assert_refused(ACQUIRE, NULL, "{\"metadata\":{\"\\u0000\":1},\"holder\":\"h\"}", 400, "invalid_field", "metadata");
    assert_refused(ACQUIRE, NULL, "{\"hol\\u0000der\":\"h\"}", 400, "invalid_field", "hol\\u0000der");
    assert_refused(ACQUIRE, NULL, "[\"\\u0000\"]", 400, "invalid_field", "body");
}

static void random_bytes_never_crash(void **state)
{
    (void)state;
    uint64_t seed = 0x9e3779b97f4a7c15u;
    for (int round = 0; round < 20000; round++) {
        size_t len = random_next(&seed) % 64;
        uint8_t *bytes = malloc(len + 1);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (uint8_t)random_next(&seed);
        }
        struct parsed parsed;
        parse_bytes(&parsed, (struct slice){.base = bytes, .len = len});
        assert_false(parsed.ok);
        parsed_close(&parsed);
        const struct api_pair pair = {{bytes, len / 2}, {bytes + len / 2, len - len / 2}};
        struct api_input input = {.method = {bytes, len % 7}, .path = {bytes, len}, .query = &pair, .n_query = 1};
        if (round % 2 == 0) {
            input.method = slice_of(round % 4 == 0 ? "DELETE" : "GET");
            input.path = slice_of("/locks/a");
        }
        parsed_input(&parsed, &input);
        parsed_close(&parsed);
        free(bytes);
    }
}

/* Replaces a few bytes by any or by others of the same text. */
static void damage(uint8_t *bytes, size_t len, uint64_t *seed)
{
    for (size_t n = random_next(seed) % 5 + 1; n > 0; n--) {
        size_t at = random_next(seed) % len;
        bytes[at] = random_next(seed) % 2 ? (uint8_t)random_next(seed) : bytes[random_next(seed) % len];
    }
}

/* A valid request with a few bytes replaced gets much deeper than noise. */
static void random_damage_never_crashes(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        const char *path;
        const char *body;
    } requests[] = {
        {"POST", "/locks/a",
         "{\"holder\":\"h\",\"ttl_ms\":60000,\"estimated_duration_ms\":9007199254740993,\"occurrence\":"
         "\"2026-01-02T03:04:05Z\",\"wait_ms\":0,\"holder\":9223372036854775808,\"metadata\":{\"a\":{\"b\":[1,2.5,"
         "\"\\u00e4\"]},\"a\":1}}"},
        {"POST", "/locks/a/revoke",
         "{\"reason\":\"gr\\u00fc\xc3\x9f\\n\",\"actor\":\"kim\",\"token\":7,\"force\":true}"},
        {"PUT", "/schedules/a",
         "{\"estimated_duration_ms\":1,\"safety_margin_ms\":2,\"max_ttl_ms\":9,\"min_hold_ms\":4,\"slots\":5,"
         "\"max_attempts\":6,\"description\":null,\"group\":\"db\",\"expected_every_ms\":7}"},
        {"PUT", "/groups/a", "{\"slots\":10000}"},
        {"PUT", "/freezes/a-*", "{\"reason\":\"gr\\u00fc\xc3\x9f\\n\",\"actor\":\"kim\",\"ttl_ms\":31536000000}"},
    };
    uint64_t seed = 0x2545f4914f6cdd1du;
    for (size_t round = 0; round < 60000; round++) {
        size_t i = round % (sizeof requests / sizeof requests[0]);
        uint8_t bytes[512];
        size_t len = strlen(requests[i].body);
        memcpy(bytes, requests[i].body, len);
        damage(bytes, len, &seed);
        struct api_input input = {.method = slice_of(requests[i].method),
                                  .path = slice_of(requests[i].path),
                                  .body = {.base = bytes, .len = len}};
        struct parsed parsed;
        parsed_input(&parsed, &input);
        if (!parsed.ok) {
            assert_int_equal(parsed.answer.status, 400);
        }
        parsed_close(&parsed);
    }
}

static void a_damaged_query_never_crashes(void **state)
{
    (void)state;
    static const char *const names[] = {"prefix", "holder", "limit", "after", "consistency"};
    static const char *const values[] = {"a.b:c", "kim", "1000", "a.b!9007199254740991", "stale"};
    uint64_t seed = 0x2545f4914f6cdd1du;
    for (size_t round = 0; round < 60000; round++) {
        uint8_t bytes[5][32];
        struct api_pair pairs[5];
        for (size_t i = 0; i < 5; i++) {
            size_t len = strlen(values[i]);
            memcpy(bytes[i], values[i], len);
            damage(bytes[i], len, &seed);
            pairs[i] = (struct api_pair){slice_of(names[i]), {bytes[i], random_next(&seed) % (len + 1)}};
        }
        struct api_input input = {
            .method = slice_of("GET"), .path = slice_of("/locks"), .query = pairs, .n_query = round % 6};
        struct parsed parsed;
        parsed_input(&parsed, &input);
        if (!parsed.ok) {
            assert_int_equal(parsed.answer.status, 400);
        }
        parsed_close(&parsed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_json_is_malformed),
        cmocka_unit_test(a_zero_byte_is_malformed_wherever_it_is),
        cmocka_unit_test(every_truncation_is_malformed),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(random_bytes_never_crash),
        cmocka_unit_test(random_damage_never_crashes),
        cmocka_unit_test(a_damaged_query_never_crashes),
        cmocka_unit_test(a_key_given_twice_names_the_field_around_it),
        cmocka_unit_test(a_huge_number_is_named_wherever_it_is),
        cmocka_unit_test(a_zero_character_is_named_wherever_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
