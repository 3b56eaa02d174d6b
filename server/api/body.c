/* body: a JSON object becomes the command of a request, field by field; the table says how (fields.c). */
#include <string.h>

#include "api/field.h"
#include "api/json.h"
#include "base/limits.h"

static const struct field_row *find_field(const struct field_list *fields, const char *name)
{
    for (size_t i = 0; i < fields->n; i++) {
        if (strcmp(fields->rows[i].name, name) == 0) {
            return &fields->rows[i];
        }
    }
    return NULL;
}

/* What isn't given has its default, or is missed. */
static bool fill_gaps(const struct field_list *fields, const json_t *object, const struct given *given)
{
    for (size_t i = 0; i < fields->n; i++) {
        const struct field_row *row = &fields->rows[i];
        if (json_object_get(object, row->name) != NULL) {
            continue;
        }
        if (row->required) {
            return refuse_member(given, API_INVALID_FIELD, row->name, "The field %s is missing: this request needs it.",
                                 row->name);
        }
        if (row->otherwise != 0) {
            request_set_number(given->request, row, row->otherwise);
        }
    }
    return true;
}

bool take_object_fields(const struct field_list *fields, json_t *object, struct given given)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        given.row = find_field(fields, name);
        given.value = value;
        if (given.row == NULL) {
            return refuse_member(&given, API_UNKNOWN_FIELD, name,
                                 "Remove the field from the body: this request doesn't know it.");
        }
        if (!take_value(&given)) {
            return false;
        }
    }
    return fill_gaps(fields, object, &given);
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

/* The field of a body whose items are objects with fields of their own; NULL: none is. */
static const char *array_field(const struct field_list *fields)
{
    for (size_t i = 0; i < fields->n; i++) {
        if (fields->rows[i].kind == FIELD_RENEWALS) {
            return fields->rows[i].name;
        }
    }
    return NULL;
}

bool body_parse(struct slice body, struct arena *arena, struct api_request *request, struct api_answer *answer)
{
    const struct body_row *row = body_row(request->route);
    if (row != NULL) {
        const struct slice *subject = slice_is_present(request->name) ? &request->name : &request->schedule_id;
        request->command.kind = row->kind;
        request_set(request, row->subject_at, subject, sizeof *subject);
    }
    if (row == NULL || row->fields.n == 0) {
        return body.len == 0 || refuse(answer, API_INVALID_FIELD, slice_of("body"),
                                       "Send this request without a body: everything is in its path and query.");
    }
    json_t *root = body_load(body, array_field(&row->fields), answer);
    const struct given given = {.arena = arena, .request = request, .answer = answer};
    bool parsed = root != NULL && take_object_fields(&row->fields, root, given);
    json_decref(root);
    return parsed && (row->kind != COMMAND_PUT_SCHEDULE || check_policy(&request->command.put_schedule.policy, answer));
}
