/* value: one value of a body, by its kind. Numbers are integers only: a client that sends 1e3 or 1.0 computes in floats, and
 * a token must not pass through one. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/field.h"
#include "api/json.h"
#include "base/limits.h"

#define PLACE_BYTES 128u /* what is shown of a name that the client made up is less (code.c) */
#define MUST_BYTES  256u

/* ---- refusing ---- */

static struct slice render_place(struct field_place place, const char *name, char text[PLACE_BYTES])
{
    int len;
    if (place.array == NULL) {
        len = snprintf(text, PLACE_BYTES, "%s", name);
    } else {
        len = snprintf(text, PLACE_BYTES, "%s[%zu]%s%s", place.array, place.item, name == NULL ? "" : ".",
                       name == NULL ? "" : name);
    }
    CHECK(len >= 0);
    return slice_of(text);
}

bool refuse_member(const struct given *given, enum api_code code, const char *name, const char *detail, ...)
{
    char place[PLACE_BYTES];
    char sentence[MUST_BYTES];
    va_list arguments;
    va_start(arguments, detail);
    (void)vsnprintf(sentence, sizeof sentence, detail, arguments);
    va_end(arguments);
    return refuse(given->answer, code, render_place(given->place, name, place), "%s", sentence);
}

bool refuse_value(const struct given *given, const char *must, ...)
{
    char place[PLACE_BYTES];
    char rest[MUST_BYTES];
    va_list arguments;
    va_start(arguments, must);
    (void)vsnprintf(rest, sizeof rest, must, arguments);
    va_end(arguments);
    struct slice field = render_place(given->place, given->row->name, place);
    return refuse(given->answer, API_INVALID_FIELD, field, "The field %s must %s%s", place, rest,
                  given->row->nullable ? ", or null for none." : ".");
}

/* ---- setting ---- */

void request_set(struct api_request *request, size_t at, const void *value, size_t size)
{
    if (at != 0) {
        memcpy((uint8_t *)request + at, value, size);
    }
}

void request_set_number(struct api_request *request, const struct field_row *row, uint64_t number)
{
    uint32_t narrow = (uint32_t)number;
    if (row->kind == FIELD_COUNT) {
        request_set(request, row->at, &narrow, sizeof narrow);
    } else {
        request_set(request, row->at, &number, sizeof number);
    }
}

bool take_copy(const struct given *given, struct slice text)
{
    struct slice copy = arena_copy(given->arena, text);
    request_set(given->request, given->row->at, &copy, sizeof copy);
    return slice_is_present(copy) ||
           refuse_member(given, API_INVALID_FIELD, given->row->name, "The body holds too much: send less.");
}

/* ---- by kind ---- */

static struct slice string_of(const json_t *value)
{
    return (struct slice){.base = (const uint8_t *)json_string_value(value), .len = json_string_length(value)};
}

static bool take_visible(const struct given *given)
{
    struct slice text = string_of(given->value);
    if (!text_is_visible(text, given->row->max)) { /* so what is no string isn't, either */
        return refuse_value(given, "be a string of 1 to %llu bytes of printable ASCII without spaces",
                            (unsigned long long)given->row->max);
    }
    return take_copy(given, text);
}

static bool take_name(const struct given *given)
{
    struct slice name = string_of(given->value);
    if (!schedule_id_is_valid(name)) {
        return refuse_value(given,
                            "be a string of 1 to %u bytes of A-Z a-z 0-9 . _ : @ ~ -, the first a letter or a digit",
                            LIMIT_NAME_BYTES);
    }
    return take_copy(given, name);
}

/* jansson has seen to it that a string is UTF-8 and holds no NUL. */
static bool take_text(const struct given *given)
{
    const struct field_row *row = given->row;
    struct slice text = string_of(given->value);
    if (row->min == 0 && text.len == 0 && json_is_string(given->value)) {
        return true;
    }
    if (!slice_is_present(text) || text.len < row->min || text.len > row->max) {
        return refuse_value(given, "be a string of %llu to %llu bytes of UTF-8", (unsigned long long)row->min,
                            (unsigned long long)row->max);
    }
    return take_copy(given, text);
}

static bool take_number(const struct given *given)
{
    const struct field_row *row = given->row;
    json_int_t number = json_integer_value(given->value);
    if (!json_is_integer(given->value) || number < (json_int_t)row->min || number > (json_int_t)row->max) {
        return refuse_value(given, "be an integer from %llu to %llu, without fraction or exponent",
                            (unsigned long long)row->min, (unsigned long long)row->max);
    }
    request_set_number(given->request, row, (uint64_t)number);
    return true;
}

static bool take_flag(const struct given *given)
{
    if (!json_is_boolean(given->value)) {
        return refuse_value(given, "be true or false, without quotes");
    }
    bool flag = json_is_true(given->value);
    request_set(given->request, given->row->at, &flag, sizeof flag);
    return true;
}

bool take_value(const struct given *given)
{
    if (given->row->nullable && json_is_null(given->value)) {
        return true; /* left out, so far as the request is concerned */
    }
    const bool is_given = true;
    request_set(given->request, given->row->given_at, &is_given, sizeof is_given);
    switch (given->row->kind) {
    case FIELD_VISIBLE:
        return take_visible(given);
    case FIELD_NAME:
        return take_name(given);
    case FIELD_TEXT:
        return take_text(given);
    case FIELD_NUMBER:
    case FIELD_COUNT:
        return take_number(given);
    case FIELD_FLAG:
        return take_flag(given);
    case FIELD_OBJECT:
        return take_metadata(given);
    case FIELD_RENEWALS:
        return take_renewals(given);
    }
    return false;
}
