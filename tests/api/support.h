/* support: one request through api_parse, and what a test asks of the result. */
#ifndef BATON_TESTS_API_SUPPORT_H
#define BATON_TESTS_API_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/api.h"
#include "base/limits.h"

struct parsed {
    struct arena arena;
    struct api_request request;
    struct api_answer answer;
    bool ok;
};

void parsed_input(struct parsed *parsed, const struct api_input *input);
/* "POST /locks/a" with `body` (NULL: none) and pairs "name=value&name"; nothing is decoded. */
void parsed_request(struct parsed *parsed, const char *line, const char *query, const char *body);
void parsed_close(struct parsed *parsed);

/* The answer is a whole problem of this code; `field` (NULL: not looked at) is what it names. */
void assert_problem(const struct api_answer *answer, unsigned status, const char *code, const char *field);

/* One request, expected to be refused or taken. */
void assert_refused(const char *line, const char *query, const char *body, unsigned status, const char *code,
                    const char *field);
void assert_taken(const char *line, const char *query, const char *body);

/* The requests that have a body. */
#define ACQUIRE     "POST /locks/a"
#define RENEW       "POST /locks/a/renew"
#define RENEW_BATCH "POST /renew"
#define REVOKE      "POST /locks/a/revoke"
#define PUT         "PUT /schedules/a"
#define PUT_GROUP   "PUT /groups/a"
#define PUT_FREEZE  "PUT /freezes/a"

/* A body for `line` with `field` set to `json`, and whatever else the request needs; with the field NULL just that. */
void body_with(char *body, size_t size, const char *line, const char *field, const char *json);
/* … which is refused with invalid_field, naming the field, or taken. */
void assert_value_refused(const char *line, const char *field, const char *json);
void assert_value_taken(const char *line, const char *field, const char *json);

/* A row of the table as a request: "GET /locks/a", and the least body that it takes (NULL: none). */
void line_of(char *line, size_t size, const struct api_route_row *row);
const char *body_of(char *body, size_t size, const struct api_route_row *row);

/* xorshift64: any sequence does, as long as it is the same each time. */
uint64_t random_next(uint64_t *seed);

void assert_slice(struct slice slice, const char *text); /* NULL: absent */

#endif
