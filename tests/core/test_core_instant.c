/* Which occurrences are instants, and which instant each is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/instant.h"

#include <stdio.h>
#include <string.h>

static void expect_instant(const char *text, int64_t seconds, uint32_t nanoseconds)
{
    struct instant instant;
    if (!instant_parse(slice_of(text), &instant)) {
        fail_msg("\"%s\" is an instant", text);
    }
    if (instant.seconds != seconds || instant.nanoseconds != nanoseconds) {
        fail_msg("\"%s\" is %lld.%09u", text, (long long)instant.seconds, instant.nanoseconds);
    }
}

static void expect_no_instant(const char *text)
{
    struct instant instant;
    if (instant_parse(slice_of(text), &instant)) {
        fail_msg("\"%s\" isn't an instant", text);
    }
}

static void instants_in_any_spelling_are_read(void **state)
{
    (void)state;
    expect_instant("1970-01-01T00:00:00Z", 0, 0);
    expect_instant("1970-01-01t00:00:00z", 0, 0);
    expect_instant("1970-01-01T00:00:00+00:00", 0, 0);
    expect_instant("1970-01-01T00:00:00-00:00", 0, 0);
    expect_instant("1970-01-01T02:00:00+02:00", 0, 0);
    expect_instant("1969-12-31T19:30:00-04:30", 0, 0);
    expect_instant("1970-01-02T00:59:00+23:59", 3600, 0);
    expect_instant("1969-12-31T00:01:00-23:59", 0, 0);
    expect_instant("1970-01-01T00:00:00.5Z", 0, 500000000);
    expect_instant("1970-01-01T00:00:00.000000001Z", 0, 1);
    expect_instant("1970-01-01T00:00:00.123456789+00:00", 0, 123456789);
    expect_instant("1970-01-01T00:00:00.120Z", 0, 120000000);
    expect_instant("2026-07-14T03:00:00Z", 1783998000, 0);
    expect_instant("1937-01-01T12:00:27.87+00:20", -1041337173, 870000000);
    expect_instant("0000-01-01T00:00:00Z", -62167219200, 0);
    expect_instant("0000-01-01T00:00:00+23:59", -62167219200 - 86340, 0);
    expect_instant("9999-12-31T23:59:59Z", 253402300799, 0);
    expect_instant("9999-12-31T23:59:59-23:59", 253402300799 + 86340, 0);
    expect_instant("2000-02-29T00:00:00Z", 951782400, 0);
    expect_instant("2100-03-01T00:00:00Z", 4107542400, 0);
}

static void leap_seconds_are_the_instant_that_follows(void **state)
{
    (void)state;
    expect_instant("1990-12-31T23:59:60Z", 662688000, 0);
    expect_instant("1990-12-31T15:59:60-08:00", 662688000, 0);
    expect_instant("2015-07-01T01:59:60.25+02:00", 1435708800, 250000000);
    expect_no_instant("1990-12-31T23:58:60Z");
    expect_no_instant("1990-12-30T23:59:60Z");
    expect_no_instant("1990-12-31T23:59:60+01:00");
    expect_no_instant("2016-03-31T23:59:60Z");
    expect_no_instant("1990-12-31T23:59:61Z");
}

static void impossible_dates_and_times_are_strings(void **state)
{
    (void)state;
    expect_no_instant("2026-00-10T00:00:00Z");
    expect_no_instant("2026-13-10T00:00:00Z");
    expect_no_instant("2026-01-00T00:00:00Z");
    expect_no_instant("2026-01-32T00:00:00Z");
    expect_no_instant("2026-04-31T00:00:00Z");
    expect_no_instant("2026-02-29T00:00:00Z");
    expect_no_instant("1900-02-29T00:00:00Z");
    expect_no_instant("2026-01-01T24:00:00Z");
    expect_no_instant("2026-01-01T00:60:00Z");
    expect_no_instant("2026-01-01T00:00:00+24:00");
    expect_no_instant("2026-01-01T00:00:00+00:60");
}

static void other_forms_are_strings(void **state)
{
    (void)state;
    expect_no_instant("");
    expect_no_instant("2026-01-01");
    expect_no_instant("20260101T000000Z");
    expect_no_instant("2026-01-01 00:00:00Z");
    expect_no_instant("2026-01-01T00:00Z");
    expect_no_instant("2026-01-01T00:00:00");
    expect_no_instant("2026-01-01T00:00:00.Z");
    expect_no_instant("2026-01-01T00:00:00,5Z");
    expect_no_instant("2026-01-01T00:00:00.1234567890Z");
    expect_no_instant("2026-01-01T00:00:00+0000");
    expect_no_instant("2026-01-01T00:00:00+00");
    expect_no_instant("2026-01-01T00:00:00ZZ");
    expect_no_instant("+2026-01-01T00:00:00Z");
    expect_no_instant("12026-01-01T00:00:00Z");
    expect_no_instant("2026-1-01T00:00:00Z");
    expect_no_instant("2026-01-01T-1:00:00Z");
    expect_no_instant(" 2026-01-01T00:00:00Z");
    struct instant instant;
    assert_false(instant_parse((struct slice){0}, &instant));
}

static void no_truncation_is_an_instant(void **state)
{
    (void)state;
    const char *text = "2026-07-14T03:00:00.123+02:00";
    struct instant instant;
    for (size_t len = 0; len < strlen(text); len++) {
        struct slice slice = {.base = (const uint8_t *)text, .len = len};
        assert_false(instant_parse(slice, &instant));
    }
    assert_true(instant_parse(slice_of(text), &instant));
}

/* Every day of 400 years and some, counted one by one. */
static void days_follow_each_other(void **state)
{
    (void)state;
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t expected = -62167219200;
    for (int year = 0; year < 2200; year++) {
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        for (int month = 1; month <= 12; month++) {
            for (int day = 1; day <= days[month - 1] + (month == 2 && leap); day++) {
                char text[64];
                (void)snprintf(text, sizeof text, "%04d-%02d-%02dT00:00:00Z", year, month, day);
                expect_instant(text, expected, 0);
                expected += 86400;
            }
        }
    }
}

static void instants_are_ordered(void **state)
{
    (void)state;
    struct instant early = {-5, 999999999};
    struct instant later = {-4, 0};
    struct instant latest = {-4, 1};
    assert_true(instant_compare(early, later) < 0);
    assert_true(instant_compare(later, latest) < 0);
    assert_true(instant_compare(latest, early) > 0);
    assert_int_equal(instant_compare(later, later), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instants_in_any_spelling_are_read),
        cmocka_unit_test(leap_seconds_are_the_instant_that_follows),
        cmocka_unit_test(impossible_dates_and_times_are_strings),
        cmocka_unit_test(other_forms_are_strings),
        cmocka_unit_test(no_truncation_is_an_instant),
        cmocka_unit_test(days_follow_each_other),
        cmocka_unit_test(instants_are_ordered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
