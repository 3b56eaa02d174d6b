/* event_portion: the text of some events, made once for several readers, and what each of them wants of it. */
#ifndef BATON_NODE_EVENT_PORTION_H
#define BATON_NODE_EVENT_PORTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/api.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/slice.h"
#include "core/lock_table.h"
#include "http/http.h"

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

#define EVENT_PORTION_PIECES 1024u
#define EVENT_PLACE_NONE     UINT64_MAX /* of what isn't in the log */

/* Zero-initialised it is empty. It keeps nothing of the ring's, so that it may be told over several turns. */
struct event_piece {
    uint64_t place; /* in the ring */
    size_t begin;   /* in `text` */
    size_t end;
    size_t name; /* where it begins in `names` */
    uint16_t name_len;
    bool has_name;
    bool is_of_schedule;
    bool is_renewal;
};
struct event_portion {
    struct buffer text;
    struct buffer names;
    struct event_piece pieces[EVENT_PORTION_PIECES];
    size_t n;
};
void event_portion_close(struct event_portion *portion);
void event_portion_clear(struct event_portion *portion); /* keeps the memory */
/* What was appended to the text since the piece before is one; there must be room for it. */
void event_portion_add(struct event_portion *portion, const struct event_topic *topic, uint64_t place);
/* All of `other` follows; there must be room for it. */
void event_portion_append(struct event_portion *portion, const struct event_portion *other);
/* Writes what the filter wants from `place` on, neighbours at once. False: the exchange is cut or closed. */
bool event_portion_write(const struct event_portion *portion, const struct event_filter *filter, uint64_t place,
                         struct exchange *exchange) MUST_CHECK;

#endif
