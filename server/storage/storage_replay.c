/* Reading the log back.
 *
 * From where the log begins, record after record: a record counts when it is whole, of this segment, next in sequence, and
 * its chain fits. Where none does, the log goes on at the start of the next segment, or it ends.
 *
 * An end is judged. Whoever acknowledged a record told so in later ones (`acked`): if any whole record behind the end, in
 * this segment or a higher one, carries `acked` at or above the sequence that should stand here, then acknowledged data
 * is damaged. Else it is the torn end of a crash, and nobody misses it. Records left over from an earlier torn end can't
 * mislead: all of them carry an `acked` below where that end was cut. */
#include <stdlib.h>
#include <string.h>

#include "storage/storage_private.h"

struct replay {
    struct storage *storage;
    struct error_text *text;
    uint8_t *here;  /* the segment being read */
    uint8_t *there; /* a look at another one */
    uint64_t number;
    size_t offset;
};

/* A damaged header is told; what is behind it is up to the caller. */
static enum error segment_read(const struct replay *r, uint64_t number, uint8_t *base)
{
    const struct disk *disk = r->storage->disk;
    uint64_t bytes = r->storage->options.segment_bytes;
    struct storage_failure failure;
    struct disk_file *file = NULL;
    char path[STORAGE_PATH_BYTES];
    uint64_t size = 0;
    size_t got = 0;
    storage_path_segment(path, number);
    enum error error = storage_io_open(disk, path, DISK_READ, &file, &failure);
    if (error != ERROR_NONE) {
        return storage_failure_tell(&failure, r->text);
    }
    error = storage_io_size(disk, file, path, &size, &failure);
    if (error == ERROR_NONE) {
        error = storage_io_read(disk, file, path, 0, base, bytes, &got, &failure);
    }
    disk->close(file);
    if (error != ERROR_NONE) {
        return storage_failure_tell(&failure, r->text);
    }
    return storage_segment_header_check(base, size > bytes ? (size_t)size : got, number, bytes, &r->storage->owner,
                                        r->text);
}

static enum error replay_refuse(const struct replay *r, const char *what)
{
    char path[STORAGE_PATH_BYTES];
    storage_path_segment(path, r->number);
    return error_set(r->text, ERROR_CORRUPT, "%s: offset %zu: %s; " STORAGE_ADVICE, path, r->offset, what);
}

/* ---- entries ---- */

static void loaded_push(struct storage *storage, const struct storage_entry *entry)
{
    if (storage->n_loaded == storage->loaded_capacity) {
        storage->loaded_capacity = storage->loaded_capacity == 0 ? 1024 : storage->loaded_capacity * 2;
        storage->loaded = realloc(storage->loaded, storage->loaded_capacity * sizeof *storage->loaded);
        CHECK(storage->loaded != NULL);
    }
    storage->loaded[storage->n_loaded++] = *entry;
}

/* Makes the log end before the record's first index, or empty. False: there would be a gap. */
static bool loaded_truncate(struct storage *storage, const struct storage_record *record)
{
    if (storage->n_loaded == 0 || record->kind == STORAGE_RECORD_RESTART ||
        record->first_index <= storage->loaded_first) {
        storage->n_loaded = 0;
        storage->loaded_first = record->first_index;
        return true;
    }
    uint64_t keep = record->first_index - storage->loaded_first;
    if (keep > storage->n_loaded) {
        return false;
    }
    storage->n_loaded = (size_t)keep;
    return true;
}

static enum error replay_entries(struct replay *r, struct storage_record *record)
{
    struct storage *storage = r->storage;
    if (record->count == 0 || record->first_index == 0 || !loaded_truncate(storage, record)) {
        return replay_refuse(r, "a record that doesn't follow on the entries before it");
    }
    uint8_t *payload = arena_alloc(&storage->loaded_arena, record->length);
    CHECK(payload != NULL);
    memcpy(payload, record->payload, record->length);
    record->payload = payload;
    size_t offset = 0;
    for (uint32_t i = 0; i < record->count; i++) {
        struct storage_entry entry;
        if (!storage_record_get_entry(record, &offset, &entry)) {
            return replay_refuse(r, "a record with malformed entries");
        }
        loaded_push(storage, &entry);
    }
    return offset == record->length ? ERROR_NONE : replay_refuse(r, "a record with malformed entries");
}

/* ---- the walk ---- */

static bool follows(const struct replay *r, const struct storage_record *record)
{
    return record->sequence == r->storage->sequence && record->chain == r->storage->chain;
}

static void segment_note(struct replay *r, uint64_t number)
{
    struct storage *storage = r->storage;
    storage_segment_add(storage, &(struct storage_segment){.number = number});
}

static enum error replay_take(struct replay *r, struct storage_record *record)
{
    struct storage *storage = r->storage;
    struct storage_segment *segment = &storage->segments[storage->current];
    if (segment->first_sequence == 0) {
        segment->first_sequence = record->sequence;
        segment->first_chain = record->chain;
    }
    storage->sequence = record->sequence + 1;
    storage->chain = storage_record_chain(record);
    storage->last_kind = record->kind;
    if (record->kind == STORAGE_RECORD_ENTRIES || record->kind == STORAGE_RECORD_RESTART) {
        enum error error = replay_entries(r, record);
        if (error != ERROR_NONE) {
            return error;
        }
    } else if (record->count != 0) {
        return replay_refuse(r, "a marker with entries");
    }
    storage_log_account(storage, record);
    r->offset += record->bytes;
    return ERROR_NONE;
}

/* The next record, here or at the start of the next segment; *found says whether there was one. */
static enum error replay_step(struct replay *r, bool *found)
{
    struct storage *storage = r->storage;
    struct storage_record record;
    uint64_t bytes = storage->options.segment_bytes;
    *found = true;
    if (storage_record_parse(&record, r->here + r->offset, bytes - r->offset, r->number, &storage->owner) &&
        follows(r, &record)) {
        return replay_take(r, &record);
    }
    if (r->number < storage->highest.values[0]) {
        enum error error = segment_read(r, r->number + 1, r->there);
        if (error != ERROR_NONE) {
            return error;
        }
        if (storage_record_parse(&record, r->there + LIMIT_BLOCK_BYTES, bytes - LIMIT_BLOCK_BYTES, r->number + 1,
                                 &storage->owner) &&
            follows(r, &record)) {
            uint8_t *here = r->here;
            r->here = r->there;
            r->there = here;
            r->number++;
            r->offset = LIMIT_BLOCK_BYTES;
            segment_note(r, r->number);
            storage->current++;
            return replay_take(r, &record);
        }
    }
    *found = false;
    return ERROR_NONE;
}

/* ---- the end ---- */

struct witness {
    bool whole;     /* there is a whole record at or behind the end */
    bool witnessed; /* one that says that this end was acknowledged */
    bool torn;      /* something stood there */
};

static void look_for_witness(const struct replay *r, const uint8_t *base, uint64_t number, size_t offset,
                             struct witness *witness)
{
    uint64_t bytes = r->storage->options.segment_bytes;
    struct storage_record record;
    while (offset < bytes) {
        if (!storage_record_parse(&record, base + offset, bytes - offset, number, &r->storage->owner)) {
            offset += LIMIT_BLOCK_BYTES;
            continue;
        }
        witness->whole = true;
        witness->witnessed = witness->witnessed || record.acked >= r->storage->sequence;
        offset += record.bytes;
    }
}

/* Scans what lies behind the end, and notes those segments: they are ready for use. Segments are used in order; so when
 * nothing at the end looks like a record, and the next segment doesn't begin with a whole one, but there are some later,
 * then the damaged one stood there: r->number and offset move to it, for the sentence. */
static enum error replay_look_behind(struct replay *r, struct witness *witness)
{
    struct storage *storage = r->storage;
    uint64_t bytes = storage->options.segment_bytes;
    uint64_t end = r->number;
    struct storage_record record;
    bool in_next = false;
    look_for_witness(r, r->here, end, r->offset, witness);
    bool nothing_here = !witness->whole && !storage_record_resembles(r->here + r->offset, bytes - r->offset, end);
    for (uint64_t number = end + 1; number <= storage->highest.values[0]; number++) {
        enum error error = segment_read(r, number, r->there);
        if (error != ERROR_NONE) {
            return error;
        }
        if (number == end + 1) {
            in_next = nothing_here && !storage_record_parse(&record, r->there + LIMIT_BLOCK_BYTES,
                                                            bytes - LIMIT_BLOCK_BYTES, number, &storage->owner);
            nothing_here = nothing_here &&
                           !storage_record_resembles(r->there + LIMIT_BLOCK_BYTES, bytes - LIMIT_BLOCK_BYTES, number);
        }
        look_for_witness(r, r->there, number, LIMIT_BLOCK_BYTES, witness);
        segment_note(r, number);
    }
    witness->torn = witness->whole || !nothing_here;
    if (in_next && witness->torn) {
        r->number = end + 1;
        r->offset = LIMIT_BLOCK_BYTES;
    }
    return ERROR_NONE;
}

static enum error replay_judge(struct replay *r)
{
    struct witness witness = {0};
    uint64_t end = r->number;
    size_t end_offset = r->offset;
    enum error error = replay_look_behind(r, &witness);
    if (error != ERROR_NONE) {
        return error;
    }
    if (witness.witnessed) {
        return replay_refuse(r, "an acknowledged record is damaged");
    }
    r->storage->torn = witness.torn;
    if (witness.torn) {
        storage_note(r->storage,
                     "cut off a torn record (sequence %" PRIu64 ") at segment %" PRIu64
                     ", offset %zu: it was being written at the last crash and was never acknowledged",
                     r->storage->sequence, r->number, r->offset);
    }
    r->number = end;
    r->offset = end_offset;
    return ERROR_NONE;
}

/* ---- the log and the snapshot ---- */

/* What the log holds is void: the snapshot covers it, and the next record says so. */
static void log_forget(struct storage *storage, const char *why)
{
    uint64_t index = storage->snapshots->info.index;
    storage_note(storage, "the log %s the snapshot of %" PRIu64 ": the log is dropped, the snapshot covers it", why,
                 index);
    storage->n_loaded = 0;
    storage->restart = true;
    for (size_t i = 0; i < storage->n_segments; i++) {
        storage->segments[i].last_index = 0;
    }
}

static enum error replay_fit(struct replay *r)
{
    struct storage *storage = r->storage;
    const struct storage_snapshot_info none = {0};
    const struct storage_snapshot_info *snapshot = storage->snapshots == NULL ? &none : &storage->snapshots->info;
    uint64_t next = storage->loaded_first + storage->n_loaded;
    if (storage->n_loaded == 0 ? snapshot->index == 0 : storage->loaded_first > snapshot->index + 1) {
        return replay_refuse(r, "the entries behind the snapshot are missing");
    }
    if (storage->n_loaded > 0 && next <= snapshot->index) {
        log_forget(storage, "ends before");
    } else if (storage->n_loaded > 0 && snapshot->index >= storage->loaded_first &&
               storage->loaded[snapshot->index - storage->loaded_first].term != snapshot->term) {
        log_forget(storage, "has another term at the index of");
    }
    if (storage->n_loaded == 0) {
        storage->loaded_first = snapshot->index + 1;
        next = snapshot->index + 1;
        storage_spans_drop(&storage->spans, UINT64_MAX);
    }
    storage_spans_drop(&storage->spans, snapshot->index);
    storage->written_index = next;
    storage->next_index = next;
    return ERROR_NONE;
}

/* ---- all of it ---- */

static struct replay replay_init(struct storage *storage, struct error_text *text)
{
    struct replay r = {.storage = storage, .text = text, .number = storage->begin.segment, .offset = LIMIT_BLOCK_BYTES};
    r.here = malloc(storage->options.segment_bytes);
    r.there = malloc(storage->options.segment_bytes);
    CHECK(r.here != NULL && r.there != NULL);
    return r;
}

static void replay_close(struct replay *r)
{
    free(r->here);
    free(r->there);
}

enum error storage_replay(struct storage *storage, struct error_text *text)
{
    struct replay r = replay_init(storage, text);
    bool found = true;
    storage->sequence = storage->begin.sequence;
    storage->chain = storage->begin.chain;
    storage->last_kind = STORAGE_RECORD_CLOSED;
    storage->current = 0;
    segment_note(&r, r.number);
    storage->segments[0].first_sequence = storage->begin.sequence;
    storage->segments[0].first_chain = storage->begin.chain;
    enum error error = segment_read(&r, r.number, r.here);
    while (error == ERROR_NONE && found) {
        error = replay_step(&r, &found);
    }
    if (error == ERROR_NONE) {
        error = replay_judge(&r);
    }
    if (error == ERROR_NONE) {
        error = replay_fit(&r);
    }
    storage->offset = r.offset;
    storage->acked = storage->sequence - 1;
    replay_close(&r);
    return error;
}

enum error storage_replay_check_unused(struct storage *storage, uint64_t number, struct error_text *text)
{
    struct replay r = replay_init(storage, text);
    struct witness witness = {0};
    char path[STORAGE_PATH_BYTES];
    enum error error = segment_read(&r, number, r.here);
    if (error == ERROR_NONE) {
        look_for_witness(&r, r.here, number, LIMIT_BLOCK_BYTES, &witness);
    }
    replay_close(&r);
    storage_path_segment(path, number);
    if (error != ERROR_NONE && error != ERROR_CORRUPT) {
        return error; /* it can't be read, or is somebody else's; without a whole header nobody has used it */
    }
    return witness.whole
               ? error_set(text, ERROR_CORRUPT,
                           "%s: offset %u: holds records, but %s says that there is no such segment; " STORAGE_ADVICE,
                           path, LIMIT_BLOCK_BYTES, STORAGE_PATH_HIGHEST)
               : ERROR_NONE;
}
