/* Chunks back into a table. They are read as if anybody had written them, because they may come from another node: what
 * is taken keeps to the contract's rules for names and values; whether it makes a lock table is for core to say. */
#include "codec/snapshot.h"

#include <stdlib.h>

#include "base/limits.h"
#include "codec/snapshot.pb-c.h"
#include "codec/wire.h"
#include "core/rules.h"

struct snapshot_part {
    uint64_t announced;
    uint64_t loaded;
};

struct snapshot_decoder {
    struct lock_table *table;
    struct arena arena; /* of one chunk */
    bool begun;
    bool failed;
    /* In the order in which they come. */
    struct snapshot_part groups;
    struct snapshot_part freezes;
    struct snapshot_part schedules;
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

/* Format 1 is what a table under rules 1 is written as, which has neither groups nor freezes. */
static bool format_is_sound(const Wire__TableImage *wire)
{
    bool has_groups = wire->has_groups || wire->has_freezes;
    return wire->rules_version < RULES_VERSION_GROUPS ? wire->format == SNAPSHOT_FORMAT_OLDEST && !has_groups
                                                      : wire->format > SNAPSHOT_FORMAT_OLDEST;
}

static enum error decode_table(struct snapshot_decoder *decoder, const Wire__TableImage *wire, struct error_text *text)
{
    if (wire->format < SNAPSHOT_FORMAT_OLDEST || wire->format > SNAPSHOT_FORMAT_NEWEST) {
        return error_set(text, wire->format == 0 ? ERROR_CORRUPT : ERROR_VERSION,
                         "the snapshot has format %u, and this build reads %u to %u", (unsigned)wire->format,
                         SNAPSHOT_FORMAT_OLDEST, SNAPSHOT_FORMAT_NEWEST);
    }
    if (wire->rules_version > rules_version_newest()) {
        return error_set(text, ERROR_VERSION,
                         "the snapshot needs rules version %u, and this build knows up to %u: install the newer batond",
                         (unsigned)wire->rules_version, (unsigned)rules_version_newest());
    }
    if (!wire_is_known(&wire->base)) {
        return refuse_newer(text);
    }
    if (!format_is_sound(wire)) {
        return error_set(text, ERROR_CORRUPT,
                         "the snapshot has format %u, which doesn't go with rules version %u or groups",
                         (unsigned)wire->format, (unsigned)wire->rules_version);
    }
    struct table_image image = {
        .now_ms = wire->now_ms,
        .wall_ms = wire->wall_ms,
        .index = wire->index,
        .next_token = wire->next_token,
        .next_member_id = wire->next_member_id,
        .rules_version = wire->rules_version,
    };
    decoder->groups.announced = wire->groups;
    decoder->freezes.announced = wire->freezes;
    decoder->schedules.announced = wire->schedules;
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
            .is_revoking = grant->is_revoking != 0,
            .group = wire_optional(grant->has_group, grant->group),
        };
        if ((slice_is_present(grants[i].metadata) && !metadata_is_valid(grants[i].metadata)) ||
            (slice_is_present(grants[i].group) && !name_is_valid(grants[i].group))) {
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
        .is_released = wire->is_released != 0,
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

static enum error policy_image_from_wire(const Wire__PolicyImage *wire, struct policy_image *image)
{
    image->created_ms = wire->created_ms;
    if (!policy_from_wire(wire->policy, &image->policy) || !wire_is_known(&wire->base)) {
        return ERROR_VERSION;
    }
    return policy_is_valid(&image->policy) ? ERROR_NONE : ERROR_CORRUPT;
}

/* What lasts longer than any of its runs. */
static enum error lasting_from_wire(const Wire__ScheduleImage *wire, struct schedule_image *image)
{
    const Wire__Success *success = wire->last_success;
    if (success != NULL) {
        image->has_success = true;
        image->last_success_ms = success->ended_ms;
        image->last_success_wall_ms = success->ended_wall_ms;
        if (!wire_is_known(&success->base)) {
            return ERROR_VERSION;
        }
    }
    image->has_policy = wire->policy != NULL;
    return wire->policy == NULL ? ERROR_NONE : policy_image_from_wire(wire->policy, &image->policy);
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
    enum error error = name_is_valid(image->id) ? lasting_from_wire(wire, image) : ERROR_CORRUPT;
    if (error == ERROR_NONE) {
        error = grants_from_wire(wire, arena, image);
    }
    if (error == ERROR_NONE) {
        error = runs_from_wire(wire, arena, image);
    }
    if (error == ERROR_NONE) {
        error = occurrences_from_wire(wire, arena, image);
    }
    return error;
}

/* ---- groups and freezes ---- */

static enum error load_group(struct snapshot_decoder *decoder, const Wire__GroupImage *wire)
{
    struct group_image image = {.name = wire_slice(wire->name), .slots = wire->slots};
    if (!wire_is_known(&wire->base)) {
        return ERROR_VERSION;
    }
    return name_is_valid(image.name) ? lock_table_load_group(decoder->table, &image) : ERROR_CORRUPT;
}

static enum error load_freeze(struct snapshot_decoder *decoder, const Wire__FreezeImage *wire)
{
    struct freeze_image image = {
        .scope = wire_slice(wire->scope),
        .actor = wire_slice(wire->actor),
        .reason = wire_slice(wire->reason),
        .ttl_ms = wire->ttl_ms,
        .deadline_ms = wire->deadline_ms,
        .created_wall_ms = wire->created_wall_ms,
    };
    struct put_freeze_command put = {
        .scope = image.scope, .actor = image.actor, .reason = image.reason, .ttl_ms = image.ttl_ms};
    if (!wire_is_known(&wire->base)) {
        return ERROR_VERSION;
    }
    return put_freeze_is_valid(&put) ? lock_table_load_freeze(decoder->table, &image) : ERROR_CORRUPT;
}

static enum error refuse_item(enum error error, const char *what, const struct snapshot_part *part,
                              struct error_text *text)
{
    return error == ERROR_VERSION ? refuse_newer(text)
                                  : error_set(text, error, "%s %llu of the snapshot can't be one of a lock table", what,
                                              (unsigned long long)part->loaded);
}

static enum error refuse_surplus(const char *what, struct error_text *text)
{
    return error_set(text, ERROR_CORRUPT, "the snapshot holds more %s than it announced", what);
}

static enum error decode_groups(struct snapshot_decoder *decoder, const Wire__Snapshot *wire, struct error_text *text)
{
    if (wire->n_groups > decoder->groups.announced - decoder->groups.loaded) {
        return refuse_surplus("groups", text);
    }
    for (size_t i = 0; i < wire->n_groups; i++) {
        enum error error = load_group(decoder, wire->groups[i]);
        if (error != ERROR_NONE) {
            return refuse_item(error, "group", &decoder->groups, text);
        }
        decoder->groups.loaded++;
    }
    return ERROR_NONE;
}

static enum error decode_freezes(struct snapshot_decoder *decoder, const Wire__Snapshot *wire, struct error_text *text)
{
    if (wire->n_freezes > decoder->freezes.announced - decoder->freezes.loaded) {
        return refuse_surplus("freezes", text);
    }
    for (size_t i = 0; i < wire->n_freezes; i++) {
        enum error error = load_freeze(decoder, wire->freezes[i]);
        if (error != ERROR_NONE) {
            return refuse_item(error, "freeze", &decoder->freezes, text);
        }
        decoder->freezes.loaded++;
    }
    return ERROR_NONE;
}

/* ---- chunks ---- */

static enum error decode_schedules(struct snapshot_decoder *decoder, const Wire__Snapshot *wire,
                                   struct error_text *text)
{
    if (wire->n_schedules > decoder->schedules.announced - decoder->schedules.loaded) {
        return refuse_surplus("schedules", text);
    }
    for (size_t i = 0; i < wire->n_schedules; i++) {
        struct schedule_image image;
        enum error error = schedule_from_wire(wire->schedules[i], &decoder->arena, &image);
        if (error == ERROR_NONE) {
            error = lock_table_load_schedule(decoder->table, &image);
        }
        if (error != ERROR_NONE) {
            return refuse_item(error, "schedule", &decoder->schedules, text);
        }
        decoder->schedules.loaded++;
    }
    return ERROR_NONE;
}

static bool part_is_whole(const struct snapshot_part *part)
{
    return part->loaded == part->announced;
}

/* A chunk behind the first has one kind of things, and those that come before are all there: so what comes after them is
 * more than was announced. */
static bool chunk_is_in_order(const struct snapshot_decoder *decoder, const Wire__Snapshot *wire)
{
    if (wire->table != NULL || (wire->n_groups > 0) + (wire->n_freezes > 0) + (wire->n_schedules > 0) != 1) {
        return false;
    }
    if (wire->n_groups > 0) {
        return true;
    }
    return part_is_whole(&decoder->groups) && (wire->n_freezes > 0 || part_is_whole(&decoder->freezes));
}

static enum error decode_items(struct snapshot_decoder *decoder, const Wire__Snapshot *wire, struct error_text *text)
{
    if (wire->n_groups > 0) {
        return decode_groups(decoder, wire, text);
    }
    return wire->n_freezes > 0 ? decode_freezes(decoder, wire, text) : decode_schedules(decoder, wire, text);
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
    bool in_order = first ? wire->table != NULL && wire->n_groups + wire->n_freezes + wire->n_schedules == 0
                          : chunk_is_in_order(decoder, wire);
    if (!in_order) {
        return wire_is_known(&wire->base)
                   ? error_set(text, ERROR_CORRUPT, "the chunks of the snapshot aren't in their order")
                   : refuse_newer(text);
    }
    enum error error = first ? decode_table(decoder, wire->table, text) : decode_items(decoder, wire, text);
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
    if (!decoder->begun) {
        return error_set(text, ERROR_CORRUPT, "the snapshot has no chunks");
    }
    const struct {
        const char *what;
        const struct snapshot_part *part;
    } parts[] = {{"groups", &decoder->groups}, {"freezes", &decoder->freezes}, {"schedules", &decoder->schedules}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (!part_is_whole(parts[i].part)) {
            return error_set(text, ERROR_CORRUPT, "the snapshot announced %llu %s and holds %llu",
                             (unsigned long long)parts[i].part->announced, parts[i].what,
                             (unsigned long long)parts[i].part->loaded);
        }
    }
    return ERROR_NONE;
}
