/* Operations on their way to the leader, outcomes on their way back, what is taken back, and read indexes. These run once
 * for each batch of requests: items are packed one by one straight into the frame's bytes. */
#include "codec/frame_wire.h"

_Static_assert(OPERATION_APPLIED == (int)WIRE__OPERATION_STATUS__OPERATION_APPLIED, "number on the wire");
_Static_assert(OPERATION_NO_LEADER == (int)WIRE__OPERATION_STATUS__OPERATION_NO_LEADER, "number on the wire");
_Static_assert(OPERATION_NOT_READY == (int)WIRE__OPERATION_STATUS__OPERATION_NOT_READY, "number on the wire");
_Static_assert(OPERATION_OVERLOADED == (int)WIRE__OPERATION_STATUS__OPERATION_OVERLOADED, "number on the wire");
_Static_assert(OPERATION_UNKNOWN == (int)WIRE__OPERATION_STATUS__OPERATION_UNKNOWN, "number on the wire");
_Static_assert(OPERATION_CANCELLED == (int)WIRE__OPERATION_STATUS__OPERATION_CANCELLED, "number on the wire");

/* Run id and number of a frame take less. Counted into every item, so that a frame is never longer than the sum of its
 * items says. */
#define FRAME_OVERHEAD_BYTES 32u

static bool status_is_valid(int status)
{
    return status >= OPERATION_APPLIED && status <= OPERATION_CANCELLED;
}

/* ---- operations ---- */

static bool wait_is_valid(const struct frame_operation *operation)
{
    return operation->wait_ms <= LIMIT_WAIT_MS &&
           (operation->wait_ms == 0 || operation->command.kind == COMMAND_ACQUIRE);
}

/* One operation as a frame of its own, which joins those before it; `body` NULL: only its size. */
static size_t operation_pack(const struct frame_operation *operation, struct buffer *body)
{
    CHECK(wait_is_valid(operation));
    struct command_wire command;
    command_to_wire(&operation->command, &command);
    Wire__Operation wire;
    wire__operation__init(&wire);
    wire.number = operation->number;
    wire.has_wait_ms = operation->wait_ms != 0;
    wire.wait_ms = operation->wait_ms;
    wire.command = &command.command;
    Wire__Operation *operations[] = {&wire};
    Wire__Operations part;
    wire__operations__init(&part);
    part.n_operations = 1;
    part.operations = operations;
    if (body == NULL) {
        return wire_size(&part.base);
    }
    wire_append(&part.base, body);
    return 0;
}

size_t frame_operation_size(const struct frame_operation *operation)
{
    return operation_pack(operation, NULL) + FRAME_OVERHEAD_BYTES;
}

void frame_encode_operations(const struct frame *frame, struct buffer *body)
{
    const struct frame_operations *operations = &frame->operations;
    Wire__Operations head;
    wire__operations__init(&head);
    head.has_run_id = true;
    head.run_id = wire_fixed(operations->run_id, sizeof operations->run_id);
    head.has_sequence = true;
    head.sequence = operations->sequence;
    wire_append(&head.base, body);
    for (size_t i = 0; i < operations->n_operations; i++) {
        (void)operation_pack(&operations->operations[i], body);
    }
}

bool frame_decode_operations(struct slice body, struct arena *arena, struct frame *frame)
{
    ProtobufCAllocator allocator = wire_allocator(arena);
    const Wire__Operations *wire = wire__operations__unpack(&allocator, body.len, body.base);
    struct frame_operations *operations = &frame->operations;
    if (wire == NULL || !wire_is_known(&wire->base) || !wire->has_run_id || !wire->has_sequence ||
        !wire_take_fixed(wire->run_id, operations->run_id, sizeof operations->run_id)) {
        return false;
    }
    operations->sequence = wire->sequence;
    struct frame_operation *items = arena_alloc(arena, wire->n_operations * sizeof *items);
    if (items == NULL) {
        return false;
    }
    for (size_t i = 0; i < wire->n_operations; i++) {
        const Wire__Operation *operation = wire->operations[i];
        items[i].number = operation->number;
        items[i].wait_ms = operation->wait_ms;
        if (!wire_is_known(&operation->base) ||
            command_from_wire(operation->command, arena, &items[i].command) != ERROR_NONE ||
            !wait_is_valid(&items[i])) {
            return false;
        }
    }
    operations->operations = items;
    operations->n_operations = wire->n_operations;
    return true;
}

/* ---- outcomes ---- */

/* `shared`: the outcome that has its holders, which are in another result; NULL: they are in this one. */
static size_t operation_result_pack(const struct frame_operation_result *result, const struct outcome *shared,
                                    struct buffer *body)
{
    CHECK(status_is_valid((int)result->status));
    struct outcome_wire outcome;
    struct arena arena; /* takes memory only for the results of a batch */
    arena_init(&arena, 0);
    Wire__OperationResult wire;
    wire__operation_result__init(&wire);
    wire.number = result->number;
    wire.status = (Wire__OperationStatus)result->status;
    if (result->status == OPERATION_APPLIED) {
        outcome_to_wire(&result->outcome, shared, &arena, &outcome);
        wire.outcome = &outcome.outcome;
    }
    wire.has_holders_of = result->holders_of != 0;
    wire.holders_of = result->holders_of;
    Wire__OperationResult *results[] = {&wire};
    Wire__Outcomes part;
    wire__outcomes__init(&part);
    part.n_results = 1;
    part.results = results;
    size_t size = body == NULL ? wire_size(&part.base) : 0;
    if (body != NULL) {
        wire_append(&part.base, body);
    }
    arena_close(&arena);
    return size;
}

/* What a renewal's outcome counts in a batch at least. The shortest has five bytes and takes most of a KiB decoded, so that a
 * frame full of them would take hundreds of MiB. */
#define RENEWAL_COUNTED_BYTES 128u

size_t frame_operation_result_size(const struct frame_operation_result *result)
{
    const struct outcome *shared = result->holders_of == 0 ? NULL : &result->outcome;
    size_t size = operation_result_pack(result, shared, NULL);
    size_t counted = result->status == OPERATION_APPLIED ? result->outcome.n_results * RENEWAL_COUNTED_BYTES : 0;
    return (size > counted ? size : counted) + FRAME_OVERHEAD_BYTES;
}

/* The earlier outcome whose holders the result at `i` has; NULL: its own. False when there is none such. */
static bool find_shared(const struct frame_operation_result *results, size_t i, const struct outcome **shared)
{
    const struct frame_operation_result *result = &results[i];
    *shared = NULL;
    if (result->holders_of == 0) {
        return true;
    }
    if (result->holders_of > i || result->status != OPERATION_APPLIED) {
        return false;
    }
    *shared = &results[result->holders_of - 1].outcome;
    return (*shared)->n_holders > 0;
}

void frame_encode_outcomes(const struct frame *frame, struct buffer *body)
{
    const struct frame_outcomes *outcomes = &frame->outcomes;
    Wire__Outcomes head;
    wire__outcomes__init(&head);
    head.has_run_id = true;
    head.run_id = wire_fixed(outcomes->run_id, sizeof outcomes->run_id);
    head.has_index = true;
    head.index = outcomes->index;
    wire_append(&head.base, body);
    for (size_t i = 0; i < outcomes->n_results; i++) {
        const struct outcome *shared;
        CHECK(find_shared(outcomes->results, i, &shared));
        (void)operation_result_pack(&outcomes->results[i], shared, body);
    }
}

/* Becomes the result at `i`, of which those before it are there. */
static bool operation_result_from_wire(const Wire__OperationResult *wire, struct frame_operation_result *results,
                                       size_t i, struct arena *arena)
{
    bool applied = wire->status == WIRE__OPERATION_STATUS__OPERATION_APPLIED;
    if (!wire_is_known(&wire->base) || !status_is_valid((int)wire->status) || applied != (wire->outcome != NULL)) {
        return false;
    }
    struct frame_operation_result *result = &results[i];
    *result = (struct frame_operation_result){
        .number = wire->number,
        .status = (enum operation_status)wire->status,
        .holders_of = wire->holders_of,
    };
    const struct outcome *shared;
    if (!find_shared(results, i, &shared)) {
        return false;
    }
    return !applied || outcome_from_wire(wire->outcome, shared, arena, &result->outcome) == ERROR_NONE;
}

bool frame_decode_outcomes(struct slice body, struct arena *arena, struct frame *frame)
{
    ProtobufCAllocator allocator = wire_allocator(arena);
    const Wire__Outcomes *wire = wire__outcomes__unpack(&allocator, body.len, body.base);
    struct frame_outcomes *outcomes = &frame->outcomes;
    if (wire == NULL || !wire_is_known(&wire->base) || !wire->has_run_id || !wire->has_index ||
        !wire_take_fixed(wire->run_id, outcomes->run_id, sizeof outcomes->run_id)) {
        return false;
    }
    outcomes->index = wire->index;
    struct frame_operation_result *items = arena_alloc(arena, wire->n_results * sizeof *items);
    if (items == NULL) {
        return false;
    }
    for (size_t i = 0; i < wire->n_results; i++) {
        if (!operation_result_from_wire(wire->results[i], items, i, arena)) {
            return false;
        }
    }
    outcomes->results = items;
    outcomes->n_results = wire->n_results;
    return true;
}

/* ---- what is taken back ---- */

void frame_encode_cancel(const struct frame *frame, struct buffer *body)
{
    const struct frame_cancel *cancel = &frame->cancel;
    CHECK(cancel->n_numbers >= 1 && cancel->n_numbers <= LIMIT_CANCELS);
    Wire__Cancel wire;
    wire__cancel__init(&wire);
    wire.run_id = wire_fixed(cancel->run_id, sizeof cancel->run_id);
    wire.n_numbers = cancel->n_numbers;
    wire.numbers = (uint64_t *)cancel->numbers; /* only read */
    wire_append(&wire.base, body);
}

bool frame_decode_cancel(struct slice body, struct arena *arena, struct frame *frame)
{
    ProtobufCAllocator allocator = wire_allocator(arena);
    const Wire__Cancel *wire = wire__cancel__unpack(&allocator, body.len, body.base);
    struct frame_cancel *cancel = &frame->cancel;
    if (wire == NULL || !wire_is_known(&wire->base) || wire->n_numbers < 1 || wire->n_numbers > LIMIT_CANCELS ||
        !wire_take_fixed(wire->run_id, cancel->run_id, sizeof cancel->run_id)) {
        return false;
    }
    cancel->numbers = wire->numbers;
    cancel->n_numbers = wire->n_numbers;
    return true;
}

/* ---- read indexes ---- */

void frame_encode_read_index(const struct frame *frame, struct buffer *body)
{
    const struct frame_read_index *read_index = &frame->read_index;
    CHECK(read_index->n_waiting_of <= LIMIT_READ_COUNTS);
    ProtobufCBinaryData waiting_of[LIMIT_READ_COUNTS];
    for (size_t i = 0; i < read_index->n_waiting_of; i++) {
        CHECK(name_is_valid(read_index->waiting_of[i]));
        waiting_of[i] = wire_bytes(read_index->waiting_of[i]);
    }
    Wire__ReadIndex wire;
    wire__read_index__init(&wire);
    wire.run_id = wire_fixed(frame->read_index.run_id, sizeof frame->read_index.run_id);
    wire.number = frame->read_index.number;
    wire.n_waiting_of = read_index->n_waiting_of;
    wire.waiting_of = waiting_of;
    wire_append(&wire.base, body);
}

bool frame_decode_read_index(struct slice body, struct arena *arena, struct frame *frame)
{
    ProtobufCAllocator allocator = wire_allocator(arena);
    const Wire__ReadIndex *wire = wire__read_index__unpack(&allocator, body.len, body.base);
    struct frame_read_index *read_index = &frame->read_index;
    if (wire == NULL || !wire_is_known(&wire->base) || wire->n_waiting_of > LIMIT_READ_COUNTS ||
        !wire_take_fixed(wire->run_id, read_index->run_id, sizeof read_index->run_id)) {
        return false;
    }
    struct slice *waiting_of = arena_alloc(arena, wire->n_waiting_of * sizeof *waiting_of);
    if (waiting_of == NULL) {
        return false;
    }
    for (size_t i = 0; i < wire->n_waiting_of; i++) {
        waiting_of[i] = wire_slice(wire->waiting_of[i]);
        if (!name_is_valid(waiting_of[i])) {
            return false;
        }
    }
    read_index->number = wire->number;
    read_index->waiting_of = waiting_of;
    read_index->n_waiting_of = wire->n_waiting_of;
    return true;
}

void frame_encode_read_index_result(const struct frame *frame, struct buffer *body)
{
    const struct frame_read_index_result *result = &frame->read_index_result;
    CHECK(status_is_valid((int)result->status) && result->n_waiting <= LIMIT_READ_COUNTS);
    Wire__ReadIndexResult wire;
    wire__read_index_result__init(&wire);
    wire.run_id = wire_fixed(result->run_id, sizeof result->run_id);
    wire.number = result->number;
    wire.status = (Wire__OperationStatus)result->status;
    wire.index = result->index;
    wire.n_waiting = result->n_waiting;
    wire.waiting = (uint64_t *)result->waiting; /* only read */
    wire_append(&wire.base, body);
}

bool frame_decode_read_index_result(struct slice body, struct arena *arena, struct frame *frame)
{
    ProtobufCAllocator allocator = wire_allocator(arena);
    const Wire__ReadIndexResult *wire = wire__read_index_result__unpack(&allocator, body.len, body.base);
    struct frame_read_index_result *result = &frame->read_index_result;
    if (wire == NULL || !wire_is_known(&wire->base) || !status_is_valid((int)wire->status) ||
        wire->n_waiting > LIMIT_READ_COUNTS || !wire_take_fixed(wire->run_id, result->run_id, sizeof result->run_id)) {
        return false;
    }
    result->number = wire->number;
    result->status = (enum operation_status)wire->status;
    result->index = wire->index;
    result->waiting = wire->waiting;
    result->n_waiting = wire->n_waiting;
    return true;
}
