/* Strings as JSON: whatever bytes come, what leaves is valid, and what is UTF-8 leaves as jansson writes it. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

/* `text` as the message of a log line, without its quotes. */
static struct slice written(struct slice text, struct buffer *line)
{
    static const char before[] = "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"error\",\"msg\":";
    const struct log_record record = {.level = LOG_LEVEL_ERROR, .message = text};
    buffer_clear(line);
    api_render_log_json(&record, line);
    assert_true(line->len > sizeof before);
    assert_memory_equal(line->base, before, sizeof before - 1);
    return (struct slice){.base = line->base + sizeof before, .len = line->len - sizeof before - 2};
}

static void what_is_no_utf_8_is_shown_as_such(void **state)
{
    (void)state;
#define BAD "\xef\xbf\xbd"
    static const struct {
        const char *bytes;
        const char *shown;
    } cases[] = {
        {"", ""},
        {"a\xff", "a" BAD},
        {"\x80z", BAD "z"},
        {"\xc3", BAD},
        {"\xc3(", BAD "("},
        {"\xc0\xaf", BAD BAD},         /* '/' in two bytes */
        {"\xe0\x80\xaf", BAD BAD BAD}, /* … in three */
        {"\xf0\x80\x80\xaf", BAD BAD BAD BAD},
        {"\xed\xa0\x80", BAD BAD BAD},         /* a surrogate */
        {"\xf4\x90\x80\x80", BAD BAD BAD BAD}, /* past U+10FFFF */
        {"\xf5\x80\x80\x80", BAD BAD BAD BAD},
        {"\xe2\x82", BAD BAD},
        {"\xf0\x9f\x98", BAD BAD BAD},
        {"\xe2\x82\xac\xe2(\xf0\x9f\x98\x80", "\xe2\x82\xac" BAD "(\xf0\x9f\x98\x80"},
        {"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf",
         "\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf"},
    };
    struct buffer line;
    buffer_init(&line);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_slice(written(slice_of(cases[i].bytes), &line), cases[i].shown);
    }
    buffer_close(&line);
}

static void assert_as_jansson(struct slice text, struct buffer *line)
{
    struct slice shown = written(text, line);
    json_error_t error;
    json_t *whole = json_loadb((const char *)line->base, line->len, JSON_ALLOW_NUL, &error);
    assert_non_null(whole);
    json_decref(whole);
    json_t *value = json_stringn((const char *)text.base, text.len);
    if (value == NULL) {
        return; /* not UTF-8 */
    }
    char *expected = json_dumps(value, JSON_ENCODE_ANY);
    assert_non_null(expected);
    assert_int_equal(shown.len + 2, strlen(expected));
    assert_memory_equal(shown.base, expected + 1, shown.len);
    free(expected);
    json_decref(value);
}

static void every_byte_is_written_as_jansson_does(void **state)
{
    (void)state;
    struct buffer line;
    buffer_init(&line);
    for (unsigned c = 0; c < 256; c++) {
        for (unsigned d = 0; d < 256; d++) {
            const uint8_t bytes[3] = {(uint8_t)c, (uint8_t)d, 'z'};
            assert_as_jansson((struct slice){.base = bytes, .len = 3}, &line);
        }
    }
    buffer_close(&line);
}

/* Most of a text is passed over in steps of several bytes. */
static void every_byte_is_seen_wherever_it_stands(void **state)
{
    (void)state;
    struct buffer line;
    buffer_init(&line);
    for (unsigned c = 0; c < 256; c++) {
        for (size_t at = 0; at < 27; at++) {
            uint8_t *exact = malloc(27);
            memset(exact, c % 2 == 0 ? '!' : '~', 27); /* next to what needs a look */
            exact[at] = (uint8_t)c;
            assert_as_jansson((struct slice){.base = exact, .len = 27}, &line);
            if (c >= 0x80) {
                const struct slice shown = written((struct slice){.base = exact, .len = 27}, &line);
                assert_int_equal(shown.len, 29);
                assert_memory_equal(shown.base + at, BAD, 3);
            }
            free(exact);
        }
    }
    buffer_close(&line);
}

static void random_texts_are_written_as_jansson_does(void **state)
{
    (void)state;
    static const uint8_t edges[] = {0,    'a',  '"',  '\\', '\n', 0x1f, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0,
                                    0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xee, 0xf0, 0xf1, 0xf4, 0xf5};
    struct buffer line;
    buffer_init(&line);
    uint64_t seed = 0x9e3779b97f4a7c15u;
    for (int round = 0; round < 50000; round++) {
        size_t len = random_next(&seed) % 13;
        uint8_t *exact = malloc(len == 0 ? 1 : len); /* so that a sanitizer sees a read past the end */
        for (size_t i = 0; i < len; i++) {
            exact[i] = edges[random_next(&seed) % sizeof edges];
        }
        assert_as_jansson((struct slice){.base = exact, .len = len}, &line);
        free(exact);
    }
    buffer_close(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_utf_8_is_shown_as_such),
        cmocka_unit_test(every_byte_is_written_as_jansson_does),
        cmocka_unit_test(every_byte_is_seen_wherever_it_stands),
        cmocka_unit_test(random_texts_are_written_as_jansson_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
