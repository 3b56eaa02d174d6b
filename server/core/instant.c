/* RFC 3339, section 5.6, read from left to right. Every part has a fixed width but the decimals, so a reader that walks
 * over the bytes is the whole grammar; what is left is the calendar. */
#include "core/instant.h"

#include <stddef.h>

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed; /* sticky: after it the values read mean nothing */
};

static int read_digit(struct reader *reader)
{
    if (reader->at == reader->end || *reader->at < '0' || *reader->at > '9') {
        reader->failed = true;
        return 0;
    }
    return *reader->at++ - '0';
}

static int read_number(struct reader *reader, int digits)
{
    int value = 0;
    for (int i = 0; i < digits; i++) {
        value = value * 10 + read_digit(reader);
    }
    return value;
}

/* Takes the next byte when it is `a` or `b`, and fails otherwise. */
static uint8_t read_either(struct reader *reader, char a, char b)
{
    if (reader->at == reader->end || (*reader->at != (uint8_t)a && *reader->at != (uint8_t)b)) {
        reader->failed = true;
        return 0;
    }
    return *reader->at++;
}

static uint32_t read_nanoseconds(struct reader *reader)
{
    if (reader->at == reader->end || *reader->at != '.') {
        return 0;
    }
    reader->at++;
    uint32_t nanoseconds = (uint32_t)read_digit(reader); /* at least one */
    for (int digits = 1; digits < 9; digits++) {
        bool more = reader->at != reader->end && *reader->at >= '0' && *reader->at <= '9';
        nanoseconds = nanoseconds * 10 + (more ? (uint32_t)read_digit(reader) : 0);
    }
    return nanoseconds;
}

/* Minutes east of UTC. */
static int read_offset(struct reader *reader)
{
    if (reader->at != reader->end && (*reader->at == 'Z' || *reader->at == 'z')) {
        reader->at++;
        return 0;
    }
    int sign = read_either(reader, '+', '-') == '-' ? -1 : 1;
    int hours = read_number(reader, 2);
    read_either(reader, ':', ':');
    int minutes = read_number(reader, 2);
    if (hours > 23 || minutes > 59) {
        reader->failed = true;
    }
    return sign * (hours * 60 + minutes);
}

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* Days from 1970-01-01 in the proleptic Gregorian calendar; the year may be −1, when an offset reaches back over year 0. */
static int64_t days_of(int year, int month, int day)
{
    int64_t days = 0;
    for (int m = 1; m < month; m++) {
        days += month_days(year, m);
    }
    /* Leap days before this year, counted from a year (−400) that no offset reaches, so that division rounds down. */
    int64_t before = (int64_t)year + 400 - 1;
    int64_t leaps = before / 4 - before / 100 + before / 400;
    const int64_t epoch_before = 1970 + 400 - 1;
    const int64_t epoch_leaps = epoch_before / 4 - epoch_before / 100 + epoch_before / 400;
    return ((int64_t)year - 1970) * 365 + (leaps - epoch_leaps) + days + day - 1;
}

/* RFC 3339, 5.7: second 60 exists at the end of June and of December, UTC; the day that follows tells. */
static bool follows_leap_second(int year, int64_t seconds)
{
    for (int candidate = year - 1; candidate <= year + 1; candidate++) {
        if (seconds == days_of(candidate, 1, 1) * 86400 || seconds == days_of(candidate, 7, 1) * 86400) {
            return true;
        }
    }
    return false;
}

bool instant_parse(struct slice text, struct instant *instant)
{
    struct reader reader = {.at = text.base, .end = text.base, .failed = !slice_is_present(text)};
    if (!reader.failed) {
        reader.end = text.base + text.len;
    }
    int year = read_number(&reader, 4);
    read_either(&reader, '-', '-');
    int month = read_number(&reader, 2);
    read_either(&reader, '-', '-');
    int day = read_number(&reader, 2);
    read_either(&reader, 'T', 't');
    int hour = read_number(&reader, 2);
    read_either(&reader, ':', ':');
    int minute = read_number(&reader, 2);
    read_either(&reader, ':', ':');
    int second = read_number(&reader, 2);
    uint32_t nanoseconds = read_nanoseconds(&reader);
    int offset = read_offset(&reader);
    if (reader.failed || reader.at != reader.end || month < 1 || month > 12 || day < 1 ||
        day > month_days(year, month) || hour > 23 || minute > 59 || second > 60) {
        return false;
    }
    int64_t seconds =
        days_of(year, month, day) * 86400 + (int64_t)hour * 3600 + (int64_t)minute * 60 + second - (int64_t)offset * 60;
    if (second == 60 && !follows_leap_second(year, seconds)) {
        return false;
    }
    instant->seconds = seconds;
    instant->nanoseconds = nanoseconds;
    return true;
}

int instant_compare(struct instant a, struct instant b)
{
    if (a.seconds != b.seconds) {
        return a.seconds < b.seconds ? -1 : 1;
    }
    return (a.nanoseconds > b.nanoseconds) - (a.nanoseconds < b.nanoseconds);
}
