/* json: see json.h. */
#include "api/json.h"

#include <string.h>

/* ---- text ---- */

static bool is_between(uint8_t c, uint8_t low, uint8_t high)
{
    return c >= low && c <= high;
}

/* Bytes of the UTF-8 sequence (RFC 3629) that begins at `i`; 0 when none does. */
static size_t sequence_length(struct slice text, size_t i)
{
    const uint8_t *c = text.base + i;
    if (c[0] < 0x80) {
        return 1;
    }
    size_t length = c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
    if (!is_between(c[0], 0xc2, 0xf4) || text.len - i < length) {
        return 0;
    }
    /* No long form of a short one, no surrogates, nothing past U+10FFFF. */
    uint8_t low = c[0] == 0xe0 ? 0xa0 : c[0] == 0xf0 ? 0x90 : 0x80;
    uint8_t high = c[0] == 0xed ? 0x9f : c[0] == 0xf4 ? 0x8f : 0xbf;
    bool valid = is_between(c[1], low, high);
    for (size_t n = 2; n < length; n++) {
        valid = valid && is_between(c[n], 0x80, 0xbf);
    }
    return valid ? length : 0;
}

static void append_escape(struct buffer *text, uint8_t c)
{
    static const char named[] = "\"\\\b\f\n\r\t";
    static const char names[] = "\"\\bfnrt";
    const char *found = c == 0 ? NULL : strchr(named, c);
    if (found != NULL) {
        char escape[2] = {'\\', names[found - named]};
        buffer_append(text, escape, sizeof escape);
    } else {
        buffer_printf(text, "\\u%04X", c);
    }
}

/* Passes over bytes that need no look, eight at a time: ASCII without controls, quotes and backslashes. Almost all texts are
 * such, and an answer may have thousands. A borrow may say no too often, never yes. */
static size_t skip_plain(struct slice string, size_t i)
{
    const uint64_t ones = 0x0101010101010101;
    for (; string.len - i >= sizeof ones; i += sizeof ones) {
        uint64_t bytes;
        memcpy(&bytes, string.base + i, sizeof bytes);
        uint64_t quotes = (bytes ^ ones * '"') - ones;
        uint64_t backslashes = (bytes ^ ones * '\\') - ones;
        if (((bytes | (bytes - ones * ' ') | quotes | backslashes) & ones * 0x80) != 0) {
            break;
        }
    }
    return i;
}

static void append_string(struct buffer *text, struct slice string)
{
    buffer_append(text, "\"", 1);
    size_t done = 0;
    for (size_t i = skip_plain(string, 0); i < string.len; i = skip_plain(string, i)) {
        uint8_t c = string.base[i];
        size_t length = sequence_length(string, i);
        if (length > 0 && c >= ' ' && c != '"' && c != '\\') {
            i += length;
            continue;
        }
        buffer_append(text, string.base + done, i - done);
        if (length == 0) {
            buffer_append(text, "\xef\xbf\xbd", 3);
        } else {
            append_escape(text, c);
        }
        done = ++i;
    }
    if (string.len > done) {
        buffer_append(text, string.base + done, string.len - done);
    }
    buffer_append(text, "\"", 1);
}

/* ---- values ---- */

/* What stands before a value. */
static void begin_value(struct json_writer *json, const char *key)
{
    if (json->follows) {
        buffer_append(json->text, ",", 1);
    }
    if (key != NULL) {
        buffer_append(json->text, "\"", 1);
        buffer_append(json->text, key, strlen(key));
        buffer_append(json->text, "\":", 2);
    }
    json->follows = true;
}

void json_put_raw(struct json_writer *json, const char *key, struct slice value)
{
    begin_value(json, key);
    buffer_append_slice(json->text, value);
}

void json_begin(struct json_writer *json, const char *key, char bracket)
{
    begin_value(json, key);
    buffer_append(json->text, &bracket, 1);
    json->follows = false;
}

void json_end(struct json_writer *json, char bracket)
{
    buffer_append(json->text, &bracket, 1);
    json->follows = true;
}

void json_put_text(struct json_writer *json, const char *key, struct slice text)
{
    begin_value(json, key);
    append_string(json->text, text);
}

void json_put_text_or_null(struct json_writer *json, const char *key, struct slice text)
{
    if (slice_is_present(text)) {
        json_put_text(json, key, text);
    } else {
        json_put_null(json, key);
    }
}

void json_put_word(struct json_writer *json, const char *key, const char *word)
{
    json_put_text(json, key, slice_of(word));
}

void json_put_number(struct json_writer *json, const char *key, uint64_t number)
{
    char digits[20]; /* of 2^64 − 1 */
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    json_put_raw(json, key, (struct slice){.base = (const uint8_t *)digits + at, .len = sizeof digits - at});
}

void json_put_instant(struct json_writer *json, const char *key, int64_t wall_ms)
{
    char text[25];
    log_render_time(wall_ms, text);
    json_put_word(json, key, text);
}

void json_put_flag(struct json_writer *json, const char *key, bool flag)
{
    json_put_raw(json, key, slice_of(flag ? "true" : "false"));
}

void json_put_null(struct json_writer *json, const char *key)
{
    json_put_raw(json, key, slice_of("null"));
}

/* ---- answers ---- */

struct json_writer answer_begin(struct api_answer *answer, unsigned status)
{
    answer->status = status;
    answer->content_type = "application/json";
    buffer_clear(&answer->body);
    struct json_writer json = {.text = &answer->body};
    json_begin(&json, NULL, '{');
    return json;
}

void answer_end(struct json_writer *json)
{
    json_end(json, '}');
}
