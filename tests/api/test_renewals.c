/* A batch of renewals: what it may hold, how the place of what is wrong is named, and that no body makes it slow or large. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

static void a_batch_is_taken_in_order(void **state)
{
    (void)state;
    struct parsed parsed;
    parsed_request(
        &parsed, RENEW_BATCH, NULL,
        "{\"locks\":[{\"token\":7,\"schedule_id\":\"b.c\",\"ttl_ms\":60000},{\"schedule_id\":\"a\",\"token\":"
        "9007199254740991},{\"schedule_id\":\"b.c\",\"token\":8}]}");
    assert_true(parsed.ok);
    assert_int_equal(parsed.request.route, API_RENEW_BATCH);
    assert_int_equal(parsed.request.command.kind, COMMAND_RENEW_BATCH);
    const struct renew_batch_command *batch = &parsed.request.command.renew_batch;
    assert_int_equal(batch->n_renewals, 3);
    assert_slice(batch->renewals[0].schedule_id, "b.c");
    assert_int_equal(batch->renewals[0].token, 7);
    assert_true(batch->renewals[0].has_ttl);
    assert_int_equal(batch->renewals[0].ttl_ms, 60000);
    assert_slice(batch->renewals[1].schedule_id, "a");
    assert_int_equal(batch->renewals[1].token, LIMIT_NUMBER_MAX);
    assert_false(batch->renewals[1].has_ttl);
    assert_int_equal(batch->renewals[1].ttl_ms, 0);
    assert_int_equal(batch->renewals[2].token, 8);
    parsed_close(&parsed);
}

static void assert_locks_refused(const char *locks, const char *code, const char *field)
{
    char body[1024];
    assert_true(snprintf(body, sizeof body, "{\"locks\":%s}", locks) < (int)sizeof body);
    assert_refused(RENEW_BATCH, NULL, body, 400, code, field);
}

static void the_locks_are_an_array_of_objects(void **state)
{
    (void)state;
    assert_refused(RENEW_BATCH, NULL, "{}", 400, "invalid_field", "locks");
    static const char *const wrong[] = {"[]", "{}", "null", "true", "1", "\"a\"", "\"\"", "{\"0\":{\"token\":1}}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_locks_refused(wrong[i], "invalid_field", "locks");
    }
    static const char *const items[] = {"[]", "null", "true", "1", "\"a\"", "[\"a\",1]"};
    for (size_t i = 0; i < sizeof items / sizeof items[0]; i++) {
        char locks[128];
        (void)snprintf(locks, sizeof locks, "[{\"schedule_id\":\"a\",\"token\":1},%s]", items[i]);
        assert_locks_refused(locks, "invalid_field", "locks[1]");
    }
}

/* A lock, as `locks[2]`, whose member is this JSON; the others are right. */
static const char *third(char *locks, size_t size, const char *member)
{
    (void)snprintf(locks, size, "[{\"schedule_id\":\"a\",\"token\":1},{\"schedule_id\":\"a\",\"token\":2},{%s}]",
                   member);
    return locks;
}

static void each_fields_place_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *lock;
        const char *code;
        const char *field;
    } cases[] = {
        {"", "invalid_field", "locks[2].schedule_id"},
        {"\"token\":1", "invalid_field", "locks[2].schedule_id"},
        {"\"schedule_id\":\"a\"", "invalid_field", "locks[2].token"},
        {"\"schedule_id\":\"a\",\"token\":0", "invalid_field", "locks[2].token"},
        {"\"schedule_id\":\"a\",\"token\":-1", "invalid_field", "locks[2].token"},
        {"\"schedule_id\":\"a\",\"token\":1.0", "invalid_field", "locks[2].token"},
        {"\"schedule_id\":\"a\",\"token\":\"1\"", "invalid_field", "locks[2].token"},
        {"\"schedule_id\":\"a\",\"token\":null", "invalid_field", "locks[2].token"},
        {"\"schedule_id\":\"a\",\"token\":9007199254740992", "invalid_field", "locks[2].token"},
        {"\"schedule_id\":\"a\",\"token\":9223372036854775808", "invalid_field", "locks[2].token"},
        {"\"schedule_id\":\"a\",\"token\":1e400", "invalid_field", "locks[2].token"},
        {"\"schedule_id\":\"a\",\"token\":{\"x\":1,\"x\":2}", "invalid_field", "locks[2].token"},
        {"\"schedule_id\":\"a\",\"token\":[1,2,[\"\\u0000\"]]", "invalid_field", "locks[2].token"},
        {"\"schedule_id\":\"a\",\"token\":3,\"ttl_ms\":0", "invalid_field", "locks[2].ttl_ms"},
        {"\"schedule_id\":\"a\",\"token\":3,\"ttl_ms\":null", "invalid_field", "locks[2].ttl_ms"},
        {"\"schedule_id\":\"a\",\"token\":3,\"ttl_ms\":9007199254740992", "invalid_field", "locks[2].ttl_ms"},
        {"\"schedule_id\":\"\",\"token\":3", "invalid_field", "locks[2].schedule_id"},
        {"\"schedule_id\":\".a\",\"token\":3", "invalid_field", "locks[2].schedule_id"},
        {"\"schedule_id\":\"a b\",\"token\":3", "invalid_field", "locks[2].schedule_id"},
        {"\"schedule_id\":\"a/b\",\"token\":3", "invalid_field", "locks[2].schedule_id"},
        {"\"schedule_id\":\"\xc3\xa4\",\"token\":3", "invalid_field", "locks[2].schedule_id"},
        {"\"schedule_id\":1,\"token\":3", "invalid_field", "locks[2].schedule_id"},
        {"\"schedule_id\":null,\"token\":3", "invalid_field", "locks[2].schedule_id"},
        {"\"schedule_id\":\"a\\u0000\",\"token\":3", "invalid_field", "locks[2].schedule_id"},
        {"\"schedule_id\":\"a\",\"token\":3,\"holder\":\"h\"", "unknown_field", "locks[2].holder"},
        {"\"schedule_id\":\"a\",\"token\":3,\"\":1", "unknown_field", "locks[2]."},
        {"\"schedule_id\":\"a\",\"token\":3,\"token\":3", "invalid_field", "locks[2].token"},
        {"\"token\":3,\"schedule_id\":\"a\",\"schedule_id\":\"a\"", "invalid_field", "locks[2].schedule_id"},
        {"\"schedule_id\":\"a\",\"ttl_ms\":3,\"token\":3,\"ttl_ms\":3", "invalid_field", "locks[2].ttl_ms"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char locks[512];
        assert_locks_refused(third(locks, sizeof locks, cases[i].lock), cases[i].code, cases[i].field);
    }
    /* and around them */
    assert_refused(RENEW_BATCH, NULL, "{\"locks\":[{\"schedule_id\":\"a\",\"token\":1}],\"locks\":[]}", 400,
                   "invalid_field", "locks");
    assert_refused(RENEW_BATCH, NULL, "{\"locks\":[{\"schedule_id\":\"a\",\"token\":1}],\"x\":{\"y\":1,\"y\":1}}", 400,
                   "invalid_field", "x");
    assert_refused(RENEW_BATCH, NULL, "{\"x\":[{},{\"y\":1,\"y\":1}],\"locks\":[]}", 400, "invalid_field", "x");
    assert_refused(RENEW_BATCH, NULL, "{\"locks\":[[{\"y\":1,\"y\":1}]]}", 400, "invalid_field", "locks[0]");
    assert_refused(RENEW_BATCH, NULL, "{\"locks\":[{},\"\\u0000\"]}", 400, "invalid_field", "locks[1]");
    assert_refused(RENEW_BATCH, NULL, "{\"locks\":{\"y\":1,\"y\":1}}", 400, "invalid_field", "locks");
}

static void the_detail_names_the_place_too(void **state)
{
    (void)state;
    char locks[256];
    char body[512];
    (void)snprintf(body, sizeof body, "{\"locks\":%s}",
                   third(locks, sizeof locks, "\"schedule_id\":\"a\",\"token\":0"));
    struct parsed parsed;
    parsed_request(&parsed, RENEW_BATCH, NULL, body);
    assert_false(parsed.ok);
    static const char detail[] = "The field locks[2].token must be an integer from 1 to 9007199254740991, without "
                                 "fraction or exponent.";
    assert_non_null(memmem(parsed.answer.body.base, parsed.answer.body.len, detail, sizeof detail - 1));
    parsed_close(&parsed);
}

static void no_grant_is_renewed_twice(void **state)
{
    (void)state;
    char locks[256];
    assert_locks_refused(third(locks, sizeof locks, "\"schedule_id\":\"a\",\"token\":1"), "invalid_field", "locks[2]");
    assert_locks_refused(third(locks, sizeof locks, "\"schedule_id\":\"a\",\"token\":2,\"ttl_ms\":5"), "invalid_field",
                         "locks[2]");
    assert_locks_refused(third(locks, sizeof locks, "\"token\":2,\"schedule_id\":\"\\u0061\""), "invalid_field",
                         "locks[2]");
    char body[512];
    (void)snprintf(body, sizeof body, "{\"locks\":%s}",
                   third(locks, sizeof locks, "\"schedule_id\":\"b\",\"token\":1"));
    assert_taken(RENEW_BATCH, NULL, body);
}

/* `n` renewals with ids of `id_len` bytes; whoever calls frees it. Of the last one the token is `last_token`. */
static char *long_batch(size_t n, size_t id_len, unsigned last_token)
{
    size_t size = 16 + n * (id_len + 96);
    char *body = malloc(size);
    assert_non_null(body);
    size_t len = (size_t)snprintf(body, size, "{\"locks\":[");
    for (size_t i = 0; i < n; i++) {
        len += (size_t)snprintf(body + len, size - len, "%s{\"schedule_id\":\"", i == 0 ? "" : ",");
        memset(body + len, 'x', id_len);
        len += id_len;
        len += (size_t)snprintf(body + len, size - len, "\",\"token\":%zu,\"ttl_ms\":9007199254740991}",
                                i + 1 == n ? (size_t)last_token : i + 1);
    }
    (void)snprintf(body + len, size - len, "]}");
    return body;
}

static void a_thousand_are_taken_and_not_one_more(void **state)
{
    (void)state;
    char *body = long_batch(LIMIT_RENEWALS, LIMIT_NAME_BYTES, LIMIT_RENEWALS);
    assert_true(strlen(body) <= LIMIT_BATCH_BODY_BYTES);
    struct parsed parsed;
    parsed_request(&parsed, RENEW_BATCH, NULL, body);
    assert_true(parsed.ok); /* within the memory of one request */
    assert_int_equal(parsed.request.command.renew_batch.n_renewals, LIMIT_RENEWALS);
    assert_int_equal(parsed.request.command.renew_batch.renewals[LIMIT_RENEWALS - 1].token, LIMIT_RENEWALS);
    parsed_close(&parsed);
    free(body);
    body = long_batch(LIMIT_RENEWALS + 1, 1, LIMIT_RENEWALS + 1);
    assert_refused(RENEW_BATCH, NULL, body, 400, "invalid_field", "locks");
    free(body);
    body = long_batch(LIMIT_RENEWALS, LIMIT_NAME_BYTES + 1, LIMIT_RENEWALS);
    assert_refused(RENEW_BATCH, NULL, body, 400, "invalid_field", "locks[0].schedule_id");
    free(body);
    body = long_batch(LIMIT_RENEWALS, 5, 1);
    assert_refused(RENEW_BATCH, NULL, body, 400, "invalid_field", "locks[999]");
    free(body);
}

static void a_request_with_less_memory_is_refused(void **state)
{
    (void)state;
    char *body = long_batch(LIMIT_RENEWALS, LIMIT_NAME_BYTES, LIMIT_RENEWALS);
    const struct api_input input = {.method = slice_of("POST"), .path = slice_of("/renew"), .body = slice_of(body)};
    const size_t whole = LIMIT_RENEWALS * (sizeof(struct renew_command) + LIMIT_NAME_BYTES + 1 + sizeof(void *));
    static const size_t limits[] = {1, 1000, 45000, 200000};
    for (size_t i = 0; i <= sizeof limits / sizeof limits[0]; i++) {
        bool enough = i == sizeof limits / sizeof limits[0];
        struct arena arena;
        struct api_request request;
        struct api_answer answer;
        arena_init(&arena, enough ? whole : limits[i]);
        api_answer_init(&answer);
        assert_int_equal(api_parse(&input, &arena, &request, &answer), enough);
        if (!enough) {
            assert_problem(&answer, 400, "invalid_field", NULL);
        }
        arena_close(&arena);
        api_answer_close(&answer);
    }
    free(body);
}

static void the_body_may_be_longer_than_others(void **state)
{
    (void)state;
    assert_int_equal(api_body_limit(slice_of("POST"), slice_of("/renew")), LIMIT_BATCH_BODY_BYTES);
    static const char *const others[][2] = {{"PUT", "/renew"},   {"GET", "/renew"},          {"post", "/renew"},
                                            {"POST", "/renew/"}, {"POST", "/locks/a/renew"}, {"POST", "/"},
                                            {"POST", ""},        {"POST", "/%72enew"}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_int_equal(api_body_limit(slice_of(others[i][0]), slice_of(others[i][1])), LIMIT_BODY_BYTES);
    }
}

/* `unit` repeated between `begin` and the bound of the body. */
static void assert_filled_refused(const char *begin, const char *unit, const char *code, const char *field)
{
    char *body = malloc(LIMIT_BATCH_BODY_BYTES);
    assert_non_null(body);
    size_t len = strlen(begin);
    memcpy(body, begin, len);
    size_t step = strlen(unit);
    for (; len + step <= LIMIT_BATCH_BODY_BYTES; len += step) {
        memcpy(body + len, unit, step);
    }
    const struct api_input input = {
        .method = slice_of("POST"), .path = slice_of("/renew"), .body = {.base = (const uint8_t *)body, .len = len}};
    struct parsed parsed;
    parsed_input(&parsed, &input);
    assert_false(parsed.ok);
    assert_problem(&parsed.answer, 400, code, field);
    parsed_close(&parsed);
    free(body);
}

static size_t allocated;
static size_t most_allocated;

static void *counted_malloc(size_t size)
{
    size_t *block = malloc(size + 16);
    assert_non_null(block);
    block[0] = size;
    allocated += size;
    most_allocated = allocated > most_allocated ? allocated : most_allocated;
    return (char *)block + 16;
}

static void counted_free(void *at)
{
    if (at != NULL) {
        size_t *block = (size_t *)(void *)((char *)at - 16);
        allocated -= block[0];
        free(block);
    }
}

/* Each of the 512 KiB could become a hundred bytes of the parser's, were it not counted before. */
static void what_no_request_needs_is_refused_before_it_is_parsed(void **state)
{
    (void)state;
    json_set_alloc_funcs(counted_malloc, counted_free);
    most_allocated = 0;
    static const char *const units[] = {
        "{},", "[],", "1,", "\"\",", "null,", "[", "[[],", "{\"a\":", "{\"a\":[],\"b\":1},", ",", "{", "true,{"};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        assert_filled_refused("{\"locks\":[", units[i], "invalid_field", "locks");
    }
    assert_filled_refused("[", "[],", "invalid_field", "body");
    assert_filled_refused("{\"x\":{", "\"a\":1,", "invalid_field", "x");
    assert_true(most_allocated < 4096); /* nothing of them was parsed, but for the problems, by this test */
    /* and the longest batch, as a measure */
    char *body = long_batch(LIMIT_RENEWALS, LIMIT_NAME_BYTES, LIMIT_RENEWALS);
    assert_taken(RENEW_BATCH, NULL, body);
    free(body);
    assert_true(most_allocated > 0 && most_allocated < 4u * LIMIT_BATCH_BODY_BYTES);
    assert_int_equal(allocated, 0);
    json_set_alloc_funcs(malloc, free);
}

/* `n` values, the outermost object, the array and the last unknown field included. */
static void assert_values(size_t n, const char *code, const char *field)
{
    char *body = malloc(2 * n + 64);
    assert_non_null(body);
    size_t len = (size_t)sprintf(body, "{\"x\":[");
    for (size_t i = 2; i < n; i++) {
        len += (size_t)sprintf(body + len, "%s1", i == 2 ? "" : ",");
    }
    (void)sprintf(body + len, "]}");
    assert_refused(RENEW_BATCH, NULL, body, 400, code, field);
    free(body);
}

static void so_many_values_are_parsed_and_not_one_more(void **state)
{
    (void)state;
    assert_values(LIMIT_JSON_VALUES, "unknown_field", "x");
    assert_values(LIMIT_JSON_VALUES + 2, "invalid_field", "x");
}

/* In a text no bracket and no comma counts. */
static void texts_are_not_counted(void **state)
{
    (void)state;
    char *body = malloc(LIMIT_BODY_BYTES);
    assert_non_null(body);
    size_t len = (size_t)sprintf(body, "{\"holder\":\"");
    memset(body + len, ',', 20000);
    memset(body + len + 20000, '[', 20000);
    (void)sprintf(body + len + 40000, "\"}");
    assert_refused(ACQUIRE, NULL, body, 400, "invalid_field", "holder");
    assert_refused(RENEW_BATCH, NULL, body, 400, "unknown_field", "holder");
    free(body);
}

/* Not one of a valid batch with a few bytes replaced does more than be refused. */
static void random_damage_never_crashes(void **state)
{
    (void)state;
    static const char batch[] =
        "{\"locks\":[{\"schedule_id\":\"a\",\"token\":1},{\"token\":2,\"ttl_ms\":5,\"schedule_id\":"
        "\"b\\u0063\"},{\"schedule_id\":\"a\",\"token\":3}]}";
    uint64_t seed = 0x9e3779b97f4a7c15u;
    for (int round = 0; round < 60000; round++) {
        size_t len = sizeof batch - 1 - (random_next(&seed) % 8 == 0 ? random_next(&seed) % (sizeof batch - 1) : 0);
        uint8_t *bytes = malloc(len);
        assert_non_null(bytes);
        memcpy(bytes, batch, len);
        for (size_t n = random_next(&seed) % 5; n > 0; n--) {
            size_t at = random_next(&seed) % len;
            bytes[at] = random_next(&seed) % 2 ? (uint8_t)random_next(&seed) : (uint8_t)batch[random_next(&seed) % len];
        }
        const struct api_input input = {
            .method = slice_of("POST"), .path = slice_of("/renew"), .body = {.base = bytes, .len = len}};
        struct parsed parsed;
        parsed_input(&parsed, &input);
        if (!parsed.ok) {
            assert_int_equal(parsed.answer.status, 400);
        }
        parsed_close(&parsed);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_is_taken_in_order),
        cmocka_unit_test(the_locks_are_an_array_of_objects),
        cmocka_unit_test(each_fields_place_is_named),
        cmocka_unit_test(the_detail_names_the_place_too),
        cmocka_unit_test(no_grant_is_renewed_twice),
        cmocka_unit_test(a_thousand_are_taken_and_not_one_more),
        cmocka_unit_test(a_request_with_less_memory_is_refused),
        cmocka_unit_test(the_body_may_be_longer_than_others),
        cmocka_unit_test(what_no_request_needs_is_refused_before_it_is_parsed),
        cmocka_unit_test(so_many_values_are_parsed_and_not_one_more),
        cmocka_unit_test(texts_are_not_counted),
        cmocka_unit_test(random_damage_never_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
