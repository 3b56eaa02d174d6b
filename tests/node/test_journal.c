/* Lines of the log on a file descriptor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/journal.h"

static size_t write_one(enum journal_format format, enum log_level level, char *line, size_t size)
{
    int ends[2];
    struct journal journal;
    struct log log;
    assert_int_equal(pipe(ends), 0);
    journal_open(&journal, ends[1], format, LOG_LEVEL_INFO, &log);
    LOG_AT(&log, level, "ready", LOG_TEXT("node", "n1"), LOG_U64("term", 3));
    assert_int_equal(close(ends[1]), 0);
    ssize_t got = read(ends[0], line, size - 1);
    assert_true(got >= 0);
    line[got] = 0;
    assert_int_equal(close(ends[0]), 0);
    return (size_t)got;
}

static void a_record_is_one_line_in_either_format(void **state)
{
    (void)state;
    char line[1024];
    size_t len = write_one(JOURNAL_TEXT, LOG_LEVEL_INFO, line, sizeof line);
    assert_non_null(strstr(line, " level=info msg=ready node=n1 term=3\n"));
    assert_ptr_equal(strchr(line, '\n'), line + len - 1);
    len = write_one(JOURNAL_JSON, LOG_LEVEL_WARNING, line, sizeof line);
    assert_int_equal(line[0], '{');
    assert_non_null(strstr(line, "\"msg\":\"ready\""));
    assert_non_null(strstr(line, "\"term\":3"));
    assert_ptr_equal(strchr(line, '\n'), line + len - 1);
}

static void records_above_the_level_are_dropped(void **state)
{
    (void)state;
    char line[1024];
    assert_int_equal(write_one(JOURNAL_TEXT, LOG_LEVEL_DEBUG, line, sizeof line), 0);
}

static void a_descriptor_that_takes_nothing_stops_nobody(void **state)
{
    (void)state;
    struct journal journal;
    struct log log;
    journal_open(&journal, -1, JOURNAL_TEXT, LOG_LEVEL_INFO, &log);
    log_info(&log, "lost", LOG_TEXT("node", "n1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_one_line_in_either_format),
        cmocka_unit_test(records_above_the_level_are_dropped),
        cmocka_unit_test(a_descriptor_that_takes_nothing_stops_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
