/* See support.h. */
#include "support.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

void parsed_input(struct parsed *parsed, const struct api_input *input)
{
    arena_init(&parsed->arena, LIMIT_REQUEST_BYTES);
    api_answer_init(&parsed->answer);
    parsed->ok = api_parse(input, &parsed->arena, &parsed->request, &parsed->answer);
    assert_int_equal(parsed->ok, parsed->answer.status == 0);
}

static size_t split_query(const char *query, struct api_pair *pairs, size_t max)
{
    size_t n = 0;
    while (query != NULL && *query != 0) {
        assert_true(n < max);
        size_t len = strcspn(query, "&");
        const char *equals = memchr(query, '=', len);
        size_t name_len = equals == NULL ? len : (size_t)(equals - query);
        pairs[n].name = (struct slice){.base = (const uint8_t *)query, .len = name_len};
        pairs[n].value = equals == NULL
                             ? (struct slice){0}
                             : (struct slice){.base = (const uint8_t *)equals + 1, .len = len - name_len - 1};
        n++;
        query += len + (query[len] == '&');
    }
    return n;
}

void parsed_request(struct parsed *parsed, const char *line, const char *query, const char *body)
{
    struct api_pair pairs[8];
    const char *space = strchr(line, ' ');
    assert_non_null(space);
    struct api_input input = {
        .method = {.base = (const uint8_t *)line, .len = (size_t)(space - line)},
        .path = slice_of(space + 1),
        .query = pairs,
        .n_query = split_query(query, pairs, 8),
        .body = slice_of(body == NULL ? "" : body),
    };
    parsed_input(parsed, &input);
}

void parsed_close(struct parsed *parsed)
{
    arena_close(&parsed->arena);
    api_answer_close(&parsed->answer);
}

static const char *member(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

void assert_problem(const struct api_answer *answer, unsigned status, const char *code, const char *field)
{
    json_error_t error;
    json_t *problem = json_loadb((const char *)answer->body.base, answer->body.len, JSON_REJECT_DUPLICATES, &error);
    assert_non_null(problem);
    assert_string_equal(member(problem, "code"), code);
    assert_int_equal(answer->status, status);
    assert_string_equal(answer->content_type, "application/problem+json");
    assert_int_equal(json_integer_value(json_object_get(problem, "status")), status);
    const char *type = member(problem, "type");
    assert_memory_equal(type, "urn:baton:problem:", 18);
    assert_string_equal(type + 18, code);
    assert_true(strlen(member(problem, "title")) > 0);
    assert_true(strlen(member(problem, "detail")) > 0);
    assert_int_equal(answer->retry_after_s > 0, status == 503);
    if (field != NULL) {
        assert_non_null(member(problem, "field"));
        assert_string_equal(member(problem, "field"), field);
    }
    json_decref(problem);
}

void assert_refused(const char *line, const char *query, const char *body, unsigned status, const char *code,
                    const char *field)
{
    struct parsed parsed;
    parsed_request(&parsed, line, query, body);
    if (parsed.ok) {
        fail_msg("%s?%s %s was taken", line, query == NULL ? "" : query, body == NULL ? "" : body);
    }
    assert_problem(&parsed.answer, status, code, field);
    parsed_close(&parsed);
}

void assert_taken(const char *line, const char *query, const char *body)
{
    struct parsed parsed;
    parsed_request(&parsed, line, query, body);
    if (!parsed.ok) {
        fail_msg("%s?%s %s was refused: %.*s", line, query == NULL ? "" : query, body == NULL ? "" : body,
                 SLICE_PRINT(buffer_slice(&parsed.answer.body)));
    }
    parsed_close(&parsed);
}

static const struct {
    const char *line;
    const char *field;
    const char *json;
} needs[] = {
    {ACQUIRE, "holder", "\"h\""},
    {RENEW, "token", "1"},
    {RENEW_BATCH, "locks", "[{\"schedule_id\":\"a\",\"token\":1}]"},
    {REVOKE, "reason", "\"r\""},
    {REVOKE, "actor", "\"a\""},
    {PUT, "safety_margin_ms", "0"}, /* so that the other fields may be at their bounds */
    {PUT_GROUP, "slots", "1"},
    {PUT_FREEZE, "reason", "\"r\""},
    {PUT_FREEZE, "actor", "\"a\""},
    {PUT_FREEZE, "ttl_ms", "1"},
};

void body_with(char *body, size_t size, const char *line, const char *field, const char *json)
{
    const char *separator = "";
    size_t len = (size_t)snprintf(body, size, "{");
    if (field != NULL) {
        len += (size_t)snprintf(body + len, size - len, "\"%s\":%s", field, json);
        separator = ",";
    }
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
        if (strcmp(needs[i].line, line) == 0 && (field == NULL || strcmp(needs[i].field, field) != 0)) {
            assert_true(len < size);
            len += (size_t)snprintf(body + len, size - len, "%s\"%s\":%s", separator, needs[i].field, needs[i].json);
            separator = ",";
        }
    }
    assert_true(len + 1 < size);
    memcpy(body + len, "}", 2);
}

void assert_value_refused(const char *line, const char *field, const char *json)
{
    char body[8192];
    body_with(body, sizeof body, line, field, json);
    assert_refused(line, NULL, body, 400, "invalid_field", field);
}

void assert_value_taken(const char *line, const char *field, const char *json)
{
    char body[8192];
    body_with(body, sizeof body, line, field, json);
    assert_taken(line, NULL, body);
}

void line_of(char *line, size_t size, const struct api_route_row *row)
{
    size_t len = strcspn(row->path, "{");
    const char *end = strchr(row->path, '}');
    int written = snprintf(line, size, "%s %.*s%s%s", row->method, (int)len, row->path, end == NULL ? "" : "a",
                           end == NULL ? "" : end + 1);
    assert_true(written < (int)size);
}

const char *body_of(char *body, size_t size, const struct api_route_row *row)
{
    char line[128];
    line_of(line, sizeof line, row);
    if (strcmp(row->method, "POST") != 0 && strcmp(row->method, "PUT") != 0) {
        return NULL;
    }
    body_with(body, size, line, NULL, NULL);
    return body;
}

uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

void assert_slice(struct slice slice, const char *text)
{
    if (!slice_equal(slice, slice_of(text))) {
        fail_msg("expected %s, got %.*s", text == NULL ? "nothing" : text, SLICE_PRINT(slice));
    }
}
