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
        char body[256];
        line_of(line, sizeof line, &rows[i]);
        struct parsed parsed;
        parsed_request(&parsed, line, rows[i].route == API_RELEASE ? "token=1" : NULL,
                       body_of(body, sizeof body, &rows[i]));
        assert_true(parsed.ok);
        assert_int_equal(parsed.request.route, rows[i].route);
        bool is_schedule = strstr(rows[i].path, "{schedule_id}") != NULL;
        assert_slice(parsed.request.schedule_id, is_schedule ? "a" : NULL);
        assert_slice(parsed.request.name, strchr(rows[i].path, '{') == NULL || is_schedule ? NULL : "a");
        assert_int_equal(parsed.request.command.kind != 0, rows[i].kind == API_KIND_WRITE);
        assert_int_equal(api_route_kind(rows[i].route), rows[i].kind);
        parsed_close(&parsed);
    }
}

static void unknown_paths_are_not_found(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "GET /",
        "GET ",
        "GET /lock/a",
        "GET /locks/",
        "GET /locks/a/",
        "GET //locks/a",
        "GET /locks/a/b",
        "POST /locks/a/Renew",
        "GET /health/",
        "GET /health/xyz",
        "GET /HEALTH",
        "POST /locks//renew",
        "GET /l%6fcks/a",
        "GET *",
        "GET /healthz",
        "GET health",
        "POST /locks/a/renew/x",
        "POST /locks/a/revoke/",
        "GET /schedules/",
        "GET /schedules/a/",
        "GET /schedules//runs",
        "GET /schedules/a/run",
        "GET /schedules/a/runs/",
        "GET /locks/a/runs",
        "POST /renew/",
        "POST /renew/a",
        "GET /groups/",
        "GET /groups/a/",
        "GET /groups/a/b",
        "GET /freezes/",
        "GET /freezes/a/b",
        "GET /events/",
        "GET /events/a",
        "GET /metrics/",
        "GET /openapi.yml",
        "GET /openapi",
        "PUT /",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_refused(lines[i], NULL, NULL, 404, "not_found", NULL);
        assert_null(api_route_path(slice_of(strchr(lines[i], ' ') + 1)));
    }
}

/* What a path is counted as, whatever the method. */
static void a_path_is_known_by_its_row(void **state)
{
    (void)state;
    size_t n;
    const struct api_route_row *rows = api_route_rows(&n);
    for (size_t i = 0; i < n; i++) {
        char line[128];
        line_of(line, sizeof line, &rows[i]);
        assert_string_equal(api_route_path(slice_of(strchr(line, ' ') + 1)), rows[i].path);
    }
    assert_string_equal(api_route_path(slice_of("/locks/%zz")), "/locks/{schedule_id}");
}

/* The methods of a path, as the table has them, and as users of the API know them. */
static void allow_names_exactly_the_methods_that_work(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *allow;
    } paths[] = {
        {"/locks", "GET, HEAD"},
        {"/locks/a", "POST, GET, HEAD, DELETE"},
        {"/locks/a/renew", "POST"},
        {"/locks/a/revoke", "POST"},
        {"/schedules", "GET, HEAD"},
        {"/schedules/a", "PUT, GET, HEAD, DELETE"},
        {"/schedules/a/runs", "GET, HEAD"},
        {"/renew", "POST"},
        {"/groups", "GET, HEAD"},
        {"/groups/a", "PUT, GET, HEAD, DELETE"},
        {"/freezes", "GET, HEAD"},
        {"/freezes/*", "PUT, GET, HEAD, DELETE"},
        {"/events", "GET, HEAD"},
        {"/health", "GET, HEAD"},
        {"/health/live", "GET, HEAD"},
        {"/health/ready", "GET, HEAD"},
        {"/metrics", "GET, HEAD"},
        {"/openapi.yaml", "GET, HEAD"},
    };
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", "X", ""};
    size_t working = 0;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        for (size_t m = 0; m < sizeof methods / sizeof methods[0]; m++) {
            struct api_input input = {.method = slice_of(methods[m]), .path = slice_of(paths[i].path)};
            struct parsed parsed;
            parsed_input(&parsed, &input);
            if (parsed.request.route != API_ROUTE_NONE) {
                assert_non_null(strstr(paths[i].allow, methods[m]));
                assert_string_equal(parsed.answer.allow, "");
                working++;
            } else {
                assert_problem(&parsed.answer, 405, "method_not_allowed", NULL);
                assert_string_equal(parsed.answer.allow, paths[i].allow);
                assert_non_null(
                    memmem(parsed.answer.body.base, parsed.answer.body.len, paths[i].allow, strlen(paths[i].allow)));
            }
            parsed_close(&parsed);
        }
    }
    size_t n;
    size_t gets = 0;
    const struct api_route_row *rows = api_route_rows(&n);
    for (size_t i = 0; i < n; i++) {
        gets += strcmp(rows[i].method, "GET") == 0;
    }
    assert_int_equal(working, n + gets); /* HEAD works where GET does */
}

/* RFC 9110: HEAD is answered like GET; that the body stays away is up to who sends it. */
static void head_asks_for_what_get_does(void **state)
{
    (void)state;
    static const struct api_pair stale = {{(const uint8_t *)"consistency", 11}, {(const uint8_t *)"stale", 5}};
    struct api_input input = {.method = slice_of("HEAD"), .path = slice_of("/locks/a"), .query = &stale, .n_query = 1};
    struct parsed parsed;
    parsed_input(&parsed, &input);
    assert_true(parsed.ok);
    assert_int_equal(parsed.request.route, API_LOCK_STATUS);
    assert_slice(parsed.request.schedule_id, "a");
    assert_true(parsed.request.stale);
    parsed_close(&parsed);
    assert_refused("HEAD /health", NULL, "{}", 400, "invalid_field", "body");
    assert_refused("HEAD /nothing", NULL, NULL, 404, "not_found", NULL);
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

static void requests_without_a_body_refuse_one(void **state)
{
    (void)state;
    size_t n;
    const struct api_route_row *rows = api_route_rows(&n);
    for (size_t i = 0; i < n; i++) {
        char line[128];
        char body[256];
        line_of(line, sizeof line, &rows[i]);
        const char *query = rows[i].route == API_RELEASE ? "token=1" : NULL;
        if (body_of(body, sizeof body, &rows[i]) == NULL) {
            assert_refused(line, query, "{}", 400, "invalid_field", "body");
            assert_refused(line, query, " ", 400, "invalid_field", "body");
        } else {
            assert_refused(line, query, "", 400, "malformed_json", "body");
        }
    }
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

/* The key is an acquire's; elsewhere nobody reads the header. */
static void other_routes_have_no_key(void **state)
{
    (void)state;
    struct api_input input = {.method = slice_of("GET"),
                              .path = slice_of("/locks/a"),
                              .idempotency_key = slice_of(" "),
                              .n_idempotency_keys = 2};
    struct parsed parsed;
    parsed_input(&parsed, &input);
    assert_true(parsed.ok);
    parsed_close(&parsed);
}

static void the_table_of_routes_is_complete(void **state)
{
    (void)state;
    size_t n;
    bool found[API_ROUTES] = {false};
    const struct api_route_row *rows = api_route_rows(&n);
    assert_int_equal(n, API_ROUTES - 1);
    for (size_t i = 0; i < n; i++) {
        assert_true(rows[i].route > API_ROUTE_NONE && rows[i].route < API_ROUTES && !found[rows[i].route]);
        found[rows[i].route] = true;
        for (size_t j = 0; j < i; j++) {
            assert_false(strcmp(rows[i].path, rows[j].path) == 0 && strcmp(rows[i].method, rows[j].method) == 0);
        }
    }
    assert_int_equal(api_route_kind(API_ROUTE_NONE), API_KIND_LOCAL);
}

static void the_table_of_codes_has_no_row_twice(void **state)
{
    (void)state;
    size_t n;
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
        cmocka_unit_test(a_path_is_known_by_its_row),
        cmocka_unit_test(allow_names_exactly_the_methods_that_work),
        cmocka_unit_test(head_asks_for_what_get_does),
        cmocka_unit_test(a_schedule_id_is_percent_decoded_strictly),
        cmocka_unit_test(a_schedule_id_has_its_alphabet_and_length),
        cmocka_unit_test(requests_without_a_body_refuse_one),
        cmocka_unit_test(an_idempotency_key_is_checked),
        cmocka_unit_test(other_routes_have_no_key),
        cmocka_unit_test(the_table_of_routes_is_complete),
        cmocka_unit_test(the_table_of_codes_has_no_row_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
