/* One record of the log as bytes: a header of 80 bytes, then entries (a header of 16 bytes and the data each), then zeros
 * up to the next block.
 *
 * The header's checksum covers the payload's, and is salted with 16 random bytes of this directory: a client can choose
 * what stands in a payload, but not make it pass for a record. */
#include <string.h>

#include "storage/storage_private.h"

#define RECORD_MAGIC 0x4352544bu /* "KTRC" */

#define AT_MAGIC            0u
#define AT_FORMAT           4u
#define AT_KIND             6u
#define AT_SEGMENT          8u
#define AT_SEQUENCE         16u
#define AT_ACKED            24u
#define AT_CHAIN            32u
#define AT_FIRST_INDEX      40u
#define AT_COUNT            48u
#define AT_LENGTH           52u
#define AT_RUN              56u
#define AT_PAYLOAD_CHECKSUM 64u
#define AT_CHECKSUM         72u

size_t storage_record_bytes(size_t payload)
{
    return (STORAGE_RECORD_HEADER_BYTES + payload + LIMIT_BLOCK_BYTES - 1) / LIMIT_BLOCK_BYTES * LIMIT_BLOCK_BYTES;
}

static uint64_t header_checksum(const uint8_t *base, const struct storage_owner *owner)
{
    return checksum_64_joined(owner->salt, sizeof owner->salt, base, AT_CHECKSUM);
}

void storage_record_seal(struct storage_record *record, uint8_t *base, const struct storage_owner *owner)
{
    uint8_t *payload = base + STORAGE_RECORD_HEADER_BYTES;
    record->bytes = storage_record_bytes(record->length);
    record->payload = payload;
    memset(payload + record->length, 0, record->bytes - STORAGE_RECORD_HEADER_BYTES - record->length);
    bytes_put_u32(base + AT_MAGIC, RECORD_MAGIC);
    bytes_put_u16(base + AT_FORMAT, STORAGE_FORMAT);
    bytes_put_u16(base + AT_KIND, (uint16_t)record->kind);
    bytes_put_u64(base + AT_SEGMENT, record->segment);
    bytes_put_u64(base + AT_SEQUENCE, record->sequence);
    bytes_put_u64(base + AT_ACKED, record->acked);
    bytes_put_u64(base + AT_CHAIN, record->chain);
    bytes_put_u64(base + AT_FIRST_INDEX, record->first_index);
    bytes_put_u32(base + AT_COUNT, record->count);
    bytes_put_u32(base + AT_LENGTH, record->length);
    bytes_put_u64(base + AT_RUN, record->run);
    bytes_put_u64(base + AT_PAYLOAD_CHECKSUM, checksum_64(payload, record->length));
    record->checksum = header_checksum(base, owner);
    bytes_put_u64(base + AT_CHECKSUM, record->checksum);
}

bool storage_record_resembles(const uint8_t *base, size_t available, uint64_t segment)
{
    return available >= STORAGE_RECORD_HEADER_BYTES && bytes_get_u32(base + AT_MAGIC) == RECORD_MAGIC &&
           bytes_get_u64(base + AT_SEGMENT) == segment;
}

bool storage_record_parse(struct storage_record *record, const uint8_t *base, size_t available, uint64_t segment,
                          const struct storage_owner *owner)
{
    if (!storage_record_resembles(base, available, segment) || bytes_get_u16(base + AT_FORMAT) != STORAGE_FORMAT) {
        return false;
    }
    unsigned kind = bytes_get_u16(base + AT_KIND);
    *record = (struct storage_record){.segment = segment,
                                      .sequence = bytes_get_u64(base + AT_SEQUENCE),
                                      .acked = bytes_get_u64(base + AT_ACKED),
                                      .chain = bytes_get_u64(base + AT_CHAIN),
                                      .first_index = bytes_get_u64(base + AT_FIRST_INDEX),
                                      .count = bytes_get_u32(base + AT_COUNT),
                                      .length = bytes_get_u32(base + AT_LENGTH),
                                      .run = bytes_get_u64(base + AT_RUN),
                                      .checksum = bytes_get_u64(base + AT_CHECKSUM),
                                      .payload = base + STORAGE_RECORD_HEADER_BYTES};
    if (kind < STORAGE_RECORD_ENTRIES || kind > STORAGE_RECORD_RESTART ||
        record->checksum != header_checksum(base, owner)) {
        return false;
    }
    record->kind = (enum storage_record_kind)kind;
    record->bytes = storage_record_bytes(record->length);
    return record->bytes <= available &&
           checksum_64(record->payload, record->length) == bytes_get_u64(base + AT_PAYLOAD_CHECKSUM);
}

uint8_t *storage_record_put_entry(uint8_t *p, const struct storage_entry *entry)
{
    bytes_put_u64(p, entry->term);
    bytes_put_u32(p + 8, (uint32_t)entry->data.len);
    bytes_put_u32(p + 12, entry->type);
    if (entry->data.len > 0) {
        memcpy(p + STORAGE_ENTRY_HEADER_BYTES, entry->data.base, entry->data.len);
    }
    return p + STORAGE_ENTRY_HEADER_BYTES + entry->data.len;
}

bool storage_record_get_entry(const struct storage_record *record, size_t *offset, struct storage_entry *entry)
{
    size_t left = record->length - *offset;
    const uint8_t *p = record->payload + *offset;
    if (left < STORAGE_ENTRY_HEADER_BYTES) {
        return false;
    }
    uint32_t len = bytes_get_u32(p + 8);
    uint32_t type = bytes_get_u32(p + 12);
    if (len > left - STORAGE_ENTRY_HEADER_BYTES || type > UINT8_MAX) {
        return false;
    }
    entry->term = bytes_get_u64(p);
    entry->type = (uint8_t)type;
    entry->data = (struct slice){.base = p + STORAGE_ENTRY_HEADER_BYTES, .len = len};
    *offset += STORAGE_ENTRY_HEADER_BYTES + len;
    return true;
}

uint64_t storage_record_chain(const struct storage_record *record)
{
    uint8_t bytes[24];
    bytes_put_u64(bytes, record->chain);
    bytes_put_u64(bytes + 8, record->checksum);
    bytes_put_u64(bytes + 16, record->sequence);
    return checksum_64(bytes, sizeof bytes);
}

uint64_t storage_chain_begin(const struct storage_owner *owner, uint64_t segment, uint64_t sequence)
{
    uint8_t bytes[16];
    bytes_put_u64(bytes, segment);
    bytes_put_u64(bytes + 8, sequence);
    return checksum_64_joined(owner->salt, sizeof owner->salt, bytes, sizeof bytes);
}
