/* Start: everything is read and verified first, and only when all of it is good is anything changed.
 *
 * The changes: the directories are synced (the process that made a name may have died before its sync; the files were
 * synced before they were read, storage.c), a torn end is made void by a marker, a bad copy in a two-slot file is repaired,
 * the slot of the newest snapshot catches up with a rename that a crash cut short, and leftovers go: temporary files, older
 * snapshots, a segment above the highest. Segments below the log become spares. */
#include <stdlib.h>
#include <string.h>

#include "storage/storage_private.h"

struct load {
    struct storage *storage;
    struct error_text *text;
    struct storage_names log;
    struct storage_names snapshots;
    struct storage_names leftovers; /* paths */
};

static enum error load_names(struct load *l, struct storage_names *names, const char *path)
{
    struct storage_failure failure;
    enum error error = storage_names_read(names, l->storage->disk, path, &failure);
    if (error == ERROR_NOT_FOUND) {
        return error_set(l->text, ERROR_CORRUPT, "%s: is missing; " STORAGE_ADVICE, path);
    }
    return error == ERROR_NONE ? error : storage_failure_tell(&failure, l->text);
}

static enum error load_slots(struct load *l)
{
    struct storage *storage = l->storage;
    struct storage_slot *slots[] = {&storage->vote, &storage->highest, &storage->newest};
    enum error error = ERROR_NONE;
    for (size_t i = 0; i < 3 && error == ERROR_NONE; i++) {
        error = storage_slot_read(slots[i], storage->disk, &storage->owner, l->text);
    }
    return error;
}

/* ---- snapshot ---- */

static void leftover_snapshots(struct load *l, uint64_t newest)
{
    char path[STORAGE_PATH_BYTES];
    uint64_t index;
    for (size_t i = 0; i < l->snapshots.n_names; i++) {
        if (storage_name_number(l->snapshots.names[i], ".snapshot", &index) && index < newest) {
            storage_path_snapshot(path, index);
            storage_names_add(&l->leftovers, path);
        }
    }
}

static enum error load_snapshot(struct load *l)
{
    struct storage *storage = l->storage;
    uint64_t recorded = storage->newest.values[0];
    uint64_t newest = 0;
    uint64_t index;
    char path[STORAGE_PATH_BYTES];
    enum error error = load_names(l, &l->snapshots, STORAGE_PATH_SNAPSHOT);
    for (size_t i = 0; i < l->snapshots.n_names; i++) {
        if (storage_name_number(l->snapshots.names[i], ".snapshot", &index) && index > newest) {
            newest = index;
        }
    }
    if (error != ERROR_NONE) {
        return error;
    }
    if (newest < recorded) {
        storage_path_snapshot(path, recorded);
        return error_set(l->text, ERROR_CORRUPT, "%s: is missing; " STORAGE_ADVICE, path);
    }
    leftover_snapshots(l, newest);
    if (newest == 0) {
        storage->begin =
            (struct storage_begin){.segment = 1, .sequence = 1, .chain = storage_chain_begin(&storage->owner, 1, 1)};
        return ERROR_NONE;
    }
    return storage_snapshot_verify(storage, newest, &storage->snapshots, &storage->begin, l->text);
}

/* ---- segments ---- */

static bool log_has(const struct load *l, uint64_t number)
{
    char path[STORAGE_PATH_BYTES];
    storage_path_segment(path, number);
    return storage_names_contain(&l->log, path + sizeof STORAGE_PATH_LOG);
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* A file of the right size can be used again. Its header need not be whole, nor name this segment: a crash may have come
 * while it was being recycled. But somebody else's file is not ours to write to or to remove. */
static enum error spare_check(struct load *l, uint64_t number, bool *fits)
{
    const struct disk *disk = l->storage->disk;
    struct storage_failure failure;
    struct disk_file *file = NULL;
    char path[STORAGE_PATH_BYTES];
    uint8_t prefix[STORAGE_PREFIX_BYTES] = {0};
    uint64_t size = 0;
    size_t got = 0;
    storage_path_segment(path, number);
    enum error error = storage_io_open(disk, path, DISK_READ, &file, &failure);
    if (error == ERROR_NONE) {
        error = storage_io_size(disk, file, path, &size, &failure);
    }
    if (error == ERROR_NONE) {
        error = storage_io_read(disk, file, path, 0, prefix, sizeof prefix, &got, &failure);
    }
    disk->close(file);
    if (error != ERROR_NONE) {
        return storage_failure_tell(&failure, l->text);
    }
    *fits = size == l->storage->options.segment_bytes;
    error = storage_prefix_check(prefix, STORAGE_FILE_SEGMENT, &l->storage->owner);
    return error == ERROR_NONE || error == ERROR_CORRUPT ? ERROR_NONE
                                                         : storage_prefix_refuse(error, prefix, path, l->text);
}

/* Segments outside of the log: below it spares, above it what a crash left before the slot was raised. */
static enum error load_outside(struct load *l)
{
    struct storage *storage = l->storage;
    uint64_t *numbers = calloc(l->log.n_names + 1, sizeof *numbers);
    size_t n = 0;
    enum error error = ERROR_NONE;
    CHECK(numbers != NULL);
    for (size_t i = 0; i < l->log.n_names; i++) {
        n += storage_name_number(l->log.names[i], ".segment", &numbers[n]);
    }
    qsort(numbers, n, sizeof *numbers, compare_numbers);
    storage->n_spares = 0;
    for (size_t i = 0; i < n && error == ERROR_NONE; i++) {
        char path[STORAGE_PATH_BYTES];
        bool fits = false;
        if (numbers[i] > storage->highest.values[0]) {
            error = storage_replay_check_unused(storage, numbers[i], l->text);
        } else if (numbers[i] >= storage->begin.segment) {
            continue;
        } else {
            error = spare_check(l, numbers[i], &fits);
        }
        if (fits && storage->n_spares < LIMIT_SPARE_SEGMENTS) {
            storage->spares[storage->n_spares++] = numbers[i];
            continue;
        }
        storage_path_segment(path, numbers[i]);
        storage_names_add(&l->leftovers, path);
    }
    free(numbers);
    return error;
}

static enum error load_log(struct load *l)
{
    struct storage *storage = l->storage;
    uint64_t highest = storage->highest.values[0];
    char path[STORAGE_PATH_BYTES];
    enum error error = load_names(l, &l->log, STORAGE_PATH_LOG);
    if (error != ERROR_NONE) {
        return error;
    }
    if (highest < storage->begin.segment) {
        return error_set(l->text, ERROR_CORRUPT,
                         "%s: offset 0: says segment %" PRIu64 ", the log begins in %" PRIu64 "; " STORAGE_ADVICE,
                         STORAGE_PATH_HIGHEST, highest, storage->begin.segment);
    }
    for (uint64_t number = storage->begin.segment; number <= highest; number++) {
        if (!log_has(l, number)) {
            storage_path_segment(path, number);
            return error_set(l->text, ERROR_CORRUPT, "%s: is missing; " STORAGE_ADVICE, path);
        }
    }
    error = load_outside(l);
    return error == ERROR_NONE ? storage_replay(storage, l->text) : error;
}

/* ---- changes ---- */

static void leftover_temporaries(struct load *l, const struct storage_names *names, const char *directory)
{
    for (size_t i = 0; i < names->n_names; i++) {
        size_t len = strlen(names->names[i]);
        if (len > 4 && strcmp(names->names[i] + len - 4, ".tmp") == 0) {
            struct buffer path;
            buffer_init(&path);
            buffer_printf(&path, "%s/%s", directory, names->names[i]);
            buffer_append(&path, "", 1);
            storage_names_add(&l->leftovers, (const char *)path.base);
            buffer_close(&path);
        }
    }
}

/* The names that were found count as durable from now on, so they have to be. */
static enum error change_sync(const struct load *l, struct storage_failure *failure)
{
    const char *directories[] = {STORAGE_PATH_LOG, STORAGE_PATH_SNAPSHOT, "."};
    enum error error = ERROR_NONE;
    for (size_t i = 0; i < 3 && error == ERROR_NONE; i++) {
        error = storage_io_sync_directory(l->storage->disk, directories[i], failure);
    }
    return error;
}

/* A torn record may lack only blocks that the same entries, sent again, put there: then a second tear would complete it,
 * and what followed it would come back with it. So its place in the sequence is taken at once, and its chain ends. */
static enum error change_mark(struct load *l, struct storage_failure *failure)
{
    struct storage *storage = l->storage;
    uint8_t block[LIMIT_BLOCK_BYTES];
    char path[STORAGE_PATH_BYTES];
    struct disk_file *file = NULL;
    if (!storage->torn) {
        return ERROR_NONE;
    }
    if (storage->offset == storage->options.segment_bytes) {
        CHECK(storage->current + 1 < storage->n_segments); /* that is where the torn record stands */
        storage->current++;
        storage->offset = LIMIT_BLOCK_BYTES;
    }
    struct storage_record record = {.kind = STORAGE_RECORD_MARKER,
                                    .segment = storage->segments[storage->current].number,
                                    .sequence = storage->sequence,
                                    .acked = storage->acked,
                                    .chain = storage->chain,
                                    .first_index = storage->written_index,
                                    .run = storage->run};
    storage_record_seal(&record, block, &storage->owner);
    storage_path_segment(path, record.segment);
    enum error error = storage_io_open(storage->disk, path, DISK_WRITE, &file, failure);
    if (error == ERROR_NONE) {
        error = storage_io_write(storage->disk, file, path, storage->offset, block, sizeof block, failure);
    }
    if (error == ERROR_NONE) {
        error = storage_io_sync(storage->disk, file, path, failure);
    }
    storage->disk->close(file);
    storage_log_follow(storage, &record);
    storage_log_account(storage, &record);
    storage->acked = record.sequence;
    return error;
}

static enum error change_slots(struct load *l, struct storage_failure *failure)
{
    struct storage *storage = l->storage;
    struct storage_slot *slots[] = {&storage->vote, &storage->highest, &storage->newest};
    enum error error = ERROR_NONE;
    for (size_t i = 0; i < 3 && error == ERROR_NONE; i++) {
        if (slots[i]->repair != 0) {
            storage_note(storage, "%s: one copy was damaged or older, it is repaired from the other", slots[i]->path);
        }
        error = storage_slot_repair(slots[i], storage->disk, &storage->owner, failure);
    }
    if (error == ERROR_NONE && storage->snapshots != NULL &&
        storage->snapshots->info.index > storage->newest.values[0]) {
        const uint64_t values[2] = {storage->snapshots->info.index, 0};
        error = storage_slot_write(&storage->newest, storage->disk, &storage->owner, values, failure);
    }
    return error;
}

static enum error change_files(struct load *l, struct storage_failure *failure)
{
    struct storage *storage = l->storage;
    enum error error = storage_io_unlink(storage->disk, STORAGE_PATH_IDENTITY_TMP, true, failure);
    for (size_t i = 0; i < l->leftovers.n_names && error == ERROR_NONE; i++) {
        error = storage_io_unlink(storage->disk, l->leftovers.names[i], false, failure);
    }
    for (size_t i = storage->current; i < storage->n_segments && error == ERROR_NONE; i++) {
        char path[STORAGE_PATH_BYTES];
        storage_path_segment(path, storage->segments[i].number);
        error = storage_io_open(storage->disk, path, DISK_LOG, &storage->segments[i].file, failure);
    }
    return error;
}

static enum error load_change(struct load *l)
{
    struct storage_failure failure;
    leftover_temporaries(l, &l->log, STORAGE_PATH_LOG);
    leftover_temporaries(l, &l->snapshots, STORAGE_PATH_SNAPSHOT);
    enum error error = change_sync(l, &failure);
    if (error == ERROR_NONE) {
        error = change_mark(l, &failure);
    }
    if (error == ERROR_NONE) {
        error = change_slots(l, &failure);
    }
    if (error == ERROR_NONE) {
        error = change_files(l, &failure);
    }
    return error == ERROR_NONE ? error : storage_failure_tell(&failure, l->text);
}

enum error storage_load(struct storage *storage, struct error_text *text)
{
    struct load l = {.storage = storage, .text = text};
    enum error error = load_slots(&l);
    if (error == ERROR_NONE) {
        error = load_snapshot(&l);
    }
    if (error == ERROR_NONE) {
        error = load_log(&l);
    }
    if (error == ERROR_NONE) {
        error = load_change(&l);
    }
    storage_names_close(&l.log);
    storage_names_close(&l.snapshots);
    storage_names_close(&l.leftovers);
    return error;
}
