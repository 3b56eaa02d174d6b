/* Segments: made ahead on the pool, used by the log, dropped behind a snapshot, recycled.
 *
 * A segment's file gets its header, its number as name, the sync of the directory and the raised slot `highest` before
 * its first record, so a segment that should be there and isn't is noticed. The one after the current is kept ready; an
 * append waits for it only when segments fill faster than they are made. A recycled file keeps its old bytes: their
 * records carry another segment number, so they are never taken for new.
 *
 * On a full disk no new file is made from what is reserved for a snapshot, because a snapshot is what frees segments.
 * When the log has to stop, it first waits for that: while one is being written, and a while for it to begin. Only then
 * the reserve goes, too, and when it is used up the process ends. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/storage_private.h"

#define SEGMENT_NUMBER   STORAGE_PREFIX_BYTES
#define SEGMENT_SIZE     (STORAGE_PREFIX_BYTES + 8u)
#define SEGMENT_CHECKSUM (STORAGE_PREFIX_BYTES + 16u)
#define FILL_BYTES       (256u * 1024u)
#define SPACE_RETRY_MS   1000u
#define RECYCLE_WAIT_NS  2000000000ull /* many ticks of who takes snapshots */

void storage_segment_header_encode(uint8_t *block, uint64_t number, uint64_t bytes, const struct storage_owner *owner)
{
    memset(block, 0, LIMIT_BLOCK_BYTES);
    storage_prefix_encode(block, STORAGE_FILE_SEGMENT, owner);
    bytes_put_u64(block + SEGMENT_NUMBER, number);
    bytes_put_u64(block + SEGMENT_SIZE, bytes);
    bytes_put_u64(block + SEGMENT_CHECKSUM, checksum_64(block, SEGMENT_CHECKSUM));
}

enum error storage_segment_header_check(const uint8_t *base, size_t len, uint64_t number, uint64_t bytes,
                                        const struct storage_owner *owner, struct error_text *text)
{
    char path[STORAGE_PATH_BYTES];
    storage_path_segment(path, number);
    enum error error =
        len < LIMIT_BLOCK_BYTES ? ERROR_CORRUPT : storage_prefix_check(base, STORAGE_FILE_SEGMENT, owner);
    if (error != ERROR_NONE) {
        return storage_prefix_refuse(error, base, path, text);
    }
    if (bytes_get_u64(base + SEGMENT_CHECKSUM) != checksum_64(base, SEGMENT_CHECKSUM)) {
        return storage_prefix_refuse(ERROR_CORRUPT, base, path, text);
    }
    if (bytes_get_u64(base + SEGMENT_NUMBER) != number) {
        return error_set(text, ERROR_CORRUPT,
                         "%s: offset 0: is segment %" PRIu64 " under another name; " STORAGE_ADVICE, path,
                         bytes_get_u64(base + SEGMENT_NUMBER));
    }
    if (bytes_get_u64(base + SEGMENT_SIZE) != bytes) {
        return error_set(text, ERROR_VERSION, "%s: is a segment of %" PRIu64 " bytes, this batond uses %" PRIu64, path,
                         bytes_get_u64(base + SEGMENT_SIZE), bytes);
    }
    if (len != bytes) {
        return error_set(text, ERROR_CORRUPT,
                         "%s: offset %zu: the file ends there instead of at %" PRIu64 "; " STORAGE_ADVICE, path, len,
                         bytes);
    }
    return ERROR_NONE;
}

static enum error segment_fill(const struct disk *disk, struct disk_file *file, const char *path, uint64_t bytes,
                               struct storage_failure *failure)
{
    uint8_t *zeros = calloc(1, FILL_BYTES);
    CHECK(zeros != NULL);
    enum error error = ERROR_NONE;
    for (uint64_t at = LIMIT_BLOCK_BYTES; at < bytes && error == ERROR_NONE; at += FILL_BYTES) {
        size_t len = bytes - at < FILL_BYTES ? (size_t)(bytes - at) : FILL_BYTES;
        error = storage_io_write(disk, file, path, at, zeros, len, failure);
    }
    free(zeros);
    return error;
}

/* Header, zeros when it is new, sync. */
static enum error segment_write(const struct disk *disk, const struct storage_owner *owner, uint64_t number,
                                uint64_t bytes, const char *path, bool fresh, struct storage_failure *failure)
{
    uint8_t block[LIMIT_BLOCK_BYTES];
    struct disk_file *file = NULL;
    enum error error = storage_io_open(disk, path, fresh ? DISK_CREATE : DISK_WRITE, &file, failure);
    if (error != ERROR_NONE) {
        return error;
    }
    storage_segment_header_encode(block, number, bytes, owner);
    error = storage_io_write(disk, file, path, 0, block, sizeof block, failure);
    if (error == ERROR_NONE && fresh) {
        error = segment_fill(disk, file, path, bytes, failure);
    }
    if (error == ERROR_NONE) {
        error = storage_io_sync(disk, file, path, failure);
    }
    disk->close(file);
    return error;
}

/* Where the bytes of segment `number` are made ready: in the oldest spare, or in a new file. */
static void segment_source(char path[STORAGE_PATH_BYTES], uint64_t spare)
{
    if (spare != 0) {
        storage_path_segment(path, spare);
    } else {
        memcpy(path, STORAGE_PATH_SEGMENT_TMP, sizeof STORAGE_PATH_SEGMENT_TMP);
    }
}

/* Until it is put in its place nobody counts on it. */
static enum error segment_make_ready(const struct disk *disk, const struct storage_owner *owner, uint64_t number,
                                     uint64_t bytes, uint64_t spare, struct storage_failure *failure)
{
    char path[STORAGE_PATH_BYTES];
    segment_source(path, spare);
    enum error error = spare != 0 ? ERROR_NONE : storage_io_unlink(disk, path, true, failure);
    return error != ERROR_NONE ? error : segment_write(disk, owner, number, bytes, path, spare == 0, failure);
}

static enum error segment_place(const struct disk *disk, uint64_t number, uint64_t spare,
                                struct storage_failure *failure)
{
    char from[STORAGE_PATH_BYTES];
    char to[STORAGE_PATH_BYTES];
    segment_source(from, spare);
    storage_path_segment(to, number);
    enum error error = storage_io_rename(disk, from, to, failure);
    return error != ERROR_NONE ? error : storage_io_sync_directory(disk, STORAGE_PATH_LOG, failure);
}

enum error storage_segment_make_first(const struct disk *disk, const struct storage_owner *owner, uint64_t bytes,
                                      struct storage_failure *failure)
{
    enum error error = segment_make_ready(disk, owner, 1, bytes, 0, failure);
    return error != ERROR_NONE ? error : segment_place(disk, 1, 0, failure);
}

void storage_segment_add(struct storage *storage, const struct storage_segment *segment)
{
    if (storage->n_segments == storage->segments_capacity) {
        storage->segments_capacity = storage->segments_capacity == 0 ? 16 : storage->segments_capacity * 2;
        storage->segments = realloc(storage->segments, storage->segments_capacity * sizeof *storage->segments);
        CHECK(storage->segments != NULL);
    }
    CHECK(storage->n_segments == 0 || storage->segments[storage->n_segments - 1].number + 1 == segment->number);
    storage->segments[storage->n_segments++] = *segment;
}

/* ---- making the next one ---- */

/* On the pool. Without a spare it first looks whether there is room: a full disk isn't a failed write yet, as long as the
 * log has where to go. */
static void prepare_run(struct work *work)
{
    struct storage *storage = work->data;
    struct storage_prepare *prepare = &storage->prepare;
    const struct disk *disk = storage->disk;
    const uint64_t values[2] = {prepare->number, 0};
    char path[STORAGE_PATH_BYTES];
    storage_path_segment(path, prepare->number);
    if (prepare->spare == 0) {
        uint64_t free_bytes = 0;
        int os_error = 0;
        enum error error = disk->free_bytes(disk->impl, &free_bytes, &os_error);
        if (error != ERROR_NONE) {
            (void)storage_failure_set(&prepare->failure, error, path, 0, "look for free space", os_error);
            return;
        }
        if (free_bytes < storage->options.segment_bytes + prepare->keep_bytes) {
            prepare->no_space = true;
            (void)storage_failure_set(&prepare->failure, ERROR_NO_SPACE, path, 0, "making the segment", ENOSPC);
            return;
        }
    }
    enum error error = segment_make_ready(disk, &storage->owner, prepare->number, storage->options.segment_bytes,
                                          prepare->spare, &prepare->failure);
    if (error == ERROR_NO_SPACE && prepare->spare == 0) {
        /* Somebody took what was free a moment ago: the unfinished file gives back what it has. */
        struct storage_failure unlinking = {0};
        prepare->no_space = storage_io_unlink(disk, STORAGE_PATH_SEGMENT_TMP, true, &unlinking) == ERROR_NONE;
        return;
    }
    if (error == ERROR_NONE) {
        error = segment_place(disk, prepare->number, prepare->spare, &prepare->failure);
    }
    if (error == ERROR_NONE) {
        error = storage_slot_write(&storage->highest, disk, &storage->owner, values, &prepare->failure);
    }
    if (error == ERROR_NONE) {
        error = storage_io_open(disk, path, DISK_LOG, &prepare->file, &prepare->failure);
    }
    CHECK(error == prepare->failure.error); /* prepare_done goes by the latter */
}

/* The log stands still, and a snapshot may free a segment for it. (What an install frees, it frees at its end, and it
 * needs a segment first.) */
static bool recycling_may_come(const struct storage *storage)
{
    const struct storage_publishing *publishing = &storage->publishing;
    if (storage->current == 0 || publishing->install) {
        return false;
    }
    return publishing->running || atomic_load(&storage->writers[0]) != NULL || storage->starved_ns == 0 ||
           loop_mono_ns(storage->loop) - storage->starved_ns < RECYCLE_WAIT_NS;
}

static bool prepare_is_urgent(const struct storage *storage)
{
    return storage->blocked && !recycling_may_come(storage);
}

static void prepare_no_space(struct storage *storage)
{
    if (storage->closing) {
        return;
    }
    if (storage->blocked && storage->prepare.urgent) {
        storage_fail(storage, &storage->prepare.failure);
        return;
    }
    if (prepare_is_urgent(storage)) {
        storage_segment_prepare(storage);
        return;
    }
    if (storage->blocked && storage->starved_ns == 0) {
        storage->starved_ns = loop_mono_ns(storage->loop);
    }
    loop_timer_start(storage->loop, storage->space, SPACE_RETRY_MS);
}

static void prepare_done(struct work *work)
{
    struct storage *storage = work->data;
    struct storage_prepare *prepare = &storage->prepare;
    prepare->running = false;
    if (storage->dead) {
        storage->disk->close(prepare->file);
    } else if (prepare->no_space) {
        prepare_no_space(storage);
    } else if (prepare->failure.error != ERROR_NONE) {
        storage_fail(storage, &prepare->failure);
    } else {
        storage_segment_add(storage, &(struct storage_segment){.number = prepare->number, .file = prepare->file});
        storage->blocked = false;
        storage->starved_ns = 0;
        if (!storage->closing) {
            storage_publish_install_try(storage);
            storage_log_pump(storage);
        }
    }
    storage_settle(storage);
}

bool storage_segment_ready(const struct storage *storage)
{
    return storage->current + 1 < storage->n_segments || storage->n_spares > 0 ||
           (storage->prepare.running && storage->prepare.spare != 0);
}

void storage_segment_prepare(struct storage *storage)
{
    struct storage_prepare *prepare = &storage->prepare;
    if (prepare->running || storage->dead || storage->closing || storage->current + 1 < storage->n_segments) {
        return;
    }
    *prepare = (struct storage_prepare){.running = true,
                                        .number = storage->segments[storage->n_segments - 1].number + 1,
                                        .urgent = prepare_is_urgent(storage)};
    prepare->keep_bytes = prepare->urgent ? 0 : storage_reserve_bytes(storage);
    if (storage->n_spares > 0) { /* the oldest */
        prepare->spare = storage->spares[0];
        memmove(storage->spares, storage->spares + 1, --storage->n_spares * sizeof storage->spares[0]);
    }
    prepare->work = (struct work){.run = prepare_run, .done = prepare_done, .data = storage};
    storage->pending++;
    loop_timer_stop(storage->loop, storage->space);
    loop_work(storage->loop, &prepare->work);
}

/* ---- dropping ---- */

static void spare_add(struct storage *storage, uint64_t number)
{
    if (storage->n_spares < LIMIT_SPARE_SEGMENTS) {
        storage->spares[storage->n_spares++] = number;
        return;
    }
    char path[STORAGE_PATH_BYTES];
    storage_path_segment(path, number);
    storage_sweep_add(storage, path);
}

void storage_segment_drop(struct storage *storage, size_t n)
{
    CHECK(n < storage->n_segments && n <= storage->current);
    for (size_t i = 0; i < n; i++) {
        CHECK(storage->segments[i].writes == 0);
        storage->disk->close(storage->segments[i].file);
        spare_add(storage, storage->segments[i].number);
    }
    storage->n_segments -= n;
    storage->current -= n;
    memmove(storage->segments, storage->segments + n, storage->n_segments * sizeof *storage->segments);
    storage_segment_prepare(storage); /* it may have waited for a spare */
}
