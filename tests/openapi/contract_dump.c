/* contract_dump: what the server's tables say of the contract, as JSON on standard output; compare.py holds it against
 * openapi/baton.yaml. Names in these tables hold nothing that JSON would have to escape. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"

static const char *kind_name(enum api_kind kind)
{
    switch (kind) {
    case API_KIND_LOCAL:
        return "local";
    case API_KIND_READ:
        return "read";
    case API_KIND_WRITE:
        return "write";
    case API_KIND_STREAM:
        return "stream";
    }
    return "unknown";
}

static void print_fields(const char *key, enum api_route route,
                         bool (*next)(enum api_route route, size_t i, struct api_field *field))
{
    struct api_field field;
    printf("\"%s\": [", key);
    for (size_t i = 0; next(route, i, &field); i++) {
        printf("%s\n    {\"name\": \"%s\", \"type\": \"%s\", \"required\": %s, \"nullable\": %s, \"min\": %" PRIu64
               ", \"max\": %" PRIu64 ", \"otherwise\": %" PRIu64 "}",
               i == 0 ? "" : ",", field.name, field.type, field.required ? "true" : "false",
               field.nullable ? "true" : "false", field.min, field.max, field.otherwise);
    }
    printf("]");
}

static void print_routes(void)
{
    size_t n;
    const struct api_route_row *rows = api_route_rows(&n);
    printf("\"routes\": [");
    for (size_t i = 0; i < n; i++) {
        printf("%s\n  {\"method\": \"%s\", \"path\": \"%s\", \"kind\": \"%s\", \"parameters\": \"%s\", ",
               i == 0 ? "" : ",", rows[i].method, rows[i].path, kind_name(rows[i].kind), rows[i].parameters);
        print_fields("fields", rows[i].route, api_field);
        printf(", ");
        print_fields("items", rows[i].route, api_item_field);
        printf("}");
    }
    printf("],\n");
}

static void print_codes(void)
{
    size_t n;
    const struct api_code_row *rows = api_code_rows(&n);
    printf("\"codes\": [");
    for (size_t i = 0; i < n; i++) {
        printf("%s\n  {\"code\": \"%s\", \"status\": %u}", i == 0 ? "" : ",", rows[i].code, rows[i].status);
    }
    printf("],\n");
}

/* The refusals of core: what a command can be answered, beside being done. */
static void print_outcomes(void)
{
    static const char *const outcomes[] = {
#define X(name, text) text,
        OUTCOME_TABLE(X)
#undef X
    };
    printf("\"outcomes\": [");
    for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
        printf("%s\"%s\"", i == 0 ? "" : ", ", outcomes[i]);
    }
    printf("]\n");
}

/* What is behind `before` in the next line of `text`; takes the line off. */
static struct slice take_line(struct slice *text, const char *before)
{
    const uint8_t *end = memchr(text->base, '\n', text->len);
    CHECK(end != NULL);
    size_t len = (size_t)(end - text->base);
    size_t skipped = strlen(before);
    CHECK(len >= skipped && memcmp(text->base, before, skipped) == 0);
    struct slice line = {.base = text->base + skipped, .len = len - skipped};
    text->base += len + 1;
    text->len -= len + 1;
    return line;
}

/* `text` is one event: its kind, and its data with the members that every event of this kind has. */
static void print_event(struct slice text, bool has_id, const char *separator)
{
    if (has_id) {
        (void)take_line(&text, "id: ");
    }
    struct slice kind = take_line(&text, "event: ");
    struct slice data = take_line(&text, "data: ");
    printf("%s\n  \"%.*s\": {\"has_id\": %s, \"data\": %.*s}", separator, SLICE_PRINT(kind), has_id ? "true" : "false",
           SLICE_PRINT(data));
}

static void print_events(void)
{
    struct buffer text;
    buffer_init(&text);
    printf("\"events\": {");
    for (int kind = EVENT_GRANTED; kind <= EVENT_FREEZE; kind++) {
        const struct event event = {.kind = (enum event_kind)kind};
        buffer_clear(&text);
        api_render_event(1, &event, &text);
        print_event(buffer_slice(&text), true, kind == EVENT_GRANTED ? "" : ",");
    }
    const struct api_request request = {.route = API_ACQUIRE, .command = {.kind = COMMAND_ACQUIRE}};
    const struct outcome outcome = {.code = OUTCOME_COOLING_DOWN};
    buffer_clear(&text);
    api_render_event_refused(&request, &outcome, 0, &text);
    print_event(buffer_slice(&text), false, ",");
    buffer_clear(&text);
    api_render_event_leader(NULL, 1, 0, &text);
    print_event(buffer_slice(&text), false, ",");
    buffer_clear(&text);
    api_render_event_reset(1, 1, &text);
    print_event(buffer_slice(&text), false, ",");
    printf("},\n");
    buffer_close(&text);
}

int main(void)
{
    printf("{\"version\": \"%s\",\n", BATON_VERSION);
    print_routes();
    print_codes();
    print_events();
    print_outcomes();
    printf("}\n");
    return ferror(stdout) || fflush(stdout) != 0;
}
