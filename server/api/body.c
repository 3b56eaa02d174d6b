/* body: JSON in. Each command has a table of its fields; what isn't in the table, is there twice, has another type or is
 * out of its bounds is refused by name. Numbers are integers only: a client that sends 1e3 or 1.0 computes in floats, and
 * a token must not pass through one. */
#include <string.h>

#include "api/json.h"
#include "base/limits.h"

enum field_kind { FIELD_VISIBLE, FIELD_NUMBER, FIELD_OBJECT };

#define NOWHERE SIZE_MAX
struct field_row {
    const char *name;
    enum field_kind kind;
    bool required;
    uint64_t min; /* bytes of a text, value of a number */
    uint64_t max;
    size_t at;         /* of the value in struct command */
    size_t present_at; /* of the bool that says it was given */
    const char *advice;
};

static const struct field_row acquire_fields[] = {
    {"holder", FIELD_VISIBLE, true, 1, LIMIT_NAME_BYTES, offsetof(struct command, acquire.holder), NOWHERE, NULL},
    {"ttl_ms", FIELD_NUMBER, false, 1, LIMIT_NUMBER_MAX, offsetof(struct command, acquire.ttl_ms),
     offsetof(struct command, acquire.has_ttl), NULL},
    {"estimated_duration_ms", FIELD_NUMBER, false, 0, LIMIT_NUMBER_MAX, offsetof(struct command, acquire.estimate_ms),
     offsetof(struct command, acquire.has_estimate), NULL},
    {"occurrence", FIELD_VISIBLE, false, 1, LIMIT_OCCURRENCE_BYTES, offsetof(struct command, acquire.occurrence),
     NOWHERE, NULL},
    {"wait_ms", FIELD_NUMBER, false, 0, 0, NOWHERE, NOWHERE, " Waiting comes with a later version: ask again later."},
    {"metadata", FIELD_OBJECT, false, 0, LIMIT_METADATA_BYTES, offsetof(struct command, acquire.metadata), NOWHERE,
     NULL},
};

static const struct field_row renew_fields[] = {
    {"token", FIELD_NUMBER, true, 1, LIMIT_NUMBER_MAX, offsetof(struct command, renew.token), NOWHERE, NULL},
    {"ttl_ms", FIELD_NUMBER, false, 1, LIMIT_NUMBER_MAX, offsetof(struct command, renew.ttl_ms),
     offsetof(struct command, renew.has_ttl), NULL},
};

struct field_table {
    const struct field_row *rows;
    size_t n;
};

static struct field_table table_of(enum command_kind kind)
{
    if (kind == COMMAND_ACQUIRE) {
        return (struct field_table){acquire_fields, sizeof acquire_fields / sizeof acquire_fields[0]};
    }
    return (struct field_table){renew_fields, sizeof renew_fields / sizeof renew_fields[0]};
}

bool text_is_visible(struct slice text, size_t max)
{
    if (text.len == 0 || text.len > max) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] <= ' ' || text.base[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

/* ---- what doesn't parse ---- */

/* The name that ends just before byte `end` of the body, with its quotes. */
static struct slice quoted_before(struct slice body, size_t end)
{
    if (end < 2 || end > body.len || body.base[end - 1] != '"') {
        return (struct slice){0};
    }
    for (size_t i = end - 1; i > 0; i--) {
        if (body.base[i - 1] == '"') {
            return (struct slice){.base = body.base + i - 1, .len = end - i + 1};
        }
    }
    return (struct slice){0};
}

/* jansson says where a key is given for the second time, not how deep that is. If what stands before it is an object
 * that only lacks its end, the key is a field of the request, else it is somewhere in the metadata. */
static bool refuse_duplicate(struct slice body, const json_error_t *error, struct api_answer *answer)
{
    struct slice quoted = quoted_before(body, error->position < 0 ? 0 : (size_t)error->position);
    struct slice field = slice_of("metadata");
    if (slice_is_present(quoted)) {
        struct buffer head;
        buffer_init(&head);
        buffer_append(&head, body.base, (size_t)(quoted.base - body.base));
        buffer_append(&head, "\"\":0}", 5);
        json_t *root = json_loadb((const char *)head.base, head.len, 0, NULL);
        if (root != NULL) {
            field = (struct slice){.base = quoted.base + 1, .len = quoted.len - 2};
        }
        json_decref(root);
        buffer_close(&head);
    }
    return refuse(answer, API_INVALID_FIELD, field, "A field is given twice: give it once.");
}

static bool holds_huge_number(const json_t *value)
{
    const double huge = 9223372036854775808.0; /* 2^63 */
    switch (json_typeof(value)) {
    case JSON_REAL:
        return json_real_value(value) >= huge || json_real_value(value) <= -huge;
    case JSON_ARRAY: {
        size_t i;
        json_t *item;
        json_array_foreach(value, i, item)
        {
            if (holds_huge_number(item)) {
                return true;
            }
        }
        return false;
    }
    case JSON_OBJECT: {
        const char *key;
        json_t *item;
        json_object_foreach((json_t *)value, key, item)
        {
            if (holds_huge_number(item)) {
                return true;
            }
        }
        return false;
    }
    default:
        return false;
    }
}

/* An integer of 2^63 or more: read again with every integer as a float, to see which field it is in. */
static bool refuse_huge(struct slice body, struct api_answer *answer)
{
    struct slice field = slice_of("body");
    json_t *root = json_loadb((const char *)body.base, body.len, JSON_DECODE_INT_AS_REAL, NULL);
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        if (holds_huge_number(value)) {
            field = slice_of(key);
            break;
        }
    }
    bool refused =
        refuse(answer, API_INVALID_FIELD, field, "A number is too large: integers go up to %llu.", LIMIT_NUMBER_MAX);
    json_decref(root);
    return refused;
}

static bool refuse_unparsed(struct slice body, const json_error_t *error, struct api_answer *answer)
{
    switch (json_error_code(error)) {
    case json_error_duplicate_key:
        return refuse_duplicate(body, error, answer);
    case json_error_numeric_overflow:
        return refuse_huge(body, answer);
    default:
        return refuse(answer, API_MALFORMED_JSON, slice_of("body"),
                      "Send a JSON object: at line %d, column %d, the body is not valid JSON (%s).", error->line,
                      error->column, error->text);
    }
}

/* ---- fields ---- */

static bool take_text(const struct field_row *row, const json_t *value, struct arena *arena, struct command *command,
                      struct api_answer *answer)
{
    struct slice text = {.base = (const uint8_t *)json_string_value(value), .len = json_string_length(value)};
    if (!json_is_string(value) || !text_is_visible(text, row->max)) {
        return refuse(answer, API_INVALID_FIELD, slice_of(row->name),
                      "The field %s must be a string of 1 to %llu bytes of printable ASCII without spaces.", row->name,
                      (unsigned long long)row->max);
    }
    struct slice copy = arena_copy(arena, text);
    memcpy((uint8_t *)command + row->at, &copy, sizeof copy);
    return slice_is_present(copy) ||
           refuse(answer, API_BODY_TOO_LARGE, slice_of(row->name), "The body holds too much: send less.");
}

static bool take_number(const struct field_row *row, const json_t *value, struct command *command,
                        struct api_answer *answer)
{
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < (json_int_t)row->min || number > (json_int_t)row->max) {
        return refuse(answer, API_INVALID_FIELD, slice_of(row->name),
                      "The field %s must be an integer from %llu to %llu, without fraction or exponent.%s", row->name,
                      (unsigned long long)row->min, (unsigned long long)row->max,
                      row->advice == NULL ? "" : row->advice);
    }
    uint64_t taken = (uint64_t)number;
    if (row->at != NOWHERE) {
        memcpy((uint8_t *)command + row->at, &taken, sizeof taken);
    }
    return true;
}

/* True when nothing in `value` is deeper than `depth`. `*has_real` becomes true when there is a float in it. */
static bool is_shallow(const json_t *value, unsigned depth, bool *has_real)
{
    *has_real = *has_real || json_is_real(value);
    if (!json_is_object(value) && !json_is_array(value)) {
        return true;
    }
    if (depth == 0) {
        return false;
    }
    size_t i;
    json_t *item;
    const char *key;
    json_array_foreach(value, i, item)
    {
        if (!is_shallow(item, depth - 1, has_real)) {
            return false;
        }
    }
    json_object_foreach((json_t *)value, key, item)
    {
        if (!is_shallow(item, depth - 1, has_real)) {
            return false;
        }
    }
    return true;
}

/* Compact, keys sorted, and floats with as few digits (the same for all of them) as give the same floats again. */
static void render_metadata(const json_t *value, bool has_real, struct buffer *text)
{
    json_append(value, JSON_SORT_KEYS, text);
    for (unsigned precision = 15; has_real && precision <= 17; precision++) {
        buffer_clear(text);
        json_append(value, JSON_SORT_KEYS | JSON_REAL_PRECISION(precision), text);
        json_t *again = json_loadb((const char *)text->base, text->len, 0, NULL);
        bool equal = json_equal(again, value);
        json_decref(again);
        if (equal) {
            return;
        }
    }
}

static bool take_object(const struct field_row *row, const json_t *value, struct arena *arena, struct command *command,
                        struct api_answer *answer)
{
    bool has_real = false;
    if (!json_is_object(value) || !is_shallow(value, LIMIT_JSON_DEPTH, &has_real)) {
        return refuse(answer, API_INVALID_FIELD, slice_of(row->name),
                      "The field %s must be an object, nested at most %u deep.", row->name, LIMIT_JSON_DEPTH);
    }
    struct buffer text;
    buffer_init(&text);
    render_metadata(value, has_real, &text);
    struct slice copy = {0};
    if (text.len <= row->max) {
        copy = arena_copy(arena, buffer_slice(&text));
    }
    buffer_close(&text);
    memcpy((uint8_t *)command + row->at, &copy, sizeof copy);
    return slice_is_present(copy) || refuse(answer, API_INVALID_FIELD, slice_of(row->name),
                                            "The field %s must not be longer than %llu bytes as compact JSON.",
                                            row->name, (unsigned long long)row->max);
}

static bool take_field(const struct field_row *row, const json_t *value, struct arena *arena, struct command *command,
                       struct api_answer *answer)
{
    if (row->present_at != NOWHERE) {
        const bool given = true;
        memcpy((uint8_t *)command + row->present_at, &given, sizeof given);
    }
    switch (row->kind) {
    case FIELD_VISIBLE:
        return take_text(row, value, arena, command, answer);
    case FIELD_NUMBER:
        return take_number(row, value, command, answer);
    case FIELD_OBJECT:
        return take_object(row, value, arena, command, answer);
    }
    return false;
}

static const struct field_row *find_field(struct field_table table, const char *name)
{
    for (size_t i = 0; i < table.n; i++) {
        if (strcmp(table.rows[i].name, name) == 0) {
            return &table.rows[i];
        }
    }
    return NULL;
}

static bool take_fields(json_t *root, struct arena *arena, struct api_request *request, struct api_answer *answer)
{
    struct field_table table = table_of(request->command.kind);
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value)
    {
        const struct field_row *row = find_field(table, name);
        if (row == NULL) {
            return refuse(answer, API_UNKNOWN_FIELD, slice_of(name),
                          "Remove the field from the body: this request doesn't know it.");
        }
        if (!take_field(row, value, arena, &request->command, answer)) {
            return false;
        }
    }
    for (size_t i = 0; i < table.n; i++) {
        if (table.rows[i].required && json_object_get(root, table.rows[i].name) == NULL) {
            return refuse(answer, API_INVALID_FIELD, slice_of(table.rows[i].name),
                          "The field %s is missing: this request needs it.", table.rows[i].name);
        }
    }
    return true;
}

bool body_parse(struct slice body, struct arena *arena, struct api_request *request, struct api_answer *answer)
{
    if (body.len == 0 || memchr(body.base, 0, body.len) != NULL) { /* jansson skips a zero byte behind a number */
        return refuse(answer, API_MALFORMED_JSON, slice_of("body"), "Send a JSON object: the body %s.",
                      body.len == 0 ? "is empty" : "holds a zero byte");
    }
    json_error_t error;
    json_t *root = json_loadb((const char *)body.base, body.len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        return refuse_unparsed(body, &error, answer);
    }
    bool parsed = json_is_object(root)
                      ? take_fields(root, arena, request, answer)
                      : refuse(answer, API_MALFORMED_JSON, slice_of("body"), "Send a JSON object, not an array.");
    json_decref(root);
    return parsed;
}
