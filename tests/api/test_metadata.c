/* The metadata of an acquire: what JSON may stand there, and the form in which it is kept. */
#include <stdio.h>
#include <string.h>

#include "support.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata_is_an_object_of_at_most_one_kib),
        cmocka_unit_test(metadata_is_kept_compact_sorted_and_exact),
        cmocka_unit_test(metadata_is_nested_to_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
