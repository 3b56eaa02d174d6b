#include "peer/peer_queue.h"

#include <string.h>

#include "base/check.h"
#include "base/limits.h"

/* Left bytes are moved away, and memory is given back, only past this: a queue that comes and goes keeps its memory. */
#define LANE_KEPT_BYTES (1024u * 1024u)

static const size_t lane_limit_bytes[QUEUE_CLASSES] = {
    [QUEUE_RAFT] = LIMIT_PEER_RAFT_QUEUE_BYTES,
    [QUEUE_OPERATIONS] = LIMIT_PEER_OPERATIONS_QUEUE_BYTES,
    [QUEUE_CHUNKS] = LIMIT_PEER_CHUNK_QUEUE_BYTES,
};

void queue_init(struct queue *queue, bool tagged)
{
    *queue = (struct queue){.tagged = tagged};
}

void queue_close(struct queue *queue)
{
    for (int i = 0; i < QUEUE_CLASSES; i++) {
        buffer_close(&queue->lanes[i].bytes);
    }
    queue_init(queue, queue->tagged);
}

enum queue_class queue_class_of(enum frame_kind kind)
{
    switch (kind) {
    case FRAME_REQUEST_VOTE:
    case FRAME_REQUEST_VOTE_RESULT:
    case FRAME_APPEND_ENTRIES:
    case FRAME_APPEND_ENTRIES_RESULT:
    case FRAME_INSTALL_SNAPSHOT:
    case FRAME_TIMEOUT_NOW:
        return QUEUE_RAFT;
    case FRAME_OPERATIONS:
    case FRAME_OUTCOMES:
    case FRAME_CANCEL:
    case FRAME_READ_INDEX:
    case FRAME_READ_INDEX_RESULT:
        return QUEUE_OPERATIONS;
    case FRAME_SNAPSHOT_CHUNK:
    case FRAME_SNAPSHOT_ACK:
        return QUEUE_CHUNKS;
    case FRAME_HELLO:
    case FRAME_PROOF:
    case FRAME_FOUNDING_QUESTION:
    case FRAME_FOUNDING_ANSWER:
    case FRAME_KINDS:
        break;
    }
    check_failed("a kind that goes after the handshake", __FILE__, __LINE__);
}

static size_t lane_bytes(const struct queue_lane *lane)
{
    return lane->bytes.len - lane->head;
}

bool queue_add(struct queue *queue, const struct frame *frame)
{
    enum queue_class class = queue_class_of(frame->kind);
    struct queue_lane *lane = &queue->lanes[class];
    if (lane_bytes(lane) >= lane_limit_bytes[class]) {
        return false; /* without encoding first: this is the path of a peer that has stopped reading */
    }
    size_t before = lane->bytes.len;
    framing_append(frame, queue->tagged, &lane->bytes);
    if (lane_bytes(lane) > lane_limit_bytes[class]) {
        lane->bytes.len = before;
        return false;
    }
    return true;
}

size_t queue_bytes(const struct queue *queue)
{
    size_t bytes = 0;
    for (int i = 0; i < QUEUE_CLASSES; i++) {
        bytes += lane_bytes(&queue->lanes[i]);
    }
    return bytes;
}

static struct queue_lane *queue_choose(struct queue *queue)
{
    if (queue->current != NULL) {
        return queue->current;
    }
    for (int i = 0; i < QUEUE_CLASSES; i++) {
        if (lane_bytes(&queue->lanes[i]) > 0) {
            return &queue->lanes[i];
        }
    }
    return NULL;
}

struct slice queue_next(struct queue *queue, size_t room, struct framing_seal *seal)
{
    struct queue_lane *lane = queue_choose(queue);
    if (lane == NULL || room == 0) {
        return (struct slice){0};
    }
    /* What is sealed now leaves now, but for the end of the last frame. That end goes alone: behind it a higher class may
     * have its turn. */
    while (queue->current == NULL && lane->sealed - lane->head < room && lane->sealed < lane->bytes.len) {
        uint8_t *frame = lane->bytes.base + lane->sealed;
        framing_seal_next(frame, seal);
        lane->sealed += framing_bytes(frame, queue->tagged);
    }
    queue->current = lane;
    size_t len = lane->sealed - lane->head;
    return (struct slice){.base = lane->bytes.base + lane->head, .len = len < room ? len : room};
}

/* Each move of the rest is paid for by at least as many bytes that left since the last one. */
static void lane_compact(struct queue_lane *lane)
{
    size_t rest = lane_bytes(lane);
    if (rest == 0) {
        buffer_clear(&lane->bytes);
        if (lane->bytes.capacity > LANE_KEPT_BYTES) {
            buffer_close(&lane->bytes);
        }
    } else if (lane->head > LANE_KEPT_BYTES && lane->head >= rest) {
        memmove(lane->bytes.base, lane->bytes.base + lane->head, rest);
        lane->bytes.len = rest;
    } else {
        return;
    }
    lane->sealed -= lane->head;
    lane->head = 0;
}

void queue_left(struct queue *queue, size_t len)
{
    struct queue_lane *lane = queue->current;
    CHECK(lane != NULL && len <= lane->sealed - lane->head);
    lane->head += len;
    if (lane->head == lane->sealed) {
        queue->current = NULL;
    }
    lane_compact(lane);
}
