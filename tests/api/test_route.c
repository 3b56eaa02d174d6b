/* Method, path, query and headers: which request they make, and what is refused before the body is looked at. */
#include <stdio.h>
#include <string.h>

#include "support.h"

static void every_route_is_found(void **state)
{
    (void)state;
    size_t n;
    const struct api_route_row *rows = api_route_rows(&n);
    for (size_t i = 0; i < n; i++) {
        char line[128];
        char path[64];
        (void)snprintf(path, sizeof path, "%s", rows[i].path);
        char *placeholder = strstr(path, "{schedule_id}");
        if (placeholder != NULL) {
            memmove(placeholder + 2, placeholder + 13, strlen(placeholder + 13) + 1);
            memcpy(placeholder, "j1", 2);
        }
        (void)snprintf(line, sizeof line, "%s %s", rows[i].method, path);
        const char *body = rows[i].route == API_ACQUIRE ? "{\"holder\":\"h\"}"
                           : rows[i].route == API_RENEW ? "{\"token\":1}"
                                                        : NULL;
        struct parsed parsed;
        parsed_request(&parsed, line, rows[i].route == API_RELEASE ? "token=1" : NULL, body);
        assert_true(parsed.ok);
        assert_int_equal(parsed.request.route, rows[i].route);
        assert_slice(parsed.request.schedule_id, placeholder == NULL ? NULL : "j1");
        parsed_close(&parsed);
    }
}

static void unknown_paths_are_not_found(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "GET /",           "GET ",          "GET /lock/a",           "GET /locks",          "GET /locks/",
        "GET /locks/a/",   "GET //locks/a", "GET /locks/a/b",        "POST /locks/a/Renew", "GET /health/",
        "GET /health/xyz", "GET /HEALTH",   "POST /locks//renew",    "GET /l%6fcks/a",      "GET *",
        "GET /healthz",    "GET health",    "POST /locks/a/renew/x",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_refused(lines[i], NULL, NULL, 404, "not_found", NULL);
    }
}

/* `Allow` is written down once more than the table of routes; this holds them together. */
static void allow_names_exactly_the_methods_that_work(void **state)
{
    (void)state;
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", "X"};
    size_t n;
    const struct api_route_row *rows = api_route_rows(&n);
    for (size_t i = 0; i < n; i++) {
        for (size_t m = 0; m < sizeof methods / sizeof methods[0]; m++) {
            bool works = false;
            char expected[64] = "";
            for (size_t j = 0; j < n; j++) {
                if (strcmp(rows[j].path, rows[i].path) == 0) {
                    works = works || strcmp(rows[j].method, methods[m]) == 0;
                    (void)snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%s%s",
                                   expected[0] == 0 ? "" : ", ", rows[j].method);
                }
            }
            if (works) {
                continue;
            }
            struct api_input input = {.method = slice_of(methods[m]), .path = slice_of(rows[i].path)};
            struct parsed parsed;
            parsed_input(&parsed, &input);
            assert_false(parsed.ok);
            assert_problem(&parsed.answer, 405, "method_not_allowed", NULL);
            assert_string_equal(parsed.answer.allow, expected);
            parsed_close(&parsed);
        }
    }
}

static void a_schedule_id_is_percent_decoded_strictly(void **state)
{
    (void)state;
    struct parsed parsed;
    parsed_request(&parsed, "GET /locks/a%3ab%2Dc%7E", NULL, NULL);
    assert_true(parsed.ok);
    assert_slice(parsed.request.schedule_id, "a:b-c~");
    parsed_close(&parsed);
    static const char *const wrong[] = {"a%",   "a%4",   "%",    "%4",   "a%zz", "a%4g",    "a%00",
                                        "%00",  "a%2Fb", "a%20", "a+b",  "a b",  "a%C3%A4", "\xc3\xa4",
                                        "a%ff", "a%0a",  "a%0d", "a%7f", "a%25", "%%41"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char line[64];
        (void)snprintf(line, sizeof line, "GET /locks/%s", wrong[i]);
        assert_refused(line, NULL, NULL, 400, "invalid_name", "schedule_id");
    }
}

static void a_schedule_id_has_its_alphabet_and_length(void **state)
{
    (void)state;
    for (unsigned c = 1; c < 256; c++) {
        char first[64];
        char later[64];
        (void)snprintf(first, sizeof first, "GET /locks/%%%02x", c);
        (void)snprintf(later, sizeof later, "GET /locks/a%%%02X", c);
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (letter) {
            assert_taken(first, NULL, NULL);
        } else {
            assert_refused(first, NULL, NULL, 400, "invalid_name", "schedule_id");
        }
        if (letter || strchr("._:@~-", (int)c) != NULL) {
            assert_taken(later, NULL, NULL);
        } else {
            assert_refused(later, NULL, NULL, 400, "invalid_name", "schedule_id");
        }
    }
    char line[400];
    memset(line, 'a', sizeof line);
    memcpy(line, "GET /locks/", 11);
    line[11 + LIMIT_NAME_BYTES] = 0;
    assert_taken(line, NULL, NULL);
    line[11 + LIMIT_NAME_BYTES] = 'a';
    line[11 + LIMIT_NAME_BYTES + 1] = 0;
    assert_refused(line, NULL, NULL, 400, "invalid_name", "schedule_id");
}

static void release_takes_its_token_and_outcome_from_the_query(void **state)
{
    (void)state;
    struct parsed parsed;
    parsed_request(&parsed, "DELETE /locks/a", "outcome=failed&token=9007199254740991", NULL);
    assert_true(parsed.ok);
    assert_int_equal(parsed.request.command.kind, COMMAND_RELEASE);
    assert_int_equal(parsed.request.command.release.token, LIMIT_NUMBER_MAX);
    assert_true(parsed.request.command.release.has_outcome);
    assert_int_equal(parsed.request.command.release.outcome, RUN_FAILED);
    assert_slice(parsed.request.command.release.schedule_id, "a");
    parsed_close(&parsed);
    parsed_request(&parsed, "DELETE /locks/a", "token=1", NULL);
    assert_true(parsed.ok);
    assert_false(parsed.request.command.release.has_outcome);
    parsed_close(&parsed);
    assert_taken("DELETE /locks/a", "token=1&outcome=succeeded", NULL);
    assert_taken("DELETE /locks/a", "token=1&outcome=abandoned", NULL);
}

static void query_parameters_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const tokens[] = {"token=",
                                         "token",
                                         "token=0",
                                         "token=-1",
                                         "token=+1",
                                         "token=01",
                                         "token=1.0",
                                         "token=1e3",
                                         "token=0x1",
                                         "token= 1",
                                         "token=1 ",
                                         "token=abc",
                                         "token=9007199254740992",
                                         "token=9223372036854775808",
                                         "token=18446744073709551617",
                                         "token=1%",
                                         "outcome=failed"};
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        assert_refused("DELETE /locks/a", tokens[i], NULL, 400, "invalid_field", "token");
    }
    assert_refused("DELETE /locks/a", NULL, NULL, 400, "invalid_field", "token");
    assert_refused("DELETE /locks/a", "token=5&token=6", NULL, 400, "invalid_field", "token");
    assert_refused("DELETE /locks/a", "token=5&token=5", NULL, 400, "invalid_field", "token");
    static const char *const outcomes[] = {"outcome=running", "outcome=expired", "outcome=revoked", "outcome=Failed",
                                           "outcome=",        "outcome",         "outcome=failed "};
    for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
        char query[64];
        (void)snprintf(query, sizeof query, "token=1&%s", outcomes[i]);
        assert_refused("DELETE /locks/a", query, NULL, 400, "invalid_field", "outcome");
    }
    assert_refused("DELETE /locks/a", "token=1&outcome=failed&outcome=failed", NULL, 400, "invalid_field", "outcome");
    assert_refused("DELETE /locks/a", "token=1&Outcome=failed", NULL, 400, "unknown_field", "Outcome");
    assert_refused("DELETE /locks/a", "token=1&=", NULL, 400, "unknown_field", "");
    assert_refused("GET /locks/a", "consistency=strong", NULL, 400, "invalid_field", "consistency");
    assert_refused("GET /locks/a", "consistency", NULL, 400, "invalid_field", "consistency");
    assert_refused("GET /locks/a", "consistency=stale&consistency=stale", NULL, 400, "invalid_field", "consistency");
    assert_refused("GET /locks/a", "token=1", NULL, 400, "unknown_field", "token");
    assert_refused("GET /locks/a", "\xff\xfe=1", NULL, 400, "unknown_field", "\xef\xbf\xbd\xef\xbf\xbd");
    assert_refused("POST /locks/a", "ttl_ms=1", "{\"holder\":\"h\"}", 400, "unknown_field", "ttl_ms");
    assert_refused("POST /locks/a/renew", "token=1", "{\"token\":1}", 400, "unknown_field", "token");
    assert_refused("GET /health", "x", NULL, 400, "unknown_field", "x");
    assert_refused("GET /health/live", "x", NULL, 400, "unknown_field", "x");
}

static void a_long_unknown_name_is_shown_in_part(void **state)
{
    (void)state;
    char query[1000];
    memset(query, 'q', sizeof query);
    query[sizeof query - 1] = 0;
    char shown[65];
    memset(shown, 'q', 64);
    shown[64] = 0;
    assert_refused("GET /health", query, NULL, 400, "unknown_field", shown);
}

static void a_stale_read_is_asked_for(void **state)
{
    (void)state;
    struct parsed parsed;
    parsed_request(&parsed, "GET /locks/a", "consistency=stale", NULL);
    assert_true(parsed.ok && parsed.request.stale);
    parsed_close(&parsed);
    parsed_request(&parsed, "GET /locks/a", NULL, NULL);
    assert_true(parsed.ok && !parsed.request.stale);
    parsed_close(&parsed);
}

static void requests_without_a_body_refuse_one(void **state)
{
    (void)state;
    assert_refused("GET /locks/a", NULL, "{}", 400, "invalid_field", "body");
    assert_refused("DELETE /locks/a", "token=1", "{}", 400, "invalid_field", "body");
    assert_refused("GET /health", NULL, " ", 400, "invalid_field", "body");
}

static void parse_key(struct parsed *parsed, const char *key, size_t n_keys)
{
    struct api_input input = {.method = slice_of("POST"),
                              .path = slice_of("/locks/a"),
                              .body = slice_of("{\"holder\":\"h\"}"),
                              .idempotency_key = slice_of(key),
                              .n_idempotency_keys = n_keys};
    parsed_input(parsed, &input);
}

static void an_idempotency_key_is_checked(void **state)
{
    (void)state;
    char longest[LIMIT_OCCURRENCE_BYTES + 2];
    memset(longest, '~', sizeof longest);
    longest[LIMIT_OCCURRENCE_BYTES] = 0;
    struct parsed parsed;
    parse_key(&parsed, longest, 1);
    assert_true(parsed.ok);
    assert_slice(parsed.request.command.acquire.idempotency_key, longest);
    parsed_close(&parsed);
    parse_key(&parsed, NULL, 0);
    assert_true(parsed.ok);
    assert_slice(parsed.request.command.acquire.idempotency_key, NULL);
    parsed_close(&parsed);
    longest[LIMIT_OCCURRENCE_BYTES] = '~';
    longest[LIMIT_OCCURRENCE_BYTES + 1] = 0;
    const char *const wrong[] = {"", "a b", "a\tb", "\xc3\xa4", "\x7f", "\x1f", longest};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        parse_key(&parsed, wrong[i], 1);
        assert_problem(&parsed.answer, 400, "invalid_field", "Idempotency-Key");
        parsed_close(&parsed);
    }
    parse_key(&parsed, "a", 2);
    assert_problem(&parsed.answer, 400, "invalid_field", "Idempotency-Key");
    parsed_close(&parsed);
}

static void the_tables_have_no_row_twice(void **state)
{
    (void)state;
    size_t n;
    const struct api_route_row *routes = api_route_rows(&n);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_false(strcmp(routes[i].path, routes[j].path) == 0 &&
                         strcmp(routes[i].method, routes[j].method) == 0);
        }
    }
    const struct api_code_row *codes = api_code_rows(&n);
    for (size_t i = 0; i < n; i++) {
        assert_non_null(codes[i].code);
        assert_true(codes[i].status >= 400 && codes[i].status <= 599);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(codes[i].code, codes[j].code);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_found),
        cmocka_unit_test(unknown_paths_are_not_found),
        cmocka_unit_test(allow_names_exactly_the_methods_that_work),
        cmocka_unit_test(a_schedule_id_is_percent_decoded_strictly),
        cmocka_unit_test(a_schedule_id_has_its_alphabet_and_length),
        cmocka_unit_test(release_takes_its_token_and_outcome_from_the_query),
        cmocka_unit_test(query_parameters_are_refused_by_name),
        cmocka_unit_test(a_long_unknown_name_is_shown_in_part),
        cmocka_unit_test(a_stale_read_is_asked_for),
        cmocka_unit_test(requests_without_a_body_refuse_one),
        cmocka_unit_test(an_idempotency_key_is_checked),
        cmocka_unit_test(the_tables_have_no_row_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
