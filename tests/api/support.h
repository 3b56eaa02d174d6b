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

void assert_slice(struct slice slice, const char *text); /* NULL: absent */

#endif
