#include "peer/peer_framing.h"

#include <string.h>

#include "base/check.h"
#include "base/checksum.h"

size_t framing_seal_bytes(bool tagged)
{
    return tagged ? AUTH_TAG_BYTES : FRAMING_CHECKSUM_BYTES;
}

static void framing_put_header(uint8_t *header, size_t body_bytes, enum frame_kind kind)
{
    CHECK(body_bytes <= frame_limit(kind));
    bytes_put_u32(header, (uint32_t)body_bytes);
    bytes_put_u32(header + 4, (uint32_t)kind); /* a kind is below 256: this is the kind and 3 zero bytes */
}

void framing_append(const struct frame *frame, bool tagged, struct buffer *bytes)
{
    size_t at = bytes->len;
    size_t before_body = FRAMING_HEADER_BYTES + framing_seal_bytes(tagged);
    (void)buffer_extend(bytes, before_body);
    frame_encode(frame, bytes);
    framing_put_header(bytes->base + at, bytes->len - at - before_body, frame->kind);
}

void framing_append_body(enum frame_kind kind, struct slice body, bool tagged, struct buffer *bytes)
{
    uint8_t *header = buffer_extend(bytes, FRAMING_HEADER_BYTES + framing_seal_bytes(tagged));
    framing_put_header(header, body.len, kind);
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
    uint32_t kind = bytes_get_u32(bytes + 4); /* with the 3 zero bytes: anything in them makes an unknown kind */
    if (kind == 0 || kind >= FRAME_KINDS || body_bytes > frame_limit(kind)) {
        return false;
    }
    *header = (struct framing_header){.kind = (enum frame_kind)kind, .body_bytes = body_bytes};
    return true;
}
