/* Raft's messages, and the chunks of a snapshot.
 *
 * Log entries and chunks are most of what crosses between nodes, so their bytes are not put into the message, from where
 * protobuf-c would copy them out again. Such a body is a u32 length, a message of that length, and the raw bytes up to
 * the end of the body; what is decoded points there. */
#include <string.h>

#include "codec/frame_wire.h"

/* The types of a log entry that libraft knows, which only replica names: command, barrier, configuration. */
#define LOG_ENTRY_TYPE_NEWEST 3u

/* ---- votes ---- */

void frame_encode_request_vote(const struct frame *frame, struct buffer *body)
{
    const struct frame_request_vote *vote = &frame->request_vote;
    Wire__RequestVote wire;
    wire__request_vote__init(&wire);
    wire.term = vote->term;
    wire.candidate_id = vote->candidate_id;
    wire.last_log_index = vote->last_log_index;
    wire.last_log_term = vote->last_log_term;
    wire.disrupt_leader = vote->disrupt_leader;
    wire.pre_vote = vote->pre_vote;
    wire_append(&wire.base, body);
}

bool frame_decode_request_vote(struct slice body, struct arena *arena, struct frame *frame)
{
    ProtobufCAllocator allocator = wire_allocator(arena);
    const Wire__RequestVote *wire = wire__request_vote__unpack(&allocator, body.len, body.base);
    if (wire == NULL || !wire_is_known(&wire->base)) {
        return false;
    }
    frame->request_vote = (struct frame_request_vote){
        .term = wire->term,
        .candidate_id = wire->candidate_id,
        .last_log_index = wire->last_log_index,
        .last_log_term = wire->last_log_term,
        .disrupt_leader = wire->disrupt_leader != 0,
        .pre_vote = wire->pre_vote != 0,
    };
    return true;
}

void frame_encode_request_vote_result(const struct frame *frame, struct buffer *body)
{
    const struct frame_request_vote_result *result = &frame->request_vote_result;
    Wire__RequestVoteResult wire;
    wire__request_vote_result__init(&wire);
    wire.term = result->term;
    wire.vote_granted = result->vote_granted;
    wire.pre_vote = result->pre_vote;
    wire.features = result->features;
    wire.capacity = result->capacity;
    wire_append(&wire.base, body);
}

bool frame_decode_request_vote_result(struct slice body, struct arena *arena, struct frame *frame)
{
    ProtobufCAllocator allocator = wire_allocator(arena);
    const Wire__RequestVoteResult *wire = wire__request_vote_result__unpack(&allocator, body.len, body.base);
    if (wire == NULL || !wire_is_known(&wire->base)) {
        return false;
    }
    frame->request_vote_result = (struct frame_request_vote_result){
        .term = wire->term,
        .vote_granted = wire->vote_granted != 0,
        .pre_vote = wire->pre_vote != 0,
        .features = wire->features,
        .capacity = wire->capacity,
    };
    return true;
}

void frame_encode_timeout_now(const struct frame *frame, struct buffer *body)
{
    Wire__TimeoutNow wire;
    wire__timeout_now__init(&wire);
    wire.term = frame->timeout_now.term;
    wire.last_log_index = frame->timeout_now.last_log_index;
    wire.last_log_term = frame->timeout_now.last_log_term;
    wire_append(&wire.base, body);
}

bool frame_decode_timeout_now(struct slice body, struct arena *arena, struct frame *frame)
{
    ProtobufCAllocator allocator = wire_allocator(arena);
    const Wire__TimeoutNow *wire = wire__timeout_now__unpack(&allocator, body.len, body.base);
    if (wire == NULL || !wire_is_known(&wire->base)) {
        return false;
    }
    frame->timeout_now = (struct frame_timeout_now){
        .term = wire->term,
        .last_log_index = wire->last_log_index,
        .last_log_term = wire->last_log_term,
    };
    return true;
}

/* ---- a message and raw bytes behind it ---- */

static void append_with_length(const ProtobufCMessage *message, struct buffer *body)
{
    uint8_t *length = buffer_extend(body, 4);
    bytes_put_u32(length, (uint32_t)wire_size(message));
    wire_append(message, body);
}

static bool split_by_length(struct slice body, struct slice *message, struct slice *rest)
{
    if (body.len < 4 || bytes_get_u32(body.base) > body.len - 4) {
        return false;
    }
    size_t len = bytes_get_u32(body.base);
    *message = (struct slice){.base = body.base + 4, .len = len};
    *rest = (struct slice){.base = body.base + 4 + len, .len = body.len - 4 - len};
    return true;
}

/* ---- log entries ---- */

/* The message in front of the payload: what the frame's bound leaves beside the longest entries. So one that is full of
 * small items can't make its decoder allocate many times the frame. */
#define APPEND_ENTRIES_MESSAGE_BYTES (LIMIT_FRAME_RAFT_BYTES - LIMIT_APPEND_ENTRIES * LIMIT_ENTRY_BYTES)

static bool log_entry_is_valid(uint64_t type, uint64_t len)
{
    return type >= 1 && type <= LOG_ENTRY_TYPE_NEWEST && len > 0 && len % 8 == 0 && len <= LIMIT_ENTRY_BYTES;
}

void frame_encode_append_entries(const struct frame *frame, struct buffer *body)
{
    const struct frame_append_entries *append = &frame->append_entries;
    CHECK(append->n_entries <= LIMIT_APPEND_ENTRIES);
    Wire__LogEntry entries[LIMIT_APPEND_ENTRIES];
    Wire__LogEntry *pointers[LIMIT_APPEND_ENTRIES];
    size_t total = 0;
    for (size_t i = 0; i < append->n_entries; i++) {
        const struct frame_log_entry *entry = &append->entries[i];
        CHECK(log_entry_is_valid(entry->type, entry->data.len));
        wire__log_entry__init(&entries[i]);
        entries[i].term = entry->term;
        entries[i].type = entry->type;
        entries[i].length = (uint32_t)entry->data.len;
        pointers[i] = &entries[i];
        total += entry->data.len;
    }
    Wire__AppendEntries wire;
    wire__append_entries__init(&wire);
    wire.term = append->term;
    wire.prev_log_index = append->prev_log_index;
    wire.prev_log_term = append->prev_log_term;
    wire.leader_commit = append->leader_commit;
    wire.n_entries = append->n_entries;
    wire.entries = pointers;
    append_with_length(&wire.base, body);
    uint8_t *at = buffer_extend(body, total);
    for (size_t i = 0; i < append->n_entries; i++) {
        memcpy(at, append->entries[i].data.base, append->entries[i].data.len);
        at += append->entries[i].data.len;
    }
}

/* Gives each entry its part of `payload`, of which nothing may be left. */
static bool append_entries_take(const Wire__AppendEntries *wire, struct slice payload, struct frame_log_entry *entries)
{
    for (size_t i = 0; i < wire->n_entries; i++) {
        const Wire__LogEntry *entry = wire->entries[i];
        if (!wire_is_known(&entry->base) || !log_entry_is_valid(entry->type, entry->length) ||
            entry->length > payload.len) {
            return false;
        }
        entries[i] = (struct frame_log_entry){
            .term = entry->term,
            .type = entry->type,
            .data = {.base = payload.base, .len = entry->length},
        };
        payload.base += entry->length;
        payload.len -= entry->length;
    }
    return payload.len == 0;
}

bool frame_decode_append_entries(struct slice body, struct arena *arena, struct frame *frame)
{
    struct slice message;
    struct slice payload;
    if (!split_by_length(body, &message, &payload) || message.len > APPEND_ENTRIES_MESSAGE_BYTES) {
        return false;
    }
    ProtobufCAllocator allocator = wire_allocator(arena);
    const Wire__AppendEntries *wire = wire__append_entries__unpack(&allocator, message.len, message.base);
    if (wire == NULL || !wire_is_known(&wire->base) || wire->n_entries > LIMIT_APPEND_ENTRIES) {
        return false;
    }
    struct frame_log_entry *entries = arena_alloc(arena, wire->n_entries * sizeof *entries);
    if (entries == NULL || !append_entries_take(wire, payload, entries)) {
        return false;
    }
    frame->append_entries = (struct frame_append_entries){
        .term = wire->term,
        .prev_log_index = wire->prev_log_index,
        .prev_log_term = wire->prev_log_term,
        .leader_commit = wire->leader_commit,
        .entries = entries,
        .n_entries = wire->n_entries,
    };
    return true;
}

void frame_encode_append_entries_result(const struct frame *frame, struct buffer *body)
{
    const struct frame_append_entries_result *result = &frame->append_entries_result;
    Wire__AppendEntriesResult wire;
    wire__append_entries_result__init(&wire);
    wire.term = result->term;
    wire.rejected = result->rejected;
    wire.last_log_index = result->last_log_index;
    wire.features = result->features;
    wire.capacity = result->capacity;
    wire_append(&wire.base, body);
}

bool frame_decode_append_entries_result(struct slice body, struct arena *arena, struct frame *frame)
{
    ProtobufCAllocator allocator = wire_allocator(arena);
    const Wire__AppendEntriesResult *wire = wire__append_entries_result__unpack(&allocator, body.len, body.base);
    if (wire == NULL || !wire_is_known(&wire->base)) {
        return false;
    }
    frame->append_entries_result = (struct frame_append_entries_result){
        .term = wire->term,
        .rejected = wire->rejected,
        .last_log_index = wire->last_log_index,
        .features = wire->features,
        .capacity = wire->capacity,
    };
    return true;
}

/* ---- snapshots ---- */

/* libraft's encoding, which it reads without bounds of its own; its content is replica's to check. */
static bool configuration_is_valid(struct slice configuration)
{
    return configuration.len > 0 && configuration.len <= LIMIT_CONFIGURATION_BYTES;
}

void frame_encode_install_snapshot(const struct frame *frame, struct buffer *body)
{
    const struct frame_install_snapshot *install = &frame->install_snapshot;
    CHECK(configuration_is_valid(install->configuration));
    Wire__InstallSnapshot wire;
    wire__install_snapshot__init(&wire);
    wire.term = install->term;
    wire.last_index = install->last_index;
    wire.last_term = install->last_term;
    wire.configuration_index = install->configuration_index;
    wire.configuration = wire_bytes(install->configuration);
    wire.size = install->size;
    wire.chunks = install->chunks;
    wire.checksum = install->checksum;
    wire_append(&wire.base, body);
}

bool frame_decode_install_snapshot(struct slice body, struct arena *arena, struct frame *frame)
{
    ProtobufCAllocator allocator = wire_allocator(arena);
    const Wire__InstallSnapshot *wire = wire__install_snapshot__unpack(&allocator, body.len, body.base);
    if (wire == NULL || !wire_is_known(&wire->base)) {
        return false;
    }
    frame->install_snapshot = (struct frame_install_snapshot){
        .term = wire->term,
        .last_index = wire->last_index,
        .last_term = wire->last_term,
        .configuration_index = wire->configuration_index,
        .configuration = wire_slice(wire->configuration),
        .size = wire->size,
        .chunks = wire->chunks,
        .checksum = wire->checksum,
    };
    return configuration_is_valid(frame->install_snapshot.configuration);
}

void frame_encode_snapshot_chunk(const struct frame *frame, struct buffer *body)
{
    const struct frame_snapshot_chunk *chunk = &frame->snapshot_chunk;
    CHECK(chunk->bytes.len <= LIMIT_SNAPSHOT_CHUNK_BYTES);
    Wire__SnapshotChunk wire;
    wire__snapshot_chunk__init(&wire);
    wire.last_index = chunk->last_index;
    wire.last_term = chunk->last_term;
    wire.number = chunk->number;
    append_with_length(&wire.base, body);
    buffer_append_slice(body, chunk->bytes);
}

bool frame_decode_snapshot_chunk(struct slice body, struct arena *arena, struct frame *frame)
{
    struct slice message;
    struct slice payload;
    if (!split_by_length(body, &message, &payload) || payload.len > LIMIT_SNAPSHOT_CHUNK_BYTES) {
        return false;
    }
    ProtobufCAllocator allocator = wire_allocator(arena);
    const Wire__SnapshotChunk *wire = wire__snapshot_chunk__unpack(&allocator, message.len, message.base);
    if (wire == NULL || !wire_is_known(&wire->base)) {
        return false;
    }
    frame->snapshot_chunk = (struct frame_snapshot_chunk){
        .last_index = wire->last_index,
        .last_term = wire->last_term,
        .number = wire->number,
        .bytes = payload,
    };
    return true;
}

void frame_encode_snapshot_ack(const struct frame *frame, struct buffer *body)
{
    const struct frame_snapshot_ack *ack = &frame->snapshot_ack;
    Wire__SnapshotAck wire;
    wire__snapshot_ack__init(&wire);
    wire.last_index = ack->last_index;
    wire.last_term = ack->last_term;
    wire.next = ack->next;
    wire.refused = ack->refused;
    wire_append(&wire.base, body);
}

bool frame_decode_snapshot_ack(struct slice body, struct arena *arena, struct frame *frame)
{
    ProtobufCAllocator allocator = wire_allocator(arena);
    const Wire__SnapshotAck *wire = wire__snapshot_ack__unpack(&allocator, body.len, body.base);
    if (wire == NULL || !wire_is_known(&wire->base)) {
        return false;
    }
    frame->snapshot_ack = (struct frame_snapshot_ack){
        .last_index = wire->last_index,
        .last_term = wire->last_term,
        .next = wire->next,
        .refused = wire->refused != 0,
    };
    return true;
}
