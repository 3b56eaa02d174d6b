/* event_portion: the text of some events, made once for several readers, and what each of them wants of it. */
#ifndef BATON_NODE_EVENT_PORTION_H
#define BATON_NODE_EVENT_PORTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/api.h"
#include "base/limits.h"
#include "base/slice.h"
#include "core/lock_table.h"
#include "http/http.h"

#define PORTION_PIECES 512u

/* What filters ask about an event. */
struct event_topic {
    struct slice name;   /* of a schedule, group or scope; absent: it is for everybody */
    bool is_of_schedule; /* or of a freeze, whose scope may be one */
    bool is_renewal;
};
struct event_topic event_topic(const struct event *event); /* its name is the event's */

/* What one reader wants. */
struct event_filter {
    bool renewals;
    struct slice schedule; /* this one's only; absent: any */
    struct slice prefix;   /* of names; absent: any */
    uint8_t schedule_bytes[LIMIT_NAME_BYTES];
    uint8_t prefix_bytes[LIMIT_NAME_BYTES];
};
void event_filter_set(struct event_filter *filter, const struct api_events *wanted); /* copies; don't move it then */
bool event_filter_wants(const struct event_filter *filter, const struct event_topic *topic);

#define EVENT_PLACE_NONE UINT64_MAX /* of what isn't in the log */

/* Zero-initialised it is empty. Full with PORTION_PIECES, or with as many bytes as its owner allows. */
struct event_piece {
    struct event_topic topic;
    uint64_t place; /* in the ring */
    size_t begin;   /* in `text` */
    size_t end;
};
struct event_portion {
    struct buffer text;
    struct event_piece pieces[PORTION_PIECES];
    size_t n;
};
void event_portion_close(struct event_portion *portion);
void event_portion_clear(struct event_portion *portion); /* keeps the memory */
bool event_portion_is_full(const struct event_portion *portion, size_t bytes);
/* What was appended to the text since the piece before is one. The topic's name is kept by the caller. */
void event_portion_add(struct event_portion *portion, struct event_topic topic, uint64_t place);
/* Writes what the filter wants from `place` on, neighbours at once. False: the exchange is cut or closed. */
bool event_portion_write(const struct event_portion *portion, const struct event_filter *filter, uint64_t place,
                         struct exchange *exchange) MUST_CHECK;

#endif
