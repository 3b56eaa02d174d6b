/* json: jansson with our rules. Memory that runs out aborts, as everywhere; what comes from clients is checked first. */
#include "api/json.h"

json_t *json_text(struct slice text)
{
    json_t *value = json_stringn(text.len == 0 ? "" : (const char *)text.base, text.len);
    if (value != NULL) {
        return value;
    }
    struct buffer shown; /* not UTF-8 */
    buffer_init(&shown);
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] < 0x80) {
            buffer_append(&shown, &text.base[i], 1);
        } else {
            buffer_append(&shown, "\xef\xbf\xbd", 3);
        }
    }
    value = json_stringn((const char *)shown.base, shown.len);
    buffer_close(&shown);
    CHECK(value != NULL);
    return value;
}

json_t *json_text_or_null(struct slice text)
{
    return slice_is_present(text) ? json_text(text) : json_null();
}

json_t *json_number(uint64_t number)
{
    return json_integer(number <= INT64_MAX ? (json_int_t)number : INT64_MAX);
}

json_t *json_instant(int64_t wall_ms)
{
    char text[25];
    log_render_time(wall_ms, text);
    return json_string(text);
}

void json_put(json_t *object, const char *key, json_t *value)
{
    CHECK(value != NULL && json_object_set_new_nocheck(object, key, value) == 0);
}

static int append_piece(const char *piece, size_t len, void *data)
{
    buffer_append(data, piece, len);
    return 0;
}

void json_append(const json_t *value, size_t flags, struct buffer *text)
{
    CHECK(json_dump_callback(value, append_piece, text, flags | JSON_COMPACT) == 0);
}

void answer_with(struct api_answer *answer, unsigned status, json_t *object)
{
    answer->status = status;
    answer->content_type = "application/json";
    buffer_clear(&answer->body);
    json_append(object, 0, &answer->body);
    json_decref(object);
}
