/* json: what the files of this room share: problems with a field, and jansson with our rules. */
#ifndef BATON_API_JSON_H
#define BATON_API_JSON_H

#include <jansson.h>

#include "api/api.h"

/* Refused: fills `answer` and returns false, so that a parser can `return refuse(…)`. `field` names the place; it may
 * come from the client and be any bytes. The detail is a sentence. */
bool refuse(struct api_answer *answer, enum api_code code, struct slice field, const char *detail, ...)
    PRINTF_LIKE(4, 5);

/* A new string of any bytes: what isn't UTF-8 is shown as U+FFFD. */
json_t *json_text(struct slice text);
json_t *json_text_or_null(struct slice text); /* null for the absent slice */
json_t *json_number(uint64_t number);         /* clamped to what jansson holds: 2^63 − 1 */
json_t *json_instant(int64_t wall_ms);
/* Sets a new value; what jansson can't allocate aborts. */
void json_put(json_t *object, const char *key, json_t *value);
void json_append(const json_t *value, size_t flags, struct buffer *text);

/* Starts an answer: status, type, and the body from `object`, whose reference it takes. */
void answer_with(struct api_answer *answer, unsigned status, json_t *object);
/* A problem object (RFC 9457) with the members that all problems have, and its answer. `row` is of the table. */
json_t *problem_new(const struct api_code_row *row, const char *detail);
void answer_with_problem(struct api_answer *answer, const struct api_code_row *row, json_t *problem);

const struct api_code_row *code_row(enum api_code code);
const struct api_code_row *code_row_named(const char *code); /* aborts when there is none */

/* ---- body.c ---- */

/* Fills request->command from the body of an acquire or a renew. */
bool body_parse(struct slice body, struct arena *arena, struct api_request *request, struct api_answer *answer)
    MUST_CHECK;
/* 1 to `max` bytes of printable ASCII without spaces. */
bool text_is_visible(struct slice text, size_t max);

#endif
