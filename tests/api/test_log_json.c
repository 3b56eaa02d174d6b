/* Log lines as JSON: the same facts as the text form, whatever bytes they hold. */
#include <string.h>

#include "support.h"

static void assert_line(const struct log_record *record, const char *expected)
{
    struct buffer line;
    buffer_init(&line);
    buffer_append(&line, "", 0);
    api_render_log_json(record, &line);
    assert_slice(buffer_slice(&line), expected);
    buffer_close(&line);
}

static void a_record_is_one_object(void **state)
{
    (void)state;
    const struct log_field fields[] = {LOG_TEXT("node", "n1"), LOG_U64("term", 7), LOG_I64("delta", -3)};
    const struct log_record record = {.level = LOG_LEVEL_INFO,
                                      .wall_ms = 1767323045678,
                                      .message = slice_of("leader elected"),
                                      .fields = fields,
                                      .n_fields = 3};
    assert_line(&record, "{\"time\":\"2026-01-02T03:04:05.678Z\",\"level\":\"info\",\"msg\":\"leader elected\","
                         "\"node\":\"n1\",\"term\":7,\"delta\":-3}");
}

static void any_bytes_are_escaped_into_one_line(void **state)
{
    (void)state;
    const struct slice odd = {.base = (const uint8_t *)"a\"\\\n\x01\0\xff", .len = 7};
    const struct log_field fields[] = {LOG_SLICE("odd", odd), LOG_TEXT("utf8", "\xe2\x80\x94"), LOG_TEXT("none", NULL),
                                       LOG_U64("most", UINT64_MAX), LOG_I64("least", INT64_MIN)};
    const struct log_record record = {
        .level = LOG_LEVEL_DEBUG, .message = slice_of("m"), .fields = fields, .n_fields = 5};
    assert_line(&record, "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"debug\",\"msg\":\"m\","
                         "\"odd\":\"a\\\"\\\\\\n\\u0001\\u0000\xef\xbf\xbd\",\"utf8\":\"\xe2\x80\x94\",\"none\":null,"
                         "\"most\":\"18446744073709551615\",\"least\":-9223372036854775808}");
}

static void the_log_can_render_with_it(void **state)
{
    (void)state;
    struct buffer line;
    buffer_init(&line);
    const struct log_record record = {.level = LOG_LEVEL_ERROR, .message = slice_of("x")};
    buffer_append(&line, "before ", 7);
    api_render_log_json(&record, &line); /* appends */
    assert_memory_equal(line.base, "before {", 8);
    assert_null(memchr(line.base, '\n', line.len));
    buffer_close(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_one_object),
        cmocka_unit_test(any_bytes_are_escaped_into_one_line),
        cmocka_unit_test(the_log_can_render_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
