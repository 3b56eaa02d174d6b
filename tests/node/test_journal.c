/* Lines of the log on a file descriptor, also on one that takes nothing for now. A test that would block for ever is ended
 * by an alarm. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "node/journal.h"

static size_t write_one(enum journal_format format, enum log_level level, char *line, size_t size)
{
    int ends[2];
    struct journal journal;
    struct log log;
    assert_int_equal(pipe(ends), 0);
    journal_open(&journal, ends[1], format, LOG_LEVEL_INFO, &log);
    LOG_AT(&log, level, "ready", LOG_TEXT("node", "n1"), LOG_U64("term", 3));
    journal_close(&journal, 0);
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

static void assert_text(const char *value, const char *expected)
{
    const struct log_field field = LOG_TEXT("f", value);
    const struct log_record record = {
        .level = LOG_LEVEL_INFO, .message = slice_of("m"), .fields = &field, .n_fields = 1};
    struct buffer line;
    buffer_init(&line);
    log_render_text(&record, &line);
    buffer_append(&line, "", 1);
    assert_string_equal(strstr((const char *)line.base, " f=") + 3, expected);
    buffer_close(&line);
}

/* Who reads the log may read it on a terminal, and must not be sent there what a client made up. */
static void control_characters_are_escaped_in_text(void **state)
{
    (void)state;
    assert_text("plain", "plain");
    assert_text("two words", "\"two words\"");
    assert_text("", "\"\"");
    assert_text("a\"b\\c", "\"a\\\"b\\\\c\"");
    assert_text("\x1b[2J\n\x7f", "\"\\x1b[2J\\x0a\\x7f\"");
    assert_text("\xc2\x9b"
                "2J",
                "\"\\xc2\\x9b2J\""); /* C1: CSI as one character */
    assert_text("a\xc2\x80z\xc2\x9f", "\"a\\xc2\\x80z\\xc2\\x9f\"");
    assert_text("\xc2\xa0\xc3\x80\xc3\x9f\xe2\x82\x80", "\xc2\xa0\xc3\x80\xc3\x9f\xe2\x82\x80"); /* text */
    assert_text("x\xc2", "x\xc2");
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
    journal_close(&journal, 0);
}

/* ---- a reader that is slow ---- */

struct slow {
    int ends[2]; /* read from, logged to */
    struct journal journal;
    struct log log;
    unsigned waits;
    unsigned logged;
    unsigned read; /* and found in order */
    char *text;    /* what was read, with a zero behind it */
    size_t len;
};

static void count_waits(void *arg)
{
    struct slow *slow = arg;
    slow->waits++;
}

static void slow_open(struct slow *slow)
{
    (void)alarm(60);
    slow->waits = 0;
    slow->logged = 0;
    slow->read = 0;
    slow->len = 0;
    slow->text = malloc(4 * LIMIT_JOURNAL_BYTES);
    assert_non_null(slow->text);
    journal_open(&slow->journal, slow->ends[1], JOURNAL_TEXT, LOG_LEVEL_INFO, &slow->log);
    journal_watch(&slow->journal, count_waits, slow);
}

static void slow_open_pipe(struct slow *slow)
{
    assert_int_equal(pipe(slow->ends), 0);
    slow_open(slow);
}

static void slow_close(struct slow *slow)
{
    assert_int_equal(close(slow->ends[0]), 0);
    assert_int_equal(close(slow->ends[1]), 0);
    free(slow->text);
    (void)alarm(0);
}

static void slow_log(struct slow *slow)
{
    log_info(&slow->log, "counted", LOG_U64("number", slow->logged));
    slow->logged++;
}

/* Until lines wait, or until some had to be dropped. */
static void slow_log_until_it_waits(struct slow *slow)
{
    while (slow->journal.waiting.len == 0) {
        slow_log(slow);
    }
}

static void slow_log_until_it_drops(struct slow *slow)
{
    while (slow->journal.dropped == 0) {
        slow_log(slow);
        assert_true(slow->journal.waiting.len <= LIMIT_JOURNAL_BYTES);
    }
}

/* Reads what is there now. */
static void slow_read(struct slow *slow)
{
    int flags = fcntl(slow->ends[0], F_GETFL);
    assert_int_equal(fcntl(slow->ends[0], F_SETFL, flags | O_NONBLOCK), 0);
    ssize_t n;
    while ((n = read(slow->ends[0], slow->text + slow->len, 65536)) > 0) {
        slow->len += (size_t)n;
        assert_true(slow->len < 3 * LIMIT_JOURNAL_BYTES);
    }
    slow->text[slow->len] = 0;
}

/* Reads all that was logged: whole lines in order, and in place of each gap a line that says how long it is. */
static void assert_told_everything(struct slow *slow, bool has_gaps)
{
    slow_read(slow);
    while (!journal_flush(&slow->journal)) {
        slow_read(slow);
    }
    slow_read(slow);
    unsigned gaps = 0;
    char *rest = slow->text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL && rest != NULL;) {
        const char *counted = strstr(line, " level=info msg=counted number=");
        const char *dropped = strstr(line, " level=warning msg=\"lines of the log were dropped\" lines=");
        assert_int_equal(strncmp(line, "time=", 5), 0);
        assert_true((counted == NULL) != (dropped == NULL));
        unsigned number = (unsigned)strtoul(strrchr(line, '=') + 1, NULL, 10);
        if (counted != NULL) {
            assert_int_equal(number, slow->read);
        }
        gaps += dropped != NULL;
        slow->read += dropped != NULL ? number : 1;
    }
    assert_int_equal(slow->read, slow->logged);
    assert_int_equal(gaps > 0, has_gaps);
    slow->len = 0;
}

static void lines_wait_while_a_pipe_is_full(void **state)
{
    (void)state;
    struct slow slow;
    slow_open_pipe(&slow);
    slow_log_until_it_waits(&slow);
    slow_log(&slow);
    assert_int_equal(slow.waits, 1);
    assert_false(journal_flush(&slow.journal));
    assert_told_everything(&slow, false);
    slow_log_until_it_waits(&slow);
    assert_int_equal(slow.waits, 2);
    journal_close(&slow.journal, 0); /* in vain */
    slow_close(&slow);
}

static void past_the_bound_lines_are_dropped_and_their_number_is_told(void **state)
{
    (void)state;
    struct slow slow;
    slow_open_pipe(&slow);
    slow_log_until_it_drops(&slow);
    for (int i = 0; i < 100; i++) {
        slow_log(&slow);
    }
    assert_true(slow.journal.dropped >= 90);
    slow_read(&slow); /* a pipe's worth: there is room for a part of what waits, and the next line tells of the gap */
    uint64_t dropped = slow.journal.dropped_total;
    assert_int_equal(dropped, slow.journal.dropped);
    slow_log(&slow);
    assert_int_equal(slow.journal.dropped, 0);
    assert_int_equal(slow.journal.dropped_total, dropped); /* which is never told, and so never forgotten */
    slow_log_until_it_drops(&slow);
    assert_true(slow.journal.dropped_total > dropped);
    assert_told_everything(&slow, true);
    slow_log_until_it_drops(&slow);
    journal_close(&slow.journal, 0); /* in vain, yet it ends */
    slow_close(&slow);
}

static void others_who_share_the_pipe_still_block_on_it(void **state)
{
    (void)state;
    struct slow slow;
    slow_open_pipe(&slow);
    assert_int_equal(slow.journal.way, JOURNAL_REOPENED);
    assert_int_equal(fcntl(slow.ends[1], F_GETFL) & O_NONBLOCK, 0);
    journal_close(&slow.journal, 0);
    slow_close(&slow);
}

static void a_pipe_that_cannot_be_opened_again_is_polled(void **state)
{
    (void)state;
    struct slow slow;
    slow_open_pipe(&slow);
    journal_close(&slow.journal, 0);
    slow.journal.fd = slow.ends[1];
    slow.journal.way = JOURNAL_POLLED;
    slow_log_until_it_drops(&slow);
    assert_told_everything(&slow, true);
    journal_close(&slow.journal, 0);
    slow_close(&slow);
}

static void a_socket_that_is_full_stops_nobody(void **state)
{
    (void)state;
    struct slow slow;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, slow.ends), 0);
    slow_open(&slow);
    slow_log_until_it_drops(&slow);
    assert_told_everything(&slow, true);
    journal_close(&slow.journal, 0);
    slow_close(&slow);
}

static void a_line_longer_than_a_pipe_stays_whole(void **state)
{
    (void)state;
    struct slow slow;
    char *text = malloc(100001);
    assert_non_null(text);
    memset(text, 'x', 100000);
    text[100000] = 0;
    slow_open_pipe(&slow);
    for (int i = 0; i < 2; i++) {
        log_info(&slow.log, "long", LOG_TEXT("text", text));
    }
    do {
        slow_read(&slow);
    } while (!journal_flush(&slow.journal));
    slow_read(&slow);
    const char *second = strstr(slow.text, "text=") + 5 + 100000;
    assert_int_equal(strncmp(second, "\ntime=", 6), 0);
    assert_int_equal(strspn(strstr(second, "text=") + 5, "x"), 100000);
    assert_int_equal(slow.text[slow.len - 1], '\n');
    free(text);
    journal_close(&slow.journal, 0);
    slow_close(&slow);
}

static void a_reader_that_is_gone_stops_nobody(void **state)
{
    (void)state;
    struct slow slow;
    slow_open_pipe(&slow);
    slow_log_until_it_waits(&slow);
    assert_int_equal(close(slow.ends[0]), 0);
    slow_log(&slow);
    slow_log(&slow);
    assert_int_equal(slow.journal.waiting.len, 0);
    journal_close(&slow.journal, 60000); /* there is nothing to wait for */
    slow.ends[0] = dup(slow.ends[1]);
    slow_close(&slow);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as batond does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_one_line_in_either_format),
        cmocka_unit_test(control_characters_are_escaped_in_text),
        cmocka_unit_test(records_above_the_level_are_dropped),
        cmocka_unit_test(a_descriptor_that_takes_nothing_stops_nobody),
        cmocka_unit_test(lines_wait_while_a_pipe_is_full),
        cmocka_unit_test(past_the_bound_lines_are_dropped_and_their_number_is_told),
        cmocka_unit_test(others_who_share_the_pipe_still_block_on_it),
        cmocka_unit_test(a_pipe_that_cannot_be_opened_again_is_polled),
        cmocka_unit_test(a_socket_that_is_full_stops_nobody),
        cmocka_unit_test(a_line_longer_than_a_pipe_stays_whole),
        cmocka_unit_test(a_reader_that_is_gone_stops_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
