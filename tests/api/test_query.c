/* Query parameters: what each takes, which route takes it, and how what is wrong is named. */
#include <stdio.h>
#include <string.h>

#include "support.h"

#define LOCKS     "GET /locks"
#define SCHEDULES "GET /schedules"
#define GROUPS    "GET /groups"
#define FREEZES   "GET /freezes"
#define RUNS      "GET /schedules/a/runs"
#define RELEASE   "DELETE /locks/a"

static void release_takes_its_token_and_outcome_from_the_query(void **state)
{
    (void)state;
    struct parsed parsed;
    parsed_request(&parsed, RELEASE, "outcome=failed&token=9007199254740991", NULL);
    assert_true(parsed.ok);
    assert_int_equal(parsed.request.command.kind, COMMAND_RELEASE);
    assert_int_equal(parsed.request.command.release.token, LIMIT_NUMBER_MAX);
    assert_true(parsed.request.command.release.has_outcome);
    assert_int_equal(parsed.request.command.release.outcome, RUN_FAILED);
    assert_slice(parsed.request.command.release.schedule_id, "a");
    parsed_close(&parsed);
    parsed_request(&parsed, RELEASE, "token=1", NULL);
    assert_true(parsed.ok);
    assert_false(parsed.request.command.release.has_outcome);
    parsed_close(&parsed);
    assert_taken(RELEASE, "token=1&outcome=succeeded", NULL);
    assert_taken(RELEASE, "token=1&outcome=abandoned", NULL);
}

/* Each of the values is refused; `before` stands before the parameter. */
static void assert_values_refused(const char *line, const char *before, const char *name, const char *const *values,
                                  size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char query[512];
        assert_true(snprintf(query, sizeof query, "%s%s%s", before, name, values[i]) < (int)sizeof query);
        assert_refused(line, query, NULL, 400, "invalid_field", name);
    }
}

static void integers_are_decimal_and_within_their_bounds(void **state)
{
    (void)state;
    static const char *const wrong[] = {"=",
                                        "",
                                        "=0",
                                        "=-1",
                                        "=+1",
                                        "=01",
                                        "=1.0",
                                        "=1e3",
                                        "=0x1",
                                        "= 1",
                                        "=1 ",
                                        "=abc",
                                        "=1%",
                                        "=1\xff",
                                        "=9007199254740992",
                                        "=9223372036854775808",
                                        "=1\x7f",
                                        "=18446744073709551617",
                                        "=00000000000000001"};
    size_t n = sizeof wrong / sizeof wrong[0];
    assert_values_refused(RELEASE, "", "token", wrong, n);
    assert_values_refused(LOCKS, "", "limit", wrong, n);
    assert_values_refused(SCHEDULES, "", "limit", wrong, n);
    assert_values_refused(GROUPS, "", "limit", wrong, n);
    assert_values_refused(FREEZES, "", "limit", wrong, n);
    assert_values_refused(RUNS, "", "limit", wrong, n);
    assert_refused(RELEASE, "outcome=failed", NULL, 400, "invalid_field", "token");
    assert_refused(RELEASE, NULL, NULL, 400, "invalid_field", "token");
    assert_refused(LOCKS, "limit=1001", NULL, 400, "invalid_field", "limit");
    static const char *const lines[] = {LOCKS, SCHEDULES, RUNS, GROUPS, FREEZES};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        static const size_t right[] = {1, 10, 999, LIMIT_LIST};
        for (size_t j = 0; j < sizeof right / sizeof right[0]; j++) {
            char query[32];
            (void)snprintf(query, sizeof query, "limit=%zu", right[j]);
            struct parsed parsed;
            parsed_request(&parsed, lines[i], query, NULL);
            assert_true(parsed.ok);
            assert_int_equal(parsed.request.list.limit, right[j]);
            parsed_close(&parsed);
        }
    }
}

static void words_are_exact(void **state)
{
    (void)state;
    static const char *const outcomes[] = {"=running", "=expired", "=revoked", "=Failed", "=", "", "=failed "};
    assert_values_refused(RELEASE, "token=1&", "outcome", outcomes, sizeof outcomes / sizeof outcomes[0]);
    static const char *const consistencies[] = {"=strong", "", "=", "=Stale", "=stale ", "=linearizable"};
    size_t n;
    const struct api_route_row *rows = api_route_rows(&n);
    for (size_t i = 0; i < n; i++) {
        char line[128];
        line_of(line, sizeof line, &rows[i]);
        if (rows[i].kind == API_KIND_READ) {
            assert_values_refused(line, "", "consistency", consistencies,
                                  sizeof consistencies / sizeof consistencies[0]);
        }
    }
}

static void every_read_can_be_stale(void **state)
{
    (void)state;
    size_t reads = 0;
    size_t n;
    const struct api_route_row *rows = api_route_rows(&n);
    for (size_t i = 0; i < n; i++) {
        char line[128];
        line_of(line, sizeof line, &rows[i]);
        if (rows[i].kind != API_KIND_READ) {
            if (strcmp(rows[i].method, "GET") == 0) {
                assert_refused(line, "consistency=stale", NULL, 400, "unknown_field", "consistency");
            }
            continue;
        }
        struct parsed parsed;
        parsed_request(&parsed, line, "consistency=stale", NULL);
        assert_true(parsed.ok && parsed.request.stale);
        parsed_close(&parsed);
        parsed_request(&parsed, line, NULL, NULL);
        assert_true(parsed.ok && !parsed.request.stale);
        parsed_close(&parsed);
        reads++;
    }
    assert_int_equal(reads, 9);
}

static void a_list_without_parameters_is_the_first_page_of_all(void **state)
{
    (void)state;
    static const char *const queries[] = {NULL, "prefix=", "prefix"};
    static const char *const lines[] = {LOCKS, SCHEDULES, GROUPS, FREEZES};
    for (size_t i = 0; i < 12; i++) {
        struct parsed parsed;
        parsed_request(&parsed, lines[i / 3], queries[i % 3], NULL);
        assert_true(parsed.ok);
        assert_slice(parsed.request.list.prefix, NULL);
        assert_slice(parsed.request.list.holder, NULL);
        assert_slice(parsed.request.list.after_id, NULL);
        assert_int_equal(parsed.request.list.after_token, 0);
        assert_int_equal(parsed.request.list.limit, LIMIT_LIST);
        assert_slice(parsed.request.schedule_id, NULL);
        parsed_close(&parsed);
    }
}

static void a_list_takes_all_of_its_parameters(void **state)
{
    (void)state;
    struct parsed parsed;
    parsed_request(&parsed, LOCKS, "after=b.c!7&limit=2&holder=kim!&prefix=.b&consistency=stale", NULL);
    assert_true(parsed.ok && parsed.request.stale);
    assert_slice(parsed.request.list.prefix, ".b");
    assert_slice(parsed.request.list.holder, "kim!");
    assert_slice(parsed.request.list.after_id, "b.c");
    assert_int_equal(parsed.request.list.after_token, 7);
    assert_int_equal(parsed.request.list.limit, 2);
    parsed_close(&parsed);
    parsed_request(&parsed, SCHEDULES, "after=b.c&limit=2&prefix=b", NULL);
    assert_true(parsed.ok);
    assert_slice(parsed.request.list.prefix, "b");
    assert_slice(parsed.request.list.after_id, "b.c");
    assert_int_equal(parsed.request.list.after_token, 0);
    parsed_close(&parsed);
}

/* "name=" and `len` times 'a'. */
static const char *long_value(char *query, size_t size, const char *name, size_t len)
{
    size_t at = (size_t)snprintf(query, size, "%s=", name);
    assert_true(at + len < size);
    memset(query + at, 'a', len);
    query[at + len] = 0;
    return query;
}

static void a_prefix_has_the_alphabet_of_schedule_ids(void **state)
{
    (void)state;
    char query[400];
    assert_taken(LOCKS, long_value(query, sizeof query, "prefix", LIMIT_NAME_BYTES), NULL);
    assert_refused(LOCKS, long_value(query, sizeof query, "prefix", LIMIT_NAME_BYTES + 1), NULL, 400, "invalid_field",
                   "prefix");
    for (unsigned c = 1; c < 256; c++) {
        if (c == '&') {
            continue; /* the test's own separator */
        }
        bool right = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     strchr("._:@~-", (int)c) != NULL;
        (void)snprintf(query, sizeof query, "prefix=a%c", (int)c);
        static const char *const lines[] = {LOCKS, SCHEDULES, GROUPS, FREEZES, "GET /events"};
        for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
            if (right) {
                assert_taken(lines[i], query, NULL);
            } else {
                assert_refused(lines[i], query, NULL, 400, "invalid_field", "prefix");
            }
        }
    }
}

static void a_holder_is_one_to_256_visible_bytes(void **state)
{
    (void)state;
    char query[400];
    assert_taken(LOCKS, long_value(query, sizeof query, "holder", LIMIT_NAME_BYTES), NULL);
    assert_refused(LOCKS, long_value(query, sizeof query, "holder", LIMIT_NAME_BYTES + 1), NULL, 400, "invalid_field",
                   "holder");
    assert_taken(LOCKS, "holder=!~", NULL);
    static const char *const wrong[] = {"", "=", "= ", "=a b", "=a\n", "=\x7f", "=\xc3\xa4"};
    assert_values_refused(LOCKS, "", "holder", wrong, sizeof wrong / sizeof wrong[0]);
}

static void a_page_begins_behind_an_id_or_a_token(void **state)
{
    (void)state;
    char query[400];
    assert_taken(LOCKS, long_value(query, sizeof query, "after", LIMIT_NAME_BYTES), NULL);
    assert_refused(LOCKS, long_value(query, sizeof query, "after", LIMIT_NAME_BYTES + 1), NULL, 400, "invalid_field",
                   "after");
    long_value(query, sizeof query, "after", LIMIT_NAME_BYTES);
    size_t len = strlen(query);
    (void)snprintf(query + len, sizeof query - len, "!9007199254740991");
    struct parsed parsed;
    parsed_request(&parsed, LOCKS, query, NULL);
    assert_true(parsed.ok);
    assert_int_equal(parsed.request.list.after_id.len, LIMIT_NAME_BYTES);
    assert_int_equal(parsed.request.list.after_token, LIMIT_NUMBER_MAX);
    parsed_close(&parsed);
    static const char *const wrong[] = {
        "",           "=",     "=!",    "=!1",   "=.a", "=a b",  "=a!",   "=a!0",
        "=a!x",       "=a!-1", "=a!01", "=a!1!", "=!a", "=a!!1", "=a!1 ", "=a!9007199254740992",
        "=\xc3\xa4!1"};
    assert_values_refused(LOCKS, "", "after", wrong, sizeof wrong / sizeof wrong[0]);
    assert_refused(SCHEDULES, "after=a!1", NULL, 400, "invalid_field", "after"); /* schedules have no tokens */
    assert_refused(SCHEDULES, "after=", NULL, 400, "invalid_field", "after");
}

static void groups_and_freezes_go_on_behind_a_name(void **state)
{
    (void)state;
    struct parsed parsed;
    parsed_request(&parsed, GROUPS, "after=b.c&limit=2&prefix=b", NULL);
    assert_true(parsed.ok);
    assert_slice(parsed.request.list.after_id, "b.c");
    assert_slice(parsed.request.list.prefix, "b");
    assert_int_equal(parsed.request.list.limit, 2);
    parsed_close(&parsed);
    static const char *const scopes[] = {"*", "b-*", "b.c"};
    for (size_t i = 0; i < 3; i++) {
        char query[32];
        (void)snprintf(query, sizeof query, "after=%s&consistency=stale", scopes[i]);
        parsed_request(&parsed, FREEZES, query, NULL);
        assert_true(parsed.ok && parsed.request.stale);
        assert_slice(parsed.request.list.after_id, scopes[i]);
        parsed_close(&parsed);
    }
    static const char *const wrong[] = {"", "=", "=.a", "=a b", "=a!1", "=**", "=*a", "=a*b", "=.*", "=\xc3\xa4"};
    assert_values_refused(GROUPS, "", "after", wrong, sizeof wrong / sizeof wrong[0]);
    assert_values_refused(FREEZES, "", "after", wrong, sizeof wrong / sizeof wrong[0]);
    static const char *const no_name[] = {"=*", "=a*"};
    assert_values_refused(GROUPS, "", "after", no_name, 2);
}

/* Every parameter that there is, on every route: taken, or unknown by name. */
static void each_route_takes_its_parameters_only(void **state)
{
    (void)state;
    static const char *const queries[] = {"token=1", "outcome=failed", "consistency=stale", "prefix=a", "holder=a",
                                          "limit=1", "after=a",        "Token=1",           "x",        "=",
                                          "=1",      "schedule=a",     "renewals=true",     "wait_ms=1"};
    size_t n;
    const struct api_route_row *rows = api_route_rows(&n);
    for (size_t i = 0; i < n; i++) {
        for (size_t q = 0; q < sizeof queries / sizeof queries[0]; q++) {
            char line[128];
            char name[32];
            char body[256];
            char padded[128];
            char wanted[64];
            line_of(line, sizeof line, &rows[i]);
            (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(queries[q], "="), queries[q]);
            (void)snprintf(padded, sizeof padded, " %s ", rows[i].parameters);
            (void)snprintf(wanted, sizeof wanted, " %s ", name);
            if (name[0] == 0 || strstr(padded, wanted) == NULL) {
                assert_refused(line, queries[q], body_of(body, sizeof body, &rows[i]), 400, "unknown_field", name);
                continue;
            }
            char query[64];
            (void)snprintf(query, sizeof query, "%s%s", strcmp(name, "outcome") == 0 ? "token=1&" : "", queries[q]);
            assert_taken(line, query, body_of(body, sizeof body, &rows[i]));
            (void)snprintf(query, sizeof query, "%s&%s", queries[q], queries[q]);
            assert_refused(line, query, NULL, 400, "invalid_field", name);
        }
    }
}

static void what_is_given_twice_is_named_even_when_it_differs(void **state)
{
    (void)state;
    assert_refused(RELEASE, "token=5&token=6", NULL, 400, "invalid_field", "token");
    assert_refused(LOCKS, "limit=1&prefix=a&limit=2", NULL, 400, "invalid_field", "limit");
    assert_refused(LOCKS, "prefix=&prefix=", NULL, 400, "invalid_field", "prefix");
}

static void an_unknown_name_is_shown_in_part(void **state)
{
    (void)state;
    assert_refused("GET /locks/a", "\xff\xfe=1", NULL, 400, "unknown_field", "\xef\xbf\xbd\xef\xbf\xbd");
    char query[1000];
    memset(query, 'q', sizeof query);
    query[sizeof query - 1] = 0;
    char shown[65];
    memset(shown, 'q', 64);
    shown[64] = 0;
    assert_refused("GET /health", query, NULL, 400, "unknown_field", shown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(release_takes_its_token_and_outcome_from_the_query),
        cmocka_unit_test(integers_are_decimal_and_within_their_bounds),
        cmocka_unit_test(words_are_exact),
        cmocka_unit_test(every_read_can_be_stale),
        cmocka_unit_test(a_list_without_parameters_is_the_first_page_of_all),
        cmocka_unit_test(a_list_takes_all_of_its_parameters),
        cmocka_unit_test(a_prefix_has_the_alphabet_of_schedule_ids),
        cmocka_unit_test(a_holder_is_one_to_256_visible_bytes),
        cmocka_unit_test(a_page_begins_behind_an_id_or_a_token),
        cmocka_unit_test(groups_and_freezes_go_on_behind_a_name),
        cmocka_unit_test(each_route_takes_its_parameters_only),
        cmocka_unit_test(what_is_given_twice_is_named_even_when_it_differs),
        cmocka_unit_test(an_unknown_name_is_shown_in_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
