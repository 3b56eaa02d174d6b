#include "contract_model.h"

#include <ctype.h>
#include <string.h>

/* Reads `n` digits; false when there aren't so many. */
static bool digits(const char **at, int n, int64_t *number)
{
    *number = 0;
    for (int i = 0; i < n; i++, (*at)++) {
        if (!isdigit((unsigned char)**at)) {
            return false;
        }
        *number = *number * 10 + (**at - '0');
    }
    return true;
}

static bool character(const char **at, const char *any_of)
{
    if (**at == '\0' || strchr(any_of, **at) == NULL) {
        return false;
    }
    (*at)++;
    return true;
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t days_of_month(int64_t year, int64_t month)
{
    static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

/* Counted one by one: it can't be wrong. */
static int64_t days_since_1970(int64_t year, int64_t month, int64_t day)
{
    int64_t days = day - 1;
    for (int64_t y = 1970; y < year; y++) {
        days += is_leap(y) ? 366 : 365;
    }
    for (int64_t y = year; y < 1970; y++) {
        days -= is_leap(y) ? 366 : 365;
    }
    for (int64_t m = 1; m < month; m++) {
        days += days_of_month(year, m);
    }
    return days;
}

static bool read_date(const char **at, int64_t *s)
{
    int64_t year;
    int64_t month;
    int64_t day;
    if (!digits(at, 4, &year) || !character(at, "-") || !digits(at, 2, &month) || !character(at, "-") ||
        !digits(at, 2, &day) || month < 1 || month > 12 || day < 1 || day > days_of_month(year, month)) {
        return false;
    }
    *s = days_since_1970(year, month, day) * 24 * 3600;
    return true;
}

static bool read_fraction(const char **at, uint32_t *ns)
{
    *ns = 0;
    if (!character(at, ".")) {
        return true;
    }
    int n = 0;
    for (; isdigit((unsigned char)**at) && n < 9; n++, (*at)++) {
        *ns = *ns * 10 + (uint32_t)(**at - '0');
    }
    for (int i = n; i < 9; i++) {
        *ns *= 10;
    }
    return n > 0;
}

static bool read_offset(const char **at, int64_t *s)
{
    *s = 0;
    if (character(at, "Zz")) {
        return true;
    }
    int64_t sign = **at == '-' ? -1 : 1;
    int64_t hours;
    int64_t minutes;
    if (!character(at, "+-") || !digits(at, 2, &hours) || !character(at, ":") || !digits(at, 2, &minutes) ||
        hours > 23 || minutes > 59) {
        return false;
    }
    *s = sign * (hours * 3600 + minutes * 60);
    return true;
}

struct contract_instant contract_instant_read(const char *text)
{
    struct contract_instant instant = {.is_valid = false};
    const char *at = text;
    int64_t date_s;
    int64_t hour;
    int64_t minute;
    int64_t second;
    int64_t offset_s;
    uint32_t ns;
    if (read_date(&at, &date_s) && character(&at, "Tt") && digits(&at, 2, &hour) && character(&at, ":") &&
        digits(&at, 2, &minute) && character(&at, ":") && digits(&at, 2, &second) && hour <= 23 && minute <= 59 &&
        second <= 59 && read_fraction(&at, &ns) && read_offset(&at, &offset_s) && *at == '\0') {
        instant.is_valid = true;
        instant.s = date_s + hour * 3600 + minute * 60 + second - offset_s;
        instant.ns = ns;
    }
    return instant;
}

int contract_instant_compare(struct contract_instant a, struct contract_instant b)
{
    if (a.s != b.s) {
        return a.s < b.s ? -1 : 1;
    }
    return a.ns < b.ns ? -1 : a.ns > b.ns;
}
