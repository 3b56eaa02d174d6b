/* contract_dump: what the server's tables say of the contract, as JSON on standard output; compare.py holds it against
 * openapi/baton.yaml. Names in these tables hold nothing that JSON would have to escape. */
#include <inttypes.h>
#include <stdio.h>

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

int main(void)
{
    printf("{\"version\": \"%s\",\n", BATON_VERSION);
    print_routes();
    print_codes();
    print_outcomes();
    printf("}\n");
    return ferror(stdout) || fflush(stdout) != 0;
}
