#include "peer/peer_framing.h"

#include <string.h>

#include "base/check.h"
#include "base/checksum.h"

size_t framing_seal_bytes(bool tagged)
{
    return tagged ? AUTH_TAG_BYTES : FRAMING_CHECKSUM_BYTES;
}

/* Kind and check of a header: 24 bits over length and kind. The seal can only be looked at when the frame is whole; an
 * altered length would have the receiver wait for bytes that never come, and take all that follows for them. */
static uint32_t framing_kind_and_check(uint32_t body_bytes, uint8_t kind)
{
    uint8_t bytes[5];
    bytes_put_u32(bytes, body_bytes);
    bytes[4] = kind;
    return kind | (uint32_t)checksum_64(bytes, sizeof bytes) << 8;
}

void framing_put_header(uint8_t header[FRAMING_HEADER_BYTES], uint32_t body_bytes, uint8_t kind)
{
    bytes_put_u32(header, body_bytes);
    bytes_put_u32(header + 4, framing_kind_and_check(body_bytes, kind));
}

void framing_append(const struct frame *frame, bool tagged, struct buffer *bytes)
{
    size_t at = bytes->len;
    size_t before_body = FRAMING_HEADER_BYTES + framing_seal_bytes(tagged);
    (void)buffer_extend(bytes, before_body);
    frame_encode(frame, bytes);
    size_t body_bytes = bytes->len - at - before_body;
    CHECK(body_bytes <= frame_limit(frame->kind));
    framing_put_header(bytes->base + at, (uint32_t)body_bytes, (uint8_t)frame->kind);
}

void framing_append_body(enum frame_kind kind, struct slice body, bool tagged, struct buffer *bytes)
{
    uint8_t *header = buffer_extend(bytes, FRAMING_HEADER_BYTES + framing_seal_bytes(tagged));
    CHECK(body.len <= frame_limit(kind));
    framing_put_header(header, (uint32_t)body.len, (uint8_t)kind);
    buffer_append_slice(bytes, body);
}

size_t framing_bytes(const uint8_t *frame, bool tagged)
{
    return FRAMING_HEADER_BYTES + framing_seal_bytes(tagged) + bytes_get_u32(frame);
}

struct slice framing_body(const uint8_t *frame, bool tagged)
{
    return (struct slice){.base = frame + FRAMING_HEADER_BYTES + framing_seal_bytes(tagged),
                          .len = bytes_get_u32(frame)};
}

/* The seal that this frame should carry; returns its length. */
static size_t framing_compute_seal(const uint8_t *frame, struct framing_seal *seal, uint8_t computed[AUTH_TAG_BYTES])
{
    bool tagged = seal->tagger != NULL;
    struct slice header = {.base = frame, .len = FRAMING_HEADER_BYTES};
    struct slice body = framing_body(frame, tagged);
    if (tagged) {
        auth_tag(seal->tagger, seal->number, header, body, computed);
    } else {
        bytes_put_u64(computed, checksum_64_joined(header.base, header.len, body.base, body.len));
    }
    return framing_seal_bytes(tagged);
}

void framing_seal_next(uint8_t *frame, struct framing_seal *seal)
{
    uint8_t computed[AUTH_TAG_BYTES];
    size_t len = framing_compute_seal(frame, seal, computed);
    memcpy(frame + FRAMING_HEADER_BYTES, computed, len);
    seal->number++;
}

bool framing_check(const uint8_t *frame, struct framing_seal *seal)
{
    uint8_t computed[AUTH_TAG_BYTES];
    size_t len = framing_compute_seal(frame, seal, computed);
    if (!auth_equal(frame + FRAMING_HEADER_BYTES, computed, len)) {
        return false;
    }
    seal->number++;
    return true;
}

bool framing_parse_header(const uint8_t bytes[FRAMING_HEADER_BYTES], struct framing_header *header)
{
    uint32_t body_bytes = bytes_get_u32(bytes);
    uint8_t kind = bytes[4];
    bool intact = bytes_get_u32(bytes + 4) == framing_kind_and_check(body_bytes, kind);
    if (!intact || kind == 0 || kind >= FRAME_KINDS || body_bytes > frame_limit(kind)) {
        return false;
    }
    *header = (struct framing_header){.kind = (enum frame_kind)kind, .body_bytes = body_bytes};
    return true;
}
