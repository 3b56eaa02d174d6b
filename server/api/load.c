/* load: the bytes of a body become a JSON object, or a problem that names the field in which they don't. */
#include <stdio.h>
#include <string.h>

#include "api/json.h"
#include "api/request.h"
#include "base/limits.h"

#define PLACE_BYTES 128u

/* Behind the string whose first byte is at `i`, or at `end`. */
static size_t string_end(struct slice body, size_t i, size_t end)
{
    while (i < end && body.base[i] != '"') {
        i += body.base[i] == '\\' ? 2 : 1;
    }
    return i < end ? i : end;
}

/* How far a body has been read: in which field, and, where that is an array of objects with fields of their own, in which
 * of theirs. Names are shown as they are written. */
struct reading {
    const char *array;  /* the field that is such an array; NULL: none is */
    struct slice field; /* absent: none has begun */
    struct slice member;
    size_t depth;
    size_t n_values;
    size_t item;
    bool is_object;      /* the outermost value */
    bool is_array;       /* this field's value is `array` */
    bool item_is_object; /* the item of it */
    bool is_key;         /* the next string */
};

static void read_open(struct reading *reading, uint8_t c)
{
    switch (reading->depth) {
    case 0:
        reading->is_object = c == '{';
        reading->is_key = reading->is_object;
        break;
    case 1:
        reading->is_array = c == '[' && reading->array != NULL && slice_equal(reading->field, slice_of(reading->array));
        reading->item = 0;
        break;
    case 2:
        reading->item_is_object = reading->is_array && c == '{';
        reading->is_key = reading->item_is_object;
        break;
    default:
        break;
    }
    reading->member = reading->depth <= 2 ? (struct slice){0} : reading->member;
    reading->depth++;
    reading->n_values++;
}

static void read_comma(struct reading *reading)
{
    reading->n_values++;
    if (reading->depth == 1) {
        reading->is_key = reading->is_object;
        reading->is_array = false;
    } else if (reading->depth == 2) {
        reading->item++;
        reading->member = (struct slice){0};
    } else if (reading->depth == 3) {
        reading->is_key = reading->item_is_object;
    }
}

static void read_string(struct reading *reading, struct slice string)
{
    if (reading->is_key && reading->depth == 1) {
        reading->field = string;
    } else if (reading->is_key) {
        reading->member = string;
    }
    reading->is_key = false;
}

/* Reads up to `end`, or until there are more values than a body may have. */
static void read_until(struct reading *reading, struct slice body, size_t end)
{
    for (size_t i = 0; i < end && reading->n_values <= LIMIT_JSON_VALUES; i++) {
        uint8_t c = body.base[i];
        if (c == '"') {
            size_t begin = i + 1;
            i = string_end(body, begin, end);
            read_string(reading, (struct slice){.base = body.base + begin, .len = i - begin});
        } else if (c == '{' || c == '[') {
            read_open(reading, c);
        } else if (c == '}' || c == ']') {
            reading->depth -= reading->depth > 0;
            reading->is_key = false;
        } else if (c == ',') {
            read_comma(reading);
        }
    }
}

/* The place in which the reading is: a field, an item of the array ("locks[3]"), or one of its fields. */
static struct slice reading_place(const struct reading *reading, char text[PLACE_BYTES])
{
    if (!slice_is_present(reading->field)) {
        return slice_of("body");
    }
    if (!reading->is_array || reading->depth < 2) {
        return reading->field;
    }
    bool has_member = slice_is_present(reading->member);
    struct slice member = has_member ? reading->member : slice_of("");
    member.len = member.len < PLACE_BYTES ? member.len : PLACE_BYTES;
    (void)snprintf(text, PLACE_BYTES, "%s[%zu]%s%.*s", reading->array, reading->item, has_member ? "." : "",
                   SLICE_PRINT(member));
    return slice_of(text);
}

static bool refuse_too_deep(struct slice field, struct api_answer *answer)
{
    return refuse(answer, API_INVALID_FIELD, field,
                  "The body is nested too deeply: put at most %u arrays and objects inside each other.",
                  LIMIT_JSON_DEPTH);
}

/* What jansson makes of a value takes many times its bytes, so their number is bounded before it sees them. */
static bool check_values(struct slice body, const char *array, struct api_answer *answer)
{
    struct reading reading = {.array = array};
    read_until(&reading, body, body.len);
    if (reading.n_values <= LIMIT_JSON_VALUES) {
        return true;
    }
    struct slice field = slice_is_present(reading.field) ? reading.field : slice_of("body");
    if (reading.depth > LIMIT_JSON_DEPTH) {
        return refuse_too_deep(field, answer);
    }
    return refuse(answer, API_INVALID_FIELD, field,
                  "The body holds more than %u values, which is more than any request needs: send fewer.",
                  LIMIT_JSON_VALUES);
}

/* jansson says where a body is wrong, not in which field; up to there it has read it without an error. The first ones are
 * JSON by its grammar, and yet nothing that a field can hold. */
static bool refuse_unparsed(struct slice body, const char *array, const json_error_t *error, struct api_answer *answer)
{
    char place[PLACE_BYTES];
    struct reading reading = {.array = array};
    size_t end = error->position < 0 ? 0 : (size_t)error->position;
    read_until(&reading, body, end < body.len ? end : body.len);
    struct slice field = reading_place(&reading, place);
    switch (json_error_code(error)) {
    case json_error_duplicate_key:
        return refuse(answer, API_INVALID_FIELD, field, "A field is given twice: give it once.");
    case json_error_numeric_overflow:
        return refuse(answer, API_INVALID_FIELD, field, "A number is too large: send a smaller one.");
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return refuse(answer, API_INVALID_FIELD, field, "A text holds the character U+0000: leave it out.");
    case json_error_stack_overflow: /* jansson's own bound, far above ours */
        return refuse_too_deep(field, answer);
    default:
        return refuse(answer, API_MALFORMED_JSON, slice_of("body"),
                      "Send a JSON object: at line %d, column %d, the body is not valid JSON (%s).", error->line,
                      error->column, error->text);
    }
}

json_t *body_load(struct slice body, const char *array, struct api_answer *answer)
{
    if (body.len == 0 || memchr(body.base, 0, body.len) != NULL) { /* jansson skips a zero byte behind a number */
        (void)refuse(answer, API_MALFORMED_JSON, slice_of("body"), "Send a JSON object: the body %s.",
                     body.len == 0 ? "is empty" : "holds a zero byte");
        return NULL;
    }
    if (!check_values(body, array, answer)) {
        return NULL;
    }
    json_error_t error;
    json_t *root = json_loadb((const char *)body.base, body.len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        (void)refuse_unparsed(body, array, &error, answer);
    } else if (!json_is_object(root)) {
        (void)refuse(answer, API_MALFORMED_JSON, slice_of("body"), "Send a JSON object, not an array.");
        json_decref(root);
        root = NULL;
    }
    return root;
}
