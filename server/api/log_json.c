/* log_json: a log record as one JSON object. The keys are those of the text form. */
#include "api/json.h"

void api_render_log_json(const struct log_record *record, struct buffer *line)
{
    json_t *object = json_object();
    CHECK(object != NULL);
    json_put(object, "time", json_instant(record->wall_ms));
    json_put(object, "level", json_string(log_level_name(record->level)));
    json_put(object, "msg", json_text(record->message));
    for (size_t i = 0; i < record->n_fields; i++) {
        const struct log_field *field = &record->fields[i];
        switch (field->kind) {
        case LOG_KIND_TEXT:
            json_put(object, field->key, json_text_or_null(field->text));
            break;
        case LOG_KIND_UNSIGNED: /* jansson's integers are signed; past them the digits are a string */
            json_put(object, field->key,
                     field->number <= INT64_MAX ? json_number(field->number)
                                                : json_sprintf("%llu", (unsigned long long)field->number));
            break;
        case LOG_KIND_SIGNED:
            json_put(object, field->key, json_integer((int64_t)field->number));
            break;
        }
    }
    json_append(object, 0, line);
    json_decref(object);
}
