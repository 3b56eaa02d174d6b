/* load: the bytes of a body become a JSON object, or a problem that names the field in which they don't. */
#include <string.h>

#include "api/json.h"
#include "api/request.h"
#include "base/limits.h"

/* Behind the string whose first byte is at `i`, or at `end`. */
static size_t string_end(struct slice body, size_t i, size_t end)
{
    while (i < end && body.base[i] != '"') {
        i += body.base[i] == '\\' ? 2 : 1;
    }
    return i < end ? i : end;
}

/* The field of the request that stands just before byte `end`, as it is written; "body" when there is none. jansson says
 * where a body is wrong, not in which field; up to there it has read it without an error. */
static struct slice field_before(struct slice body, size_t end)
{
    struct slice field = slice_of("body");
    size_t depth = 0;
    bool is_object = false; /* the outermost value */
    bool is_key = false;    /* its next string */
    for (size_t i = 0; i < end; i++) {
        uint8_t c = body.base[i];
        if (c == '"') {
            size_t begin = i + 1;
            i = string_end(body, begin, end);
            if (is_key) {
                field = (struct slice){.base = body.base + begin, .len = i - begin};
                is_key = false;
            }
        } else if (c == '{' || c == '[') {
            is_object = depth == 0 ? c == '{' : is_object;
            is_key = depth == 0 && is_object;
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
        } else if (c == ',') {
            is_key = depth == 1 && is_object;
        }
    }
    return field;
}

/* The first ones are JSON by its grammar, and yet nothing that a field can hold. */
static bool refuse_unparsed(struct slice body, const json_error_t *error, struct api_answer *answer)
{
    size_t end = error->position < 0 ? 0 : (size_t)error->position;
    struct slice field = field_before(body, end < body.len ? end : body.len);
    switch (json_error_code(error)) {
    case json_error_duplicate_key:
        return refuse(answer, API_INVALID_FIELD, field, "A field is given twice: give it once.");
    case json_error_numeric_overflow:
        return refuse(answer, API_INVALID_FIELD, field, "A number is too large: send a smaller one.");
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return refuse(answer, API_INVALID_FIELD, field, "A text holds the character U+0000: leave it out.");
    case json_error_stack_overflow: /* jansson's own bound, far above ours */
        return refuse(answer, API_INVALID_FIELD, field,
                      "The body is nested too deeply: put at most %u arrays and objects inside each other.",
                      LIMIT_JSON_DEPTH);
    default:
        return refuse(answer, API_MALFORMED_JSON, slice_of("body"),
                      "Send a JSON object: at line %d, column %d, the body is not valid JSON (%s).", error->line,
                      error->column, error->text);
    }
}

json_t *body_load(struct slice body, struct api_answer *answer)
{
    if (body.len == 0 || memchr(body.base, 0, body.len) != NULL) { /* jansson skips a zero byte behind a number */
        (void)refuse(answer, API_MALFORMED_JSON, slice_of("body"), "Send a JSON object: the body %s.",
                     body.len == 0 ? "is empty" : "holds a zero byte");
        return NULL;
    }
    json_error_t error;
    json_t *root = json_loadb((const char *)body.base, body.len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        (void)refuse_unparsed(body, &error, answer);
    } else if (!json_is_object(root)) {
        (void)refuse(answer, API_MALFORMED_JSON, slice_of("body"), "Send a JSON object, not an array.");
        json_decref(root);
        root = NULL;
    }
    return root;
}
