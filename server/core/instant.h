/* instant: RFC 3339 instants, read from occurrences. A pure parser: no locale, no time zone of the machine, no clock. */
#ifndef BATON_CORE_INSTANT_H
#define BATON_CORE_INSTANT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct instant {
    int64_t seconds; /* Unix time, UTC */
    uint32_t nanoseconds;
};

/* True when the whole of `text` is a valid RFC 3339 date-time: a real calendar date, 'T' or 't', seconds, up to nine
 * decimals, 'Z', 'z' or an offset of hours and minutes. A leap second (:60) is taken where RFC 3339 allows one and is the
 * instant that follows it. */
bool instant_parse(struct slice text, struct instant *instant);
int instant_compare(struct instant a, struct instant b);

#endif
