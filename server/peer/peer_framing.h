/* peer_framing: where a frame begins and ends, and what seals it.
 *
 *   u32 length of the body | u8 kind | u24 check | seal | body
 *
 * The check is the low 24 bits of XXH3-64 over length and kind, so that an altered length is noticed at once.
 * The seal is 8 bytes XXH3-64 over the first 8 bytes and the body. After a handshake with a cluster key it is a tag of 16
 * bytes instead, over the frame's number in its direction, the first 8 bytes and the body. */
#ifndef BATON_PEER_PEER_FRAMING_H
#define BATON_PEER_PEER_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "codec/frame.h"
#include "peer/peer_auth.h"

#define FRAMING_HEADER_BYTES   8u
#define FRAMING_CHECKSUM_BYTES 8u

/* How one direction of a stream seals its frames. */
struct framing_seal {
    struct auth_tagger *tagger; /* NULL: checksum */
    uint64_t number;            /* of the next frame; counts with and without a key */
};

size_t framing_seal_bytes(bool tagged);

/* Appends a frame whose seal is still missing. */
void framing_append(const struct frame *frame, bool tagged, struct buffer *bytes);
/* The same for a body that exists already. */
void framing_append_body(enum frame_kind kind, struct slice body, bool tagged, struct buffer *bytes);
/* Length of the frame that begins here; it was made by framing_append. */
size_t framing_bytes(const uint8_t *frame, bool tagged);
/* Fills in the seal and counts the frame. From here on it must go out next. */
void framing_seal_next(uint8_t *frame, struct framing_seal *seal);

/* A header by itself, whatever it says. */
void framing_put_header(uint8_t header[FRAMING_HEADER_BYTES], uint32_t body_bytes, uint8_t kind);

/* What a header says; only when it is well formed and its length within its kind's limit. */
struct framing_header {
    enum frame_kind kind;
    size_t body_bytes;
};
bool framing_parse_header(const uint8_t bytes[FRAMING_HEADER_BYTES], struct framing_header *header);
/* Is this whole frame sealed as the next one in its direction? Counts it if so. */
bool framing_check(const uint8_t *frame, struct framing_seal *seal);
struct slice framing_body(const uint8_t *frame, bool tagged);

#endif
