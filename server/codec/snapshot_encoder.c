/* The table as chunks. Each chunk is one message `Snapshot` of snapshot.proto: the first has the numbers and says how many
 * groups, freezes and schedules follow; the others have whole ones, of one kind. Checksums, the number of chunks and their
 * order on the disk are storage's. */
#include "codec/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "codec/snapshot.pb-c.h"
#include "codec/wire.h"
#include "core/rules.h"

struct snapshot_counts {
    uint64_t groups;
    uint64_t freezes;
    uint64_t schedules;
};

/* `pending` is the schedule that didn't fit the last chunk; its messages live in `arena`, its strings in the frozen
 * table, which isn't moved on before it was packed. */
struct snapshot_encoder {
    struct lock_table_frozen *frozen;
    struct arena arena;
    bool begun;
    struct snapshot_counts announced;
    struct snapshot_counts packed;
    struct group_image group; /* pending, when pending_group_size isn't 0 */
    size_t pending_group_size;
    struct freeze_image freeze;
    size_t pending_freeze_size;
    Wire__ScheduleImage pending;
    Wire__Instant floor;
    Wire__PolicyImage policy_image;
    Wire__Policy policy;
    Wire__Success success;
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
    encoder->announced = (struct snapshot_counts){
        .groups = lock_table_frozen_groups(encoder->frozen),
        .freezes = lock_table_frozen_freezes(encoder->frozen),
        .schedules = lock_table_frozen_schedules(encoder->frozen),
    };
    bool may_have_groups = image.rules_version >= RULES_VERSION_GROUPS;
    CHECK(may_have_groups || encoder->announced.groups + encoder->announced.freezes == 0);
    Wire__TableImage wire;
    wire__table_image__init(&wire);
    wire.format = may_have_groups ? SNAPSHOT_FORMAT_NEWEST : SNAPSHOT_FORMAT_OLDEST;
    wire.rules_version = image.rules_version;
    wire.now_ms = image.now_ms;
    wire.wall_ms = image.wall_ms;
    wire.index = image.index;
    wire.next_token = image.next_token;
    wire.next_member_id = image.next_member_id;
    wire.schedules = encoder->announced.schedules;
    wire.has_groups = encoder->announced.groups > 0;
    wire.groups = encoder->announced.groups;
    wire.has_freezes = encoder->announced.freezes > 0;
    wire.freezes = encoder->announced.freezes;
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
    wire->has_is_revoking = grant->is_revoking;
    wire->is_revoking = grant->is_revoking;
    wire->has_group = slice_is_present(grant->group);
    wire->group = wire_bytes(grant->group);
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
    wire->has_is_released = run->is_released;
    wire->is_released = run->is_released;
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

static void encoder_take(struct snapshot_encoder *encoder, const struct schedule_image *image)
{
    Wire__ScheduleImage *wire = &encoder->pending;
    wire__schedule_image__init(wire);
    wire->id = wire_bytes(image->id);
    if (image->has_floor) {
        wire__instant__init(&encoder->floor);
        encoder->floor.seconds = image->floor_s;
        encoder->floor.nanoseconds = image->floor_ns;
        wire->floor = &encoder->floor;
    }
    wire->next_order = image->next_order;
    wire->forget_ms = image->forget_ms;
    if (image->has_policy) {
        wire__policy_image__init(&encoder->policy_image);
        policy_to_wire(&image->policy.policy, &encoder->policy);
        encoder->policy_image.policy = &encoder->policy;
        encoder->policy_image.created_ms = image->policy.created_ms;
        wire->policy = &encoder->policy_image;
    }
    if (image->has_success) {
        wire__success__init(&encoder->success);
        encoder->success.ended_ms = image->last_success_ms;
        encoder->success.ended_wall_ms = image->last_success_wall_ms;
        wire->last_success = &encoder->success;
    }
    arena_clear(&encoder->arena);
    schedule_lists_to_wire(image, &encoder->arena, wire);
}

/* Makes the frozen table's next schedule the pending one; false at the end. */
static bool encoder_advance(struct snapshot_encoder *encoder)
{
    struct schedule_image image;
    if (!lock_table_frozen_next(encoder->frozen, &image)) {
        return false;
    }
    encoder_take(encoder, &image);
    Wire__Snapshot part;
    Wire__ScheduleImage *schedules[1];
    chunk_part(encoder, &part, schedules);
    encoder->pending_size = wire_size(&part.base);
    CHECK(encoder->pending_size <= LIMIT_SNAPSHOT_CHUNK_BYTES);
    return true;
}

/* `chunk` NULL: only its size as a part of one. */
static size_t group_pack(const struct group_image *group, struct buffer *chunk)
{
    Wire__GroupImage wire;
    wire__group_image__init(&wire);
    wire.name = wire_bytes(group->name);
    wire.slots = group->slots;
    Wire__GroupImage *groups[] = {&wire};
    Wire__Snapshot part;
    wire__snapshot__init(&part);
    part.n_groups = 1;
    part.groups = groups;
    if (chunk != NULL) {
        wire_append(&part.base, chunk);
    }
    return wire_size(&part.base);
}

static size_t freeze_pack(const struct freeze_image *freeze, struct buffer *chunk)
{
    Wire__FreezeImage wire;
    wire__freeze_image__init(&wire);
    wire.scope = wire_bytes(freeze->scope);
    wire.actor = wire_bytes(freeze->actor);
    wire.reason = wire_bytes(freeze->reason);
    wire.ttl_ms = freeze->ttl_ms;
    wire.deadline_ms = freeze->deadline_ms;
    wire.created_wall_ms = freeze->created_wall_ms;
    Wire__FreezeImage *freezes[] = {&wire};
    Wire__Snapshot part;
    wire__snapshot__init(&part);
    part.n_freezes = 1;
    part.freezes = freezes;
    if (chunk != NULL) {
        wire_append(&part.base, chunk);
    }
    return wire_size(&part.base);
}

static bool chunk_is_full(const struct buffer *chunk, size_t more)
{
    return chunk->len > 0 && chunk->len + more > LIMIT_SNAPSHOT_CHUNK_TARGET_BYTES;
}

/* Groups, as many as fit; nothing when all are packed. */
static void encode_groups(struct snapshot_encoder *encoder, struct buffer *chunk)
{
    while (encoder->pending_group_size > 0 || lock_table_frozen_next_group(encoder->frozen, &encoder->group)) {
        encoder->pending_group_size = group_pack(&encoder->group, NULL);
        if (chunk_is_full(chunk, encoder->pending_group_size)) {
            return;
        }
        (void)group_pack(&encoder->group, chunk);
        encoder->pending_group_size = 0;
        encoder->packed.groups++;
    }
    CHECK(encoder->packed.groups == encoder->announced.groups);
}

static void encode_freezes(struct snapshot_encoder *encoder, struct buffer *chunk)
{
    while (encoder->pending_freeze_size > 0 || lock_table_frozen_next_freeze(encoder->frozen, &encoder->freeze)) {
        encoder->pending_freeze_size = freeze_pack(&encoder->freeze, NULL);
        if (chunk_is_full(chunk, encoder->pending_freeze_size)) {
            return;
        }
        (void)freeze_pack(&encoder->freeze, chunk);
        encoder->pending_freeze_size = 0;
        encoder->packed.freezes++;
    }
    CHECK(encoder->packed.freezes == encoder->announced.freezes);
}

bool snapshot_encoder_next(struct snapshot_encoder *encoder, struct buffer *chunk)
{
    buffer_clear(chunk);
    if (!encoder->begun) {
        encoder->begun = true;
        encode_table(encoder, chunk);
        return true;
    }
    if (encoder->packed.groups < encoder->announced.groups) {
        encode_groups(encoder, chunk);
        return true;
    }
    if (encoder->packed.freezes < encoder->announced.freezes) {
        encode_freezes(encoder, chunk);
        return true;
    }
    while (encoder->pending_size > 0 || encoder_advance(encoder)) {
        if (chunk_is_full(chunk, encoder->pending_size)) {
            return true;
        }
        Wire__Snapshot part;
        Wire__ScheduleImage *schedules[1];
        chunk_part(encoder, &part, schedules);
        wire_append(&part.base, chunk);
        encoder->pending_size = 0;
        encoder->packed.schedules++;
    }
    CHECK(encoder->packed.schedules == encoder->announced.schedules);
    return chunk->len > 0;
}
