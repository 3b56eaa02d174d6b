/* log_json: a log record as one JSON object. The keys are those of the text form. */
#include <inttypes.h>
#include <stdio.h>

#include "api/json.h"

static void write_field(struct json_writer *json, const struct log_field *field)
{
    char digits[24];
    switch (field->kind) {
    case LOG_KIND_TEXT:
        json_put_text_or_null(json, field->key, field->text);
        break;
    case LOG_KIND_UNSIGNED:
        if (field->number <= INT64_MAX) {
            json_put_number(json, field->key, field->number);
        } else { /* more than readers of JSON hold: the digits as a string */
            (void)snprintf(digits, sizeof digits, "%" PRIu64, field->number);
            json_put_word(json, field->key, digits);
        }
        break;
    case LOG_KIND_SIGNED:
        (void)snprintf(digits, sizeof digits, "%" PRId64, (int64_t)field->number);
        json_put_raw(json, field->key, slice_of(digits));
        break;
    }
}

void api_render_log_json(const struct log_record *record, struct buffer *line)
{
    struct json_writer json = {.text = line};
    json_begin(&json, NULL, '{');
    json_put_instant(&json, "time", record->wall_ms);
    json_put_word(&json, "level", log_level_name(record->level));
    json_put_text(&json, "msg", record->message);
    for (size_t i = 0; i < record->n_fields; i++) {
        write_field(&json, &record->fields[i]);
    }
    json_end(&json, '}');
}
