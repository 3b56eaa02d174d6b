/* One table says of each kind what it is called, how long it may be, and who encodes and decodes it. The kinds of the
 * handshake are in this file; Raft's are in frame_raft.c, those of requests in frame_operations.c. */
#include "codec/frame.h"

#include "codec/frame_wire.h"
#include "codec/snapshot.h"
#include "core/rules.h"

_Static_assert(FOUNDING_EMPTY == (int)WIRE__FOUNDING_STATE__FOUNDING_EMPTY, "number on the wire");
_Static_assert(FOUNDING_LIST == (int)WIRE__FOUNDING_STATE__FOUNDING_LIST, "number on the wire");
_Static_assert(FOUNDING_NONE == (int)WIRE__FOUNDING_STATE__FOUNDING_NONE, "number on the wire");

/* ---- hello and proof ---- */

void frame_hello_set_versions(struct frame_hello *hello)
{
    hello->protocol_oldest = PROTOCOL_VERSION_OLDEST;
    hello->protocol_newest = PROTOCOL_VERSION_NEWEST;
    hello->rules_oldest = RULES_VERSION_FIRST;
    hello->rules_newest = rules_version_newest();
    hello->state_oldest = SNAPSHOT_FORMAT_OLDEST;
    hello->state_newest = SNAPSHOT_FORMAT_NEWEST;
}

static bool range_is_valid(uint32_t oldest, uint32_t newest)
{
    return oldest >= 1 && oldest <= newest;
}

static bool hello_is_valid(const struct frame_hello *hello)
{
    bool versions = range_is_valid(hello->protocol_oldest, hello->protocol_newest) &&
                    range_is_valid(hello->rules_oldest, hello->rules_newest) &&
                    range_is_valid(hello->state_oldest, hello->state_newest);
    return versions && name_is_valid(hello->name) && (!slice_is_present(hello->to) || name_is_valid(hello->to)) &&
           (!slice_is_present(hello->http_address) || printable_is_valid(hello->http_address, LIMIT_ADDRESS_BYTES));
}

static void frame_encode_hello(const struct frame *frame, struct buffer *body)
{
    const struct frame_hello *hello = &frame->hello;
    CHECK(hello_is_valid(hello));
    Wire__Hello wire;
    wire__hello__init(&wire);
    wire.protocol_oldest = hello->protocol_oldest;
    wire.protocol_newest = hello->protocol_newest;
    wire.rules_oldest = hello->rules_oldest;
    wire.rules_newest = hello->rules_newest;
    wire.state_oldest = hello->state_oldest;
    wire.state_newest = hello->state_newest;
    wire.founding = hello->founding;
    wire.keyed = hello->keyed;
    wire.cluster_id = wire_fixed(hello->cluster_id, sizeof hello->cluster_id);
    wire.incarnation = wire_fixed(hello->incarnation, sizeof hello->incarnation);
    wire.run_id = wire_fixed(hello->run_id, sizeof hello->run_id);
    wire.nonce = wire_fixed(hello->nonce, sizeof hello->nonce);
    wire.connection_number = hello->connection_number;
    wire.name = wire_bytes(hello->name);
    wire.has_to = slice_is_present(hello->to);
    wire.to = wire_bytes(hello->to);
    wire.has_http_address = slice_is_present(hello->http_address);
    wire.http_address = wire_bytes(hello->http_address);
    wire_append(&wire.base, body);
}

/* The only frame that may have more fields than this build knows: it is what two versions agree by. */
static bool frame_decode_hello(struct slice body, struct arena *arena, struct frame *frame)
{
    ProtobufCAllocator allocator = wire_allocator(arena);
    const Wire__Hello *wire = wire__hello__unpack(&allocator, body.len, body.base);
    if (wire == NULL) {
        return false;
    }
    struct frame_hello *hello = &frame->hello;
    *hello = (struct frame_hello){
        .protocol_oldest = wire->protocol_oldest,
        .protocol_newest = wire->protocol_newest,
        .rules_oldest = wire->rules_oldest,
        .rules_newest = wire->rules_newest,
        .state_oldest = wire->state_oldest,
        .state_newest = wire->state_newest,
        .founding = wire->founding != 0,
        .keyed = wire->keyed != 0,
        .connection_number = wire->connection_number,
        .name = wire_slice(wire->name),
        .to = wire_optional(wire->has_to, wire->to),
        .http_address = wire_optional(wire->has_http_address, wire->http_address),
    };
    return wire_take_fixed(wire->cluster_id, hello->cluster_id, sizeof hello->cluster_id) &&
           wire_take_fixed(wire->incarnation, hello->incarnation, sizeof hello->incarnation) &&
           wire_take_fixed(wire->run_id, hello->run_id, sizeof hello->run_id) &&
           wire_take_fixed(wire->nonce, hello->nonce, sizeof hello->nonce) && hello_is_valid(hello);
}

static void frame_encode_proof(const struct frame *frame, struct buffer *body)
{
    Wire__Proof wire;
    wire__proof__init(&wire);
    wire.mac = wire_fixed(frame->proof.mac, sizeof frame->proof.mac);
    wire_append(&wire.base, body);
}

static bool frame_decode_proof(struct slice body, struct arena *arena, struct frame *frame)
{
    ProtobufCAllocator allocator = wire_allocator(arena);
    const Wire__Proof *wire = wire__proof__unpack(&allocator, body.len, body.base);
    return wire != NULL && wire_is_known(&wire->base) &&
           wire_take_fixed(wire->mac, frame->proof.mac, sizeof frame->proof.mac);
}

/* ---- founding ---- */

static bool spec_is_valid(struct slice spec)
{
    return printable_is_valid(spec, LIMIT_SPEC_BYTES);
}

static void frame_encode_founding_question(const struct frame *frame, struct buffer *body)
{
    const struct frame_founding_question *question = &frame->founding_question;
    CHECK(spec_is_valid(question->spec) && name_is_valid(question->name));
    Wire__FoundingQuestion wire;
    wire__founding_question__init(&wire);
    wire.spec = wire_bytes(question->spec);
    wire.name = wire_bytes(question->name);
    wire.incarnation = wire_fixed(question->incarnation, sizeof question->incarnation);
    wire_append(&wire.base, body);
}

static bool frame_decode_founding_question(struct slice body, struct arena *arena, struct frame *frame)
{
    ProtobufCAllocator allocator = wire_allocator(arena);
    const Wire__FoundingQuestion *wire = wire__founding_question__unpack(&allocator, body.len, body.base);
    if (wire == NULL || !wire_is_known(&wire->base)) {
        return false;
    }
    struct frame_founding_question *question = &frame->founding_question;
    question->spec = wire_slice(wire->spec);
    question->name = wire_slice(wire->name);
    return spec_is_valid(question->spec) && name_is_valid(question->name) &&
           wire_take_fixed(wire->incarnation, question->incarnation, sizeof question->incarnation);
}

/* Founders are named exactly by those who know them. */
static bool founders_are_valid(int state, size_t n_founders)
{
    return state == FOUNDING_LIST ? n_founders >= 1 && n_founders <= LIMIT_MEMBERS
                                  : (state == FOUNDING_EMPTY || state == FOUNDING_NONE) && n_founders == 0;
}

static void frame_encode_founding_answer(const struct frame *frame, struct buffer *body)
{
    const struct frame_founding_answer *answer = &frame->founding_answer;
    CHECK(spec_is_valid(answer->spec) && name_is_valid(answer->name));
    CHECK(founders_are_valid((int)answer->state, answer->n_founders));
    Wire__Member founders[LIMIT_MEMBERS];
    Wire__Member *pointers[LIMIT_MEMBERS];
    for (size_t i = 0; i < answer->n_founders; i++) {
        const struct frame_member *founder = &answer->founders[i];
        CHECK(name_is_valid(founder->name));
        wire__member__init(&founders[i]);
        founders[i].name = wire_bytes(founder->name);
        founders[i].incarnation = wire_fixed(founder->incarnation, sizeof founder->incarnation);
        pointers[i] = &founders[i];
    }
    Wire__FoundingAnswer wire;
    wire__founding_answer__init(&wire);
    wire.spec = wire_bytes(answer->spec);
    wire.name = wire_bytes(answer->name);
    wire.incarnation = wire_fixed(answer->incarnation, sizeof answer->incarnation);
    wire.state = (Wire__FoundingState)answer->state;
    wire.n_founders = answer->n_founders;
    wire.founders = pointers;
    wire_append(&wire.base, body);
}

static bool founders_from_wire(const Wire__FoundingAnswer *wire, struct frame_member *founders)
{
    for (size_t i = 0; i < wire->n_founders; i++) {
        const Wire__Member *member = wire->founders[i];
        founders[i].name = wire_slice(member->name);
        if (!wire_is_known(&member->base) || !name_is_valid(founders[i].name) ||
            !wire_take_fixed(member->incarnation, founders[i].incarnation, sizeof founders[i].incarnation)) {
            return false;
        }
    }
    return true;
}

static bool frame_decode_founding_answer(struct slice body, struct arena *arena, struct frame *frame)
{
    ProtobufCAllocator allocator = wire_allocator(arena);
    const Wire__FoundingAnswer *wire = wire__founding_answer__unpack(&allocator, body.len, body.base);
    if (wire == NULL || !wire_is_known(&wire->base) || !founders_are_valid((int)wire->state, wire->n_founders)) {
        return false;
    }
    struct frame_member *founders = arena_alloc(arena, wire->n_founders * sizeof *founders);
    if (founders == NULL || !founders_from_wire(wire, founders)) {
        return false;
    }
    struct frame_founding_answer *answer = &frame->founding_answer;
    answer->spec = wire_slice(wire->spec);
    answer->name = wire_slice(wire->name);
    answer->state = (enum founding_state)wire->state;
    answer->founders = founders;
    answer->n_founders = wire->n_founders;
    return spec_is_valid(answer->spec) && name_is_valid(answer->name) &&
           wire_take_fixed(wire->incarnation, answer->incarnation, sizeof answer->incarnation);
}

/* ---- the table ---- */

struct frame_rules {
    const char *name;
    size_t limit;
    void (*encode)(const struct frame *frame, struct buffer *body);
    bool (*decode)(struct slice body, struct arena *arena, struct frame *frame);
};

static const struct frame_rules frame_rules[FRAME_KINDS] = {
#define KIND(kind, name_, limit_) [kind] = {#name_, limit_, frame_encode_##name_, frame_decode_##name_}
    KIND(FRAME_HELLO, hello, LIMIT_FRAME_HANDSHAKE_BYTES),
    KIND(FRAME_PROOF, proof, LIMIT_FRAME_SMALL_BYTES),
    KIND(FRAME_FOUNDING_QUESTION, founding_question, LIMIT_FRAME_HANDSHAKE_BYTES),
    KIND(FRAME_FOUNDING_ANSWER, founding_answer, LIMIT_FRAME_HANDSHAKE_BYTES),
    KIND(FRAME_REQUEST_VOTE, request_vote, LIMIT_FRAME_SMALL_BYTES),
    KIND(FRAME_REQUEST_VOTE_RESULT, request_vote_result, LIMIT_FRAME_SMALL_BYTES),
    KIND(FRAME_APPEND_ENTRIES, append_entries, LIMIT_FRAME_RAFT_BYTES),
    KIND(FRAME_APPEND_ENTRIES_RESULT, append_entries_result, LIMIT_FRAME_SMALL_BYTES),
    KIND(FRAME_INSTALL_SNAPSHOT, install_snapshot, LIMIT_CONFIGURATION_BYTES + LIMIT_FRAME_SMALL_BYTES),
    KIND(FRAME_TIMEOUT_NOW, timeout_now, LIMIT_FRAME_SMALL_BYTES),
    KIND(FRAME_OPERATIONS, operations, LIMIT_FRAME_OPERATIONS_BYTES),
    KIND(FRAME_OUTCOMES, outcomes, LIMIT_FRAME_OUTCOMES_BYTES),
    KIND(FRAME_READ_INDEX, read_index, LIMIT_FRAME_READ_INDEX_BYTES),
    KIND(FRAME_READ_INDEX_RESULT, read_index_result, LIMIT_FRAME_READ_INDEX_BYTES),
    KIND(FRAME_SNAPSHOT_CHUNK, snapshot_chunk, LIMIT_FRAME_CHUNK_BYTES),
    KIND(FRAME_SNAPSHOT_ACK, snapshot_ack, LIMIT_FRAME_SMALL_BYTES),
    KIND(FRAME_CANCEL, cancel, LIMIT_FRAME_CANCEL_BYTES),
#undef KIND
};

static bool frame_kind_is_valid(unsigned kind)
{
    return kind >= FRAME_HELLO && kind < FRAME_KINDS;
}

size_t frame_limit(unsigned kind)
{
    return frame_kind_is_valid(kind) ? frame_rules[kind].limit : 0;
}

/* An outcome takes some hundred times the bytes that it has when there is nothing in it, as one of a batch may have. */
size_t frame_memory_factor(enum frame_kind kind)
{
    return kind == FRAME_OUTCOMES ? 256 : 64;
}

const char *frame_kind_name(enum frame_kind kind)
{
    return frame_kind_is_valid(kind) ? frame_rules[kind].name : "unknown";
}

void frame_encode(const struct frame *frame, struct buffer *body)
{
    CHECK(frame_kind_is_valid(frame->kind));
    size_t start = body->len;
    frame_rules[frame->kind].encode(frame, body);
    CHECK(body->len - start <= frame_rules[frame->kind].limit);
}

enum error frame_decode(enum frame_kind kind, struct slice body, struct arena *arena, struct frame *frame,
                        struct error_text *text)
{
    if (!frame_kind_is_valid(kind)) {
        return error_set(text, ERROR_INVALID, "there is no frame of kind %u", (unsigned)kind);
    }
    if (body.len > frame_rules[kind].limit) {
        return error_set(text, ERROR_INVALID, "a %s frame of %zu bytes is over its bound", frame_kind_name(kind),
                         body.len);
    }
    frame->kind = kind;
    if (!frame_rules[kind].decode(body, arena, frame)) {
        return error_set(text, ERROR_INVALID, "a %s frame of %zu bytes isn't well formed", frame_kind_name(kind),
                         body.len);
    }
    return ERROR_NONE;
}
