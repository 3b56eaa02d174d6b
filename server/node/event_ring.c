/* Records lie one behind the other in blocks, the oldest block first, and never move: so their slices can point into them.
 * A record is what a struct event has in front of its slices, its numbers, as much as its kind has, the lengths of its strings,
 * and these; so a renewal, of which there are most, takes some 140 bytes. `records` is a ring by place.
 *
 * A block is given back when its last record is dropped; one is kept, so that a full ring asks for no memory. */
#include "node/event_ring.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

enum {
    BLOCK_BYTES = 256 * 1024,
    BLOCKS = LIMIT_EVENT_BYTES / BLOCK_BYTES,
    SLICES = 8, /* of one event, at most */
};

struct block {
    struct block *next; /* newer */
    size_t used;
    size_t n_records;
    max_align_t bytes[];
};

struct event_ring {
    uint64_t first;
    uint64_t next;
    bool knows_gone;             /* something was recorded since the table is this one … */
    struct event_ring_id gone;   /* … and what follows this id is kept */
    struct event_ring_id newest; /* when something was recorded */
    struct block *oldest;
    struct block *newest_block;
    struct block *spare;
    size_t n_blocks; /* the spare one, too */
    uint8_t *records[LIMIT_EVENTS];
};

enum { BLOCK_ROOM_BYTES = BLOCK_BYTES - sizeof(struct block) };

struct event_ring *event_ring_open(void)
{
    struct event_ring *ring = calloc(1, sizeof *ring);
    CHECK(ring != NULL);
    return ring;
}

/* ---- one record ---- */

enum {
    HEAD_BYTES = offsetof(struct event, group),
    LENGTH_NONE = UINT16_MAX, /* of a string that is absent */
};

/* Where a kind's numbers lie. Among a policy's there are slices, which event_slices knows as well. */
struct span {
    size_t begin;
    size_t end;
};

static struct span event_numbers(enum event_kind kind)
{
    switch (kind) {
    case EVENT_GRANTED:
    case EVENT_RENEWED:
        return (struct span){offsetof(struct event, grant.token),
                             offsetof(struct event, grant) + sizeof(struct grant_view)};
    case EVENT_RELEASED:
    case EVENT_EXPIRED:
    case EVENT_REVOKED:
        return (struct span){offsetof(struct event, run.token), offsetof(struct event, run) + sizeof(struct run_view)};
    case EVENT_POLICY:
        return (struct span){offsetof(struct event, policy.policy),
                             offsetof(struct event, policy) + sizeof(struct policy_view)};
    case EVENT_GROUP:
        return (struct span){offsetof(struct event, of_group.slots),
                             offsetof(struct event, of_group) + sizeof(struct group_view)};
    case EVENT_FREEZE:
        return (struct span){offsetof(struct event, freeze.ttl_ms),
                             offsetof(struct event, freeze) + sizeof(struct freeze_view)};
    }
    CHECK(false);
    return (struct span){0, 0};
}

static size_t event_slices(struct event *event, struct slice *slices[SLICES])
{
    size_t n = 0;
    slices[n++] = &event->group;
    switch (event->kind) {
    case EVENT_GRANTED:
    case EVENT_RENEWED:
        slices[n++] = &event->grant.schedule_id;
        slices[n++] = &event->grant.holder;
        slices[n++] = &event->grant.occurrence;
        break;
    case EVENT_RELEASED:
    case EVENT_EXPIRED:
    case EVENT_REVOKED:
        slices[n++] = &event->run.schedule_id;
        slices[n++] = &event->run.holder;
        slices[n++] = &event->run.occurrence;
        slices[n++] = &event->run.actor;
        slices[n++] = &event->run.reason;
        break;
    case EVENT_POLICY:
        slices[n++] = &event->policy.schedule_id;
        slices[n++] = &event->policy.policy.description;
        slices[n++] = &event->policy.policy.group;
        break;
    case EVENT_GROUP:
        slices[n++] = &event->of_group.name;
        break;
    case EVENT_FREEZE:
        slices[n++] = &event->freeze.scope;
        slices[n++] = &event->freeze.actor;
        slices[n++] = &event->freeze.reason;
        break;
    }
    return n;
}

/* ---- blocks ---- */

static void drop_oldest_block(struct event_ring *ring)
{
    struct block *block = ring->oldest;
    ring->oldest = block->next;
    if (ring->oldest == NULL) {
        ring->newest_block = NULL;
    }
    if (ring->spare == NULL) {
        ring->spare = block;
        return;
    }
    free(block);
    ring->n_blocks--;
}

static void drop_oldest(struct event_ring *ring)
{
    struct event event;
    event_ring_get(ring, ring->first, &event);
    ring->gone = (struct event_ring_id){.index = event.index, .number = event.number};
    ring->first++;
    if (--ring->oldest->n_records == 0) {
        drop_oldest_block(ring);
    }
}

static void add_block(struct event_ring *ring)
{
    while (ring->spare == NULL && ring->n_blocks == BLOCKS) {
        drop_oldest(ring);
    }
    struct block *block = ring->spare;
    ring->spare = NULL;
    if (block == NULL) {
        block = malloc(BLOCK_BYTES);
        CHECK(block != NULL);
        ring->n_blocks++;
    }
    block->next = NULL;
    block->used = 0;
    block->n_records = 0;
    if (ring->newest_block == NULL) {
        ring->oldest = block;
    } else {
        ring->newest_block->next = block;
    }
    ring->newest_block = block;
}

static uint8_t *reserve(struct event_ring *ring, size_t size)
{
    CHECK(size <= BLOCK_ROOM_BYTES); /* the longest strings make a few KiB */
    if (ring->newest_block == NULL || BLOCK_ROOM_BYTES - ring->newest_block->used < size) {
        add_block(ring);
    }
    struct block *block = ring->newest_block;
    uint8_t *at = (uint8_t *)block->bytes + block->used;
    block->used += size;
    block->n_records++;
    return at;
}

/* ---- all of them ---- */

static bool id_is_before(struct event_ring_id a, struct event_ring_id b)
{
    return a.index < b.index || (a.index == b.index && a.number < b.number);
}

/* What follows the event before this one is known from here on. */
static void note_id(struct event_ring *ring, struct event_ring_id id)
{
    if (ring->knows_gone) {
        CHECK(id_is_before(ring->newest, id));
    } else {
        ring->knows_gone = true;
        ring->gone = (struct event_ring_id){.index = id.index - 1, .number = UINT32_MAX};
    }
    ring->newest = id;
}

static uint8_t *put(uint8_t *at, const void *bytes, size_t len)
{
    if (len > 0) {
        memcpy(at, bytes, len);
    }
    return at + len;
}

void event_ring_record(struct event_ring *ring, const struct event *event)
{
    struct event copy = *event; /* event_slices wants one that may be changed */
    struct slice *slices[SLICES];
    struct span numbers = event_numbers(event->kind);
    size_t n = event_slices(&copy, slices);
    size_t size = HEAD_BYTES + (numbers.end - numbers.begin) + n * sizeof(uint16_t);
    for (size_t i = 0; i < n; i++) {
        size += slices[i]->len;
    }
    note_id(ring, (struct event_ring_id){.index = event->index, .number = event->number});
    if (ring->next - ring->first == LIMIT_EVENTS) {
        drop_oldest(ring);
    }
    uint8_t *record = reserve(ring, size);
    uint8_t *at = put(record, &copy, HEAD_BYTES);
    at = put(at, (const uint8_t *)&copy + numbers.begin, numbers.end - numbers.begin);
    for (size_t i = 0; i < n; i++) {
        CHECK(slices[i]->len < LENGTH_NONE);
        bytes_put_u16(at, slice_is_present(*slices[i]) ? (uint16_t)slices[i]->len : LENGTH_NONE);
        at += sizeof(uint16_t);
    }
    for (size_t i = 0; i < n; i++) {
        at = put(at, slices[i]->base, slices[i]->len);
    }
    ring->records[ring->next++ % LIMIT_EVENTS] = record;
}

void event_ring_clear(struct event_ring *ring)
{
    while (ring->first < ring->next) {
        drop_oldest(ring);
    }
    ring->knows_gone = false;
}

void event_ring_close(struct event_ring *ring)
{
    event_ring_clear(ring);
    free(ring->spare);
    free(ring);
}

/* ---- looking ---- */

uint64_t event_ring_first(const struct event_ring *ring)
{
    return ring->first;
}

uint64_t event_ring_next(const struct event_ring *ring)
{
    return ring->next;
}

void event_ring_get(const struct event_ring *ring, uint64_t place, struct event *event)
{
    CHECK(ring->first <= place && place < ring->next);
    const uint8_t *record = ring->records[place % LIMIT_EVENTS];
    struct slice *slices[SLICES];
    memset(event, 0, sizeof *event);
    memcpy(event, record, HEAD_BYTES);
    struct span numbers = event_numbers(event->kind);
    memcpy((uint8_t *)event + numbers.begin, record + HEAD_BYTES, numbers.end - numbers.begin);
    size_t n = event_slices(event, slices);
    const uint8_t *lengths = record + HEAD_BYTES + (numbers.end - numbers.begin);
    const uint8_t *at = lengths + n * sizeof(uint16_t);
    for (size_t i = 0; i < n; i++) {
        uint16_t len = bytes_get_u16(lengths + i * sizeof(uint16_t));
        *slices[i] = (struct slice){0};
        if (len != LENGTH_NONE) {
            *slices[i] = (struct slice){.base = at, .len = len};
            at += len;
        }
    }
}

static struct event_ring_id id_at(const struct event_ring *ring, uint64_t place)
{
    struct event event;
    event_ring_get(ring, place, &event);
    return (struct event_ring_id){.index = event.index, .number = event.number};
}

bool event_ring_find(const struct event_ring *ring, struct event_ring_id id, uint64_t *place)
{
    if (!ring->knows_gone || id_is_before(id, ring->gone)) {
        return false;
    }
    uint64_t low = ring->first;
    uint64_t high = ring->next;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (id_is_before(id, id_at(ring, middle))) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    *place = low;
    return true;
}

size_t event_ring_bytes(const struct event_ring *ring)
{
    return ring->n_blocks * BLOCK_BYTES;
}
