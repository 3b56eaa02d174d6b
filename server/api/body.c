/* body: a table of fields for each body. What isn't in the table, has another type or is out of its bounds is refused by
 * name. Numbers are integers only: a client that sends 1e3 or 1.0 computes in floats, and a token must not pass through
 * one. */
#include <string.h>

#include "api/json.h"
#include "api/request.h"
#include "base/limits.h"

enum field_kind {
    FIELD_VISIBLE, /* string of printable ASCII without spaces */
    FIELD_TEXT,    /* string of UTF-8; when it may be empty, null and "" mean none */
    FIELD_NUMBER,
    FIELD_COUNT, /* a number that is an uint32_t in its command */
    FIELD_FLAG,
    FIELD_OBJECT,
};

/* Offset 0 of a command is its kind, which no field sets: it means nowhere. */
#define AT(member) offsetof(struct command, member)

struct field_row {
    const char *name;
    enum field_kind kind;
    bool required;
    uint64_t min; /* bytes of a string, value of a number */
    uint64_t max;
    uint64_t otherwise; /* value of a number that isn't given */
    size_t at;          /* of the value in the command */
    size_t given_at;    /* of the bool that says it was given */
    const char *advice;
};

static const struct field_row acquire_fields[] = {
    {"holder", FIELD_VISIBLE, .required = true, .min = 1, .max = LIMIT_NAME_BYTES, .at = AT(acquire.holder)},
    {"ttl_ms", FIELD_NUMBER, .min = 1, .max = LIMIT_NUMBER_MAX, .at = AT(acquire.ttl_ms),
     .given_at = AT(acquire.has_ttl)},
    {"estimated_duration_ms", FIELD_NUMBER, .max = LIMIT_NUMBER_MAX, .at = AT(acquire.estimate_ms),
     .given_at = AT(acquire.has_estimate)},
    {"occurrence", FIELD_VISIBLE, .min = 1, .max = LIMIT_OCCURRENCE_BYTES, .at = AT(acquire.occurrence)},
    {"wait_ms", FIELD_NUMBER, .max = 0, .advice = " Waiting comes with a later version: ask again later."},
    {"metadata", FIELD_OBJECT, .max = LIMIT_METADATA_BYTES, .at = AT(acquire.metadata)},
};

static const struct field_row renew_fields[] = {
    {"token", FIELD_NUMBER, .required = true, .min = 1, .max = LIMIT_NUMBER_MAX, .at = AT(renew.token)},
    {"ttl_ms", FIELD_NUMBER, .min = 1, .max = LIMIT_NUMBER_MAX, .at = AT(renew.ttl_ms), .given_at = AT(renew.has_ttl)},
};

static const struct field_row revoke_fields[] = {
    {"reason", FIELD_TEXT, .required = true, .min = 1, .max = LIMIT_REASON_BYTES, .at = AT(revoke.reason)},
    {"actor", FIELD_VISIBLE, .required = true, .min = 1, .max = LIMIT_NAME_BYTES, .at = AT(revoke.actor)},
    {"token", FIELD_NUMBER, .min = 1, .max = LIMIT_NUMBER_MAX, .at = AT(revoke.token)},
    {"force", FIELD_FLAG, .at = AT(revoke.force)},
};

static const struct field_row schedule_fields[] = {
    {"estimated_duration_ms", FIELD_NUMBER, .max = LIMIT_TTL_MS, .at = AT(put_schedule.policy.estimate_ms)},
    {"safety_margin_ms", FIELD_NUMBER, .max = LIMIT_TTL_MS, .otherwise = LIMIT_DEFAULT_MARGIN_MS,
     .at = AT(put_schedule.policy.margin_ms)},
    {"max_ttl_ms", FIELD_NUMBER, .min = 1, .max = LIMIT_TTL_MS, .otherwise = LIMIT_TTL_MS,
     .at = AT(put_schedule.policy.max_ttl_ms)},
    {"min_hold_ms", FIELD_NUMBER, .max = LIMIT_NUMBER_MAX, .at = AT(put_schedule.policy.min_hold_ms)},
    {"slots", FIELD_COUNT, .min = 1, .max = LIMIT_SLOTS, .otherwise = 1, .at = AT(put_schedule.policy.slots)},
    {"max_attempts", FIELD_COUNT, .min = 1, .max = LIMIT_ATTEMPTS, .otherwise = 1,
     .at = AT(put_schedule.policy.max_attempts)},
    {"description", FIELD_TEXT, .max = LIMIT_REASON_BYTES, .at = AT(put_schedule.policy.description)},
};

/* What a route's command is made of. Routes without a command aren't here. */
struct body_row {
    enum api_route route;
    enum command_kind kind;
    size_t schedule_id_at;
    const struct field_row *fields; /* NULL: there must be no body */
    size_t n_fields;
};

#define FIELDS(rows) (rows), sizeof(rows) / sizeof(rows)[0]
static const struct body_row bodies[] = {
    {API_ACQUIRE, COMMAND_ACQUIRE, AT(acquire.schedule_id), FIELDS(acquire_fields)},
    {API_RENEW, COMMAND_RENEW, AT(renew.schedule_id), FIELDS(renew_fields)},
    {API_RELEASE, COMMAND_RELEASE, AT(release.schedule_id), NULL, 0},
    {API_REVOKE, COMMAND_REVOKE, AT(revoke.schedule_id), FIELDS(revoke_fields)},
    {API_SCHEDULE_PUT, COMMAND_PUT_SCHEDULE, AT(put_schedule.schedule_id), FIELDS(schedule_fields)},
    {API_SCHEDULE_DELETE, COMMAND_DELETE_SCHEDULE, AT(delete_schedule.schedule_id), NULL, 0},
};

static void set_member(struct command *command, size_t at, const void *value, size_t size)
{
    if (at != 0) {
        memcpy((uint8_t *)command + at, value, size);
    }
}

/* ---- one field ---- */

struct given {
    const struct field_row *row;
    const json_t *value;
    struct arena *arena;
    struct command *command;
    struct api_answer *answer;
};

static bool set_text(const struct given *given, struct slice text)
{
    struct slice copy = arena_copy(given->arena, text);
    set_member(given->command, given->row->at, &copy, sizeof copy);
    return slice_is_present(copy) ||
           refuse(given->answer, API_INVALID_FIELD, slice_of(given->row->name), "The body holds too much: send less.");
}

static struct slice string_of(const json_t *value)
{
    return (struct slice){.base = (const uint8_t *)json_string_value(value), .len = json_string_length(value)};
}

static bool take_visible(const struct given *given)
{
    const struct field_row *row = given->row;
    struct slice text = string_of(given->value);
    if (!text_is_visible(text, row->max)) { /* so what is no string isn't, either */
        return refuse(given->answer, API_INVALID_FIELD, slice_of(row->name),
                      "The field %s must be a string of 1 to %llu bytes of printable ASCII without spaces.", row->name,
                      (unsigned long long)row->max);
    }
    return set_text(given, text);
}

/* jansson has seen to it that a string is UTF-8 and holds no NUL. */
static bool take_text(const struct given *given)
{
    const struct field_row *row = given->row;
    struct slice text = string_of(given->value);
    bool is_none = row->min == 0 && text.len == 0 && (json_is_string(given->value) || json_is_null(given->value));
    if (is_none) {
        return true;
    }
    if (!slice_is_present(text) || text.len < row->min || text.len > row->max) {
        return refuse(given->answer, API_INVALID_FIELD, slice_of(row->name),
                      "The field %s must be a string of %llu to %llu bytes of UTF-8%s.", row->name,
                      (unsigned long long)row->min, (unsigned long long)row->max,
                      row->min == 0 ? ", or null for none" : "");
    }
    return set_text(given, text);
}

static void set_number(const struct field_row *row, struct command *command, uint64_t number)
{
    uint32_t narrow = (uint32_t)number;
    if (row->kind == FIELD_COUNT) {
        set_member(command, row->at, &narrow, sizeof narrow);
    } else {
        set_member(command, row->at, &number, sizeof number);
    }
}

static bool take_number(const struct given *given)
{
    const struct field_row *row = given->row;
    json_int_t number = json_integer_value(given->value);
    if (!json_is_integer(given->value) || number < (json_int_t)row->min || number > (json_int_t)row->max) {
        return refuse(given->answer, API_INVALID_FIELD, slice_of(row->name),
                      "The field %s must be an integer from %llu to %llu, without fraction or exponent.%s", row->name,
                      (unsigned long long)row->min, (unsigned long long)row->max,
                      row->advice == NULL ? "" : row->advice);
    }
    set_number(row, given->command, (uint64_t)number);
    return true;
}

static bool take_flag(const struct given *given)
{
    if (!json_is_boolean(given->value)) {
        return refuse(given->answer, API_INVALID_FIELD, slice_of(given->row->name),
                      "The field %s must be true or false, without quotes.", given->row->name);
    }
    bool flag = json_is_true(given->value);
    set_member(given->command, given->row->at, &flag, sizeof flag);
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

static int append_piece(const char *piece, size_t len, void *text)
{
    buffer_append(text, piece, len);
    return 0;
}

/* What jansson can't allocate aborts, as everywhere. */
static void append_json(const json_t *value, size_t flags, struct buffer *text)
{
    CHECK(json_dump_callback(value, append_piece, text, flags | JSON_COMPACT | JSON_SORT_KEYS) == 0);
}

/* Compact, keys sorted, and floats with as few digits (the same for all of them) as give the same floats again. */
static void render_metadata(const json_t *value, bool has_real, struct buffer *text)
{
    append_json(value, 0, text);
    for (unsigned precision = 15; has_real && precision <= 17; precision++) {
        buffer_clear(text);
        append_json(value, JSON_REAL_PRECISION(precision), text);
        json_t *again = json_loadb((const char *)text->base, text->len, 0, NULL);
        bool equal = json_equal(again, value);
        json_decref(again);
        if (equal) {
            return;
        }
    }
}

static bool take_object(const struct given *given)
{
    const struct field_row *row = given->row;
    bool has_real = false;
    if (!json_is_object(given->value) || !is_shallow(given->value, LIMIT_JSON_DEPTH, &has_real)) {
        return refuse(given->answer, API_INVALID_FIELD, slice_of(row->name),
                      "The field %s must be an object, nested at most %u deep.", row->name, LIMIT_JSON_DEPTH);
    }
    struct buffer text;
    buffer_init(&text);
    render_metadata(given->value, has_real, &text);
    bool taken = text.len <= row->max ? set_text(given, buffer_slice(&text))
                                      : refuse(given->answer, API_INVALID_FIELD, slice_of(row->name),
                                               "The field %s must not be longer than %llu bytes as compact JSON.",
                                               row->name, (unsigned long long)row->max);
    buffer_close(&text);
    return taken;
}

static bool take_field(const struct given *given)
{
    const bool is_given = true;
    set_member(given->command, given->row->given_at, &is_given, sizeof is_given);
    switch (given->row->kind) {
    case FIELD_VISIBLE:
        return take_visible(given);
    case FIELD_TEXT:
        return take_text(given);
    case FIELD_NUMBER:
    case FIELD_COUNT:
        return take_number(given);
    case FIELD_FLAG:
        return take_flag(given);
    case FIELD_OBJECT:
        return take_object(given);
    }
    return false;
}

/* ---- the whole ---- */

static const struct field_row *find_field(const struct body_row *body, const char *name)
{
    for (size_t i = 0; i < body->n_fields; i++) {
        if (strcmp(body->fields[i].name, name) == 0) {
            return &body->fields[i];
        }
    }
    return NULL;
}

/* What isn't given has its default, or is missed. */
static bool fill_gaps(const struct body_row *body, const json_t *root, struct command *command,
                      struct api_answer *answer)
{
    for (size_t i = 0; i < body->n_fields; i++) {
        const struct field_row *row = &body->fields[i];
        if (json_object_get(root, row->name) != NULL) {
            continue;
        }
        if (row->required) {
            return refuse(answer, API_INVALID_FIELD, slice_of(row->name),
                          "The field %s is missing: this request needs it.", row->name);
        }
        if (row->otherwise != 0) {
            set_number(row, command, row->otherwise);
        }
    }
    return true;
}

static bool take_fields(const struct body_row *body, json_t *root, struct arena *arena, struct command *command,
                        struct api_answer *answer)
{
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value)
    {
        const struct field_row *row = find_field(body, name);
        if (row == NULL) {
            return refuse(answer, API_UNKNOWN_FIELD, slice_of(name),
                          "Remove the field from the body: this request doesn't know it.");
        }
        if (!take_field(&(struct given){row, value, arena, command, answer})) {
            return false;
        }
    }
    return fill_gaps(body, root, command, answer);
}

/* A schedule's fields, each of which is within its own bounds, must leave room for a TTL. */
static bool check_policy(const struct policy *policy, struct api_answer *answer)
{
    uint64_t least_ms = policy->estimate_ms + policy->margin_ms;
    return least_ms <= policy->max_ttl_ms ||
           refuse(
               answer, API_INVALID_FIELD, slice_of("max_ttl_ms"),
               "No TTL could be granted: estimated_duration_ms and safety_margin_ms (%u unless given) ask for at least "
               "%llu ms, and max_ttl_ms allows %llu ms. Raise max_ttl_ms (to %llu at most), or lower the other two.",
               LIMIT_DEFAULT_MARGIN_MS, (unsigned long long)least_ms, (unsigned long long)policy->max_ttl_ms,
               LIMIT_TTL_MS);
}

static const struct body_row *find_body(enum api_route route)
{
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        if (bodies[i].route == route) {
            return &bodies[i];
        }
    }
    return NULL;
}

static const char *json_type_name(enum field_kind kind)
{
    switch (kind) {
    case FIELD_VISIBLE:
    case FIELD_TEXT:
        return "string";
    case FIELD_NUMBER:
    case FIELD_COUNT:
        return "integer";
    case FIELD_FLAG:
        return "boolean";
    case FIELD_OBJECT:
        return "object";
    }
    return "unknown";
}

bool api_field(enum api_route route, size_t i, struct api_field *field)
{
    const struct body_row *body = find_body(route);
    if (body == NULL || i >= body->n_fields) {
        return false;
    }
    const struct field_row *row = &body->fields[i];
    *field = (struct api_field){
        .name = row->name,
        .type = json_type_name(row->kind),
        .required = row->required,
        .min = row->min,
        .max = row->max,
        .otherwise = row->otherwise,
    };
    return true;
}

bool body_parse(struct slice body, struct arena *arena, struct api_request *request, struct api_answer *answer)
{
    const struct body_row *row = find_body(request->route);
    if (row != NULL) {
        request->command.kind = row->kind;
        set_member(&request->command, row->schedule_id_at, &request->schedule_id, sizeof request->schedule_id);
    }
    if (row == NULL || row->fields == NULL) {
        return body.len == 0 || refuse(answer, API_INVALID_FIELD, slice_of("body"),
                                       "Send this request without a body: everything is in its path and query.");
    }
    json_t *root = body_load(body, answer);
    bool parsed = root != NULL && take_fields(row, root, arena, &request->command, answer);
    json_decref(root);
    return parsed && (row->kind != COMMAND_PUT_SCHEDULE || check_policy(&request->command.put_schedule.policy, answer));
}
