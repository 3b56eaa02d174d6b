#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
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

void log_render_time(int64_t wall_ms, char text[25])
{
    const int64_t first = -62167219200000; /* 0000-01-01T00:00:00.000Z */
    const int64_t last = 253402300799999;  /* 9999-12-31T23:59:59.999Z */
    int64_t clamped = wall_ms < first ? first : wall_ms > last ? last : wall_ms;
    int64_t milliseconds = (clamped % 1000 + 1000) % 1000;
    time_t seconds = (time_t)((clamped - milliseconds) / 1000);
    struct tm parts;
    CHECK(gmtime_r(&seconds, &parts) != NULL);
    char wide[64];
    (void)snprintf(wide, sizeof wide, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900, parts.tm_mon + 1,
                   parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, (int)milliseconds);
    memcpy(text, wide, 24);
    text[24] = 0;
}

static void render_value(struct slice value, struct buffer *line)
{
    bool plain = value.len > 0;
    for (size_t i = 0; i < value.len && plain; i++) {
        plain = value.base[i] > ' ' && value.base[i] != '"' && value.base[i] != '=' && value.base[i] != '\\' &&
                value.base[i] != 0x7f;
    }
    if (plain) {
        buffer_append_slice(line, value);
        return;
    }
    buffer_append(line, "\"", 1);
    for (size_t i = 0; i < value.len; i++) {
        uint8_t byte = value.base[i];
        if (byte == '"' || byte == '\\') {
            buffer_printf(line, "\\%c", byte);
        } else if (byte < ' ' || byte == 0x7f) {
            buffer_printf(line, "\\x%02x", byte);
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
