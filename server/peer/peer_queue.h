/* peer_queue: what waits for one stream, in three classes. A class is first in, first out; a higher class goes first.
 *
 * A frame is encoded straight into its class's bytes, without seal. It is sealed, and so gets its number on the wire,
 * only when it is about to leave; until then a frame of a higher class may still overtake it. */
#ifndef BATON_PEER_PEER_QUEUE_H
#define BATON_PEER_PEER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "codec/frame.h"
#include "peer/peer_framing.h"

enum queue_class { QUEUE_RAFT, QUEUE_OPERATIONS, QUEUE_CHUNKS, QUEUE_CLASSES };

/*   base … head     left
 *   head … sealed   sealed, must be the next bytes on the wire (a frame that left in part, or nothing)
 *   sealed … len    whole frames without seal                                                          */
struct queue_lane {
    struct buffer bytes;
    size_t head;
    size_t sealed;
};

struct queue {
    bool tagged;
    struct queue_lane lanes[QUEUE_CLASSES];
    struct queue_lane *current; /* has sealed bytes: nothing else may go before them. NULL: none */
};

void queue_init(struct queue *queue, bool tagged);
void queue_close(struct queue *queue); /* frees; leaves it empty */

/* Which class a kind belongs to; the kind is one that goes after the handshake. */
enum queue_class queue_class_of(enum frame_kind kind);
/* False: the class is full, and nothing was added. */
bool queue_add(struct queue *queue, const struct frame *frame) MUST_CHECK;
size_t queue_bytes(const struct queue *queue);
/* Up to `room` bytes that go next; empty when nothing waits. queue_left must follow with their length. */
struct slice queue_next(struct queue *queue, size_t room, struct framing_seal *seal);
void queue_left(struct queue *queue, size_t len);

#endif
