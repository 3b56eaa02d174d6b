/* request: what the files share that make a request of an input. */
#ifndef BATON_API_REQUEST_H
#define BATON_API_REQUEST_H

#include <jansson.h>

#include "api/api.h"

/* ---- names.c ---- */

/* As a schedule id: 1 to LIMIT_NAME_BYTES of its alphabet, the first a letter or a digit. */
bool schedule_id_is_valid(struct slice name);
/* What a freeze may be for: "*", a schedule id, or the beginning of one and then '*'. */
bool scope_is_valid(struct slice scope);
/* As the beginning of one: 0 to LIMIT_NAME_BYTES of its alphabet. */
bool prefix_is_valid(struct slice prefix);
/* 1 to `max` bytes of printable ASCII without spaces. */
bool text_is_visible(struct slice text, size_t max);
/* Decimal digits without a sign or leading zeros, 1 to `max`. */
bool number_parse(struct slice text, uint64_t max, uint64_t *number) MUST_CHECK;
/* False for a bad escape, or when the arena is full. The result may hold any bytes. */
bool percent_decode(struct slice encoded, struct arena *arena, struct slice *decoded) MUST_CHECK;

/* ---- event.c ---- */

/* Fills the last id from the header (absent: none). What can't be read is no problem: such a reader gets `reset`. */
void parse_last_event_id(struct slice header, struct api_events *events);

/* ---- query.c ---- */

/* Fills `request` from the parameters; `row` says which of them its route takes. */
bool query_parse(const struct api_input *input, const struct api_route_row *row, struct api_request *request,
                 struct api_answer *answer) MUST_CHECK;

/* ---- load.c ---- */

/* The object that the body is, or NULL and a problem. The caller gives it back with json_decref. `array` is the field, if
 * any, that is an array of objects with fields of their own, which problems then name (NULL: none is). */
json_t *body_load(struct slice body, const char *array, struct api_answer *answer) MUST_CHECK;

/* ---- body.c ---- */

/* Fills request->command from the body, which routes without fields must not have. */
bool body_parse(struct slice body, struct arena *arena, struct api_request *request, struct api_answer *answer)
    MUST_CHECK;

#endif
