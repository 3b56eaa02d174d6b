/* json: writes JSON, and the answers and problems that are made of it. Reading it is jansson's (load.c); writing is done
 * here, straight into the answer, because a page of a thousand locks must not hold the loop up. */
#ifndef BATON_API_JSON_H
#define BATON_API_JSON_H

#include "api/api.h"

/* Compact JSON at the end of `text`. Every function writes one member of an object, or with the key NULL one item of an
 * array or the outermost value; commas come by themselves. Keys are literals that need no escape. */
struct json_writer {
    struct buffer *text;
    bool follows; /* a value stands before the next one */
};

void json_begin(struct json_writer *json, const char *key, char bracket); /* '{' or '[' */
void json_end(struct json_writer *json, char bracket);                    /* '}' or ']' */
/* Any bytes: each that isn't UTF-8 is shown as U+FFFD. */
void json_put_text(struct json_writer *json, const char *key, struct slice text);
void json_put_text_or_null(struct json_writer *json, const char *key,
                           struct slice text); /* null for the absent slice */
void json_put_word(struct json_writer *json, const char *key, const char *word);
void json_put_number(struct json_writer *json, const char *key, uint64_t number);
void json_put_instant(struct json_writer *json, const char *key, int64_t wall_ms);
void json_put_flag(struct json_writer *json, const char *key, bool flag);
void json_put_null(struct json_writer *json, const char *key);
/* What is JSON already. */
void json_put_raw(struct json_writer *json, const char *key, struct slice value);

/* ---- answers ---- */

/* Begins an answer: status, type, and the object that is its body, which answer_end closes. */
struct json_writer answer_begin(struct api_answer *answer, unsigned status);
void answer_end(struct json_writer *json);
/* … a problem (RFC 9457), with the members that all problems have. `row` is of the table. */
struct json_writer problem_begin(struct api_answer *answer, const struct api_code_row *row, const char *detail);
/* These members alone, for a problem inside of an answer. */
void problem_put_members(struct json_writer *json, const struct api_code_row *row, const char *detail);

/* Refused: fills `answer` and returns false, so that a parser can `return refuse(…)`. `field` names the place; it may
 * come from the client and be any bytes. The detail is a sentence. */
bool refuse(struct api_answer *answer, enum api_code code, struct slice field, const char *detail, ...)
    PRINTF_LIKE(4, 5);

const struct api_code_row *code_row(enum api_code code);
const struct api_code_row *code_row_named(const char *code); /* aborts when there is none */

#endif
