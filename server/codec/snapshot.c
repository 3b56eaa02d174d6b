/* The table as chunks. Each chunk is one message `Snapshot` of snapshot.proto: the first has the numbers and says how many
 * schedules follow; the others have as many whole schedules as fit. Checksums, the number of chunks and their order on the
 * disk are storage's; a chunk is still read as if anybody had written it, because one may come from another node. */
#include "codec/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "codec/snapshot.pb-c.h"
#include "codec/wire.h"

#define SNAPSHOT_FORMAT 1u

/* ---- encoding ---- */

/* `pending` is the schedule that didn't fit the last chunk; its messages live in `arena`, its strings in the frozen
 * table, which isn't moved on before it was packed. */
struct snapshot_encoder {
    struct lock_table_frozen *frozen;
    struct arena arena;
    bool begun;
    uint64_t announced;
    uint64_t packed;
    Wire__ScheduleImage pending;
    Wire__Instant floor;
    size_t pending_size; /* as a part of a chunk; 0: nothing is pending */
};

struct snapshot_encoder *snapshot_encoder_open(struct lock_table_frozen *frozen)
{
    struct snapshot_encoder *encoder = calloc(1, sizeof *encoder);
    CHECK(encoder != NULL);
    encoder->frozen = frozen;
    arena_init(&encoder->arena, 0);
    return encoder;
}

void snapshot_encoder_close(struct snapshot_encoder *encoder)
{
    if (encoder != NULL) {
        arena_close(&encoder->arena);
        free(encoder);
    }
}

static void encode_table(struct snapshot_encoder *encoder, struct buffer *chunk)
{
    struct table_image image;
    lock_table_frozen_table(encoder->frozen, &image);
    encoder->announced = lock_table_frozen_schedules(encoder->frozen);
    Wire__TableImage wire;
    wire__table_image__init(&wire);
    wire.format = SNAPSHOT_FORMAT;
    wire.rules_version = image.rules_version;
    wire.now_ms = image.now_ms;
    wire.wall_ms = image.wall_ms;
    wire.index = image.index;
    wire.next_token = image.next_token;
    wire.next_member_id = image.next_member_id;
    wire.schedules = encoder->announced;
    Wire__Snapshot part;
    wire__snapshot__init(&part);
    part.table = &wire;
    wire_append(&part.base, chunk);
}

static void grant_image_to_wire(const struct grant_image *grant, Wire__GrantImage *wire)
{
    wire__grant_image__init(wire);
    wire->token = grant->token;
    wire->granted_ms = grant->granted_ms;
    wire->deadline_ms = grant->deadline_ms;
    wire->ttl_ms = grant->ttl_ms;
    wire->granted_ttl_ms = grant->granted_ttl_ms;
    wire->estimate_ms = grant->estimate_ms;
    wire->margin_ms = grant->margin_ms;
    wire->max_ttl_ms = grant->max_ttl_ms;
    wire->has_metadata = slice_is_present(grant->metadata);
    wire->metadata = wire_bytes(grant->metadata);
}

static void run_image_to_wire(const struct run_image *run, Wire__RunImage *wire)
{
    wire__run_image__init(wire);
    wire->token = run->token;
    wire->granted_ms = run->granted_ms;
    wire->ended_ms = run->ended_ms;
    wire->acquired_wall_ms = run->acquired_wall_ms;
    wire->ended_wall_ms = run->ended_wall_ms;
    wire->holder = wire_bytes(run->holder);
    wire->has_occurrence = slice_is_present(run->occurrence);
    wire->occurrence = wire_bytes(run->occurrence);
    wire->has_idempotency_key = slice_is_present(run->idempotency_key);
    wire->idempotency_key = wire_bytes(run->idempotency_key);
    wire->has_actor = slice_is_present(run->actor);
    wire->actor = wire_bytes(run->actor);
    wire->has_reason = slice_is_present(run->reason);
    wire->reason = wire_bytes(run->reason);
    wire->fingerprint = wire_fixed(run->fingerprint.bytes, sizeof run->fingerprint.bytes);
    wire->outcome = (Wire__RunOutcome)run->outcome;
    wire->has_late_outcome = run->late_outcome != RUN_OUTCOME_NONE;
    wire->late_outcome = wire->has_late_outcome ? (Wire__RunOutcome)run->late_outcome : WIRE__RUN_OUTCOME__RUN_RUNNING;
    wire->attempt = run->attempt;
}

static void occurrence_image_to_wire(const struct occurrence_image *occurrence, Wire__OccurrenceImage *wire,
                                     Wire__Instant *instant)
{
    wire__occurrence_image__init(wire);
    wire->name = wire_bytes(occurrence->name);
    if (occurrence->is_instant) {
        wire__instant__init(instant);
        instant->seconds = occurrence->instant_s;
        instant->nanoseconds = occurrence->instant_ns;
        wire->instant = instant;
    }
    wire->attempts = occurrence->attempts;
    wire->succeeded = occurrence->succeeded;
    wire->run_token = occurrence->run_token;
    wire->order = occurrence->order;
}

/* An array of `count` messages and one of pointers to them, as protobuf-c wants a repeated field. */
static void *arena_messages(struct arena *arena, size_t count, size_t size, void *pointers)
{
    uint8_t *messages = arena_alloc(arena, count * size);
    void **targets = arena_alloc(arena, count * sizeof *targets);
    CHECK(messages != NULL && targets != NULL); /* no bound: they abort instead */
    for (size_t i = 0; i < count; i++) {
        targets[i] = messages + i * size;
    }
    memcpy(pointers, &targets, sizeof targets);
    return messages;
}

static void schedule_lists_to_wire(const struct schedule_image *image, struct arena *arena, Wire__ScheduleImage *wire)
{
    Wire__GrantImage *grants = arena_messages(arena, image->n_grants, sizeof *grants, &wire->grants);
    for (size_t i = 0; i < image->n_grants; i++) {
        grant_image_to_wire(&image->grants[i], &grants[i]);
    }
    wire->n_grants = image->n_grants;
    Wire__RunImage *runs = arena_messages(arena, image->n_runs, sizeof *runs, &wire->runs);
    for (size_t i = 0; i < image->n_runs; i++) {
        run_image_to_wire(&image->runs[i], &runs[i]);
    }
    wire->n_runs = image->n_runs;
    size_t n = image->n_occurrences;
    Wire__OccurrenceImage *occurrences = arena_messages(arena, n, sizeof *occurrences, &wire->occurrences);
    Wire__Instant *instants = arena_alloc(arena, n * sizeof *instants);
    for (size_t i = 0; i < n; i++) {
        occurrence_image_to_wire(&image->occurrences[i], &occurrences[i], &instants[i]);
    }
    wire->n_occurrences = n;
}

static void chunk_part(struct snapshot_encoder *encoder, Wire__Snapshot *part, Wire__ScheduleImage **schedules)
{
    schedules[0] = &encoder->pending;
    wire__snapshot__init(part);
    part->n_schedules = 1;
    part->schedules = schedules;
}

/* Makes the frozen table's next schedule the pending one; false at the end. */
static bool encoder_advance(struct snapshot_encoder *encoder)
{
    struct schedule_image image;
    if (!lock_table_frozen_next(encoder->frozen, &image)) {
        return false;
    }
    arena_clear(&encoder->arena);
    Wire__ScheduleImage *wire = &encoder->pending;
    wire__schedule_image__init(wire);
    wire->id = wire_bytes(image.id);
    if (image.has_floor) {
        wire__instant__init(&encoder->floor);
        encoder->floor.seconds = image.floor_s;
        encoder->floor.nanoseconds = image.floor_ns;
        wire->floor = &encoder->floor;
    }
    wire->next_order = image.next_order;
    wire->forget_ms = image.forget_ms;
    schedule_lists_to_wire(&image, &encoder->arena, wire);
    Wire__Snapshot part;
    Wire__ScheduleImage *schedules[1];
    chunk_part(encoder, &part, schedules);
    encoder->pending_size = wire_size(&part.base);
    CHECK(encoder->pending_size <= LIMIT_SNAPSHOT_CHUNK_BYTES);
    return true;
}

bool snapshot_encoder_next(struct snapshot_encoder *encoder, struct buffer *chunk)
{
    buffer_clear(chunk);
    if (!encoder->begun) {
        encoder->begun = true;
        encode_table(encoder, chunk);
        return true;
    }
    while (encoder->pending_size > 0 || encoder_advance(encoder)) {
        if (chunk->len + encoder->pending_size > LIMIT_SNAPSHOT_CHUNK_BYTES) {
            return true;
        }
        Wire__Snapshot part;
        Wire__ScheduleImage *schedules[1];
        chunk_part(encoder, &part, schedules);
        wire_append(&part.base, chunk);
        encoder->pending_size = 0;
        encoder->packed++;
    }
    CHECK(encoder->packed == encoder->announced);
    return chunk->len > 0;
}

/* ---- decoding ---- */

struct snapshot_decoder {
    struct lock_table *table;
    struct arena arena; /* of one chunk */
    bool begun;
    bool failed;
    uint64_t announced;
    uint64_t loaded;
};

/* What unpacking a well-formed chunk may take: the messages are several times as long as their bytes. */
#define SNAPSHOT_ARENA_BYTES (64u * LIMIT_SNAPSHOT_CHUNK_BYTES)

struct snapshot_decoder *snapshot_decoder_open(struct lock_table *table)
{
    struct snapshot_decoder *decoder = calloc(1, sizeof *decoder);
    CHECK(decoder != NULL);
    decoder->table = table;
    arena_init(&decoder->arena, SNAPSHOT_ARENA_BYTES);
    return decoder;
}

void snapshot_decoder_close(struct snapshot_decoder *decoder)
{
    if (decoder != NULL) {
        arena_close(&decoder->arena);
        free(decoder);
    }
}

static enum error refuse_newer(struct error_text *text)
{
    return error_set(text, ERROR_VERSION,
                     "the snapshot has something that this build doesn't know: install the newer batond");
}

static enum error decode_table(struct snapshot_decoder *decoder, const Wire__TableImage *wire, struct error_text *text)
{
    if (wire->format != SNAPSHOT_FORMAT) {
        return error_set(text, wire->format > SNAPSHOT_FORMAT ? ERROR_VERSION : ERROR_CORRUPT,
                         "the snapshot has format %u, and this build reads %u", (unsigned)wire->format,
                         SNAPSHOT_FORMAT);
    }
    if (wire->rules_version > RULES_VERSION_NEWEST) {
        return error_set(text, ERROR_VERSION,
                         "the snapshot needs rules version %u, and this build knows up to %u: install the newer batond",
                         (unsigned)wire->rules_version, RULES_VERSION_NEWEST);
    }
    if (!wire_is_known(&wire->base)) {
        return refuse_newer(text);
    }
    struct table_image image = {
        .now_ms = wire->now_ms,
        .wall_ms = wire->wall_ms,
        .index = wire->index,
        .next_token = wire->next_token,
        .next_member_id = wire->next_member_id,
        .rules_version = wire->rules_version,
    };
    decoder->announced = wire->schedules;
    enum error error = lock_table_load_table(decoder->table, &image);
    return error == ERROR_NONE ? error
                               : error_set(text, error, "the snapshot's numbers can't be those of a lock table");
}

static enum error grants_from_wire(const Wire__ScheduleImage *wire, struct arena *arena, struct schedule_image *image)
{
    struct grant_image *grants = arena_alloc(arena, wire->n_grants * sizeof *grants);
    if (grants == NULL) {
        return ERROR_CORRUPT;
    }
    for (size_t i = 0; i < wire->n_grants; i++) {
        const Wire__GrantImage *grant = wire->grants[i];
        if (!wire_is_known(&grant->base)) {
            return ERROR_VERSION;
        }
        grants[i] = (struct grant_image){
            .token = grant->token,
            .granted_ms = grant->granted_ms,
            .deadline_ms = grant->deadline_ms,
            .ttl_ms = grant->ttl_ms,
            .granted_ttl_ms = grant->granted_ttl_ms,
            .estimate_ms = grant->estimate_ms,
            .margin_ms = grant->margin_ms,
            .max_ttl_ms = grant->max_ttl_ms,
            .metadata = wire_optional(grant->has_metadata, grant->metadata),
        };
        if (slice_is_present(grants[i].metadata) && !metadata_is_valid(grants[i].metadata)) {
            return ERROR_CORRUPT;
        }
    }
    image->grants = grants;
    image->n_grants = wire->n_grants;
    return ERROR_NONE;
}

/* What is loaded here goes into outcomes and answers later, where it is taken to be good. */
static bool run_strings_are_valid(const struct run_image *run)
{
    return printable_is_valid(run->holder, LIMIT_NAME_BYTES) &&
           optional_printable_is_valid(run->occurrence, LIMIT_OCCURRENCE_BYTES) &&
           optional_printable_is_valid(run->idempotency_key, LIMIT_OCCURRENCE_BYTES) &&
           optional_printable_is_valid(run->actor, LIMIT_NAME_BYTES) &&
           (!slice_is_present(run->reason) || sentence_is_valid(run->reason, LIMIT_REASON_BYTES));
}

static enum error run_from_wire(const Wire__RunImage *wire, struct run_image *run)
{
    *run = (struct run_image){
        .token = wire->token,
        .granted_ms = wire->granted_ms,
        .ended_ms = wire->ended_ms,
        .acquired_wall_ms = wire->acquired_wall_ms,
        .ended_wall_ms = wire->ended_wall_ms,
        .holder = wire_slice(wire->holder),
        .occurrence = wire_optional(wire->has_occurrence, wire->occurrence),
        .idempotency_key = wire_optional(wire->has_idempotency_key, wire->idempotency_key),
        .actor = wire_optional(wire->has_actor, wire->actor),
        .reason = wire_optional(wire->has_reason, wire->reason),
        .outcome = (int)wire->outcome,
        .late_outcome = wire->has_late_outcome ? (int)wire->late_outcome : RUN_OUTCOME_NONE,
        .attempt = wire->attempt,
    };
    if (!wire_is_known(&wire->base)) {
        return ERROR_VERSION;
    }
    bool late_is_valid = !wire->has_late_outcome || run_outcome_is_valid((int)wire->late_outcome);
    bool valid = run_outcome_is_valid((int)wire->outcome) && late_is_valid && run_strings_are_valid(run) &&
                 wire_take_fixed(wire->fingerprint, run->fingerprint.bytes, sizeof run->fingerprint.bytes);
    return valid ? ERROR_NONE : ERROR_CORRUPT;
}

static enum error runs_from_wire(const Wire__ScheduleImage *wire, struct arena *arena, struct schedule_image *image)
{
    struct run_image *runs = arena_alloc(arena, wire->n_runs * sizeof *runs);
    if (runs == NULL) {
        return ERROR_CORRUPT;
    }
    for (size_t i = 0; i < wire->n_runs; i++) {
        enum error error = run_from_wire(wire->runs[i], &runs[i]);
        if (error != ERROR_NONE) {
            return error;
        }
    }
    image->runs = runs;
    image->n_runs = wire->n_runs;
    return ERROR_NONE;
}

static enum error occurrences_from_wire(const Wire__ScheduleImage *wire, struct arena *arena,
                                        struct schedule_image *image)
{
    struct occurrence_image *occurrences = arena_alloc(arena, wire->n_occurrences * sizeof *occurrences);
    if (occurrences == NULL) {
        return ERROR_CORRUPT;
    }
    for (size_t i = 0; i < wire->n_occurrences; i++) {
        const Wire__OccurrenceImage *occurrence = wire->occurrences[i];
        const Wire__Instant *instant = occurrence->instant;
        if (!wire_is_known(&occurrence->base) || (instant != NULL && !wire_is_known(&instant->base))) {
            return ERROR_VERSION;
        }
        occurrences[i] = (struct occurrence_image){
            .name = wire_slice(occurrence->name),
            .is_instant = instant != NULL,
            .instant_s = instant == NULL ? 0 : instant->seconds,
            .instant_ns = instant == NULL ? 0 : instant->nanoseconds,
            .attempts = occurrence->attempts,
            .succeeded = occurrence->succeeded != 0,
            .run_token = occurrence->run_token,
            .order = occurrence->order,
        };
        if (!printable_is_valid(occurrences[i].name, LIMIT_OCCURRENCE_BYTES)) {
            return ERROR_CORRUPT;
        }
    }
    image->occurrences = occurrences;
    image->n_occurrences = wire->n_occurrences;
    return ERROR_NONE;
}

static enum error schedule_from_wire(const Wire__ScheduleImage *wire, struct arena *arena, struct schedule_image *image)
{
    if (!wire_is_known(&wire->base) || (wire->floor != NULL && !wire_is_known(&wire->floor->base))) {
        return ERROR_VERSION;
    }
    *image = (struct schedule_image){
        .id = wire_slice(wire->id),
        .has_floor = wire->floor != NULL,
        .floor_s = wire->floor == NULL ? 0 : wire->floor->seconds,
        .floor_ns = wire->floor == NULL ? 0 : wire->floor->nanoseconds,
        .next_order = wire->next_order,
        .forget_ms = wire->forget_ms,
    };
    enum error error = name_is_valid(image->id) ? grants_from_wire(wire, arena, image) : ERROR_CORRUPT;
    if (error == ERROR_NONE) {
        error = runs_from_wire(wire, arena, image);
    }
    if (error == ERROR_NONE) {
        error = occurrences_from_wire(wire, arena, image);
    }
    return error;
}

static enum error decode_schedules(struct snapshot_decoder *decoder, const Wire__Snapshot *wire,
                                   struct error_text *text)
{
    if (wire->n_schedules > decoder->announced - decoder->loaded) {
        return error_set(text, ERROR_CORRUPT, "the snapshot holds more schedules than it announced");
    }
    for (size_t i = 0; i < wire->n_schedules; i++) {
        struct schedule_image image;
        enum error error = schedule_from_wire(wire->schedules[i], &decoder->arena, &image);
        if (error == ERROR_NONE) {
            error = lock_table_load_schedule(decoder->table, &image);
        }
        if (error == ERROR_VERSION) {
            return refuse_newer(text);
        }
        if (error != ERROR_NONE) {
            return error_set(text, error, "schedule %llu of the snapshot can't be one of a lock table",
                             (unsigned long long)decoder->loaded);
        }
        decoder->loaded++;
    }
    return ERROR_NONE;
}

static enum error decode_chunk(struct snapshot_decoder *decoder, struct slice chunk, struct error_text *text)
{
    if (chunk.len > LIMIT_SNAPSHOT_CHUNK_BYTES) {
        return error_set(text, ERROR_CORRUPT, "a chunk of the snapshot has %zu bytes", chunk.len);
    }
    arena_clear(&decoder->arena);
    ProtobufCAllocator allocator = wire_allocator(&decoder->arena);
    const Wire__Snapshot *wire = wire__snapshot__unpack(&allocator, chunk.len, chunk.base);
    if (wire == NULL) {
        return error_set(text, ERROR_CORRUPT, "a chunk of the snapshot isn't well formed");
    }
    bool first = !decoder->begun;
    decoder->begun = true;
    if ((wire->table != NULL) != first || (wire->n_schedules > 0) == first) {
        return wire_is_known(&wire->base)
                   ? error_set(text, ERROR_CORRUPT, "the chunks of the snapshot aren't in their order")
                   : refuse_newer(text);
    }
    enum error error = first ? decode_table(decoder, wire->table, text) : decode_schedules(decoder, wire, text);
    return error == ERROR_NONE && !wire_is_known(&wire->base) ? refuse_newer(text) : error;
}

enum error snapshot_decoder_chunk(struct snapshot_decoder *decoder, struct slice chunk, struct error_text *text)
{
    CHECK(!decoder->failed);
    enum error error = decode_chunk(decoder, chunk, text);
    decoder->failed = error != ERROR_NONE;
    return error;
}

enum error snapshot_decoder_finish(struct snapshot_decoder *decoder, struct error_text *text)
{
    CHECK(!decoder->failed);
    if (!decoder->begun || decoder->loaded != decoder->announced) {
        return error_set(text, ERROR_CORRUPT, "the snapshot announced %llu schedules and holds %llu",
                         (unsigned long long)decoder->announced, (unsigned long long)decoder->loaded);
    }
    return ERROR_NONE;
}
