/* log: one event a line, `key=value`, with the level decided at start.
 *
 * Only node, replica, http and main log; core, codec, storage, peer and api return facts. The caller gives a message
 * that never varies and fields that do, except for the sentence about a skipped schedule, whose wording is fixed by the
 * contract. Rendering is a function given at start (text here, JSON in api, so that no JSON is written by hand). */
#ifndef BATON_BASE_LOG_H
#define BATON_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum log_kind { LOG_KIND_TEXT, LOG_KIND_UNSIGNED, LOG_KIND_SIGNED };

struct log_field {
    const char *key;
    enum log_kind kind;
    struct slice text;
    uint64_t number; /* a signed one is stored as its two's complement */
};

struct log_record {
    enum log_level level;
    int64_t wall_ms;
    struct slice message;
    const struct log_field *fields;
    size_t n_fields;
};

struct log {
    enum log_level level; /* records above it are dropped before they are rendered */
    void *data;
    int64_t (*wall_ms)(void *data);
    void (*write)(void *data, const char *line, size_t len); /* the line ends with '\n' */
    /* Appends one line without its '\n'. */
    void (*render)(const struct log_record *record, struct buffer *line);
};

/* time=… level=… msg="…" key=value …; values with spaces, quotes or control bytes are quoted and escaped. */
void log_render_text(const struct log_record *record, struct buffer *line);

void log_write(const struct log *log, enum log_level level, struct slice message, const struct log_field *fields,
               size_t n_fields);
static inline bool log_would_write(const struct log *log, enum log_level level)
{
    return level <= log->level;
}
bool log_level_parse(const char *name, enum log_level *level); /* error, warning (warn), info, debug */
const char *log_level_name(enum log_level level);
/* RFC 3339 UTC with milliseconds: 2026-01-02T03:04:05.678Z and a zero, 25 bytes. Years outside 0000…9999 are clamped. */
void log_render_time(int64_t wall_ms, char text[25]);

#define LOG_TEXT(key_, value_)  ((struct log_field){.key = (key_), .kind = LOG_KIND_TEXT, .text = slice_of(value_)})
#define LOG_SLICE(key_, value_) ((struct log_field){.key = (key_), .kind = LOG_KIND_TEXT, .text = (value_)})
#define LOG_U64(key_, value_)                                                                                          \
    ((struct log_field){.key = (key_), .kind = LOG_KIND_UNSIGNED, .number = (uint64_t)(value_)})
#define LOG_I64(key_, value_)                                                                                          \
    ((struct log_field){.key = (key_), .kind = LOG_KIND_SIGNED, .number = (uint64_t)(int64_t)(value_)})

/* log_info(log, "leader elected", LOG_U64("term", term), LOG_SLICE("node", name)); at least one field. */
#define LOG_AT(log_, level_, message_, ...)                                                                            \
    do {                                                                                                               \
        if (log_would_write((log_), (level_))) {                                                                       \
            const struct log_field log_fields_[] = {__VA_ARGS__};                                                      \
            log_write((log_), (level_), slice_of(message_), log_fields_, sizeof log_fields_ / sizeof log_fields_[0]);  \
        }                                                                                                              \
    } while (0)
#define log_error(log_, message_, ...)   LOG_AT(log_, LOG_LEVEL_ERROR, message_, __VA_ARGS__)
#define log_warning(log_, message_, ...) LOG_AT(log_, LOG_LEVEL_WARNING, message_, __VA_ARGS__)
#define log_info(log_, message_, ...)    LOG_AT(log_, LOG_LEVEL_INFO, message_, __VA_ARGS__)
#define log_debug(log_, message_, ...)   LOG_AT(log_, LOG_LEVEL_DEBUG, message_, __VA_ARGS__)

#endif
