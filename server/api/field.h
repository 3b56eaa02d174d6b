/* field: what the files share that take a body apart. A body is a table of fields; each row says what its value may be, and
 * where in the request it goes. */
#ifndef BATON_API_FIELD_H
#define BATON_API_FIELD_H

#include "api/request.h"

enum field_kind {
    FIELD_VISIBLE, /* string of printable ASCII without spaces */
    FIELD_NAME,    /* string formed like a schedule id */
    FIELD_TEXT,    /* string of UTF-8; when it may be empty, "" means none */
    FIELD_NUMBER,
    FIELD_COUNT, /* a number that is an uint32_t in its command */
    FIELD_FLAG,
    FIELD_OBJECT,
    FIELD_RENEWALS, /* array of objects, whose own fields are a table beside the others */
};

struct field_row {
    const char *name;
    enum field_kind kind;
    bool required;
    bool nullable; /* null is the same as left out */
    uint64_t min;  /* bytes of a string, value of a number, items of an array */
    uint64_t max;
    uint64_t otherwise; /* value of a number that isn't given */
    size_t at;          /* of the value in the request */
    size_t given_at;    /* of the bool that says it was given */
};

struct field_list {
    const struct field_row *rows;
    size_t n;
};

/* What a route's command is made of. */
struct body_row {
    enum api_route route;
    enum command_kind kind;
    size_t subject_at;        /* of the name that stands in the path, in the request; 0: there is none */
    struct field_list fields; /* no rows: there must be no body */
};

/* Where an object with fields stands in the body: it is the body, or an item of an array in it. */
struct field_place {
    const char *array; /* NULL: the body itself */
    size_t item;
};

/* One value on its way into the request. */
struct given {
    const struct field_row *row;
    struct field_place place;
    const json_t *value;
    struct arena *arena;
    struct api_request *request;
    struct api_answer *answer;
};

/* ---- fields.c ---- */

const struct body_row *body_row(enum api_route route); /* NULL: a route without a command */
/* Of the items of an array of renewals; they go into command.renew. */
const struct field_list *renewal_fields(void);

/* ---- body.c ---- */

/* Takes every member of `object` as the field that it is; `given` is all but its row and value. */
bool take_object_fields(const struct field_list *fields, json_t *object, struct given given) MUST_CHECK;

/* ---- value.c, metadata.c, renewals.c ---- */

/* Copies `value` to `at` in the request; 0 is nowhere. */
void request_set(struct api_request *request, size_t at, const void *value, size_t size);
void request_set_number(struct api_request *request, const struct field_row *row, uint64_t number);

/* Takes one value, or refuses it and names the place. */
bool take_value(const struct given *given) MUST_CHECK;
bool take_metadata(const struct given *given) MUST_CHECK;
bool take_renewals(const struct given *given) MUST_CHECK;
bool take_copy(const struct given *given, struct slice text) MUST_CHECK; /* of a text that was found right */

/* Refused, and false: "The field PLACE must be …", with `must` as the rest. */
bool refuse_value(const struct given *given, const char *must, ...) PRINTF_LIKE(2, 3);
/* … with a whole sentence, and another code. `name` is of a member of the object at `place`; NULL: the object itself. */
bool refuse_member(const struct given *given, enum api_code code, const char *name, const char *detail, ...)
    PRINTF_LIKE(4, 5);

#endif
