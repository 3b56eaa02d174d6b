/* event_ring: the last events of this node's table, in memory, for readers who come back.
 *
 * A record is made inside apply, so it is a copy and nothing else: text is made of it only when somebody reads. An event has
 * a place, counted from 0 since the ring was opened, and its id, index and number, which is equal on every node; both only
 * grow. What was before the first record is unknown here: this process's table may have begun with a snapshot. */
#ifndef BATON_NODE_EVENT_RING_H
#define BATON_NODE_EVENT_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "core/lock_table.h"

struct event_ring;

struct event_ring *event_ring_open(void); /* never NULL; room for LIMIT_EVENTS in at most LIMIT_EVENT_BYTES */
void event_ring_close(struct event_ring *ring);

/* Copies the event; where there is no more room the oldest are dropped. Its id is larger than that of any before. */
void event_ring_record(struct event_ring *ring, const struct event *event);
/* The table is another one: all are dropped, and what lies between is unknown. Places go on. */
void event_ring_clear(struct event_ring *ring);

uint64_t event_ring_first(const struct event_ring *ring); /* place of the oldest that is kept … */
uint64_t
event_ring_next(const struct event_ring *ring); /* … and of the one that will be recorded next: equal, none is */
/* The event at a place that is kept; its slices are valid until it is dropped. */
void event_ring_get(const struct event_ring *ring, uint64_t place, struct event *event);

struct event_ring_id {
    uint64_t index;
    uint32_t number;
};
/* The place of what follows this id; false when some of that is gone, or may be. */
bool event_ring_find(const struct event_ring *ring, struct event_ring_id id, uint64_t *place) MUST_CHECK;

size_t event_ring_bytes(const struct event_ring *ring); /* of memory for records, LIMIT_EVENT_BYTES at most */

#endif
