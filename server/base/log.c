#include "base/log.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

static const char *const level_names[] = {"error", "warning", "info", "debug"};

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

bool log_level_parse(const char *name, enum log_level *level)
{
    if (strcmp(name, "warn") == 0) {
        *level = LOG_LEVEL_WARNING;
        return true;
    }
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static void put_digits(char *text, size_t n, int64_t value)
{
    for (; n > 0; value /= 10) {
        text[--n] = (char)('0' + value % 10);
    }
}

void log_render_time(int64_t wall_ms, char text[25])
{
    const int64_t first = -62167219200000; /* 0000-01-01T00:00:00.000Z */
    const int64_t last = 253402300799999;  /* 9999-12-31T23:59:59.999Z */
    int64_t clamped = wall_ms < first ? first : wall_ms > last ? last : wall_ms;
    int64_t milliseconds = (clamped % 1000 + 1000) % 1000;
    time_t seconds = (time_t)((clamped - milliseconds) / 1000);
    struct tm parts;
    CHECK(gmtime_r(&seconds, &parts) != NULL);
    memcpy(text, "YYYY-MM-DDThh:mm:ss.mmmZ", 25);
    put_digits(text, 4, parts.tm_year + 1900);
    put_digits(text + 5, 2, parts.tm_mon + 1);
    put_digits(text + 8, 2, parts.tm_mday);
    put_digits(text + 11, 2, parts.tm_hour);
    put_digits(text + 14, 2, parts.tm_min);
    put_digits(text + 17, 2, parts.tm_sec);
    put_digits(text + 20, 3, milliseconds);
}

/* Bytes of the control character that begins at `i`, 0 when none does: one for ASCII's, two for U+0080 to U+009F, which a
 * terminal obeys as well. */
static size_t control_length(struct slice value, size_t i)
{
    const uint8_t *c = value.base + i;
    if (c[0] == 0xc2 && value.len - i > 1 && c[1] >= 0x80 && c[1] <= 0x9f) {
        return 2;
    }
    return c[0] < ' ' || c[0] == 0x7f ? 1 : 0;
}

static void render_value(struct slice value, struct buffer *line)
{
    bool plain = value.len > 0;
    for (size_t i = 0; i < value.len && plain; i++) {
        plain = value.base[i] != ' ' && value.base[i] != '"' && value.base[i] != '=' && value.base[i] != '\\' &&
                control_length(value, i) == 0;
    }
    if (plain) {
        buffer_append_slice(line, value);
        return;
    }
    buffer_append(line, "\"", 1);
    size_t control = 0; /* bytes that are left of one */
    for (size_t i = 0; i < value.len; i++) {
        uint8_t byte = value.base[i];
        control = control > 0 ? control : control_length(value, i);
        if (control > 0) {
            buffer_printf(line, "\\x%02x", byte);
            control--;
        } else if (byte == '"' || byte == '\\') {
            buffer_printf(line, "\\%c", byte);
        } else {
            buffer_append(line, &byte, 1);
        }
    }
    buffer_append(line, "\"", 1);
}

void log_render_text(const struct log_record *record, struct buffer *line)
{
    char time_text[25];
    log_render_time(record->wall_ms, time_text);
    buffer_printf(line, "time=%s level=%s msg=", time_text, log_level_name(record->level));
    render_value(record->message, line);
    for (size_t i = 0; i < record->n_fields; i++) {
        const struct log_field *field = &record->fields[i];
        buffer_printf(line, " %s=", field->key);
        switch (field->kind) {
        case LOG_KIND_TEXT:
            render_value(field->text, line);
            break;
        case LOG_KIND_UNSIGNED:
            buffer_printf(line, "%" PRIu64, field->number);
            break;
        case LOG_KIND_SIGNED:
            buffer_printf(line, "%" PRId64, (int64_t)field->number);
            break;
        }
    }
}

void log_write(const struct log *log, enum log_level level, struct slice message, const struct log_field *fields,
               size_t n_fields)
{
    if (!log_would_write(log, level)) {
        return;
    }
    struct log_record record = {
        .level = level,
        .wall_ms = log->wall_ms(log->data),
        .message = message,
        .fields = fields,
        .n_fields = n_fields,
    };
    struct buffer line;
    buffer_init(&line);
    log->render(&record, &line);
    buffer_append(&line, "\n", 1);
    log->write(log->data, (const char *)line.base, line.len);
    buffer_close(&line);
}
