/* Everything here is used by all decoders, so it is written for hostile input: no length is believed that protobuf-c
 * hasn't compared with the bytes that are there, and no memory comes from anywhere but the caller's arena. */
#include "codec/wire.h"

#include <string.h>

static void *wire_alloc(void *data, size_t size)
{
    return arena_alloc(data, size);
}

static void wire_free(void *data, void *at)
{
    (void)data;
    (void)at;
}

ProtobufCAllocator wire_allocator(struct arena *arena)
{
    return (ProtobufCAllocator){.alloc = wire_alloc, .free = wire_free, .allocator_data = arena};
}

void wire_append(const ProtobufCMessage *message, struct buffer *bytes)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *at = buffer_extend(bytes, size);
    CHECK(protobuf_c_message_pack(message, at) == size);
}

size_t wire_size(const ProtobufCMessage *message)
{
    return protobuf_c_message_get_packed_size(message);
}

struct slice wire_slice(ProtobufCBinaryData bytes)
{
    static const uint8_t nothing[1];
    return (struct slice){.base = bytes.data == NULL ? nothing : bytes.data, .len = bytes.len};
}

bool wire_take_fixed(ProtobufCBinaryData bytes, uint8_t *target, size_t len)
{
    if (bytes.len != len) {
        return false;
    }
    memcpy(target, bytes.data, len);
    return true;
}

/* ---- rules of the contract ---- */

static bool byte_is_alphanumeric(uint8_t byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9');
}

bool name_is_valid(struct slice name)
{
    if (name.len == 0 || name.len > LIMIT_NAME_BYTES || !byte_is_alphanumeric(name.base[0])) {
        return false;
    }
    for (size_t i = 1; i < name.len; i++) {
        if (!byte_is_alphanumeric(name.base[i]) && memchr("._:@~-", name.base[i], 6) == NULL) {
            return false;
        }
    }
    return true;
}

bool freeze_scope_is_valid(struct slice scope)
{
    if (scope.len == 0 || scope.len > LIMIT_NAME_BYTES || scope.base[scope.len - 1] != '*') {
        return name_is_valid(scope);
    }
    scope.len--;
    return scope.len == 0 || name_is_valid(scope);
}

bool printable_is_valid(struct slice text, size_t limit)
{
    if (text.len == 0 || text.len > limit) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] <= ' ' || text.base[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

/* Length in bytes of the character that begins at `p`, with `left` > 0 bytes there; 0 when it is no shortest form of a
 * Unicode scalar value. */
static size_t utf8_measure(const uint8_t *p, size_t left)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (len == 0 || len > left) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xed && p[1] >= 0xa0;
    bool beyond = p[0] == 0xf4 && p[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : len;
}

bool sentence_is_valid(struct slice text, size_t limit)
{
    if (text.len > limit) {
        return false;
    }
    for (size_t i = 0; i < text.len;) {
        size_t len = utf8_measure(text.base + i, text.len - i);
        if (len == 0) {
            return false;
        }
        i += len;
    }
    return true;
}

bool metadata_is_valid(struct slice metadata)
{
    return metadata.len >= 2 && metadata.base[0] == '{' && metadata.base[metadata.len - 1] == '}' &&
           sentence_is_valid(metadata, LIMIT_METADATA_BYTES);
}

bool run_outcome_is_valid(int outcome)
{
    return outcome >= RUN_RUNNING && outcome <= RUN_REVOKED;
}
