/* The life of a storage: open, close, crash; and its figures.
 *
 * Open takes the lock, reads who we are, and, once the directory is initialised, verifies all of it (storage_load.c).
 * Close waits for everything in flight, cancels what is queued, ends the log with a closed record, and frees. A failed
 * write in between tells `fatal` and leaves a dead storage that calls nobody back. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/storage_private.h"

#define LOOK_EVERY_NS 1000000000ull

/* ---- telling ---- */

void storage_fail(struct storage *storage, const struct storage_failure *failure)
{
    if (storage->dead) {
        return;
    }
    storage->dead = true;
    storage->options.fatal(storage->options.arg, failure->path, failure->offset, failure->what, failure->os_error);
}

void storage_note(struct storage *storage, const char *format, ...)
{
    char sentence[512];
    if (storage->options.note != NULL) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(sentence, sizeof sentence, format, arguments);
        va_end(arguments);
        storage->options.note(storage->options.arg, sentence);
    }
}

/* ---- freeing ---- */

static void snapshots_free(struct storage *storage)
{
    while (storage->snapshots != NULL) {
        struct storage_snapshot_file *next = storage->snapshots->next;
        storage_snapshot_file_free(storage->snapshots);
        storage->snapshots = next;
    }
}

/* Memory only. */
static void storage_free(struct storage *storage)
{
    loop_timer_close(storage->loop, storage->marker);
    loop_timer_close(storage->loop, storage->space);
    loop_post_cancel(storage->loop, &storage->flush);
    loop_post_cancel(storage->loop, &storage->close_post);
    for (size_t i = 0; i < LIMIT_LOG_WRITES; i++) {
        free(storage->writes[i].base);
    }
    snapshots_free(storage);
    storage_names_close(&storage->sweep.paths);
    storage_names_close(&storage->sweep.wanted);
    storage_spans_close(&storage->spans);
    storage_loaded_release(storage);
    buffer_close(&storage->identity_bytes);
    free(storage->segments);
    free(storage);
}

static void files_close(struct storage *storage)
{
    for (size_t i = 0; i < storage->n_segments; i++) {
        storage->disk->close(storage->segments[i].file);
    }
    storage_slot_close(&storage->vote, storage->disk);
    storage_slot_close(&storage->highest, storage->disk);
    storage_slot_close(&storage->newest, storage->disk);
}

/* ---- opening ---- */

/* What should not be there without an identity. */
static enum error fresh_check(const struct storage_names *names, struct error_text *text)
{
    const char *ours[] = {STORAGE_PATH_VOTE, STORAGE_PATH_LOG, STORAGE_PATH_SNAPSHOT};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        if (storage_names_contain(names, ours[i])) {
            return error_set(text, ERROR_CORRUPT, "%s: is missing, but %s is there; " STORAGE_ADVICE,
                             STORAGE_PATH_IDENTITY, ours[i]);
        }
    }
    return ERROR_NONE;
}

/* Peers are about to learn an incarnation whose writer may have died before it synced the name. */
static enum error begun_sync(struct storage *storage, struct error_text *text)
{
    struct storage_failure failure;
    enum error error = storage_io_sync_directory(storage->disk, ".", &failure);
    return error == ERROR_NONE ? error : storage_failure_tell(&failure, text);
}

/* Syncs a directory's files before anything of them is read: the process before may have died of a failed sync, and what
 * it wrote may stand in the cache alone (disk.h). Else a start that believes such bytes is contradicted by the next one. */
static enum error settle_directory(struct storage *storage, const char *directory, struct storage_failure *failure)
{
    struct storage_names names;
    char path[STORAGE_PATH_BYTES];
    enum error error = storage_names_read(&names, storage->disk, directory, failure);
    if (error != ERROR_NONE) {
        return error == ERROR_NOT_FOUND ? ERROR_NONE : error;
    }
    for (size_t i = 0; i < names.n_names && error == ERROR_NONE; i++) {
        const char *name = names.names[i];
        size_t len = strlen(name);
        bool ours = strcmp(name, STORAGE_PATH_IDENTITY) == 0 || strcmp(name, STORAGE_PATH_VOTE) == 0 ||
                    strcmp(name, "highest") == 0 || strcmp(name, "newest") == 0 ||
                    (len > 8 && strcmp(name + len - 8, ".segment") == 0) ||
                    (len > 9 && strcmp(name + len - 9, ".snapshot") == 0);
        bool top = strcmp(directory, ".") == 0;
        if (ours &&
            snprintf(path, sizeof path, "%s%s%s", top ? "" : directory, top ? "" : "/", name) < (int)sizeof path) {
            error = storage_io_sync_path(storage->disk, path, failure);
        }
    }
    storage_names_close(&names);
    return error;
}

static enum error settle(struct storage *storage, struct storage_failure *failure)
{
    enum error error = settle_directory(storage, ".", failure);
    if (error == ERROR_NONE) {
        error = settle_directory(storage, STORAGE_PATH_LOG, failure);
    }
    if (error == ERROR_NONE) {
        error = settle_directory(storage, STORAGE_PATH_SNAPSHOT, failure);
    }
    return error;
}

static enum error open_directory(struct storage *storage, struct error_text *text)
{
    struct storage_failure failure;
    struct storage_names names;
    int os_error = 0;
    enum error error = storage->disk->lock(storage->disk->impl, STORAGE_PATH_LOCK, &os_error);
    if (error == ERROR_LOCKED) {
        return error_set(text, error, "%s: another process uses this data directory; stop it first", STORAGE_PATH_LOCK);
    }
    if (error != ERROR_NONE) {
        (void)storage_failure_set(&failure, error, STORAGE_PATH_LOCK, 0, "lock", os_error);
        return storage_failure_tell(&failure, text);
    }
    error = settle(storage, &failure);
    if (error == ERROR_NONE) {
        error = storage_names_read(&names, storage->disk, ".", &failure);
    }
    if (error != ERROR_NONE) {
        return storage_failure_tell(&failure, text);
    }
    if (!storage_names_contain(&names, STORAGE_PATH_IDENTITY)) {
        error = fresh_check(&names, text);
    } else {
        error = storage_identity_read(storage, text);
        if (error == ERROR_NONE) {
            error = storage->identity.initialised ? storage_load(storage, text) : begun_sync(storage, text);
        }
    }
    storage_names_close(&names);
    return error;
}

enum error storage_open(const struct storage_options *options, struct storage **storage, struct error_text *text)
{
    CHECK(options->segment_bytes % LIMIT_BLOCK_BYTES == 0 && options->segment_bytes >= 2ull * LIMIT_BLOCK_BYTES);
    CHECK(options->fatal != NULL);
    struct storage *opened = calloc(1, sizeof *opened);
    CHECK(opened != NULL);
    opened->options = *options;
    opened->disk = options->disk;
    opened->loop = options->loop;
    opened->vote = (struct storage_slot){.kind = STORAGE_FILE_VOTE, .path = STORAGE_PATH_VOTE};
    opened->highest = (struct storage_slot){.kind = STORAGE_FILE_HIGHEST, .path = STORAGE_PATH_HIGHEST};
    opened->newest = (struct storage_slot){.kind = STORAGE_FILE_NEWEST, .path = STORAGE_PATH_NEWEST};
    opened->loaded_first = 1;
    arena_init(&opened->loaded_arena, 0);
    loop_random(opened->loop, &opened->run, sizeof opened->run);
    storage_log_init(opened);
    int os_error = 0;
    enum error error = opened->disk->free_bytes(opened->disk->impl, &opened->look.free_bytes, &os_error);
    opened->look.at_ns = loop_mono_ns(opened->loop);
    if (error != ERROR_NONE) {
        (void)error_set(text, error, "looking for free space failed: %s", strerror(os_error));
    } else {
        error = open_directory(opened, text);
    }
    if (error != ERROR_NONE) {
        files_close(opened);
        storage_free(opened);
        return error;
    }
    if (opened->identity.initialised) {
        storage_log_start(opened);
    }
    *storage = opened;
    return ERROR_NONE;
}

/* ---- what was found ---- */

void storage_loaded(const struct storage *storage, struct storage_loaded *loaded)
{
    CHECK(storage->identity.initialised);
    *loaded = (struct storage_loaded){.term = storage->vote.values[0],
                                      .vote = storage->vote.values[1],
                                      .first_index = storage->loaded_first,
                                      .entries = storage->loaded,
                                      .n_entries = storage->n_loaded};
    storage_snapshot_newest(storage, &loaded->snapshot);
}

void storage_loaded_release(struct storage *storage)
{
    free(storage->loaded);
    storage->loaded = NULL;
    storage->n_loaded = 0;
    storage->loaded_capacity = 0;
    arena_close(&storage->loaded_arena);
}

/* ---- closing ---- */

static void close_finish(struct storage *storage)
{
    void (*closed)(void *arg) = storage->closed;
    void *arg = storage->closed_arg;
    for (size_t i = 0; i < 2; i++) {
        CHECK(atomic_load(&storage->writers[i]) == NULL);
    }
    CHECK(storage->readers == NULL);
    files_close(storage);
    storage_free(storage);
    if (closed != NULL) {
        closed(arg);
    }
}

/* Called when nothing is in flight, and again when what it started is over. */
static void close_go_on(struct storage *storage)
{
    storage_log_cancel(storage);
    storage_publish_cancel(storage);
    if (storage->orderly && !storage->dead && storage->identity.initialised) {
        storage->orderly = false;
        storage_log_write_closed(storage);
        if (storage->pending > 0) {
            return;
        }
    }
    close_finish(storage);
}

static void close_run(struct post *post)
{
    struct storage *storage = post->data;
    storage->close_started = true;
    if (storage->pending == 0) {
        close_go_on(storage);
    }
}

void storage_close(struct storage *storage, bool orderly, void (*closed)(void *arg), void *arg)
{
    CHECK(!storage->closing);
    storage->closing = true;
    storage->orderly = orderly;
    storage->closed = closed;
    storage->closed_arg = arg;
    loop_timer_stop(storage->loop, storage->marker);
    loop_timer_stop(storage->loop, storage->space);
    storage->close_post = (struct post){.run = close_run, .data = storage};
    loop_post(storage->loop, &storage->close_post);
}

void storage_settle(struct storage *storage)
{
    CHECK(storage->pending > 0);
    storage->pending--;
    if (storage->close_started && storage->pending == 0) {
        close_go_on(storage);
    }
}

void storage_crash(struct storage *storage)
{
    for (size_t i = 0; i < 2; i++) {
        struct storage_snapshot_writer *writer = atomic_load(&storage->writers[i]);
        if (writer != NULL) {
            storage_snapshot_writer_free(writer);
        }
    }
    while (storage->readers != NULL) {
        struct storage_snapshot_reader *reader = storage->readers;
        storage->readers = reader->next;
        buffer_close(&reader->offsets);
        free(reader);
    }
    storage_free(storage);
}

/* ---- figures ---- */

static void look_run(struct work *work)
{
    struct storage *storage = work->data;
    int os_error = 0;
    enum error error = storage->disk->free_bytes(storage->disk->impl, &storage->look.found, &os_error);
    if (error != ERROR_NONE) {
        (void)storage_failure_set(&storage->look.failure, error, ".", 0, "look for free space", os_error);
    }
}

static void look_done(struct work *work)
{
    struct storage *storage = work->data;
    storage->look.running = false;
    if (storage->look.failure.error != ERROR_NONE) {
        storage_fail(storage, &storage->look.failure);
    } else {
        storage->look.free_bytes = storage->look.found;
    }
    storage_settle(storage);
}

static void look_again(struct storage *storage)
{
    uint64_t now = loop_mono_ns(storage->loop);
    if (storage->look.running || storage->closing || storage->dead || now - storage->look.at_ns < LOOK_EVERY_NS) {
        return;
    }
    storage->look.at_ns = now;
    storage->look.running = true;
    storage->look.work = (struct work){.run = look_run, .done = look_done, .data = storage};
    storage->pending++;
    loop_work(storage->loop, &storage->look.work);
}

uint64_t storage_reserve_bytes(const struct storage *storage)
{
    return storage->options.snapshot_reserve_bytes + (storage->snapshots == NULL ? 0 : storage->snapshots->info.size);
}

void storage_figures(struct storage *storage, struct storage_figures *figures)
{
    look_again(storage);
    bool ready = storage_segment_ready(storage);
    uint64_t need = storage_reserve_bytes(storage) + (ready ? 0 : storage->options.segment_bytes);
    bool alone = storage->n_segments == 0 || storage->current == 0;
    *figures = (struct storage_figures){.log_bytes_since_snapshot = storage->spans.record_bytes,
                                        .entry_bytes_since_snapshot = storage->spans.entry_bytes,
                                        .free_bytes = storage->look.free_bytes,
                                        .reserve_ok = storage->look.free_bytes >= need,
                                        .segment_ready = ready,
                                        .segment_bytes = storage->options.segment_bytes,
                                        .oldest_last_index = alone ? UINT64_MAX : storage->segments[0].last_index,
                                        .appending = storage->queue.first != NULL || storage->held.first != NULL ||
                                                     storage_log_in_flight(storage),
                                        .writes = storage->n_writes,
                                        .write_durations = &storage->write_durations,
                                        .log_mode = storage->disk->log_mode(storage->disk->impl)};
}
