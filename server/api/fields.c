/* fields: the tables. What isn't in the table of its body, has another type or is out of its bounds is refused by name. */
#include "api/field.h"
#include "base/limits.h"

/* Offset 0 of a request is its route, which no field sets: it means nowhere. */
#define AT(member) offsetof(struct api_request, member)

static const struct field_row acquire_fields[] = {
    {"holder", FIELD_VISIBLE, .required = true, .min = 1, .max = LIMIT_NAME_BYTES, .at = AT(command.acquire.holder)},
    {"ttl_ms", FIELD_NUMBER, .min = 1, .max = LIMIT_NUMBER_MAX, .at = AT(command.acquire.ttl_ms),
     .given_at = AT(command.acquire.has_ttl)},
    {"estimated_duration_ms", FIELD_NUMBER, .max = LIMIT_NUMBER_MAX, .at = AT(command.acquire.estimate_ms),
     .given_at = AT(command.acquire.has_estimate)},
    {"occurrence", FIELD_VISIBLE, .min = 1, .max = LIMIT_OCCURRENCE_BYTES, .at = AT(command.acquire.occurrence)},
    {"wait_ms", FIELD_NUMBER, .max = LIMIT_WAIT_MS, .at = AT(wait_ms)},
    {"metadata", FIELD_OBJECT, .max = LIMIT_METADATA_BYTES, .at = AT(command.acquire.metadata)},
};

#define TOKEN                                                                                                          \
    {                                                                                                                  \
        "token", FIELD_NUMBER, .required = true, .min = 1, .max = LIMIT_NUMBER_MAX, .at = AT(command.renew.token)      \
    }
#define TTL                                                                                                            \
    {                                                                                                                  \
        "ttl_ms", FIELD_NUMBER, .min = 1, .max = LIMIT_NUMBER_MAX, .at = AT(command.renew.ttl_ms),                     \
                                .given_at = AT(command.renew.has_ttl)                                                  \
    }
static const struct field_row renew_fields[] = {TOKEN, TTL};

static const struct field_row renew_batch_fields[] = {
    {"locks", FIELD_RENEWALS, .required = true, .min = 1, .max = LIMIT_RENEWALS, .at = AT(command.renew_batch)},
};
static const struct field_row renew_batch_item_fields[] = {
    {"schedule_id", FIELD_NAME, .required = true, .min = 1, .max = LIMIT_NAME_BYTES,
     .at = AT(command.renew.schedule_id)},
    TOKEN,
    TTL,
};

static const struct field_row revoke_fields[] = {
    {"reason", FIELD_TEXT, .required = true, .min = 1, .max = LIMIT_REASON_BYTES, .at = AT(command.revoke.reason)},
    {"actor", FIELD_VISIBLE, .required = true, .min = 1, .max = LIMIT_NAME_BYTES, .at = AT(command.revoke.actor)},
    {"token", FIELD_NUMBER, .min = 1, .max = LIMIT_NUMBER_MAX, .at = AT(command.revoke.token)},
    {"force", FIELD_FLAG, .at = AT(command.revoke.force)},
};

#define POLICY(member) AT(command.put_schedule.policy.member)
static const struct field_row schedule_fields[] = {
    {"estimated_duration_ms", FIELD_NUMBER, .max = LIMIT_TTL_MS, .at = POLICY(estimate_ms)},
    {"safety_margin_ms", FIELD_NUMBER, .max = LIMIT_TTL_MS, .otherwise = LIMIT_DEFAULT_MARGIN_MS,
     .at = POLICY(margin_ms)},
    {"max_ttl_ms", FIELD_NUMBER, .min = 1, .max = LIMIT_TTL_MS, .otherwise = LIMIT_TTL_MS, .at = POLICY(max_ttl_ms)},
    {"min_hold_ms", FIELD_NUMBER, .max = LIMIT_NUMBER_MAX, .at = POLICY(min_hold_ms)},
    {"slots", FIELD_COUNT, .min = 1, .max = LIMIT_SLOTS, .otherwise = 1, .at = POLICY(slots)},
    {"group", FIELD_NAME, .nullable = true, .min = 1, .max = LIMIT_NAME_BYTES, .at = POLICY(group)},
    {"max_attempts", FIELD_COUNT, .min = 1, .max = LIMIT_ATTEMPTS, .otherwise = 1, .at = POLICY(max_attempts)},
    {"expected_every_ms", FIELD_NUMBER, .nullable = true, .min = 1, .max = LIMIT_NUMBER_MAX,
     .at = POLICY(expected_every_ms)},
    {"description", FIELD_TEXT, .nullable = true, .max = LIMIT_REASON_BYTES, .at = POLICY(description)},
};

static const struct field_row group_fields[] = {
    {"slots", FIELD_COUNT, .required = true, .max = LIMIT_GROUP_SLOTS, .at = AT(command.put_group.slots)},
};

static const struct field_row freeze_fields[] = {
    {"reason", FIELD_TEXT, .required = true, .min = 1, .max = LIMIT_REASON_BYTES, .at = AT(command.put_freeze.reason)},
    {"actor", FIELD_VISIBLE, .required = true, .min = 1, .max = LIMIT_NAME_BYTES, .at = AT(command.put_freeze.actor)},
    {"ttl_ms", FIELD_NUMBER, .required = true, .min = 1, .max = LIMIT_FREEZE_MS, .at = AT(command.put_freeze.ttl_ms)},
};

/* clang-format off */
#define FIELDS(table) {(table), sizeof(table) / sizeof(table)[0]}
#define NO_FIELDS     {NULL, 0}
/* clang-format on */

static const struct body_row bodies[] = {
    {API_ACQUIRE, COMMAND_ACQUIRE, AT(command.acquire.schedule_id), FIELDS(acquire_fields)},
    {API_RENEW, COMMAND_RENEW, AT(command.renew.schedule_id), FIELDS(renew_fields)},
    {API_RELEASE, COMMAND_RELEASE, AT(command.release.schedule_id), NO_FIELDS},
    {API_REVOKE, COMMAND_REVOKE, AT(command.revoke.schedule_id), FIELDS(revoke_fields)},
    {API_SCHEDULE_PUT, COMMAND_PUT_SCHEDULE, AT(command.put_schedule.schedule_id), FIELDS(schedule_fields)},
    {API_SCHEDULE_DELETE, COMMAND_DELETE_SCHEDULE, AT(command.delete_schedule.schedule_id), NO_FIELDS},
    {API_RENEW_BATCH, COMMAND_RENEW_BATCH, 0, FIELDS(renew_batch_fields)},
    {API_GROUP_PUT, COMMAND_PUT_GROUP, AT(command.put_group.name), FIELDS(group_fields)},
    {API_GROUP_DELETE, COMMAND_DELETE_GROUP, AT(command.delete_group.name), NO_FIELDS},
    {API_FREEZE_PUT, COMMAND_PUT_FREEZE, AT(command.put_freeze.scope), FIELDS(freeze_fields)},
    {API_FREEZE_DELETE, COMMAND_DELETE_FREEZE, AT(command.delete_freeze.scope), NO_FIELDS},
};

const struct body_row *body_row(enum api_route route)
{
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        if (bodies[i].route == route) {
            return &bodies[i];
        }
    }
    return NULL;
}

const struct field_list *renewal_fields(void)
{
    static const struct field_list fields = FIELDS(renew_batch_item_fields);
    return &fields;
}

/* ---- for tests of the contract ---- */

static const char *json_type_name(enum field_kind kind)
{
    switch (kind) {
    case FIELD_VISIBLE:
    case FIELD_NAME:
    case FIELD_TEXT:
        return "string";
    case FIELD_NUMBER:
    case FIELD_COUNT:
        return "integer";
    case FIELD_FLAG:
        return "boolean";
    case FIELD_OBJECT:
        return "object";
    case FIELD_RENEWALS:
        return "array";
    }
    return "unknown";
}

static bool show_field(const struct field_list *fields, size_t i, struct api_field *field)
{
    if (i >= fields->n) {
        return false;
    }
    const struct field_row *row = &fields->rows[i];
    *field = (struct api_field){
        .name = row->name,
        .type = json_type_name(row->kind),
        .required = row->required,
        .nullable = row->nullable,
        .min = row->min,
        .max = row->max,
        .otherwise = row->otherwise,
    };
    return true;
}

bool api_field(enum api_route route, size_t i, struct api_field *field)
{
    const struct body_row *body = body_row(route);
    return body != NULL && show_field(&body->fields, i, field);
}

bool api_item_field(enum api_route route, size_t i, struct api_field *field)
{
    return route == API_RENEW_BATCH && show_field(renewal_fields(), i, field);
}
